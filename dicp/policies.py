"""Distributions over actions, chosen by the action space alone (`policy_of`)."""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dicp.planning import Proposal
from dicp.types import Space

__all__ = ["Categorical", "DiagonalGaussian", "Gaussian", "Policy", "PolicyHead", "policy_of"]

LEAST_LOG_STD = -3.0         # numbers that hardly vary would outweigh all others without a floor


@runtime_checkable
class Policy(Protocol):
    """How actions are drawn, given the numbers that a model says (`parameters`)."""

    n_parameters: int

    def sample(
        self, parameters: Float[Tensor, "batch n"], generator: torch.Generator | None,
        greedy: bool = False,
    ) -> Shaped[Tensor, "batch ..."]:
        """An action for each row: drawn, or (`greedy`) the most likely one."""

    def propose(
        self, parameters: Float[Tensor, "batch beam n"], n: int,
        generator: torch.Generator | None = None,
    ) -> Proposal:
        """Actions that a planner tries: all of them, or `n` where there are infinitely many."""

    def loss(self, parameters: Float[Tensor, "*batch n"], label: Tensor) -> Float[Tensor, ""]:
        """- log f(label | history), mean (Paper: Eq. 1)."""

    def uninformed(self) -> Float[Tensor, "n"]:
        """The parameters of a policy that knows nothing."""


class Categorical:
    """One of `n` actions; the parameters are logits."""

    def __init__(self, n: int):
        self.n = self.n_parameters = n

    def sample(
        self, parameters: Float[Tensor, "batch n"], generator: torch.Generator | None,
        greedy: bool = False,
    ) -> Int[Tensor, "batch"]:
        if greedy:
            return parameters.argmax(-1)
        noise = -torch.empty_like(parameters).exponential_(generator=generator).log()
        return (parameters + noise).argmax(-1)

    def propose(
        self, parameters: Float[Tensor, "batch beam n"], n: int,
        generator: torch.Generator | None = None,
    ) -> Proposal:
        logp = parameters.log_softmax(-1)
        return Proposal(torch.arange(self.n, device=logp.device).expand(logp.shape), logp)

    def loss(
        self, parameters: Float[Tensor, "*batch n"], label: Int[Tensor, "*batch"]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(parameters.flatten(0, -2), label.flatten())

    def uninformed(self) -> Float[Tensor, "n"]:
        """Every action is as likely as any other."""
        return torch.zeros(self.n)


class Gaussian(NamedTuple):
    """Independent normal distributions."""

    mean: Float[Tensor, "*batch n"]
    log_std: Float[Tensor, "*batch n"]

    @classmethod
    def of(cls, parameters: Float[Tensor, "*batch two_n"]) -> "Gaussian":
        mean, log_std = parameters.chunk(2, dim=-1)
        return cls(mean, LEAST_LOG_STD + F.softplus(log_std - LEAST_LOG_STD))

    def nll(self, target: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """- log density of each number."""
        z = (target - self.mean) * (-self.log_std).exp()
        return 0.5 * z * z + self.log_std + 0.5 * math.log(2 * math.pi)

    def balanced_nll(
        self, target: Float[Tensor, "*batch n"], beta: float
    ) -> Float[Tensor, "*batch n"]:
        """The same numbers, but their gradients are weighted by std ** (2 beta), a weight of 1 on
        average. Plain likelihood divides an error by the variance: where much is uncertain, little
        is learned (Seitzer et al. 2022, arXiv 2203.09168)."""
        nll, weight = self.nll(target), (2 * beta * self.log_std.detach()).exp()
        weight = weight / weight.flatten(0, -2).mean(0)
        return nll.detach() + weight * (nll - nll.detach())


class DiagonalGaussian:
    """Real numbers of some shape, each drawn for itself and clipped to what is allowed; the
    parameters are the means, and what their standard deviations are made from (`Gaussian.of`)."""

    def __init__(self, action: Space):
        self.action, self.n = action, math.prod(action.shape)
        self.n_parameters = 2 * self.n

    def sample(
        self, parameters: Float[Tensor, "batch two_n"], generator: torch.Generator | None,
        greedy: bool = False,
    ) -> Float[Tensor, "batch n"]:
        policy = Gaussian.of(parameters)
        if greedy:
            return self.clip(policy.mean)
        noise = torch.randn(policy.mean.shape, generator=generator)
        return self.clip(policy.mean + policy.log_std.exp() * noise)

    def propose(
        self, parameters: Float[Tensor, "batch beam two_n"], n: int,
        generator: torch.Generator | None = None,
    ) -> Proposal:
        """The mean, and draws."""
        policy = Gaussian.of(parameters[:, :, None])
        shape = *parameters.shape[:2], n, self.n
        noise = torch.randn(shape, generator=generator).to(parameters)
        noise[:, :, 0] = 0
        return Proposal(self.clip(policy.mean + policy.log_std.exp() * noise))

    def loss(
        self, parameters: Float[Tensor, "*batch two_n"], label: Float[Tensor, "*batch n"]
    ) -> Float[Tensor, ""]:
        return Gaussian.of(parameters).nll(label).sum(-1).mean()

    def uninformed(self) -> Float[Tensor, "two_n"]:
        """Standard normal numbers, as PPO's first actions are."""
        one = LEAST_LOG_STD + math.log(math.expm1(-LEAST_LOG_STD))
        return torch.tensor([0.0] * self.n + [one] * self.n)

    def clip(self, action: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return action.clamp(self.action.low, self.action.high)


def policy_of(action: Space) -> Policy:
    """The distribution over such actions."""
    return Categorical(action.n) if action.is_discrete else DiagonalGaussian(action)


class PolicyHead(nn.Linear):
    """The parameters of a policy, read off the Transformer."""

    def __init__(self, policy: Policy, d_model: int):
        super().__init__(d_model, policy.n_parameters)
        self.policy = policy

    def loss(self, parameters: Float[Tensor, "*batch n"], label: Tensor) -> Float[Tensor, ""]:
        """- log f(label | history), mean (Paper: Eq. 1)."""
        return self.policy.loss(parameters, label)
