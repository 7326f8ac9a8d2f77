"""The figure of all worlds: one panel each, with our runs, the controls and the paper's best."""

import numpy as np
import pandas as pd
import pytest

from dicp import plot, results
from dicp.config import ENVS, EnvConfig, PlanConfig
from dicp.plot.overview import SHOWN

pytestmark = pytest.mark.usefixtures("headless")


def recorded(env: str) -> pd.DataFrame:
    """Two splits of three tasks: the runs that are shown, and others, which are not."""
    parts = []
    for i, run in enumerate((*SHOWN, "dpt", "dicp_ad_paper")):
        method = {"dicp_ad_paper": "dicp_ad"}.get(run, run)
        plan = results.plan_settings({"queries": PlanConfig.preset("bayes"), "dicp_ad_paper": PlanConfig()}.get(run))
        world_model = {"queries": "queries", "dicp_ad_paper": "observational"}.get(run, "none")
        base = {"env": env, "method": method, "world_model": world_model, "run": run} | plan
        for split in (0, 1):
            parts.append(results.build(
                np.full((3, 2, 50), i), base | {"split": split, "train_seed": split, "context_length": 80 + i}, tasks=[0, 1, 2],
                max_return=[10] * 3, horizon=EnvConfig.preset(env).horizon))
    return pd.concat(parts, ignore_index=True)


def test_the_papers_best_in_each_world():
    assert [plot.papers_best(env) for env in ENVS] == ["DICP-AD", "DICP-DPT", "DICP-IDT"]


@pytest.mark.parametrize("envs", [ENVS, ENVS[:1]])
def test_a_panel_a_world(envs):
    figure = plot.overview({env: recorded(env) for env in envs}, title="Claim")
    assert len(figure.axes) == len(envs) and "Claim" in figure.get_suptitle()
    for ax, env in zip(figure.axes, envs, strict=True):
        heights = [line.get_ydata()[-1] for line in ax.lines]
        for i, run in enumerate((*SHOWN, "dpt", "dicp_ad_paper")):
            assert (i / 10 in np.round(heights, 3)) == (run in SHOWN)
        assert any("the paper's best" in text.get_text() for text in ax.texts)
        assert ax.get_xlim()[1] == 50 * EnvConfig.preset(env).horizon
    assert figure.legends[0].get_title().get_text().count("3 tasks, 2 rollouts each, 2 training seeds") == len(envs)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"AD", "Bayes planner", "source PPO", "exact belief", "random", "the paper's best method"} == set(names)
