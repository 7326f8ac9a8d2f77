"""Figures that put methods, settings and parts of a rule side by side: who is drawn where, and what is left out."""

import numpy as np
import pandas as pd
import pytest
import torch

from dicp import plot, results
from dicp.config import PlanConfig

pytestmark = pytest.mark.usefixtures("headless")


def run(method, planner="none", height=5, splits=(0, 1), name="", **settings):
    world_model = "queries" if method == "queries" else "observational" if method.startswith("dicp") else "none"
    plan = results.plan_settings(None if planner == "none" else PlanConfig.preset(planner, **settings))
    rng = np.random.default_rng(0)
    base = {"env": "darkroom", "run": name or f"{method}_{planner}", "method": method, "world_model": world_model, **plan}
    return pd.concat([
        results.build(rng.integers(0, 2 * height, (3, 4, 6)), base | {"split": s, "train_seed": s}, tasks=[0, 1, 2],
                      max_return=[16, 17, 18], horizon=20) for s in splits
    ], ignore_index=True)


def recorded(*imitators):
    mine = [run(*setting) for m in imitators for setting in ((m,), (f"dicp_{m}", "paper"), (f"dicp_{m}", "gated", 6))]
    others = [run(name, "bayes", 8) for name in ("queries", "exact_belief")]
    return pd.concat([run("random", height=1), run("source"), *mine, *others])


def colours(ax):
    return [line.get_color() for line in ax.lines]


def rings(ax):
    return sum(line.get_marker() == "o" for line in ax.lines)


@pytest.mark.parametrize("imitators", [("ad",), ("ad", "idt"), ("ad", "dpt", "idt")])
def test_one_panel_an_imitator_whatever_is_recorded(imitators):
    figure = plot.comparison(recorded(*imitators), title="t")
    assert [ax.get_title(loc="left")[:3].strip() for ax in figure.axes] == [m.upper() for m in imitators]
    for ax in figure.axes:
        for name in ("ad", "paper", "gated", "bayes", "source"):
            assert plot.COLOURS[name] in colours(ax)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    wanted = {"imitation alone", "DICP: the paper's planner", "DICP: gated planner", "the paper's DICP", "exact belief"}
    assert wanted <= set(words)
    assert len(words) == len(set(words))


def test_the_readers_run_stands_in_the_panel_of_its_imitator():
    table = recorded("ad", "dpt")
    assert [rings(ax) for ax in plot.comparison(table, title="t").axes] == [0, 0]
    asked = run("queries", "bayes")
    where = ((run("dpt"), [0, 1]), (run("dicp_ad", "gated"), [1, 0]), (asked, [1, 1]), (run("idt"), [0, 0, 1]))
    for own, wanted in where:
        assert [rings(ax) for ax in plot.comparison(table, title="t", own=own, guess=60).axes] == wanted


def test_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match="none of the methods ad, dpt, idt"):
        plot.comparison(run("random"), title="t")


WIDTHS = {"K": {"gated planner": {5: "k5", 10: "k10", 20: "k20"}, "theirs": {5: 0.5}}, "depth": {"gated planner": {2: "d2"}}}


def test_ablations_draw_what_is_recorded_on_common_splits():
    table = pd.concat([run("dicp_ad", "gated", name="k5", beam_width=5, splits=(0, 1, 2)),
                       run("dicp_ad", "gated", 7, splits=(0, 1), name="k20", beam_width=20)])
    figure = plot.ablations(table, WIDTHS, title="t")
    (ax,) = figure.axes                                                    # a panel of a single point is left out
    assert [t.get_text() for t in ax.get_xticklabels()] == ["5", "20"]
    means = dict(zip(*ax.lines[0].get_data(), strict=True))
    wanted = table[(table["run"] == "k5") & (table["split"] < 2)]
    assert any(np.isclose(y, results.normalised(wanted).mean()) for y in means.values())
    with pytest.raises(ValueError, match="recorded with two values"):
        plot.ablations(table[table["run"] == "k5"], WIDTHS, title="t")


def test_parts_are_measured_against_the_whole():
    ax = plot.parts({"all": 0.8, "no luck": 0.5}, title="t", xlabel="x", guess=0.4)
    assert [bar.get_width() for bar in ax.patches] == [0.8, 0.8, 0.8, 0.5]
    assert {"0.80", "0.50", "your guess"} <= {text.get_text() for text in ax.texts}


def test_trials_ring_the_first_use_of_each_action():
    action, reward = torch.tensor([2, 2, 0, 4, 4, 2]), torch.tensor([0, 0, 0, 0, 1, 1])
    panel = {"uncertainty": torch.rand(6, 5), "action": action, "reward": reward}
    figure = plot.trials({"one": panel, "two": panel}, title="t", does=[4, 1, 0, 2, 3])
    ax = figure.axes[0]
    actions, first, rewards = (line.get_xdata().tolist() for line in ax.lines[:3])
    assert actions == list(range(6)) and sorted(first) == [0, 2, 3] and rewards == [4, 5]
    assert ax.get_yticklabels()[2].get_text() == "action 2  →"
