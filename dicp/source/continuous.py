"""PPO's agents where observations and actions are numbers: many tasks at once, stacked as in
`dicp.source.discrete`.

The policy is a diagonal Gaussian whose standard deviation no observation changes. What is drawn is
clipped before it is executed; the update learns from what was drawn, the log keeps what was done.
"""

from collections.abc import Iterator
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.config import SourceConfig
from dicp.domain import Domain
from dicp.source.limits import check_finite
from dicp.source.nets import Experience, Nets, normalised

__all__ = ["GaussianAgents"]

TASKS_PER_BLOCK = 5              # of Meta-World: eight CPU-minutes


class GaussianAgents:
    """One agent a task."""

    def __init__(
        self, domain: Domain, n_tasks: int, source: SourceConfig, generator: torch.Generator
    ):
        self.action, self.source, self.update = domain.action, source, 0
        n_outputs = prod(domain.action.shape)
        n_inputs = self.n_inputs(domain)
        self.nets = Nets(n_inputs, n_outputs, n_tasks, source, generator, gaussian=True)

    @staticmethod
    def n_inputs(domain: Domain) -> int:
        """Numbers that a net reads."""
        return prod(domain.source_observation.shape)

    @staticmethod
    def block_size(n_tasks: int) -> int:
        """How many tasks are learnt at once."""
        return TASKS_PER_BLOCK

    # ---- acting ---------------------------------------------------------------------------------

    def begin_update(self, update: int) -> None:
        self.update = update

    def choose(
        self, observation: Float[Tensor, "task stream n"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "task stream d_action"], tuple[Tensor, ...]]:
        """(the action of each stream, clipped; (inputs, the action drawn, its log-probability, the
        value))."""
        n, log_std = self.nets.n_tasks, self.nets.layers[4]
        x = inputs_of(observation)
        out = self.nets.forward(x)
        z = torch.randn(out[:n].shape, generator=generator)
        action, value = out[:n] + log_std.exp()[:, None] * z, out[n:, :, 0].clone()
        check_finite(self.update, self.source, actions=action, values=value)
        executed = action.clamp(self.action.low, self.action.high)
        return executed, (x, action, log_probability(z, log_std), value)

    def value(self, observation: Float[Tensor, "task stream n"]) -> Float[Tensor, "task stream"]:
        return self.nets.forward(inputs_of(observation))[self.nets.n_tasks :, :, 0].clone()

    def recall(
        self, memory: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "task stream step"], Float[Tensor, "task stream step"]]:
        """(log-probabilities of the actions, values), as they were."""
        _, _, logp, value = memory
        return logp, value

    # ---- learning -------------------------------------------------------------------------------

    def minibatches(
        self, data: Experience, order: Int[Tensor, "transition"]
    ) -> Iterator[Experience]:
        """One epoch in the given order."""
        shuffled, size = [x.index_select(1, order) for x in data], self.source.batch_size
        for start in range(0, len(order), size):
            yield Experience(*(x[:, start : start + size] for x in shuffled))

    def write_gradient(self, batch: Experience) -> None:
        """Write the gradient of the clipped PPO loss and of `value_coef` times the squared error of
        the value, as `TableAgents` does for a choice among actions. The batch's advantages are
        normalised here."""
        nets, source = self.nets, self.source
        n, size = nets.n_tasks, batch.action.shape[1]
        loss, log_std = normalised(batch.advantage) / -size, nets.layers[4]
        out, d_out = nets.forward(batch.input), nets.workspace(size)[-1]
        std = log_std.exp()[:, None]
        z = (batch.action - out[:n]) / std
        d_logp = (log_probability(z, log_std) - batch.old_logp).exp_().mul_(loss)
        d_logp.mul_(d_logp >= loss - source.clip_range * loss.abs())
        torch.mul(d_logp[..., None], z / std, out=d_out[:n])
        torch.sum(d_logp[..., None] * (z * z - 1), 1, out=nets.grads[4])
        d_value = torch.sub(out[n:, :, 0], batch.value_target, out=d_out[n:, :, 0])
        d_value.mul_(2 * source.value_coef / size)
        nets.backward(batch.input, d_out)


def inputs_of(observation: Float[Tensor, "task stream n"]) -> Float[Tensor, "net stream input"]:
    """Observations as the policy nets read them, with a one, and once more for the value nets."""
    one = torch.ones_like(observation[..., :1])
    return torch.cat((observation, one), dim=-1).repeat(2, 1, 1)


def log_probability(
    z: Float[Tensor, "task row d_action"], log_std: Float[Tensor, "task d_action"]
) -> Float[Tensor, "task row"]:
    """Of an action `z` standard deviations from its mean, up to a constant."""
    return -(0.5 * z * z + log_std[:, None]).sum(-1)
