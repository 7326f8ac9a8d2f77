"""Figures of Meta-World: what is drawn where."""

import io

import numpy as np
import pytest
from PIL import Image

from dicp.plot import arm

pytestmark = pytest.mark.usefixtures("headless")


def test_the_table_from_above_shows_every_object_and_goal():
    rng = np.random.default_rng(0)
    split = {"object": rng.random((50, 3)), "goal": rng.random((50, 3))}
    figure = arm.table_top({"reach": {"training": split, "held out": split}, "push": {"training": split}}, title="Two tasks")
    first, second = figure.axes
    assert [len(line.get_xdata()) for line in first.lines] == 4 * [50] and len(second.lines) == 2
    assert np.allclose(first.lines[1].get_xdata(), split["goal"][:, 0])
    assert np.allclose(first.lines[1].get_ydata(), split["goal"][:, 1])
    assert first.get_ylim() == second.get_ylim() and first.get_title(loc="left") == "reach"


def test_hands_are_seen_from_above_and_from_the_side():
    path = np.cumsum(np.ones((10, 3)) * (0.01, 0.02, 0.03), axis=0)
    figure = arm.hand_paths({"one": {"paths": [path, 2 * path], "goal": (0.1, 0.2, 0.3), "object": path}}, title="A hand")
    above, side = figure.axes
    assert np.allclose(above.lines[0].get_ydata(), path[:, 1]) and np.allclose(side.lines[0].get_ydata(), path[:, 2])
    star = [line for line in side.lines if line.get_marker() == "*"]
    assert len(star) == 1 and star[0].get_xdata()[0] == 0.1 and star[0].get_ydata()[0] == 0.3


def test_first_sight_names_tasks_and_the_guess():
    ax = arm.at_first_sight({"reach": -0.02, "sweep": 1.0}, title="Only in sweep", guess=0.5)
    texts = [text.get_text() for text in ax.texts]
    assert {"0.00", "1.00", "your guess"} <= set(texts)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["reach", "sweep"]


def test_pictures_have_their_names():
    figure = arm.pictures({f"{i}": np.zeros((4, 6, 3), np.uint8) for i in range(3)}, title="Three", ncols=2)
    assert [ax.get_title(loc="left") for ax in figure.axes[:3]] == ["0", "1", "2"]
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]


def test_a_film_shows_every_picture():
    frames = [np.full((6, 8, 3), shade, np.uint8) for shade in (0, 100, 200)]
    film = Image.open(io.BytesIO(arm.film(frames, fps=10).data))
    assert (film.n_frames, film.size, film.info["duration"]) == (3, (8, 6), 100)
    film.seek(2)
    assert np.asarray(film.convert("RGB")).mean() == pytest.approx(200, abs=3)


def test_imagined_against_real():
    ax = arm.who_is_right([0.0, 1.0], [0.5, 2.0], title="Too hopeful")
    assert ax.lines[1].get_xdata().tolist() == [0, 2] == ax.lines[1].get_ydata().tolist()


def test_a_case_far_from_all_others_does_not_set_the_scale():
    values = np.arange(100.0)                                            # 2% of them lie below 1.98 and above 97.02
    ax = arm.who_is_right([*values, 50.0], [*values, 1e6], title="One is far away", same=False)
    near, far = (np.asarray(line.get_data()) for line in ax.lines)
    assert near.shape == (2, 100) and near.max() == 99
    assert far[0, 0] == 50 and 190 < far[1, 0] < 200 and ax.lines[1].get_markerfacecolor() == "none"
