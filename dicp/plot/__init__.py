"""The figure vocabulary: one colour per method, one claim per figure (its title), axes that carry
their units.

Every function takes `ax=None` and returns the Axes it drew on. Call `style()` once, at the top of a
notebook. A wrong argument is a `ValueError` with one sentence.
"""

import types

from dicp.checks import checked
from dicp.plot.ablations import ablations, parts
from dicp.plot.arm import at_first_sight, film, hand_paths, pictures, table_top, who_is_right
from dicp.plot.beliefs import MODELS, belief_curves, belief_panels, look_up
from dicp.plot.comparison import comparison
from dicp.plot.control import control
from dicp.plot.curves import bars, calibration, returns
from dicp.plot.distillation import arrows, by_goal, training, trend
from dicp.plot.evidence import by_context, learned_to_remember, who_chose
from dicp.plot.futures import bar_panels, by_width, futures, plans
from dicp.plot.grid import animate, grid_heatmap, trajectories
from dicp.plot.histories import (
    PLUM,
    claim,
    lines,
    mark_guess,
    paths,
    stream_returns,
    task_split,
    transitions,
)
from dicp.plot.imitation import episodes, preferences, strides, stuck
from dicp.plot.lessons import lessons
from dicp.plot.look import COLOURS, axes, look_of, style
from dicp.plot.ml1 import ml1_curves, ml1_meanings, ml1_rankings
from dicp.plot.moves import belief_moves
from dicp.plot.overview import overview, papers_best
from dicp.plot.tokens import influence, tokens
from dicp.plot.trials import trials

__all__ = [
    "MODELS", "belief_curves", "belief_moves", "belief_panels", "by_context", "learned_to_remember",
    "look_up", "who_chose",
    "ablations", "parts", "trials",
    "at_first_sight", "film", "hand_paths", "ml1_curves", "ml1_meanings", "ml1_rankings",
    "pictures", "table_top", "who_is_right",
    "bar_panels", "by_width", "futures", "plans",
    "COLOURS", "animate", "axes", "bars", "calibration", "comparison", "control", "grid_heatmap",
    "look_of", "returns", "style", "trajectories",
    "arrows", "by_goal", "episodes", "influence", "preferences", "strides", "stuck", "tokens",
    "training", "trend",
    "overview", "papers_best",
    "PLUM", "claim", "lessons", "lines", "mark_guess", "paths", "stream_returns", "task_split",
    "transitions",
]

# What is public checks its arguments; inside the package they have been checked.
globals().update({name: checked(value) for name, value in globals().items()
                  if name in __all__ and isinstance(value, types.FunctionType)})
