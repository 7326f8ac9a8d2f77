"""PPO's agents where an observation and an action are each one of a few: many tasks at once.

Networks this small are bound by the number of calls, not by arithmetic. What makes it fast:
1. Stack: policy and value networks of all tasks are one batch of matrices, one minibatch step of
   all is 50 calls.
2. Look up: an agent sees one of 81 cells. While it acts, its policy is a table, made once an
   update.
3. Merge: 50 transitions hold 30 different cells in the first update, 6 in the last. Evaluate each
   cell once and add up the gradients of the transitions that share it: the same gradient, to
   rounding, in 111 CPU-seconds instead of 191.
4. Write the gradient by hand, without autograd, into buffers that are kept for the whole run.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.config import SourceConfig
from dicp.domain import Domain
from dicp.source.limits import check_finite
from dicp.source.nets import Experience, Nets, normalised

__all__ = ["Minibatch", "TableAgents"]

# CPU-seconds of one thread for the 81 goals of Darkroom in blocks of 9, 14, 27, 41 and 81: 118,
# 107, 89, 96, 94 (stable-baselines3: 46 a goal, 3,770 in all). Small blocks pay for calls, large
# ones for padding to the most cells.
TASKS_PER_BLOCK = 27


class Minibatch(NamedTuple):
    """A minibatch with its transitions merged by observation; `slot` numbers the different ones of
    a task's minibatch."""

    input: Float[Tensor, "net slot input"]          # of each, for the policy and the value nets
    choice: Int[Tensor, "task transition"]          # slot * n_actions + action
    old_logp: Float[Tensor, "task transition"]
    loss: Float[Tensor, "task transition"]         # -advantage / size; PPO lowers ratio * loss, ...
    floor: Float[Tensor, "task transition"]        # ... of which nothing below this floor counts
    count: Float[Tensor, "task slot"]              # share of the transitions
    value_target: Float[Tensor, "task slot"]       # sum of their value targets / batch_size


class TableAgents:
    """One agent a task; they see the coordinates of an observation (`Space.coordinates`)."""

    def __init__(
        self, domain: Domain, n_tasks: int, source: SourceConfig, generator: torch.Generator
    ):
        self.n_observations, self.n_actions = domain.observation.n, domain.action.n
        self.source, index = source, torch.arange(self.n_observations)
        coordinates = domain.observation.coordinates(index).float()
        self.inputs = torch.cat([coordinates, torch.ones(len(index), 1)], dim=1)
        self.nets = Nets(self.n_inputs(domain), self.n_actions, n_tasks, source, generator)

    @staticmethod
    def n_inputs(domain: Domain) -> int:
        """Numbers that a net reads."""
        return len(domain.observation.factors)

    @staticmethod
    def block_size(n_tasks: int) -> int:
        """How many of so many tasks are learnt at once: of a multiple of four blocks, so that two
        or four cores end together."""
        n_blocks = 4 * -(-n_tasks // (4 * TASKS_PER_BLOCK))
        return -(-n_tasks // n_blocks)

    # ---- acting ---------------------------------------------------------------------------------

    def begin_update(self, update: int) -> None:
        """Look up what the weights say of every observation, until they change."""
        self.logp, self.values = self.tables()
        check_finite(update, self.source, action_probabilities=self.logp, values=self.values)
        # an action is the number of bounds below a uniform number
        self.bounds = self.logp.exp().cumsum(-1)[..., :-1]

    def tables(
        self,
    ) -> tuple[Float[Tensor, "task observation action"], Float[Tensor, "task observation"]]:
        """(log-probabilities, values) of every observation."""
        n = self.nets.n_tasks
        out = self.nets.forward(self.inputs.expand(2 * n, -1, -1))
        return out[:n].log_softmax(-1), out[n:, :, 0].clone()

    def choose(
        self, observation: Int[Tensor, "task stream"], generator: torch.Generator
    ) -> tuple[Int[Tensor, "task stream"], tuple[Tensor, Tensor]]:
        """(the action of each stream, (observation, action))."""
        index = observation[..., None].expand(-1, -1, self.bounds.shape[-1])
        bound = self.bounds.gather(1, index)
        action = (torch.rand(*observation.shape, 1, generator=generator) > bound).sum(-1)
        return action, (observation, action)

    def value(self, observation: Int[Tensor, "task stream"]) -> Float[Tensor, "task stream"]:
        return self.values.gather(1, observation)

    def recall(
        self, memory: tuple[Tensor, Tensor]
    ) -> tuple[Float[Tensor, "task stream step"], Float[Tensor, "task stream step"]]:
        """(log-probabilities of the actions, values) of steps [task stream step]."""
        observation, action = memory
        flat, taken = observation.flatten(1), action.flatten(1)
        logp = self.logp.flatten(1).gather(1, flat * self.n_actions + taken)
        value = self.values.gather(1, flat)
        return logp.view(observation.shape), value.view(observation.shape)

    # ---- learning -------------------------------------------------------------------------------

    def minibatches(
        self, data: Experience, order: Int[Tensor, "transition"]
    ) -> Iterator[Minibatch]:
        """One epoch: shuffle, cut, normalise the advantages of each minibatch, merge its
        transitions by observation; all at once."""
        n, size = self.nets.n_tasks, self.source.batch_size
        parts = (x[:, order].view(n, -1, size).transpose(0, 1) for x in data)
        observation, action, old_logp, advantage, target = parts
        loss = normalised(advantage) / -size
        floor = loss - self.source.clip_range * loss.abs()
        zeros = torch.zeros(*observation.shape[:2], self.n_observations, dtype=torch.long)
        # the k-th one seen, in order, is slot k - 1
        rank = zeros.scatter_(2, observation, 1).cumsum(2)
        slot = rank.gather(2, observation) - 1
        # of the task with most; the others are padded with observation 0
        n_slots = rank[:, :, -1].amax(1).tolist()
        zeros = torch.zeros(*observation.shape[:2], max(n_slots))
        x = self.inputs[zeros.long().scatter_(2, slot, observation)].repeat(1, 2, 1, 1)
        count = zeros.scatter_add(2, slot, torch.full_like(loss, 1 / size))
        target = zeros.scatter_add(2, slot, target / size)
        parts = x, slot * self.n_actions + action, old_logp, loss, floor, count, target
        for k, x, *per_transition, count, target in zip(n_slots, *parts, strict=True):
            yield Minibatch(x[:, :k], *per_transition, count[:, :k], target[:, :k])

    def write_gradient(self, batch: Minibatch) -> None:
        """Write the gradient of the clipped PPO loss and of `value_coef` times the squared error of
        the value.

        Schulman et al. 2017 (arXiv 1707.06347), equation 7. With A the advantage, min(ratio * A,
        clip(ratio) * A) equals min(ratio * A, A + clip_range * |A|), so a log-probability gets the
        gradient ratio * A, or none beyond that bound.
        """
        nets, n, n_slots = self.nets, self.nets.n_tasks, batch.input.shape[1]
        out, d_out = nets.forward(batch.input), nets.workspace(n_slots)[-1]
        logp = out[:n].log_softmax(-1)
        d_logp = logp.view(n, -1).gather(1, batch.choice).sub_(batch.old_logp)
        d_logp = d_logp.exp_().mul_(batch.loss)
        d_logp.mul_(d_logp >= batch.floor)
        # of a softmax: what an action got, less its share of the sum
        d_policy = d_out[:n].zero_()
        d_policy.view(n, -1).scatter_add_(1, batch.choice, d_logp)
        d_policy.sub_(logp.exp_().mul_(d_policy.sum(-1, keepdim=True)))
        d_value = torch.mul(out[n:, :, 0], batch.count, out=d_out[n:, :, 0])
        d_value.sub_(batch.value_target).mul_(2 * self.source.value_coef)
        nets.backward(batch.input, d_out)
