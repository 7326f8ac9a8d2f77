"""What a log of the source algorithm says: where each action led, what each episode returned, if it can be true."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from dicp.config import Env, EnvConfig, SourceConfig
from dicp.envs.grid import GridRules
from dicp.envs.tasks import Task
from dicp.history.layout import bounds_of, fields_of, possible, shape_of
from dicp.source import ContinuousLog, SourceLog

Log = SourceLog | ContinuousLog


def next_observation(log: Log) -> Shaped[Tensor, "..."]:
    """What each action led to [*task stream step ...]: the observation (in grids: the cell) that follows, and at the end of
    an episode the true one, not the next start."""
    seen, last, step = log[0], log[-1], log.reward.ndim - 1
    seen = seen.unflatten(step, (last.shape[step], -1)).roll(-1, dims=step + 1)
    seen.select(step + 1, -1).copy_(last)
    return seen.flatten(step, step + 1)


def episode_returns(log: Log) -> Shaped[Tensor, "*task stream episode"]:
    """The sum of the rewards of each episode: the source's learning curves."""
    n_episodes = log[-1].shape[log.reward.ndim - 1]                  # of the terminal observations
    return log.reward.unflatten(-1, (n_episodes, -1)).sum(-1)


def check_log(env: Env, source: SourceConfig, n_streams: int, task: Task, log: Log) -> None:
    """Raise `ValueError` where the log of one task has the wrong form, or tells what cannot happen in the world (mostly
    a cell after the reset taken for the terminal one)."""
    for (name, values), field in zip(log._asdict().items(), fields_of(env).values(), strict=True):
        shape, dtype = shape_of(env, field, 1, n_streams, source.env_steps)[1:], getattr(torch, field.dtype)
        if values.dtype != dtype or values.shape != shape or not possible(values.numpy(), name, env):
            got = f"{values.dtype} {tuple(values.shape)} with values from {values.min()} to {values.max()}"
            bounds = bounds_of(name, env)
            wanted = f"{dtype} {shape} with {'values from {} to {}'.format(*bounds) if bounds else 'finite values'}"
            raise ValueError(f"The {name} of task {task} is {got}; allowed: {wanted}.")
    if not isinstance(env, EnvConfig):
        return
    rules = GridRules.of(env, [task])
    wrong = rules.next_cell[0, log.cell.int(), log.action.int()] != next_observation(log)
    wrong[:, :: env.horizon] |= log.cell[:, :: env.horizon] != rules.start
    if wrong.any():
        stream, step = wrong.nonzero()[0].tolist()
        where = f"{env.name}, task {task}, stream {stream}, step {step}"
        raise ValueError(f"The log of {where} breaks the rules; allowed: true moves, terminal cells before the reset.")
