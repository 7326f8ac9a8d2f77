"""The in-context models; `new_model` makes the one that a config describes."""

from dicp.checks import checked
from dicp.config import ModelConfig, WorldConfig
from dicp.models.ad import InContextModel
from dicp.models.idt import HierarchicalModel
from dicp.models.paired import PairedModel
from dicp.models.queries import QueryModel
from dicp.models.sizes import check_model
from dicp.models.table import TableModel

__all__ = [
    "HierarchicalModel", "InContextModel", "Model", "PairedModel", "QueryModel", "TableModel",
    "new_model",
]

Model = InContextModel | HierarchicalModel | QueryModel | TableModel


@checked
def new_model(env: WorldConfig, config: ModelConfig) -> Model:
    """An untrained model, on the CPU. `ValueError`, before anything is made, where the configs do
    not fit each other or the model not the memory."""
    check_model(env, config)
    if config.world_model in ("queries", "table"):
        return (QueryModel if config.world_model == "queries" else TableModel)(env, config)
    return (HierarchicalModel if config.target == "idt" else InContextModel)(env, config)
