"""Every argument of every public figure: a wrong one gets one sentence, before anything is drawn."""

import inspect
import types
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from test_ml1 import LIFE, ranked
from test_ml1 import run as ml1_run
from test_plot_comparison import recorded, run
from test_plot_overview import recorded as world

from dicp import ml1, plot, results
from dicp.plot.ablations import all_episodes
from dicp.plot.arguments import Array
from dicp.windows import Tokens, Windows

pytestmark = pytest.mark.usefixtures("headless")

FIGURES = [name for name in plot.__all__ if isinstance(getattr(plot, name), types.FunctionType)]
NAN, INFINITE, LARGE = float("nan"), float("inf"), 1e308
BAD = [NAN, INFINITE, -INFINITE, -1, 0, 2**63, LARGE, True, "0", None, [], np.float64(NAN), np.int64(-1), torch.tensor(NAN)]
ROOM = [1 / 81] * 81
CURVES = {"a": [0.1, 0.5, 0.9], "b": [0.2, 0.2, 0.3]}
PATH = np.cumsum(np.full((5, 3), 0.1), axis=0)
STEPS = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
T = {"title": "A claim"}


def window() -> Windows:
    field = torch.arange(6) % 2
    tokens = Tokens(*[field] * len(Tokens._fields))
    return Windows(tokens, *[field] * (len(Windows._fields) - 1))


def reach() -> pd.DataFrame:
    return pd.concat([ml1_run(name, LIFE) for name in ("ad", "dicp_ad_paper", "idt", "dicp_idt_paper", "source", "random")])


def axes() -> Axes:
    return plt.subplots()[1]


# name -> a good call of it, all arguments given
GOOD: dict[str, Callable[[], dict]] = {
    "ablations": lambda: T | {"table": pd.concat([run("dicp_ad", "gated", name=name) for name in ("one", "two")]),
                              "panels": {"K": {"gated planner": {1: "one", 2: "two"}}}, "note": "n", "ncols": 2,
                              "measure": all_episodes, "ylabel": "y"},
    "animate": lambda: T | {"cells": [[1, 2], [3, 4]], "goal": 4, "start": 40, "key": 3, "rewards": [[0, 0], [0, 1]],
                            "beliefs": np.full((2, 2, 81), 1 / 81), "max_frames": 4, "fps": 5.0, "size": 9},
    "arrows": lambda: T | {"probability": np.full((81, 5), 0.2), "visits": np.ones(81), "goal": 1, "start": 2, "size": 9,
                           "ax": axes()},
    "at_first_sight": lambda: T | {"shares": {"a": 0.5}, "guess": 0.2, "note": "n"},
    "axes": lambda: T | {"ax": axes(), "size": (4, 3)},
    "bar_panels": lambda: T | {"summary": results.summary(recorded("ad")), "metrics": {"all_episodes": "r", "found_by_5": "s"}},
    "bars": lambda: T | {"summary": results.summary(run("ad")), "metric": "all_episodes", "xlabel": "x", "labels": ["AD"],
                         "ax": axes()},
    "belief_curves": lambda: T | {"curves": CURVES, "x": [1, 2, 3], "xlabel": "x", "ylabel": "y", "thin": ["b"], "level": 0.1,
                                  "ax": axes()},
    "belief_moves": lambda: T | {"rows": {"a": [np.full(25, 0.2)]}, "columns": ["early"], "truth": [0, 1, 2, 3, 4],
                                 "seen": [[0, 1]], "inches": 2.0},
    "belief_panels": lambda: T | {"rows": {"a": [ROOM]}, "columns": ["early"], "marks": [{"goal": 3}], "label": "P",
                                  "size": 9, "gamma": 0.4, "inches": 2.0},
    "by_context": lambda: {"values": [[1.0, 2.0], [3.0, 4.0]], "what": "errors", "ax": axes(), "colour": "#0072B2"},
    "by_goal": lambda: T | {"shares": CURVES, "guess": 0.5, "note": "n"},
    "by_width": lambda: T | {"curves": {"a": {1: 2.0, 10: 3.0}}, "ylabel": "y", "colours": ["#0072B2"], "log": False,
                             "note": "n", "ax": axes()},
    "calibration": lambda: T | {"p": np.linspace(0.1, 0.9, 20), "hit": [0, 1] * 10, "n_visited": [5] * 20, "groups": [(0, 9)],
                                "n_bins": 2, "log": False, "ax": axes()},
    "claim": lambda: T | {"figure": plt.figure(), "note": "n", "handles": (), "ncols": 2},
    "comparison": lambda: T | {"table": recorded("ad"), "own": run("ad"), "guess": 10.0},
    "episodes": lambda: T | {"ways": {"one": [40, 41], "two": [40, 49]}, "goal": 58},
    "film": lambda: {"frames": [np.full((6, 8, 3), shade, np.uint8) for shade in (0, 200)], "fps": 10.0, "colours": 16},
    "futures": lambda: T | {"paths": [[41, 42], [41, 50]], "start": 40, "goal": 50, "colour": "#0072B2", "size": 9,
                            "ax": axes()},
    "grid_heatmap": lambda: T | {"values": ROOM, "ax": axes(), "agent": 1, "goal": 2, "start": 3, "key": 4, "visited": [5, 6],
                                 "vmax": 1.0, "label": "P", "gamma": 0.4},
    "hand_paths": lambda: T | {"panels": {"one": {"paths": [PATH], "goal": (0.1, 0.2, 0.3), "object": PATH}}, "note": "n"},
    "influence": lambda: T | {"change": np.tril(np.full((4, 4), 0.1)), "horizon": 2, "note": "n"},
    "learned_to_remember": lambda: {"losses": {"a": np.linspace(1, 0.1, 30)}, "blind": 0.5, "ratios": {"a": [0.5, 1.0]}},
    "lessons": lambda: T | {"done": STEPS, "optimal": STEPS, "good": [True] * 10, "rewards": [0, 1] * 5, "asked": STEPS,
                            "method": "ad", "horizon": 5, "chunk": 5, "glyphs": ["a", "b", "c", "d", "e"], "guess": 0.5,
                            "note": "n"},
    "lines": lambda: T | {"curves": CURVES, "xlabel": "x", "ylabel": "y", "colours": ["#000000", "#777777"], "thin": ["b"],
                          "guess": 2.0, "level": 0.5, "note": "n", "ax": axes()},
    "look_of": lambda: {"method": "dicp_ad", "planner": "paper"},
    "look_up": lambda: T | {"weights": {"a": [0.1] * 9}, "horizon": 4},
    "mark_guess": lambda: {"ax": axes(), "guess": 0.5, "level": 0.5},
    "ml1_curves": lambda: T | {"tables": {"reach": reach()}, "value": "success", "note": "n",
                               "own": ml1_run("idt", LIFE)},
    "ml1_meanings": lambda: T | {"numbers": {"reach": ml1.successes(ml1_run("ad", LIFE))}, "note": "n"},
    "ml1_rankings": lambda: T | {"rows": ml1.rankings(ranked()), "note": "n"},
    "overview": lambda: T | {"tables": {"darkroom": world("darkroom")}},
    "papers_best": lambda: {"env": "darkroom"},
    "parts": lambda: T | {"values": {"all": 0.8, "some": 0.5}, "xlabel": "x", "note": "n", "guess": 0.4, "ax": axes()},
    "paths": lambda: T | {"cells": [[40, 41], [40, 49]], "goal": 58, "start": 40, "key": 3, "size": 9, "ax": axes()},
    "pictures": lambda: T | {"frames": {"a": np.zeros((4, 6, 3), np.uint8)}, "note": "n", "ncols": 2},
    "plans": lambda: T | {"panels": {"a": {"plan": [41, 42]}}, "note": "n", "size": 9, "inches": 3.0},
    "preferences": lambda: T | {"moments": {n: ([7] * 4, np.full((4, 5), 0.2)) for n in "abc"}, "p_good": {"AD": [0, 1]},
                                "at": [0, 1], "xlabel": "x", "goal": 80, "key": 3, "guess": 0.7, "few": 2},
    "returns": lambda: T | {"table": run("ad"), "value": "episode_return", "paper": ["AD"], "recorded": run("ad"),
                            "optimum": 17.0, "guess": 10.0, "labels": False, "ax": axes()},
    "stream_returns": lambda: T | {"returns": [[0, 1], [2, 3]], "guess": 1.0, "note": "n", "ax": axes()},
    "strides": lambda: T | {"examples": {"a": [[1, 2]], "b": [[1, 4]]}, "inside": {"a": [0, 1], "b": [0, 2]}, "n_episodes": 20,
                            "highest": 2.0, "guess": 0.5},
    "stuck": lambda: T | {"opened": {"a": [1, 0], "b": [0.5, 0.25]}, "after_key": {"a": ROOM, "b": ROOM}, "key": 3, "door": 8,
                          "start": 40, "shown": 0, "note": "n"},
    "style": dict,
    "table_top": lambda: T | {"panels": {"a": {"held out": {"object": PATH, "goal": PATH}}}, "note": "n"},
    "task_split": lambda: T | {"numbers": np.ones((9, 9)), "held_out": [(1, 2)], "shown": [(3, 4)], "note": "n", "xlabel": "x",
                               "ylabel": "y", "ax": axes()},
    "tokens": lambda: T | {"window": window(), "steps": range(0, 4), "horizon": 2, "size": 9},
    "training": lambda: T | {"loss": [2.0, 1.0], "shipped": [2.0, 1.5, 1.0], "by_position": {n: [1.0] * 10 for n in "abc"},
                             "horizon": 5},
    "trajectories": lambda: T | {"cells": [[0, 1], [0, 9]], "start": 0, "goal": 80, "key": 3, "episodes": [1, 2], "size": 9,
                                 "ax": axes()},
    "transitions": lambda: T | {"cells": [0, 1], "next_cells": [1, 2], "size": 9, "ax": axes()},
    "trend": lambda: T | {"x": [1, 2, 3], "curves": CURVES, "xlabel": "x", "ylabel": "y", "guess": 1.0, "level": 0.5,
                          "ax": axes()},
    "trials": lambda: T | {"panels": {"a": {"doubts": np.full((6, 5), 0.5), "action": STEPS[:6], "reward": [0] * 6}},
                           "does": [0, 1, 2, 3, 4], "note": "n", "n_actions": 5},
    "who_chose": lambda: T | {"observed": {"a": (0.5, 100), "b": (0.1, 100)}, "predicted": {"observational": [0.1, 0.2]},
                              "guess": 0.2, "ax": axes()},
    "who_is_right": lambda: T | {"imagined": [0.0, 1.0, 2.0], "real": [0.5, 2.0, 3.0], "xlabel": "x", "ylabel": "y",
                                 "same": True, "ax": axes(), "note": "n"},
}
# what these values may be, where a figure is drawn and nobody is told anything
WELCOME = {
    0: {"guess", "level", "goal", "start", "key", "agent", "shown", "door"}, -1: {"guess", "level"},
    True: {"log", "same", "labels", "optimum"}, None: {"ax", "guess", "level", "goal", "start", "key", "agent", "shown", "vmax",
                                                       "label", "labels", "xlabel", "own", "recorded", "episodes", "marks",
                                                       "seen", "rewards", "beliefs"},
    "0": {"title", "note", "xlabel", "ylabel", "label", "what", "method"},
    "[]": {"visited", "thin", "handles", "paper", "shown", "held_out", "marks", "seen", "colours"},
}


def is_welcome(bad: object, argument: str) -> bool:
    if isinstance(bad, list):
        return argument in WELCOME["[]"]
    plain = bad.item() if isinstance(bad, np.generic) else bad
    return any(type(plain) is type(value) and plain == value and argument in names for value, names in WELCOME.items())


def test_every_public_figure_is_here_and_is_checked():
    assert sorted(GOOD) == sorted(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_good_call_draws_and_no_argument_is_forgotten(name):
    figure, good = getattr(plot, name), GOOD[name]()
    figure(**good)
    assert figure.is_checked
    for parameter in inspect.signature(figure).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, f"{parameter.name} has no type"
        assert parameter.kind is inspect.Parameter.VAR_KEYWORD or parameter.name in good, f"{parameter.name} is not tried"


@pytest.mark.parametrize("name", FIGURES)
def test_wrong_arguments_get_one_sentence(name):
    good = GOOD[name]()
    for argument in good:
        for bad in BAD:
            call = good | {argument: bad}
            if is_welcome(bad, argument):
                if isinstance(call.get("ax"), Axes):
                    call["ax"] = axes()
                try:
                    getattr(plot, name)(**call)
                except ValueError as error:
                    assert "; allowed: " in str(error), (argument, bad, error)
                continue
            with pytest.raises(ValueError) as error:
                getattr(plot, name)(**call)
            said = str(error.value)
            assert said.startswith(f"{argument} is ") and "; allowed: " in said and "\n" not in said, (argument, bad, said)
        plt.close("all")


def test_numpy_scalars_are_welcome():
    plot.plans({"a": {"plan": [41]}}, title="t", size=np.int64(9), inches=np.float32(3))
    plot.trajectories([[0, 1]], title="t", goal=np.int32(3), size=np.int8(9))


def test_a_cell_outside_the_room_is_refused():
    with pytest.raises(ValueError, match="goal is 81; allowed: a cell, a whole number from 0 to 80."):
        plot.grid_heatmap(ROOM, title="t", goal=81)


@pytest.mark.parametrize("bad", ["nan", NAN, [[1, 2], [3]], [None], [{}], "0", (), np.zeros((2, 0))])
def test_what_is_no_array_of_numbers(bad):
    with pytest.raises(ValueError, match="x is .*; allowed: a sequence of numbers."):
        Array()("x", bad)
    assert Array()("x", values := torch.ones(2)) is values
