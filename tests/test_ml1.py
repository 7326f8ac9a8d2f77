"""Meta-World's numbers: what counts as success, and the published table with ours below."""

import numpy as np
import pandas as pd
import pytest

from dicp import ml1, plot, results, sentences
from dicp.config import PlanConfig


def run(name, success):
    """A recorded run with these successes [task rollout episode]."""
    success = np.asarray(success, bool)
    method = name.partition("_paper")[0]
    world_model = "observational" if method.startswith("dicp") else "none"
    plan = PlanConfig.preset("paper", "metaworld", return_to_go="return_to_go" in name) if "_paper" in name else None
    settings = {"env": "metaworld", "ml1_task": "reach-v3", "run": name, "method": method, "world_model": world_model,
                "split": 0, "train_seed": 0, **results.plan_settings(plan)}
    n = len(success)
    table = results.build(success * 800.0, settings, tasks=range(n), max_return=[1000] * n, horizon=100, success=success)
    return results.compact(table)


# two instances, ten episodes: one solves it in its last two, one in its first alone
LIFE = [[[0] * 8 + [1, 1]], [[1] + [0] * 9]]


def test_success_by_hand():
    rows = ml1.successes(run("ad", LIFE)).set_index("metric")
    assert rows.loc["success", "value"] == 0.5                          # both late episodes of one of two instances
    assert rows.loc["solved_so_far", "value"] == 1.0                    # each was solved once
    assert (rows["n_tasks"] == 2).all() and (rows["env_steps"] == 1000).all()
    assert rows.loc["success", "low"] == 0 and rows.loc["success", "high"] == 1
    assert ml1.successes(run("ad", LIFE), last=1.0).set_index("metric").loc["success", "value"] == pytest.approx(0.15)


def test_success_does_not_depend_on_blocks():
    rollouts = np.random.default_rng(0).random((4, 1, 20)) < 0.3
    whole = run("idt", rollouts)
    pd.testing.assert_frame_equal(ml1.successes(whole), ml1.successes(results.in_blocks(whole, 4)))


def test_the_poster_quotes_all_and_puts_ours_below():
    table = sentences.poster({"reach": pd.concat([run("ad", LIFE), run("dicp_ad_paper", LIFE), run("random", LIFE)])})
    assert len(table) == 13 + 2 * 2 and table["method"].tolist()[-4:] == ["AD", "DICP-AD"] * 2
    assert table.loc[12, ["method", "reach", "peg-insert-side"]].tolist() == ["DICP-IDT", "100", "87"]
    assert table.loc[3, "reach"] == "" and table.loc[3, "origin"] == "IDAQ paper"
    assert table["reach"].tolist()[-4:] == ["50 [0, 100]"] * 2 + ["100 [100, 100]"] * 2 and table["push"].tolist()[-1] == ""
    assert len(sentences.poster({})) == 13


def test_what_the_numbers_say_by_hand():
    never, always = [[[0] * 10]] * 2, [[[1] * 10]] * 2
    reach = {"ad": never, "dicp_ad_paper": always, "idt": LIFE, "dicp_idt_paper": never, "dicp_idt": always, "source": always}
    push = {"ad": never, "dicp_ad_paper": LIFE, "idt": never}                        # no DICP-IDT
    each = {"reach": reach, "push": push}
    tables = {name: pd.concat([run(*named) for named in of.items()]) for name, of in each.items()}
    said = sentences.claims(tables)
    assert said["success"].endswith(" in 1 of 3 comparisons")           # LIFE: ahead in one of two instances, which is no proof
    assert " 3 of 7 agents " in said["solved_so_far"]
    worse = pd.concat([run("ad", always), run("dicp_ad_paper", never)])
    assert sentences.claims({"push": worse})["success"].endswith(" in 0 of 1 comparisons, less often in 1")


def test_what_matters_is_what_moves_success():
    never, always = [[[0] * 10]] * 2, [[[1] * 10]] * 2
    table = pd.concat([run("ad", LIFE), run("dicp_ad_paper", always), run("dicp_ad_paper_l5", always), run("idt", never)])
    panels = {"L": {"planner": {5: "dicp_ad_paper_l5", 10: "dicp_ad_paper", 15: "not_there"}},
              "rank": {"planner": {"r": "dicp_ad_paper", "R": "ad"}}, "depth": {"planner": {1: "dicp_ad_paper", 2: "idt"}}}
    assert sentences.what_matters(table, panels) == "Success hangs on depth and rank"
    assert sentences.what_matters(table, {"L": panels["L"]}).startswith("Nothing")


def test_a_gain_is_taken_instance_by_instance():
    rng = np.random.default_rng(0)
    easy = np.repeat(rng.random((30, 1, 1)), 10, axis=2)                # some instances are easy for both
    luck = rng.random((30, 1, 10))
    table = pd.concat([run("ad", luck < easy), run("dicp_ad_paper", luck < easy + 0.15)])
    rows, gain = ml1.successes(table).query("metric == 'success'").set_index("run"), ml1.gains(table).loc["dicp_ad_paper"]
    assert gain["value"] == pytest.approx(rows.loc["dicp_ad_paper", "value"] - rows.loc["ad", "value"])
    assert rows.loc["dicp_ad_paper", "low"] < rows.loc["ad", "high"] and gain["low"] > 0        # together, they would not tell


def test_what_is_above_the_blind_expert_is_counted_instance_by_instance():
    """Two instances of which the blind expert solves one: AD solves both, in the end."""
    table = pd.concat([run("blind", [[[0]], [[1]]]), run("ad", [[[0] * 8 + [1, 1]], [[1] * 10]])])
    above = ml1.above_blind(table)
    assert list(above.index) == ["ad"] and above.loc["ad"].tolist() == [0.5, 0, 1]
    with pytest.raises(ValueError, match="control is 'blind'; allowed: 'ad'"):
        ml1.above_blind(run("ad", LIFE))


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize("value", ["success", "solved_so_far"])
def test_curves_have_a_column_a_task_and_a_row_an_imitator(value):
    table = pd.concat([run(name, LIFE) for name in (*ml1.RUNS, "random", "source")])
    figure = plot.ml1_curves({"reach": table, "push": table}, value=value, title="t")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["reach", "push", "", ""]
    upper = figure.axes[0].lines
    assert len(upper) == 4                                              # ours, and the controls or the paper's
    ends = [line.get_ydata()[-1] for line in upper if len(line.get_xdata()) == 10]
    assert ends == ([0.5] * 4 if value == "success" else [1.0] * 2)
    assert figure.axes[2].get_ylabel().startswith("IDT")
    blind = pd.concat([table, run("blind", [[[0]], [[1]]])])
    level = plot.ml1_curves({"reach": blind}, value=value, title="t").axes[0].lines[-1]
    assert value != "success" or set(level.get_ydata()) == {0.5}
    figure = plot.ml1_curves({"reach": table}, value=value, title="t", own=run("dicp_idt", LIFE))
    assert [sum(line.get_marker() == "o" for line in ax.lines) for ax in figure.axes] == [0, 1]


@pytest.mark.usefixtures("headless")
def test_ablations_may_measure_success():
    table = pd.concat([run("dicp_ad_paper", LIFE), run("dicp_ad_paper_l5", [[[1] * 10], [[1] * 10]])])
    panels = {"L": {"the paper's planner": {5: "dicp_ad_paper_l5", 10: "dicp_ad_paper"}}}
    (ax,) = plot.ablations(table, panels, title="t", ylabel="solved",
                           measure=lambda rows: ml1.successes(rows).query("metric == 'success'")).axes
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.5] and ax.get_ylabel() == "solved"


@pytest.mark.usefixtures("headless")
def test_one_life_counted_in_two_ways():
    table = ml1.successes(pd.concat([run(name, LIFE) for name in ("ad", "dicp_idt_paper", "random")]))
    ax, _ = plot.ml1_meanings({"reach": table, "push": table}, title="t").axes
    marks = [(line.get_marker(), float(line.get_xdata()[0])) for line in ax.lines if line.get_marker() != "None"]
    assert [x for mark, x in marks if mark == "o"] == [0.5, 1.0] * 3
    assert [x for mark, x in marks if mark == "x"] == [0.86, 1.0, 0.84, 1.0]                 # of AD, IDT, DICP-AD, DICP-IDT
    assert ax.get_yticklabels()[0].get_text() == "random" and ax.yaxis_inverted()


def ranked():
    """Late successes: the policy alone in half of them, DICP-AD by reward in all, by return-to-go and DICP-IDT in none."""
    never, always = [[[0] * 10]] * 2, [[[1] * 10]] * 2
    rollouts = {"ad": always, "dicp_ad": LIFE, "dicp_ad_paper": always, "dicp_ad_paper_return_to_go": never,
             "dicp_idt_paper": never, "dicp_ad_paper_depth2": never, "random": never}
    return {"push": pd.concat([run(*named) for named in rollouts.items()])}


def test_rankings_by_hand():
    rows = ml1.rankings(ranked()).set_index(["imitator", "ranking"])
    assert rows["success"].to_dict() == {("ad", "policy alone"): 0.5, ("ad", "reward"): 1.0, ("ad", "return-to-go"): 0.0,
                                         ("idt", "reward"): 0.0}
    assert rows["episode_return"].tolist() == [400, 800, 0, 0] and set(rows["task"]) == {"push"}
    assert ml1.rankings({}).columns.tolist() == ["task", "imitator", "ranking", "success", "episode_return"]
    other = pd.concat([run("dicp_idt_paper", LIFE), run("dicp_idt_paper_return_to_go", [[[1] * 10]] * 2)])
    only = pd.concat([run("dicp_idt_paper", LIFE), run("dicp_idt", LIFE)])
    said = sentences.better_ranking(ranked() | {"sweep": other, "reach": only})
    assert said == "Better by reward: push; by return-to-go: sweep"
    assert sentences.better_ranking({"reach": only}).endswith("was not varied") and ml1.rankings({"reach": only}).empty


@pytest.mark.usefixtures("headless")
def test_an_arrow_leads_from_the_policy_to_each_planner():
    ad, idt = plot.ml1_rankings(ml1.rankings(ranked()), title="t").axes
    assert [line.get_xydata()[0].tolist() for line in ad.lines] == [[400, 0.5], [800, 1], [0, 0]]
    assert [tuple(text.xy) for text in ad.texts] == [(800, 1), (0, 0)]
    assert [line.get_xydata()[0].tolist() for line in idt.lines] == [[0, 0]] and not idt.texts         # its policy has no start
    assert [ax.get_ylabel() for ax in (ad, idt)] == [f"DICP-{name}\nsuccess per episode" for name in ("AD", "IDT")]
