"""How learning histories lie in zarr: the arrays, their attributes, and what may stand in them."""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import zarr
from zarr.abc.store import Store

from dicp.config import WorldConfig
from dicp.domain import Domain, domain_of
from dicp.store import SEAL, seal_of
from dicp.types import Space

FORMAT, VERSION = "dicp-learning-histories", 1
ATTRIBUTES = {"format", "version", "env", "source", "seed", "algorithm", "algorithm_code",
              "tasks_per_block", "tasks", SEAL}
# What zarr reads where nothing was written; no log says 255 or nan.
EMPTY = {"uint8": 255, "int32": -1, "float32": np.nan, "bool": False}
ZSTD_LEVEL = 6


class Field(NamedTuple):
    """One array of the store."""

    name: str                               # in the store
    dims: tuple[str, ...]
    space: Space                            # of one value
    meaning: str

    @property
    def dtype(self) -> str:
        return str(self.space.stored_as).removeprefix("torch.")

    def possible(self, values: np.ndarray) -> bool:
        """Whether the array can hold these values."""
        low, high = self.space.bounds
        if not np.isfinite(values).all():
            return False
        return bool(low <= values.min() and values.max() <= high)


class Done(NamedTuple):
    """The array of the flags, of the same form as a `Field`."""

    name: str = "done"
    dims: tuple[str, ...] = ("task",)
    dtype: str = "bool"
    meaning: str = "whether the histories of the task are complete"

    def possible(self, values: np.ndarray) -> bool:
        return True


DONE = {"done": Done()}
AXES = {"observation": "number", "action": "component"}        # of what has several numbers
STEP, EPISODE = ("task", "stream", "step"), ("task", "stream", "episode")


def fields_of(env: WorldConfig) -> dict[str, Field]:
    """The arrays of a log of this world, under the names of `dicp.types.Log`."""
    return _fields(domain_of(env))


@cache
def _fields(world: Domain) -> dict[str, Field]:
    spaces = {
        "observation": world.observation, "action": world.action, "reward": world.reward,
        "terminal_observation": world.observation,
    }
    if world.says_success:
        spaces["success"] = Space(2)
    fields = {}
    for name, space in spaces.items():
        dims = EPISODE if name == "terminal_observation" else STEP
        several = [AXES[name.removeprefix("terminal_")]] if space.shape else []
        stored = world.stored_names.get(name, name)
        fields[name] = Field(stored, (*dims, *several), space, world.meanings[name])
    return fields


def shape_of(
    env: WorldConfig, field: Field | Done, n_tasks: int, n_streams: int, env_steps: int
) -> tuple[int, ...]:
    """Of one array of the store."""
    if isinstance(field, Done):
        return (n_tasks,)
    n = env_steps // env.horizon if "episode" in field.dims else env_steps
    return n_tasks, n_streams, n, *field.space.shape


def log_bytes(env: WorldConfig, n_tasks: int, n_streams: int, env_steps: int) -> int:
    """The memory that a log of so many tasks, streams and env steps takes."""
    fields = fields_of(env).values()
    sizes = (np.dtype(field.dtype).itemsize for field in fields)
    shapes = (shape_of(env, field, n_tasks, n_streams, env_steps) for field in fields)
    return sum(size * math.prod(shape) for size, shape in zip(sizes, shapes, strict=True))


def new_arrays(
    store: Store, attrs: dict, env: WorldConfig, n_streams: int
) -> dict[str, zarr.Array]:
    """The empty group in `store`, its arrays under the names of a log: one chunk a task, every
    chunk with a checksum, the attributes with a seal (a digest, so that a changed bit does not go
    unnoticed)."""
    values = {name: value for name, value in attrs.items() if name != SEAL}
    sealed = values | {SEAL: seal_of(values)}
    group = zarr.create_group(store, attributes=sealed, zarr_format=3)
    arrays = {}
    for name, field in (fields_of(env) | DONE).items():
        shape = shape_of(env, field, len(attrs["tasks"]), n_streams, attrs["source"]["env_steps"])
        checksum = zarr.codecs.ZstdCodec(level=ZSTD_LEVEL, checksum=True)
        arrays[name] = group.create_array(
            field.name, shape=shape, chunks=(1, *shape[1:]), dtype=field.dtype,
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


def check_array(array: zarr.Array, field: Field | Done, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless the array is one that `new_arrays` makes."""
    name = field.name
    if (array.dtype, array.shape) != (field.dtype, shape):
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not {field.dtype} {shape}")
    found, expected = (array.chunks, array.metadata.dimension_names), ((1, *shape[1:]), field.dims)
    if found != expected:
        raise ValueError(f"{name} has chunks and dimensions {found}, not {expected}")
    if not np.array_equal(array.fill_value, EMPTY[field.dtype], equal_nan=field.dtype != "bool"):
        raise ValueError(f"{name} has the fill value {array.fill_value}")
