"""Whether a log of the source algorithm can be true."""

import numpy as np
import torch
from torch import Tensor

from dicp.config import SourceConfig, WorldConfig
from dicp.domain import domain_of
from dicp.envs.tasks import Task
from dicp.history.layout import fields_of, shape_of
from dicp.types import Log


def check_names(what: str, env: WorldConfig, log: Log) -> None:
    """Raise `ValueError` unless the log has the fields of this world."""
    names, allowed = {name for name, _ in log.items()}, list(fields_of(env))
    if names != set(allowed):
        held = ", ".join(name for name in Log._fields if name in names)
        raise ValueError(f"{what} holds {held}; allowed in {env.name}: {', '.join(allowed)}.")


def check_log(env: WorldConfig, source: SourceConfig, n_streams: int, task: Task, log: Log) -> None:
    """Raise `ValueError` where the log of one task [stream, step ...] has the wrong form, or tells
    what cannot happen in the world."""
    check_names(f"The log of task {task}", env, log)
    for name, field in fields_of(env).items():
        values, dtype = getattr(log, name), getattr(torch, field.dtype)
        shape = shape_of(env, field, 1, n_streams, source.env_steps)[1:]
        same = isinstance(values, Tensor) and values.dtype == dtype and values.shape == shape
        if not same or not field.possible(values.numpy()):
            low, high = field.space.bounds
            content = "finite values" if low == -np.inf else f"values from {low} to {high}"
            wanted = f"{dtype} {shape} with {content}"
            raise ValueError(f"The {name} of task {task} is {told(values)}; allowed: {wanted}.")
    domain_of(env).check_moves(task, log)


def as_tensors(log: Log) -> Log:
    """The log with its arrays of NumPy as tensors."""
    return log.map(lambda values: torch.as_tensor(values) if is_array(values) else values)


def is_array(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "biuf"


def told(values: object) -> str:
    """What an array of a log is, in a few words."""
    if not isinstance(values, Tensor):
        return f"a {type(values).__name__}"
    span = f"values from {values.min()} to {values.max()}" if values.numel() else "no values"
    return f"{values.dtype} {tuple(values.shape)} with {span}"
