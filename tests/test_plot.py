"""Figures: what is drawn where. Pictures are judged by eye; these tests hold what must not slip."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Pillow

from dicp import plot, results
from dicp.config import PlanConfig
from dicp.envs import cell_to_xy
from dicp.plot.arguments import Array
from dicp.plot.look import LOOKS, spread

pytestmark = pytest.mark.usefixtures("headless")


def run(method="ad", planner="none", height=5, seeds=2, **settings):
    rng = np.random.default_rng(0)
    plan = results.plan_settings(None if planner == "none" else PlanConfig(planner=planner))
    world_model = "none" if planner == "none" else "observational"
    base = {"env": "darkroom", "split": 0, "method": method, "world_model": world_model} | plan | settings
    return pd.concat([
        results.build(rng.integers(0, 2 * height, (3, 4, 6)), base | {"train_seed": s}, tasks=[0, 1, 2],
                      max_return=[16, 17, 18], horizon=20) for s in range(seeds)
    ], ignore_index=True)


def both():
    return pd.concat([run("random", height=1), run(), run("dicp_ad", "paper"), run("dicp_ad", "bayes", 8)])


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_learning_curves_are_labelled_directly_and_start_at_zero():
    plot.style()
    ax = plot.returns(both(), title="Planning helps", paper=("AD",), guess=60, recorded=run(seeds=1))
    for label in ("AD", "random", "the paper's planner", "Bayes planner", "paper: AD", "your guess"):
        assert label in texts(ax)
    assert "highest possible (17)" in texts(ax)
    assert any("3 tasks, 4 rollouts each, 2 training seeds" in t for t in texts(ax))
    assert ax.get_ylim()[0] == 0 and ax.get_xlim() == (0, 120)
    assert "environment steps in context" in ax.get_xlabel()
    assert tuple(ax.figure.get_size_inches()) == (7, 3.5)


@pytest.mark.parametrize("value", ["normalised", "success", "solved_so_far"])
def test_solved_so_far_is_never_drawn_as_success(value):
    ax = plot.returns(both(), title="t", value=value)
    assert ("so far" in ax.get_ylabel()) == (value == "solved_so_far")
    assert ax.get_ylim()[1] >= 1


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="one claim"):
        plot.returns(both(), title=" ")
    with pytest.raises(ValueError, match="value is 'succes'"):
        plot.returns(both(), title="t", value="succes")
    with pytest.raises(ValueError, match="value is 'success'; allowed: 'episode_return'"):
        plot.returns(both(), title="t", value="success", paper=("AD",))
    with pytest.raises(ValueError, match="mixes env"):
        plot.returns(pd.concat([run(), run(env="darkroom_permuted")]), title="t")


def test_variants_of_one_planner_are_labelled_by_what_differs():
    widths = pd.concat([run("dicp_ad", "paper", beam_width=k) for k in (5, 10)] + [run()])
    labels = texts(plot.returns(widths, title="t"))
    assert {"beam width 5", "beam width 10", "AD"} <= set(labels)


def test_colours_are_fixed_and_methods_differ_also_without_colour():
    drawn = [LOOKS[n] for n in ("ad", "paper", "gated", "bayes", "source", "random", "exact_belief")]
    assert len({look.colour for look in drawn}) == len(drawn)
    assert len({str(LOOKS[n].dashes) for n in ("paper", "gated", "bayes")}) == 3
    assert plot.look_of("dicp_ad", "bayes") == LOOKS["bayes"]
    assert plot.look_of("exact_belief", "bayes") == LOOKS["exact_belief"]
    assert plot.look_of("dicp_ad").colour == plot.COLOURS["ad"] and plot.look_of("dicp_ad").label == "DICP-AD, no planner"


def test_labels_are_moved_apart_and_keep_their_order():
    rng = np.random.default_rng(0)
    for _ in range(50):
        at = rng.uniform(0, 1, 6)
        placed = spread(at, 0.12, 0, 1)
        assert (np.diff(np.sort(placed)) > 0.12 - 1e-9).all() and placed.min() >= -1e-9 and placed.max() <= 1 + 1e-9
        assert (np.argsort(placed) == np.argsort(at)).all()
    assert spread(np.array([0.1, 0.9]), 0.1, 0, 1).tolist() == [0.1, 0.9]


def test_heat_map_has_x_to_the_right_and_y_up():
    values = np.zeros(81)
    cell = 7 * 9 + 1
    values[cell] = 1
    ax = plot.grid_heatmap(values, title="t", agent=cell, goal=3, visited=[1, 2])
    image = np.asarray(ax.images[0].get_array())
    x, y = cell_to_xy(torch.tensor(cell)).tolist()
    assert image[y, x] == 1 and image.sum() == 1 and ax.images[0].origin == "lower"
    assert any(np.allclose(line.get_xydata(), [[x, y]]) for line in ax.lines)
    square = plot.grid_heatmap(values.reshape(9, 9), title="t")
    np.testing.assert_array_equal(np.asarray(square.images[0].get_array()), image)
    with pytest.raises(ValueError, match="values has shape"):
        plot.grid_heatmap(np.zeros(80), title="t")


def test_trajectories_and_other_sizes():
    ax = plot.trajectories([[0, 1, 2], [0, 5, 6]], title="t", start=0, goal=24, size=5, episodes=[1, 50])
    assert len(ax.collections[0].get_paths()) == 2 and ax.get_xlim() == (-0.5, 4.5)
    _, own = plt.subplots()
    assert plot.trajectories([[0, 1]], title="t", size=5, ax=own) is own


def test_animation_is_small_and_has_at_most_forty_frames():
    rng = np.random.default_rng(0)
    cells, beliefs = rng.integers(0, 81, (6, 20)), rng.dirichlet(np.ones(81), (6, 20))
    image = plot.animate(cells, title="t", goal=3, beliefs=beliefs)
    gif = Pillow.open(io.BytesIO(image.data))
    assert image.format == "gif" and gif.n_frames <= 40 and len(image.data) < 300_000
    assert Pillow.open(io.BytesIO(plot.animate(cells[:1, :5], title="t").data)).n_frames == 5
    with pytest.raises(ValueError, match="beliefs has shape"):
        plot.animate(cells, title="t", beliefs=beliefs[:2])


def test_calibration_of_a_true_model_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    p, n_visited = rng.uniform(0, 1, 4000), rng.integers(0, 80, 4000)
    ax = plot.calibration(p, rng.random(4000) < p, n_visited, title="t", log=False)
    for points in ax.containers:
        x, y = points.lines[0].get_data()
        assert np.abs(x - y).max() < 0.15
    assert len(ax.containers) == 4


def test_bars_show_every_method_with_its_interval():
    summary = results.summary(both())
    ax = plot.bars(summary, "all_episodes", title="t")
    assert len(ax.patches) == 4 and ax.get_xlim()[0] == 0
    assert [t.get_text() for t in ax.get_yticklabels()][1] == "AD"
    with pytest.raises(ValueError, match="metric is"):
        plot.bars(summary, "return", title="t")


def test_numpy_scalars_are_welcome():
    plot.plans({"a": {"plan": [41]}}, title="t", size=np.int64(9), inches=np.float32(3))
    plot.trajectories([[0, 1]], title="t", goal=np.int32(3), size=np.int8(9))


def test_a_cell_outside_the_room_is_refused():
    with pytest.raises(ValueError, match="goal is 81; allowed: a cell, a whole number from 0 to 80."):
        plot.grid_heatmap([1 / 81] * 81, title="t", goal=81)


@pytest.mark.parametrize(
    "bad", ["nan", float("nan"), [[1, 2], [3]], [None], [{}], "0", (), np.zeros((2, 0))]
)
def test_what_is_no_array_of_numbers(bad):
    with pytest.raises(ValueError, match="x is .*; allowed: a sequence of numbers."):
        Array()("x", bad)
    assert Array()("x", values := torch.ones(2)) is values


def test_the_backend_is_left_alone():
    before = matplotlib.get_backend()
    plot.style()
    assert matplotlib.get_backend() == before
