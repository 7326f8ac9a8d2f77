"""What a log of the source algorithm says: where each action led, what each episode returned, if it can be true."""

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from dicp.config import EnvConfig, SourceConfig
from dicp.envs.grid import GridRules
from dicp.envs.tasks import Task
from dicp.history.layout import largest, shape_of
from dicp.source import SourceLog


def next_cell(log: SourceLog) -> UInt8[Tensor, "*task stream step"]:
    """Where each action led: the cell that follows, and at the end of an episode the true one, not the next start."""
    cell = log.cell.unflatten(-1, (log.terminal_cell.shape[-1], -1)).roll(-1, dims=-1)
    cell[..., -1] = log.terminal_cell
    return cell.flatten(-2)


def episode_returns(log: SourceLog) -> Int[Tensor, "*task stream episode"]:
    """The sum of the rewards of each episode: the source's learning curves."""
    return log.reward.unflatten(-1, (log.terminal_cell.shape[-1], -1)).sum(-1)


def check_log(env: EnvConfig, source: SourceConfig, n_streams: int, task: Task, log: SourceLog) -> None:
    """Raise `ValueError` where the log of one task has the wrong form, or tells what cannot happen in the world (mostly
    a cell after the reset taken for the terminal one)."""
    for name, values in log._asdict().items():
        shape, top = shape_of(name, 1, n_streams, source.env_steps, env.horizon)[1:], largest(name, env)
        if values.dtype != torch.uint8 or values.shape != shape or values.max() > top:
            got = f"{values.dtype} {tuple(values.shape)} with values up to {values.max()}"
            allowed = f"torch.uint8 {shape} with values up to {top}"
            raise ValueError(f"The {name} of task {task} is {got}; allowed: {allowed}.")
    rules = GridRules.of(env, [task])
    wrong = rules.next_cell[0, log.cell.int(), log.action.int()] != next_cell(log)
    wrong[:, :: env.horizon] |= log.cell[:, :: env.horizon] != rules.start
    if wrong.any():
        stream, step = wrong.nonzero()[0].tolist()
        where = f"{env.name}, task {task}, stream {stream}, step {step}"
        raise ValueError(f"The log of {where} breaks the rules; allowed: true moves, terminal cells before the reset.")
