"""What a world model tells a planner: actions to be tried, and what they would lead to."""

from typing import Any, NamedTuple

from jaxtyping import Float, Shaped
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)
from dicp.types import Space

__all__ = ["Imagined", "Proposal"]


class Proposal(NamedTuple):
    """Actions to be tried in each future: all of them, where there are a few."""

    action: Shaped[Tensor, "batch beam candidate ..."]
    # None: the policy's order is that of the candidates
    log_probability: Float[Tensor, "batch beam candidate"] | None = None


class Imagined(NamedTuple):
    """What each action is believed to lead to."""

    reward: Float[Tensor, "batch beam candidate"]                        # expected
    next_observation: Shaped[Tensor, "batch beam candidate ..."]         # the most likely one
    # expected from here to the episode's end, this reward included
    return_to_go: Float[Tensor, "batch beam candidate"] | None = None
    # of that next observation, and the entropy over all of them in nats; None: it is certain
    probability: Float[Tensor, "batch beam candidate"] | None = None
    entropy: Float[Tensor, "batch beam candidate"] | None = None
    # None: the expected one
    likely_reward: Shaped[Tensor, "batch beam candidate"] | None = None
    # P(reward above the likely one), and E[max(reward - likely one, 0)]: both or none of them, for
    # `PlanConfig.rewards_persist`; None: the likely one is the highest possible
    p_higher: Float[Tensor, "batch beam candidate"] | None = None
    gain_above: Float[Tensor, "batch beam candidate"] | None = None

    @classmethod
    def of_chances(
        cls, p_reward: Float[Tensor, "batch beam candidate"], *others: Any
    ) -> "Imagined":
        """Where a reward is 0 or 1; `others`: the fields from `next_observation` on."""
        likely = p_reward >= 0.5
        higher = p_reward.masked_fill(likely, 0)
        known = dict(likely_reward=likely.long(), p_higher=higher, gain_above=higher)
        return cls(p_reward, *others)._replace(**known)

    @classmethod
    def of_rewards(
        cls, chances: Float[Tensor, "batch beam candidate n_rewards"], rewards: Space, *others: Any
    ) -> "Imagined":
        """Where it is one of a few, each with its probability."""
        if rewards.is_whole and rewards.n == 2:
            return cls.of_chances(chances[..., 1], *others)
        table, which = rewards.table().to(chances.device), chances.argmax(-1)
        above = (table - table[which][..., None]).clamp(min=0)
        known = dict(
            likely_reward=table[which].to(rewards.dtype), p_higher=(chances * (above > 0)).sum(-1),
            gain_above=(chances * above).sum(-1),
        )
        return cls(chances @ table, *others)._replace(**known)
