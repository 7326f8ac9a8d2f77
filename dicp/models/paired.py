"""One model's policy and another's world model, in one agent: of two such agents that share the
policy, only the world model differs."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.checks import Count, checked, refuse
from dicp.models.ad import BeamState, InContextModel
from dicp.models.context import EpisodicContext
from dicp.planning import Imagined, Proposal
from dicp.types import Tokens


class PairedContext:
    """What both remember of the same rollout."""

    def __init__(self, policy: EpisodicContext, world: Any):
        self.policy, self.world = policy, world

    @property
    def n_transitions(self) -> int:
        """Those whose outcome the world model remembers."""
        return self.world.n_transitions

    @property
    def max_plan_depth(self) -> float:
        """Env steps that both can imagine from here."""
        return min(self.policy.max_plan_depth, self.world.max_plan_depth)

    def rows(self, index: Tensor) -> "PairedContext":
        """The same for some of the agents."""
        return PairedContext(self.policy.rows(index), self.world.rows(index))


class PairedState(NamedTuple):
    """Where each imagined future stands, for both."""

    policy: BeamState | None
    world: Any


class PairedModel(nn.Module):
    """Acts, proposes and breaks ties as `policy` does; imagines as `world` does. `proposes`:
    whether the plan asks what the policy prefers in imagined futures (with ties at random it does
    not, which saves its share of the work)."""

    can_plan = has_policy = True

    def __init__(self, policy: InContextModel, world: nn.Module, proposes: bool = True):
        super().__init__()
        if policy.env != world.env:
            raise refuse("world.env", world.env, f"{policy.env}, the world of the policy")
        self.env, self.config, self.proposes = policy.env, policy.config, proposes
        self.policy, self.world = policy, world

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> PairedContext:
        """An empty context for each of `batch` agents, of at most the transitions that both
        were trained with."""
        most = min(model.config.context_length for model in (self.policy, self.world))
        length = most if context_length is None else context_length
        both = (model.begin(batch, length, generator) for model in (self.policy, self.world))
        return PairedContext(*both)

    def observe(self, context: PairedContext, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent; returns the policy's logits."""
        self.world.observe(context.world, tokens)
        return self.policy.observe(context.policy, tokens)

    def root(self, context: PairedContext) -> PairedState:
        """One beam a row: nothing imagined yet."""
        policy = self.policy.root(context.policy) if self.proposes else None
        return PairedState(policy, self.world.root(context.world))

    def propose(
        self, state: PairedState, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        """The policy's actions."""
        if state.policy is None:
            return self.world.propose(state.world, n, generator)
        return self.policy.propose(state.policy, n, generator)

    def imagine(
        self, state: PairedState, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What each action would lead to, as the world model has it."""
        asked = dict(return_to_go=return_to_go, uncertainty=uncertainty)
        return self.world.imagine(state.world, action, **asked)

    def advance(
        self, state: PairedState, action: Tensor, reward: Tensor, next_cell: Tensor
    ) -> PairedState:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        step = action, reward, next_cell
        policy = state.policy and self.policy.advance(state.policy, *step)
        return PairedState(policy, self.world.advance(state.world, *step))

    def fork(self, state: PairedState, beam: Int[Tensor, "batch new_beam"]) -> PairedState:
        """Keep the given beams of each row."""
        policy = state.policy and self.policy.fork(state.policy, beam)
        return PairedState(policy, self.world.fork(state.world, beam))
