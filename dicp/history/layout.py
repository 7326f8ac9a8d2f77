"""How learning histories lie in zarr: the arrays, their attributes, and what may stand in them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import zarr
from zarr.abc.store import Store

from dicp.config import Env, EnvConfig
from dicp.store import SEAL, seal_of

FORMAT, VERSION = "dicp-learning-histories", 1
ATTRIBUTES = {"format", "version", "env", "source", "seed", "algorithm", "algorithm_code",
              "tasks_per_block", "tasks", SEAL}
# What zarr reads where nothing was written; no log says 255 or nan.
EMPTY = {"uint8": 255, "float32": np.nan, "bool": False}
ZSTD_LEVEL = 6


class Field(NamedTuple):
    """One array of the store."""

    dims: tuple[str, ...]
    dtype: str
    meaning: str


STEP, EPISODE = ("task", "stream", "step"), ("task", "stream", "episode")
DONE = {"done": Field(("task",), "bool", "whether the histories of the task are complete")}
OF_GRIDS = {
    "cell": Field(STEP, "uint8", "where the agent is before the action: x * size + y"),
    "action": Field(STEP, "uint8", "+x, -x, +y, -y, stay"),
    "reward": Field(STEP, "uint8", "0 or 1, for this action"),
    "terminal_cell": Field(EPISODE, "uint8", "where the last action of the episode led"),
}
OF_METAWORLD = {
    "observation": Field((*STEP, "number"), "float32", "what the agent sees before the action"),
    "action": Field((*STEP, "component"), "float32",
                    "as executed, each from -1 to 1: hand x, y, z, gripper"),
    "reward": Field(STEP, "float32", "for this action, 0 to 10"),
    "success": Field(STEP, "uint8", "1 where the task's criterion is met"),
    "terminal_observation": Field((*EPISODE, "number"), "float32",
                                  "what the last action of the episode led to"),
}


def fields_of(env: Env) -> dict[str, Field]:
    """The arrays of a log, in its order."""
    return OF_GRIDS if isinstance(env, EnvConfig) else OF_METAWORLD


def shape_of(
    env: Env, field: Field, n_tasks: int, n_streams: int, env_steps: int
) -> tuple[int, ...]:
    sizes = {
        "task": n_tasks, "stream": n_streams, "step": env_steps,
        "episode": env_steps // env.horizon, "component": 4,
    }
    return tuple(env.n_observed if dim == "number" else sizes[dim] for dim in field.dims)


def log_bytes(env: Env, n_tasks: int, n_streams: int, env_steps: int) -> int:
    """The memory that a log of so many tasks, streams and env steps takes."""
    fields = fields_of(env).values()
    sizes = (np.dtype(field.dtype).itemsize for field in fields)
    shapes = (shape_of(env, field, n_tasks, n_streams, env_steps) for field in fields)
    return sum(size * math.prod(shape) for size, shape in zip(sizes, shapes, strict=True))


def bounds_of(name: str, env: Env) -> tuple[int, int] | None:
    """The least and the largest value that an array of a log may hold; None: any number."""
    if isinstance(env, EnvConfig):
        return 0, {"action": env.n_actions - 1, "reward": 1}.get(name, env.n_cells - 1)
    return {"action": (-1, 1), "success": (0, 1)}.get(name)


def possible(values: np.ndarray, name: str, env: Env) -> bool:
    """Whether an array of a log can hold these values."""
    low, high = bounds_of(name, env) or (-np.inf, np.inf)
    return bool(np.isfinite(values).all() and low <= values.min() and values.max() <= high)


def new_arrays(store: Store, attrs: dict, env: Env, n_streams: int) -> dict[str, zarr.Array]:
    """The empty group in `store`: one chunk a task, every chunk with a checksum, the attributes
    with a seal (a digest, so that a changed bit does not go unnoticed)."""
    values = {name: value for name, value in attrs.items() if name != SEAL}
    sealed = values | {SEAL: seal_of(values)}
    group = zarr.create_group(store, attributes=sealed, zarr_format=3)
    arrays = {}
    for name, field in (fields_of(env) | DONE).items():
        shape = shape_of(env, field, len(attrs["tasks"]), n_streams, attrs["source"]["env_steps"])
        checksum = zarr.codecs.ZstdCodec(level=ZSTD_LEVEL, checksum=True)
        arrays[name] = group.create_array(
            name, shape=shape, chunks=(1, *shape[1:]), dtype=field.dtype,
            dimension_names=field.dims, fill_value=EMPTY[field.dtype],
            attributes={"long_name": field.meaning},
            compressors=None if name == "done" else checksum,
        )
    return arrays


def check_seal(attrs: Mapping) -> None:
    """Raise `ValueError` unless the attributes are those that were written. Older stores have no
    seal: there is none, either, where its name is damaged."""
    values = dict(attrs)
    if not set(values) <= ATTRIBUTES:
        raise ValueError("it has attributes that are not known")
    seal = values.pop(SEAL, None)
    if seal is not None and seal != seal_of(values):
        raise ValueError("its attributes do not fit their seal")


def check_array(array: zarr.Array, name: str, field: Field, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless the array is one that `new_arrays` makes."""
    if (array.dtype, array.shape) != (field.dtype, shape):
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {field.dtype} {shape}")
    found, expected = (array.chunks, array.metadata.dimension_names), ((1, *shape[1:]), field.dims)
    if found != expected:
        raise ValueError(f"{name} has chunks and dimensions {found}, not {expected}")
    if not np.array_equal(array.fill_value, EMPTY[field.dtype], equal_nan=field.dtype != "bool"):
        raise ValueError(f"{name} has the fill value {array.fill_value}")
