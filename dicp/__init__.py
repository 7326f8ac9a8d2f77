"""In-context model-based reinforcement learning: a tutorial and reproduction of DICP.

Importing it registers the worlds with Gymnasium, for example `gymnasium.make("dicp/Darkroom-v0", goal=(7, 2))`.
"""

import gymnasium

__version__ = "0.1.0"

for _world in ("Darkroom", "DarkroomPermuted", "DarkKeyToDoor"):
    # The worlds end by themselves and refuse a step outside an episode, so neither wrapper of Gymnasium is needed.
    gymnasium.register(f"dicp/{_world}-v0", entry_point=f"dicp.envs.gym:{_world}", order_enforce=False)
del _world
