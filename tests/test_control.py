"""The control that decides: its numbers by hand, and its figure."""

import numpy as np
import pandas as pd
import pytest

from dicp import control, plot, results
from dicp.config import PlanConfig
from dicp.probes import N_STEPS
from dicp.runs import CONTROL

# return of each of ten in every episode, by run: what the data change is 2 with queries, 0 with heads
RETURNS = {"queries_first_bayes": 9, "queries_all_bayes": 7, "heads_first_bayes": 1, "heads_all_bayes": 1,
           "table_first_bayes": 10, "queries_first_paper": 5, "queries_first_bayes_seed1": 8, "exact_belief": 10}


def run(name: str) -> pd.DataFrame:
    """Two splits of three tasks; every second plan counts on a cell that has not paid."""
    model, *rest = name.split("_")
    plan = PlanConfig.preset("paper" if name.endswith("paper") else "bayes")
    exact = name == "exact_belief"
    base = {"env": "darkroom", "run": name, "method": name if exact else model, "world_model": "none" if exact else model}
    seed = 101 if name.endswith("_seed1") else 0
    parts = [results.build(
        np.full((3, 2, 50), RETURNS[name]), base | results.plan_settings(plan) | {"split": split, "train_seed": split + seed},
        tasks=[0, 1, 2], max_return=[10] * 3, horizon=20) for split in (0, 1)]
    table = results.compact(pd.concat(parts, ignore_index=True))
    return table.assign(plans=4.0, deluded=2.0)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.concat([run(name) for name in RETURNS], ignore_index=True)


def probes(*names: str) -> pd.DataFrame:
    rows = [{"run": name, "split": split, "probe": f"walk {n}", "value": n / 10 + split / 10, "exact": 0.01}
            for name in names for split in (0, 1) for n in range(1, N_STEPS + 1)]
    return pd.DataFrame(rows, columns=["run", "split", "probe", "value", "exact"])


def test_a_row_a_run(table):
    rows = control.by_run(table).set_index(["model", "data", "planner"])
    assert len(rows) == 6 and (rows["splits"] == 2).all() and (rows["deluded"] == 0.5).all()
    assert rows.loc[("queries", "first", "bayes"), "all"] == pytest.approx((0.9, 0.9, 0.9))
    assert rows.loc[("queries", "first", "paper"), "last"][0] == pytest.approx(0.5)
    assert rows.loc[("table", "first", "bayes"), "found"][0] == 1


def test_what_the_data_change_is_paired(table):
    rows = control.of_the_data(table).set_index(["model", "planner"])
    assert list(rows.index) == [("queries", "bayes"), ("heads", "bayes")]           # a run without its other half has no row
    assert rows.loc[("queries", "bayes"), "all"] == pytest.approx((0.2, 0.2, 0.2))
    assert rows.loc[("heads", "bayes"), "last"] == pytest.approx((0, 0, 0))


def test_every_training_is_listed_by_split_and_seed(table):
    rows = control.seeds_of(table).set_index(["model", "data", "seed"]).sort_index()
    assert rows.loc[("queries", "first", 0), "split"].tolist() == [0, 1]
    assert rows.loc[("queries", "first", 0), "value"].tolist() == pytest.approx([0.9, 0.9])
    assert rows.loc[("queries", "first", 1), "value"].tolist() == pytest.approx([0.8, 0.8])
    assert "table" not in rows.index.get_level_values("model")


def test_the_difference_over_all_training_seeds(table):
    """Of pairs alone: a seed that only one of the two has does not count."""
    counts, difference = control.of_all_seeds(table, "queries")
    assert counts["queries_first_bayes"].max() == 2 and counts["queries_all_bayes"].max() == 1
    assert difference[0] == pytest.approx(0.2) and control.of_all_seeds(table, "heads") is None


def test_the_planners_that_are_there(table):
    assert control.planners_in(table) == ["paper", "bayes"]
    with pytest.raises(ValueError, match="lacks|column"):
        control.by_run(table.drop(columns="deluded"))


@pytest.mark.usefixtures("headless")
def test_a_panel_a_model_and_one_for_the_walks(table):
    names = ("queries_first_bayes", "queries_all_bayes", "heads_all_bayes", "queries_first_bayes_seed1", "table_first_bayes")
    figure = plot.control(table, probes(*names), title="Claim")
    assert "Claim" in figure.get_suptitle() and len(figure.axes) == 4
    heights = [sorted({round(float(line.get_ydata()[-1]), 3) for line in ax.lines}) for ax in figure.axes]
    assert heights[:3] == [[0.7, 0.9, 1.0], [0.1, 1.0], [1.0]]
    assert heights[3] == [0.01, 0.85]                       # the mean of two splits; neither seeds nor tables are drawn
    assert [text.get_text() for text in figure.axes[3].texts].count("queries") == 2
    assert len(plot.control(table, title="Claim").axes) == 3
    with pytest.raises(ValueError, match="runs of the control"):
        plot.control(table[table["run"] == "exact_belief"], title="Claim")


def test_the_model_of_a_run_is_in_its_name():
    for one in CONTROL:
        model, data, planner = one.name.split("_")
        assert (model, planner) == (one.world_model, one.planner) and data in ("first", "all")
