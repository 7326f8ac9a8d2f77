"""Which embedding and which world-model head belong to a world."""

from typing import NamedTuple

from dicp.domain import Domain
from dicp.models.categorical import TokenEmbedding, WorldModelHead
from dicp.models.gaussian import ContinuousEmbedding, GaussianWorldModel


class Heads(NamedTuple):
    """Modules to be made from the world and the width (the world model's: the model's config)."""

    embedding: type
    world_model: type


def heads_of(domain: Domain) -> Heads:
    """Categories where an action is one of so many, Gaussians where it is numbers."""
    if domain.action.is_discrete:
        return Heads(TokenEmbedding, WorldModelHead)
    return Heads(ContinuousEmbedding, GaussianWorldModel)
