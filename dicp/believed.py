"""What a world model believes of every cell, asked as a planner asks."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.checks import checked, fits_memory, one_of, refuse
from dicp.config import EnvConfig
from dicp.envs import GridRules, GridState, all_tasks
from dicp.planning import State, WorldModel

__all__ = ["believed_rewards"]


@checked
@torch.no_grad()
def believed_rewards(
    model: WorldModel, context: State, env: EnvConfig, cell: Int[Tensor, "agent"]
) -> Float[Tensor, "agent cell"]:
    """P(reward) on arriving at each cell of Darkroom or Dark Key-to-Door, asked as a planner asks:
    the agent, now at `cell`, imagines a shortest walk there (first along x, then along y), finds
    nothing on the way, and arrives. In Key-to-Door that is the key, or the door once this episode
    has brought the key. NaN: farther than the model can imagine (IDT).

    The walk is part of the question. A model that takes actions for evidence believes more in a
    cell because it imagines walking there; one that does not gives the same answer for every walk
    to it. Raises `ValueError` in Darkroom-Permuted, where the walk is not known, and for cells that
    are not in the room.
    """
    one_of("env", env.name, ("darkroom", "dark_key_to_door"))
    outside = cell[(cell < 0) | (cell >= env.n_cells)]
    if len(outside):
        raise refuse("cell", int(outside[0]), f"numbers of cells, from 0 to {env.n_cells - 1}")
    n_bytes = 40 * env.n_cells * (env.n_cells + len(cell))
    fits_memory("env.size", env.size, n_bytes, "a smaller room or fewer agents")
    room = replace(env, name="darkroom")
    # one task a cell: the goal to walk to
    rules = GridRules.of(room, all_tasks(room.name, env.size))
    batch, target = len(cell), torch.arange(env.n_cells)
    # one beam a goal
    state = model.fork(model.root(context), torch.zeros(batch, env.n_cells, dtype=torch.long))
    at, belief = cell[:, None].expand(-1, env.n_cells), torch.full((batch, env.n_cells), torch.nan)
    left = context.max_plan_depth
    while True:
        action = rules.optimal_action(GridState(at.T, torch.zeros_like(at.T))).T.contiguous()
        next_cell = rules.next_cell[0, at, action]
        arrives, left = (next_cell == target) & belief.isnan(), left - 1
        reward = model.imagine(state).reward.gather(-1, action[..., None])[..., 0]
        belief = torch.where(arrives, reward, belief)
        if not belief.isnan().any() or not left:
            return belief
        state = model.advance(state, action, torch.zeros_like(action), next_cell)
        at = next_cell
