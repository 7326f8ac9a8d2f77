"""Which embedding and which world-model head belong to a world."""

from typing import NamedTuple

from dicp.config import Env
from dicp.domain import domain_of
from dicp.models.categorical import TokenEmbedding, WorldModelHead
from dicp.models.gaussian import ContinuousEmbedding, GaussianWorldModel


class Heads(NamedTuple):
    """Modules to be made from the world's config and the width (the world model's: from both configs)."""

    embedding: type
    world_model: type


def heads_of(env: Env) -> Heads:
    """Categories where an action is one of so many, Gaussians where it is numbers."""
    if domain_of(env).action.is_discrete:
        return Heads(TokenEmbedding, WorldModelHead)
    return Heads(ContinuousEmbedding, GaussianWorldModel)
