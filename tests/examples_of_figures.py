"""A valid call of every public figure, with most of its arguments: small, and made when it is
asked for."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from test_control import probes
from test_control import run as control_run
from test_ml1 import LIFE, ranked
from test_ml1 import run as ml1_run
from test_plot_comparison import recorded, run
from test_plot_overview import recorded as world

from dicp import ml1, results
from dicp.plot.ablations import all_episodes
from dicp.types import Tokens, Windows

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
    names = ("ad", "dicp_ad_paper", "idt", "dicp_idt_paper", "source", "random")
    return pd.concat([ml1_run(name, LIFE) for name in names])


def axes() -> Axes:
    return plt.subplots()[1]


FIGURES: dict[str, Callable[[], dict]] = {
    "ablations": lambda: (
        T
        | {
            "table": pd.concat([run("dicp_ad", "gated", name=name) for name in ("one", "two")]),
            "panels": {"K": {"gated planner": {1: "one", 2: "two"}}},
            "note": "n",
            "ncols": 2,
            "measure": all_episodes,
            "ylabel": "y",
        }
    ),
    "animate": lambda: (
        T
        | {
            "cells": [[1, 2], [3, 4]],
            "goal": 4,
            "start": 40,
            "key": 3,
            "rewards": [[0, 0], [0, 1]],
            "beliefs": np.full((2, 2, 81), 1 / 81),
            "max_frames": 4,
            "fps": 5.0,
            "size": 9,
        }
    ),
    "arrows": lambda: (
        T
        | {
            "probability": np.full((81, 5), 0.2),
            "visits": np.ones(81),
            "goal": 1,
            "start": 2,
            "size": 9,
        }
    ),
    "at_first_sight": lambda: T | {"shares": {"a": 0.5}, "guess": 0.2, "note": "n"},
    "axes": lambda: T | {"size": (4, 3)},
    "bar_panels": lambda: (
        T
        | {
            "summary": results.summary(recorded("ad")),
            "metrics": {"all_episodes": "r", "found_by_5": "s"},
        }
    ),
    "bars": lambda: (
        T
        | {
            "summary": results.summary(run("ad")),
            "metric": "all_episodes",
            "xlabel": "x",
            "labels": ["AD"],
        }
    ),
    "belief_curves": lambda: (
        T
        | {
            "curves": CURVES,
            "x": [1, 2, 3],
            "xlabel": "x",
            "ylabel": "y",
            "thin": ["b"],
            "level": 0.1,
        }
    ),
    "belief_moves": lambda: (
        T
        | {
            "rows": {"a": [np.full(25, 0.2)]},
            "columns": ["early"],
            "truth": [0, 1, 2, 3, 4],
            "seen": [[0, 1]],
            "inches": 2.0,
        }
    ),
    "belief_panels": lambda: (
        T
        | {
            "rows": {"a": [ROOM]},
            "columns": ["early"],
            "marks": [{"goal": 3}],
            "label": "P",
            "size": 9,
            "gamma": 0.4,
            "inches": 2.0,
        }
    ),
    "by_context": lambda: {
        "values": [[1.0, 2.0], [3.0, 4.0]],
        "what": "errors",
        "ax": axes(),
        "colour": "#0072B2",
    },
    "by_goal": lambda: T | {"shares": CURVES, "guess": 0.5, "note": "n"},
    "by_width": lambda: (
        T
        | {
            "curves": {"a": {1: 2.0, 10: 3.0}},
            "ylabel": "y",
            "colours": ["#0072B2"],
            "log": False,
            "note": "n",
        }
    ),
    "calibration": lambda: (
        T
        | {
            "p": np.linspace(0.1, 0.9, 20),
            "hit": [0, 1] * 10,
            "n_visited": [5] * 20,
            "groups": [(0, 9)],
            "n_bins": 2,
            "log": False,
        }
    ),
    "claim": lambda: T | {"figure": plt.figure(), "note": "n", "handles": (), "ncols": 2},
    "control": lambda: T | {"table": control_run("queries_first_bayes"), "probes": probes("queries_first_bayes")},
    "comparison": lambda: T | {"table": recorded("ad"), "own": run("ad"), "guess": 10.0},
    "episodes": lambda: T | {"ways": {"one": [40, 41], "two": [40, 49]}, "goal": 58},
    "film": lambda: {
        "frames": [np.full((6, 8, 3), shade, np.uint8) for shade in (0, 200)],
        "fps": 10.0,
        "colours": 16,
    },
    "futures": lambda: (
        T | {"paths": [[41, 42], [41, 50]], "start": 40, "goal": 50, "colour": "#0072B2", "size": 9}
    ),
    "grid_heatmap": lambda: (
        T
        | {
            "values": ROOM,
            "agent": 1,
            "goal": 2,
            "start": 3,
            "key": 4,
            "visited": [5, 6],
            "vmax": 1.0,
            "label": "P",
            "gamma": 0.4,
        }
    ),
    "hand_paths": lambda: (
        T
        | {
            "panels": {"one": {"paths": [PATH], "goal": (0.1, 0.2, 0.3), "object": PATH}},
            "note": "n",
        }
    ),
    "influence": lambda: T | {"change": np.tril(np.full((4, 4), 0.1)), "horizon": 2, "note": "n"},
    "learned_to_remember": lambda: {
        "losses": {"a": np.linspace(1, 0.1, 30)},
        "blind": 0.5,
        "ratios": {"a": [0.5, 1.0]},
    },
    "lessons": lambda: (
        T
        | {
            "done": STEPS,
            "optimal": STEPS,
            "good": [True] * 10,
            "rewards": [0, 1] * 5,
            "asked": STEPS,
            "method": "ad",
            "horizon": 5,
            "chunk": 5,
            "glyphs": ["a", "b", "c", "d", "e"],
            "guess": 0.5,
            "note": "n",
        }
    ),
    "lines": lambda: (
        T
        | {
            "curves": CURVES,
            "xlabel": "x",
            "ylabel": "y",
            "colours": ["#000000", "#777777"],
            "thin": ["b"],
            "guess": 2.0,
            "level": 0.5,
            "note": "n",
        }
    ),
    "look_of": lambda: {"method": "dicp_ad", "planner": "paper"},
    "look_up": lambda: T | {"weights": {"a": [0.1] * 9}, "horizon": 4},
    "mark_guess": lambda: {"ax": axes(), "guess": 0.5, "level": 0.5},
    "ml1_curves": lambda: (
        T
        | {
            "tables": {"reach": reach()},
            "value": "success",
            "note": "n",
            "own": ml1_run("idt", LIFE),
        }
    ),
    "ml1_meanings": lambda: (
        T | {"numbers": {"reach": ml1.successes(ml1_run("ad", LIFE))}, "note": "n"}
    ),
    "ml1_rankings": lambda: T | {"rows": ml1.rankings(ranked()), "note": "n"},
    "overview": lambda: T | {"tables": {"darkroom": world("darkroom")}},
    "papers_best": lambda: {"env": "darkroom"},
    "parts": lambda: (
        T | {"values": {"all": 0.8, "some": 0.5}, "xlabel": "x", "note": "n", "guess": 0.4}
    ),
    "paths": lambda: (
        T | {"cells": [[40, 41], [40, 49]], "goal": 58, "start": 40, "key": 3, "size": 9}
    ),
    "pictures": lambda: (
        T | {"frames": {"a": np.zeros((4, 6, 3), np.uint8)}, "note": "n", "ncols": 2}
    ),
    "plans": lambda: (
        T | {"panels": {"a": {"plan": [41, 42]}}, "note": "n", "size": 9, "inches": 3.0}
    ),
    "preferences": lambda: (
        T
        | {
            "moments": {n: ([7] * 4, np.full((4, 5), 0.2)) for n in "abc"},
            "p_good": {"AD": [0, 1]},
            "at": [0, 1],
            "xlabel": "x",
            "goal": 80,
            "key": 3,
            "guess": 0.7,
            "few": 2,
        }
    ),
    "returns": lambda: (
        T
        | {
            "table": run("ad"),
            "value": "episode_return",
            "paper": ["AD"],
            "recorded": run("ad"),
            "optimum": 17.0,
            "guess": 10.0,
            "labels": False,
        }
    ),
    "stream_returns": lambda: T | {"returns": [[0, 1], [2, 3]], "guess": 1.0, "note": "n"},
    "strides": lambda: (
        T
        | {
            "examples": {"a": [[1, 2]], "b": [[1, 4]]},
            "inside": {"a": [0, 1], "b": [0, 2]},
            "n_episodes": 20,
            "highest": 2.0,
            "guess": 0.5,
        }
    ),
    "stuck": lambda: (
        T
        | {
            "opened": {"a": [1, 0], "b": [0.5, 0.25]},
            "after_key": {"a": ROOM, "b": ROOM},
            "key": 3,
            "door": 8,
            "start": 40,
            "shown": 0,
            "note": "n",
        }
    ),
    "style": dict,
    "table_top": lambda: (
        T | {"panels": {"a": {"held out": {"object": PATH, "goal": PATH}}}, "note": "n"}
    ),
    "task_split": lambda: (
        T
        | {
            "numbers": np.ones((9, 9)),
            "held_out": [(1, 2)],
            "shown": [(3, 4)],
            "note": "n",
            "xlabel": "x",
            "ylabel": "y",
        }
    ),
    "tokens": lambda: T | {"window": window(), "steps": range(0, 4), "horizon": 2, "size": 9},
    "training": lambda: (
        T
        | {
            "loss": [2.0, 1.0],
            "shipped": [2.0, 1.5, 1.0],
            "by_position": {n: [1.0] * 10 for n in "abc"},
            "horizon": 5,
        }
    ),
    "trajectories": lambda: (
        T
        | {
            "cells": [[0, 1], [0, 9]],
            "start": 0,
            "goal": 80,
            "key": 3,
            "episodes": [1, 2],
            "size": 9,
        }
    ),
    "transitions": lambda: T | {"cells": [0, 1], "next_cells": [1, 2], "size": 9},
    "trend": lambda: (
        T
        | {
            "x": [1, 2, 3],
            "curves": CURVES,
            "xlabel": "x",
            "ylabel": "y",
            "guess": 1.0,
            "level": 0.5,
        }
    ),
    "trials": lambda: (
        T
        | {
            "panels": {
                "a": {"uncertainty": np.full((6, 5), 0.5), "action": STEPS[:6], "reward": [0] * 6}
            },
            "does": [0, 1, 2, 3, 4],
            "note": "n",
            "n_actions": 5,
        }
    ),
    "who_chose": lambda: (
        T
        | {
            "observed": {"a": (0.5, 100), "b": (0.1, 100)},
            "predicted": {"observational": [0.1, 0.2]},
            "guess": 0.2,
        }
    ),
    "who_is_right": lambda: (
        T
        | {
            "imagined": [0.0, 1.0, 2.0],
            "real": [0.5, 2.0, 3.0],
            "xlabel": "x",
            "ylabel": "y",
            "same": True,
            "note": "n",
        }
    ),
}
