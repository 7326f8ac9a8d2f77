"""The in-context models; `new_model` makes the one that a config describes."""

from dicp.config import Env, ModelConfig
from dicp.models.ad import InContextModel
from dicp.models.idt import HierarchicalModel
from dicp.models.interventional import InterventionalModel

__all__ = ["HierarchicalModel", "InContextModel", "InterventionalModel", "Model", "new_model"]

Model = InContextModel | HierarchicalModel | InterventionalModel


def new_model(env: Env, config: ModelConfig) -> Model:
    """An untrained model."""
    if config.world_model == "interventional":
        return InterventionalModel(env, config)
    return (HierarchicalModel if config.imitates == "idt" else InContextModel)(env, config)
