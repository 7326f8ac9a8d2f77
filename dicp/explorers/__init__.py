"""Agents that know the rules of a world and keep the exact belief over what is hidden in it: how
well could anybody do?

They act and plan through the same interface as a trained model (`dicp.rollout.Learner`,
`dicp.planning.WorldModel`).
"""

from dicp.checks import checked, one_of
from dicp.config.world import GridConfig
from dicp.explorers.base import Belief, Explorer
from dicp.explorers.grids import ActionExplorer, GoalExplorer
from dicp.explorers.rooms import NoisyExplorer, TreasureExplorer

__all__ = [
    "EXPLORERS", "ActionExplorer", "Belief", "Explorer", "GoalExplorer", "NoisyExplorer",
    "TreasureExplorer", "exact_belief",
]

EXPLORERS = (GoalExplorer, ActionExplorer, TreasureExplorer, NoisyExplorer)


@checked
def exact_belief(env: GridConfig) -> Explorer:
    """The explorer of this world; `ValueError` where there is none."""
    kinds = {world: kind for kind in EXPLORERS for world in kind.worlds}
    return kinds[one_of("env.name", env.name, kinds)](env)
