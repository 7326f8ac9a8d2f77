"""Training windows: a few episodes of learning histories, cut so that position t of a window is what an agent sees."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from dicp.config import EnvConfig
from dicp.errors import at_least
from dicp.history import episode_returns, next_cell
from dicp.source import SourceLog


class Tokens(NamedTuple):
    """What the Transformer reads, one token a step: the observation, and what the last action did.

    At the first token of a life there is no last action: `last_action` = n_actions and `arrived` = n_cells say so.
    `arrived` is where the last action led; it differs from `cell` at the first step of an episode (a reset in between).
    """

    cell: Int[Tensor, "*batch"]
    last_action: Int[Tensor, "*batch"]
    last_reward: Int[Tensor, "*batch"]
    arrived: Int[Tensor, "*batch"]
    first: Int[Tensor, "*batch"]          # 1 at the first step of an episode


class Windows(NamedTuple):
    """A batch of training windows: the tokens, and at each of them what happened next."""

    tokens: Tokens
    action: Int[Tensor, "batch n"]
    reward: Int[Tensor, "batch n"]
    next_cell: Int[Tensor, "batch n"]
    return_to_go: Int[Tensor, "batch n"]

    def to(self, device: torch.device | str) -> "Windows":
        return Windows(Tokens(*(x.to(device) for x in self.tokens)), *(x.to(device) for x in self[1:]))


class WindowSampler:
    """Cuts random windows from histories held in memory (uint8, [task stream step]); ~1 ms for 5,000 transitions.

    Now and then PPO learns nothing: before its first update no stream came upon the goal. Such a history teaches to give
    up. `min_final_return` leaves tasks out of `history` whose last ten episodes brought less than that share of the median.
    """

    def __init__(self, env: EnvConfig, log: SourceLog, n_streams: int | None = None, min_final_return: float = 0.0):
        final = episode_returns(log)[..., -10:].float().mean((1, 2))
        self.learned = (final >= min_final_return * final.median()).nonzero()[:, 0]
        log = SourceLog(*(x[:, :n_streams] for x in log))
        self.env, (self.n_tasks, self.n_streams, n_steps) = env, log.cell.shape
        self.n_episodes = n_steps // env.horizon
        fields = torch.stack((log.cell, log.action, log.reward, next_cell(log)), dim=-1)
        self.data = fields.reshape(-1, env.horizon, 4)                                   # episode step field

    def history(self, batch: int, n_episodes: int, max_stride: int, generator: torch.Generator) -> Windows:
        """Episodes of one stream in order, `stride` apart (drawn for each window from 1 to `max_stride`): the larger the
        stride, the steeper the improvement inside a window."""
        at_least("the number of episodes of a history", self.n_episodes, n_episodes)
        most = min(max_stride, (self.n_episodes - 1) // max(n_episodes - 1, 1))
        stride = self._draw(batch, generator, torch.full((batch,), most)) + 1
        start = self._draw(batch, generator, self.n_episodes - stride * (n_episodes - 1))
        draw = torch.randint(len(self.learned) * self.n_streams, (batch,), generator=generator)
        stream = self.learned[draw // self.n_streams] * self.n_streams + draw % self.n_streams
        episode = start[:, None] + stride[:, None] * torch.arange(n_episodes)
        return self._windows(stream[:, None] * self.n_episodes + episode)

    def before_first_update(self, batch: int, n_episodes: int, n_first: int, generator: torch.Generator) -> Windows:
        """The first episodes of different streams of one task, in any order: actions chosen when nobody could know the
        goal. `n_first`: how many of each stream's episodes count as first (1: literally before the first update)."""
        at_least("the number of streams", self.n_streams, n_episodes)
        at_least("the number of episodes of a history", self.n_episodes, n_first)
        task = torch.randint(self.n_tasks, (batch, 1), generator=generator)
        stream = torch.rand(batch, self.n_streams, generator=generator).argsort(-1)[:, :n_episodes]
        episode = torch.randint(n_first, stream.shape, generator=generator)
        return self._windows((task * self.n_streams + stream) * self.n_episodes + episode)

    @staticmethod
    def _draw(batch: int, generator: torch.Generator, below: Tensor) -> Int[Tensor, "batch"]:
        return (torch.rand(batch, generator=generator) * below).long()

    def _windows(self, episode: Int[Tensor, "batch episode"]) -> Windows:
        cell, action, reward, next_cell = self.data[episode].long().flatten(1, 2).unbind(-1)       # batch n
        by_episode = reward.unflatten(1, (-1, self.env.horizon))
        return_to_go = by_episode.flip(-1).cumsum(-1).flip(-1).flatten(1)

        def last(x: Tensor, at_birth: int) -> Tensor:
            return torch.cat((torch.full_like(x[:, :1], at_birth), x[:, :-1]), dim=1)

        first = torch.zeros_like(cell)
        first[:, :: self.env.horizon] = 1
        tokens = Tokens(cell, last(action, self.env.n_actions), last(reward, 0), last(next_cell, self.env.n_cells), first)
        return Windows(tokens, action, reward, next_cell, return_to_go)
