"""What the source algorithm did, written down step by step as a log."""

import torch
from torch import Tensor

from dicp.domain import Domain
from dicp.types import Log, Space, Step

__all__ = ["Recorder", "bytes_per_step"]


class Recorder:
    """A log of `n_tasks` tasks that is filled step by step, with the first `n_streams` streams."""

    def __init__(self, domain: Domain, n_tasks: int, n_streams: int, env_steps: int):
        self.domain, self.horizon, self.n_streams = domain, domain.config.horizon, n_streams
        self.n_numbers = domain.observation.shape           # of an observation that agents see

        def room(space: Space, length: int) -> Tensor:
            shape = n_tasks, n_streams, length, *space.shape
            return torch.empty(shape, dtype=space.stored_as)

        spaces = domain.observation, domain.action, domain.reward
        steps = (room(space, env_steps) for space in spaces)
        last = room(domain.observation, env_steps // self.horizon)
        success = room(Space(2), env_steps) if domain.says_success else None
        self.log = Log(*steps, last, success)

    def note(self, t: int, observation: Tensor, action: Tensor, step: Step) -> None:
        """Env step number `t` of every stream: `action`, as executed,
        was taken at `observation`."""
        log, n = self.log, self.n_streams
        log.observation[:, :, t] = self.first_streams(observation)
        log.action[:, :, t] = action[:, :n]
        self.domain.reward.check(f"the reward at env step {t}", step.reward)
        log.reward[:, :, t] = step.reward[:, :n]
        if log.success is not None:
            log.success[:, :, t] = step.success[:, :n]
        if step.done:
            last = self.first_streams(step.next_observation)
            log.terminal_observation[:, :, t // self.horizon] = last

    def first_streams(self, observation: Tensor) -> Tensor:
        """What agents see of it: the first numbers, where the source sees more."""
        observation = observation[:, : self.n_streams]
        return observation[..., : self.n_numbers[0]] if self.n_numbers else observation


def bytes_per_step(domain: Domain) -> int:
    """Of one step of one stream in the log."""
    spaces = domain.observation, domain.action, domain.reward
    return sum(space.n_bytes for space in spaces) + domain.says_success
