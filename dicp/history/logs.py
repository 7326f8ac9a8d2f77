"""What a log of the source algorithm says: where each action led, what each episode returned, if it
can be true."""

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from dicp.checks import checked
from dicp.config import Env, EnvConfig, SourceConfig
from dicp.envs.grid import GridRules
from dicp.envs.tasks import Task
from dicp.history.layout import bounds_of, fields_of, possible, shape_of
from dicp.source import ContinuousLog, SourceLog

__all__ = ["Log", "episode_returns", "next_observation"]

Log = SourceLog | ContinuousLog


@checked
def next_observation(log: Log) -> Shaped[Tensor, "..."]:
    """What each action led to [*task stream step ...]: the observation (in grids: the cell) that
    follows, and at the end of an episode the true one, not the next start."""
    seen, last, step = log[0], log[-1], log.reward.ndim - 1
    seen = seen.unflatten(step, (last.shape[step], -1)).roll(-1, dims=step + 1)
    seen.select(step + 1, -1).copy_(last)
    return seen.flatten(step, step + 1)


@checked
def episode_returns(log: Log) -> Shaped[Tensor, "*task stream episode"]:
    """The sum of the rewards of each episode: the source's learning curves."""
    n_episodes = log[-1].shape[log.reward.ndim - 1]                  # of the terminal observations
    return log.reward.unflatten(-1, (n_episodes, -1)).sum(-1)


def check_log(env: Env, source: SourceConfig, n_streams: int, task: Task, log: Log) -> None:
    """Raise `ValueError` where the log of one task [stream, step ...] has the wrong form, or tells
    what cannot happen in the world (mostly a cell after the reset taken for the terminal one)."""
    if log._fields != tuple(fields_of(env)):
        names, allowed = ", ".join(log._fields), ", ".join(fields_of(env))
        raise ValueError(f"The log of task {task} holds {names}; allowed: {allowed}.")
    for (name, values), field in zip(log._asdict().items(), fields_of(env).values(), strict=True):
        shape = shape_of(env, field, 1, n_streams, source.env_steps)[1:]
        dtype = getattr(torch, field.dtype)
        same = isinstance(values, Tensor) and values.dtype == dtype and values.shape == shape
        if not same or not possible(values.numpy(), name, env):
            bounds = bounds_of(name, env)
            content = "finite values" if bounds is None else "values from {} to {}".format(*bounds)
            wanted = f"{dtype} {shape} with {content}"
            raise ValueError(f"The {name} of task {task} is {told(values)}; allowed: {wanted}.")
    if isinstance(env, EnvConfig):
        check_moves(env, task, log)


def as_tensors(log: Log) -> Log:
    """The log with its arrays of NumPy as tensors."""
    arrays = (torch.as_tensor(x) if is_array(x) else x for x in log)
    return type(log)(*arrays)


def is_array(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "biuf"


def told(values: object) -> str:
    """What an array of a log is, in a few words."""
    if not isinstance(values, Tensor):
        return f"a {type(values).__name__}"
    span = f"values from {values.min()} to {values.max()}" if values.numel() else "no values"
    return f"{values.dtype} {tuple(values.shape)} with {span}"


def check_moves(env: EnvConfig, task: Task, log: SourceLog) -> None:
    """Raise `ValueError` unless each action in a grid led where the rules say."""
    rules = GridRules.of(env, [task])
    wrong = rules.next_cell[0, log.cell.int(), log.action.int()] != next_observation(log)
    wrong[:, :: env.horizon] |= log.cell[:, :: env.horizon] != rules.start
    if wrong.any():
        stream, step = wrong.nonzero()[0].tolist()
        where = f"{env.name}, task {task}, stream {stream}, step {step}"
        allowed = "true moves, terminal cells before the reset"
        raise ValueError(f"The log of {where} breaks the rules; allowed: {allowed}.")
