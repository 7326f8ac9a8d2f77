"""A training's state on disk: one file with its own digest in front: the two can never part."""

import io
import pickle
import zipfile
from contextlib import suppress
from os import PathLike
from typing import Annotated

import torch
from torch import Tensor

from dicp import store
from dicp.checks import checked, number, refuse, whole
from dicp.models import Model
from dicp.store import one_line
from dicp.weights import CheckpointError

__all__ = ["load_state", "save_state"]

HEAD = b"dicp training state, sha256 "
ZIP = b"PK\x03\x04"            # how a state begins that was written without its digest
CURE = "delete it, or call load_or_train with fresh=True, to train anew"
NOT_OURS = (                    # what zipfile and torch.load raise for bytes that they cannot read
    AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError,
    TypeError, ValueError, zipfile.BadZipFile,
)


@checked
def save_state(state: dict, path: str | PathLike) -> None:
    """A line with the digest, then the state as `torch.save` writes it. Raises `StoreError`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    store.write(path, HEAD + store.digest(data).encode("ascii") + b"\n" + data)


@checked
def load_state(path: str | PathLike) -> dict:
    """What `save_state` wrote, on the CPU; `CheckpointError` if it is damaged. An older state has
    no digest: there the checksums of its parts are compared."""
    what = f"{path} is not a whole training state"
    try:
        body = io.BytesIO(_body(store.read(path)))
        state = torch.load(body, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:       # its text says how to run the code in the file
        raise CheckpointError(
            f"{what}, it is damaged or holds more than numbers; {CURE}."
        ) from error
    except NOT_OURS as error:
        raise CheckpointError(f"{what} ({one_line(error)}); {CURE}.") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{what}, it holds a {type(state).__name__}; {CURE}.")
    return state


def _body(data: bytes) -> bytes:
    """What `torch.save` wrote; `ValueError` where a digest or a checksum does not fit."""
    if data.startswith(ZIP):
        if zipfile.ZipFile(io.BytesIO(data)).testzip() is not None:
            raise ValueError("a checksum does not fit")
        return data
    head, _, body = data.partition(b"\n")
    if head != HEAD + store.digest(body).encode("ascii"):
        raise ValueError("its digest does not fit")
    return body


def check_state(state: dict, model: Model, updates: int) -> None:
    """Raise unless a trainer's state holds as many numbers as `model`, of its types, all finite."""
    whole("update", state["update"], 0, updates)
    number("cpu_seconds", state["cpu_seconds"], 0)
    if [row["update"] for row in state["rows"]] != list(range(1, state["update"] + 1)):
        raise ValueError("its loss curve has not one row for each update")
    ours, theirs = model.state_dict(), state["model"]
    if _forms(ours) != _forms(theirs):
        raise ValueError("its weights have other names, types or shapes")
    parameters, all_moments = list(model.parameters()), []
    for index, moments in state["optimizer"]["state"].items():   # not of what has no gradient
        forms = {_form(moments[name]) for name in ("exp_avg", "exp_avg_sq")}
        if forms != {_form(parameters[index])}:
            raise ValueError("its optimizer has other types or shapes")
        all_moments += moments.values()
    if state["update"] and not all_moments:
        raise ValueError("its optimizer has no memory")
    if not all(bool(x.isfinite().all()) for x in (*theirs.values(), *all_moments)):
        raise ValueError("it holds numbers that are not finite")


def _form(x: Tensor) -> tuple:
    return x.dtype, tuple(x.shape)


def _forms(weights: dict) -> dict:
    return {name: _form(x) for name, x in weights.items()}


def device_of(what: str, value: object) -> str:
    """`value` as PyTorch calls a device of this machine; else raise `ValueError`."""
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if n else []), *(f"cuda:{i}" for i in range(n))]
    if not isinstance(value, str | torch.device) or str(value) not in known:
        raise refuse(what, value, ", ".join(known))
    return str(value)


Device = Annotated[str, device_of]


def set_gpu_generator(saved: Tensor | list | None, device: torch.device, where: str) -> None:
    """The generator of the device in use goes on as it was saved. Where that does not fit, say so.

    What is drawn on the device (dropout, IDT's decisions) is then other than in an uninterrupted
    training, and nothing else. saved: its state; None: saved on a CPU; a list: of an older state,
    which kept those of all GPUs of its machine.
    """
    n_there = len(saved) if isinstance(saved, list) else None
    index = device.index or 0
    if n_there is not None:
        saved = saved[index] if index < n_there else None
    if device.type == "cuda" and saved is not None:
        with suppress(RuntimeError, TypeError):
            torch.cuda.set_rng_state(saved, device)
            if n_there in (None, torch.cuda.device_count()):
                return
    if device.type == "cuda" or saved is not None:
        was = "without a GPU" if saved is None else "on a GPU"
        was = f"with {n_there} GPUs" if n_there else was
        goes_on = f"training goes on on {device}, numbers drawn there may be others"
        print(f"{where} was saved {was}; {goes_on}.", flush=True)
