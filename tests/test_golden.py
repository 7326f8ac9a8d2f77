"""What is recorded and shipped keeps its name, whatever is changed in the code: golden tests.

A trained model and a recorded run are found by a hash of their configuration. A renamed field or another default would lose
them, and nothing else would notice.
"""

import json

import pandas as pd
import pytest

from dicp import artifacts, runs
from dicp.config import Config

WEIGHTS = sorted((artifacts.SHIPPED / "weights").glob("*.safetensors"))
COSTS = sorted((artifacts.SHIPPED / "results").glob("*_cost.csv"))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_shipped_weights_are_found_under_their_configuration(path):
    config = Config.from_dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["config"])
    assert artifacts.weights_name(config) == path.name


@pytest.mark.parametrize("path", COSTS, ids=lambda path: path.stem)
def test_recorded_parts_are_found_under_their_settings(path):
    world, costs = path.stem.removesuffix("_cost"), pd.read_csv(path)
    named = {run.name: run for run in runs.runs_in(world)}
    assert len(costs) and costs["part"].is_unique
    for row in costs[~costs["run"].map(runs.is_retired)].itertuples():
        assert runs.part_name(named[row.run], world, row.split) == row.part


def test_all_that_is_shipped_is_looked_at():
    assert len(WEIGHTS) == 41 and len(COSTS) == 8
