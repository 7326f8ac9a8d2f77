"""Any world with a few states and actions that can be seen, from its tables:
for worlds of your own."""

from typing import NamedTuple

import torch
from jaxtyping import Int, Integer, Shaped
from torch import Tensor

from dicp.checks import Count, Index, Share, checked, fits_memory, refuse, whole
from dicp.envs.grid_checks import whole_numbers
from dicp.types import Step

__all__ = ["NoisyTabularWorld", "TabularMoment", "TabularWorld"]

AGENT_BYTES = 100


class TabularMoment(NamedTuple):
    """What `TabularWorld.set_state` needs: where every agent is, the step of the episode."""

    at: Int[Tensor, "task stream"]
    t: int


class TabularWorld:
    """`n_streams` agents in each task, stepped together; episodes of `horizon` steps begin again by
    themselves. Nothing is random; a reward depends on the observation that is reached."""

    @checked
    def __init__(
        self, leads_to: Integer[Tensor, "variant observation action"],
        pays: Shaped[Tensor, "task observation"], horizon: Count, n_streams: Count = 1,
        start: Index = 0,
    ):
        """leads_to: the next observation; one table for all tasks (variant 1), or one for each.
        pays: the reward for reaching it. start: where every episode begins. Raises `ValueError`
        where the tables do not fit each other."""
        n_tasks, n = pays.shape
        whole_numbers("leads_to", leads_to.flatten(), (leads_to.numel(),), n - 1)
        if leads_to.shape[0] not in (1, n_tasks) or leads_to.shape[1] != n:
            allowed = (
                f"(1 or {n_tasks}, {n}, number of actions), "
                f"as pays has {n_tasks} tasks and {n} observations"
            )
            raise refuse("the shape of leads_to", tuple(leads_to.shape), allowed)
        if start >= n:
            raise refuse("start", start, f"a whole number from 0 to {n - 1}")
        fits_memory("n_streams", n_streams, n_tasks * n_streams * AGENT_BYTES, "fewer")
        self.leads_to, self.pays, self.start = leads_to.long(), pays, start
        self.horizon, self.n_streams = horizon, n_streams
        self.reset()

    def reset(self) -> Int[Tensor, "task stream"]:
        """Begin a new episode everywhere; returns where."""
        self.at, self.t = torch.full((len(self.pays), self.n_streams), self.start), 0
        return self.at

    def step(self, action: Integer[Tensor, "task stream"]) -> Step:
        """Take one action everywhere. Raises `ValueError` unless they are whole numbers
        from 0 on."""
        action = whole_numbers("action", action, tuple(self.at.shape), self.leads_to.shape[2] - 1)
        variant = torch.arange(len(self.leads_to))[:, None]
        self.at, self.t = self.leads_to[variant, self.at, action], self.t + 1
        reached, done = self.at, self.t == self.horizon
        reward = self.pays.gather(1, reached)
        return Step(self.drawn(reward), reached, self.reset() if done else reached, done)

    def drawn(self, reward: Shaped[Tensor, "task stream"]) -> Shaped[Tensor, "task stream"]:
        """What is given of the rewards of a step: all of them."""
        return reward

    def get_state(self) -> TabularMoment:
        """Everything that `set_state` needs."""
        return TabularMoment(self.at, self.t)

    @checked
    def set_state(self, state: TabularMoment) -> Int[Tensor, "task stream"]:
        """Go on from there, as often as one likes (what is random is drawn anew); returns where.
        Raises `ValueError` unless it is a state of this world, or of one of as many tasks and
        streams."""
        at = whole_numbers("state.at", state.at, tuple(self.at.shape), self.pays.shape[1] - 1)
        whole("state.t", state.t, 0, self.horizon - 1)
        self.at, self.t = at, state.t
        return self.at

    @property
    def max_return(self) -> Shaped[Tensor, "task"]:
        """The highest possible return of an episode, by dynamic programming from its last step."""
        task, value = torch.arange(len(self.pays))[:, None, None], torch.zeros_like(self.pays)
        for _ in range(self.horizon):
            value = (self.pays + value)[task, self.leads_to].amax(-1)
        return value[:, self.start]


class NoisyTabularWorld(TabularWorld):
    """The same where a step that would pay does so with probability `p_reward`."""

    @checked
    def __init__(
        self, leads_to: Integer[Tensor, "variant observation action"],
        pays: Shaped[Tensor, "task observation"], horizon: Count, n_streams: Count = 1,
        start: Index = 0, p_reward: Share = 1.0, generator: torch.Generator | None = None,
    ):
        """generator: of the draws (None: one with seed 0).
        Raises `ValueError` as `TabularWorld`."""
        self.p_reward = p_reward
        self.generator = generator or torch.Generator().manual_seed(0)
        super().__init__(leads_to, pays, horizon, n_streams, start)

    def drawn(self, reward: Shaped[Tensor, "task stream"]) -> Shaped[Tensor, "task stream"]:
        """Some of the rewards of a step."""
        return reward * (torch.rand(reward.shape, generator=self.generator) < self.p_reward)

    @property
    def max_return(self) -> Shaped[Tensor, "task"]:
        """The highest expected return of an episode."""
        return super().max_return * self.p_reward
