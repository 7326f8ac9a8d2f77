"""What may be given to a grid world: tensors of whole numbers, and a size that fits the memory."""

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from dicp.checks import fits_memory, refuse
from dicp.config import EnvConfig

INTEGERS = frozenset({
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32,
    torch.int64,
})
CELL_BYTES = 8 * 5 * 4         # of a cell in a table of moves, with what making it takes


def is_integer(x: Tensor | ndarray) -> bool:
    """Whether its dtype is one of the integers, of any width; bool is none."""
    if isinstance(x, Tensor):
        return x.dtype in INTEGERS
    return x.dtype.kind in "iu"


def whole_numbers(what: str, value: Tensor | ndarray, shape: tuple[int, ...], top: int) -> Tensor:
    """`value` as a tensor of int64; raise `ValueError` unless it is a tensor or an array of that
    shape, (task, stream) or (row,), of whole numbers from 0 to `top`."""
    allowed = f"whole numbers from 0 to {top}"
    if not isinstance(value, Tensor | ndarray):
        raise refuse(what, value, f"a tensor of the shape {shape} with {allowed}")
    if value.shape != shape:
        axes = "task, stream" if len(shape) == 2 else "row"
        raise refuse(f"the shape of {what}", tuple(value.shape), f"{shape} ({axes})")
    if not is_integer(value):
        raise refuse(f"the dtype of {what}", value.dtype, f"an integer one, with {allowed}")
    if isinstance(value, ndarray):
        value = torch.from_numpy(value.astype(np.int64, order="C"))
    numbers = value.long().cpu()
    unsigned = numbers.numpy().view(np.uint64)          # where a negative number is a huge one
    if unsigned.max(initial=0) > top:
        wrong = numbers[(numbers < 0) | (numbers > top)][0]
        raise ValueError(f"{what} holds {int(wrong)}; allowed: {allowed}.")
    return numbers


def check_size(config: EnvConfig, n_tasks: int) -> None:
    """Raise `ValueError` if the tables of that many tasks do not fit into the memory."""
    variants = n_tasks if config.name == "darkroom_permuted" else 1
    n_bytes = variants * config.n_cells * CELL_BYTES
    fits_memory("size", config.size, n_bytes, "a smaller whole number, of at least 2")
