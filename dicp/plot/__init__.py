"""The figure vocabulary: one colour per method, one claim per figure (its title), axes that carry their units.

Every function takes `ax=None` and returns the Axes it drew on. Call `style()` once, at the top of a notebook.
"""

from dicp.plot.curves import bars, calibration, returns
from dicp.plot.grid import animate, grid_heatmap, trajectories
from dicp.plot.look import COLOURS, axes, look_of, style

__all__ = [
    "COLOURS", "animate", "axes", "bars", "calibration", "grid_heatmap", "look_of", "returns", "style", "trajectories",
]
