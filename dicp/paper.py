"""The numbers of the paper (Son, Lee, Kim, ICLR 2025, arXiv 2502.19009), as shipped CSV tables."""

from importlib.resources import files
from typing import Annotated

import pandas as pd

from dicp.checks import OneOf, checked, one_of, text

__all__ = ["HIGHEST", "HORIZON", "METHODS", "TABLES", "paper_curve", "paper_table"]

TABLES = (
    "fig3_learning_curves", "fig4_planning_scale", "fig4_context_length_mse", "table1_ml1_success",
    "ml1_all_50_tasks_20k_steps", "table_5k_steps", "table_ml10", "table_sac_source",
    "table_flops_per_action",
)
METHODS = ("AD", "DPT", "IDT", "DICP-AD", "DICP-DPT", "DICP-IDT")
# the highest possible mean return on the paper's test tasks; Darkroom: the mean over its five
# splits
HIGHEST = {"darkroom": 16.55, "darkroom_permuted": 35.0, "dark_key_to_door": 2.0}
HORIZON = {"darkroom": 20, "darkroom_permuted": 50, "dark_key_to_door": 50}


@checked
def paper_table(name: Annotated[str, OneOf(TABLES)]) -> pd.DataFrame:
    """One of the paper's figures or tables, tidy; names in `TABLES`."""
    return pd.read_csv(files("dicp") / "data" / "paper" / f"{name}.csv", encoding="utf-8")


@checked
def paper_curve(
    env: Annotated[str, OneOf(tuple(HIGHEST))], method: Annotated[str, text]
) -> pd.DataFrame:
    """A learning curve of the paper's Figure 3: columns episode (1-based), env_steps,
    episode_return, normalised.

    `method` is the paper's name ("DICP-AD") or ours ("dicp_ad"). Returns are means over test tasks
    and five splits, `normalised` divides by the highest possible mean.
    """
    name = method.upper().replace("_", "-")
    one_of("paper method", name, METHODS)
    table = paper_table("fig3_learning_curves").query("env == @env and method == @name")
    curve = table[["env_steps", "value"]].rename(columns={"value": "episode_return"})
    curve = curve.reset_index(drop=True)
    curve.insert(0, "episode", curve["env_steps"] // HORIZON[env])
    return curve.assign(normalised=curve["episode_return"] / HIGHEST[env])
