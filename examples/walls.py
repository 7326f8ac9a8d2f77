"""A world of your own with a choice among actions: a room with a wall, half a point by the goal."""

from dataclasses import dataclass

import pandas as pd
import torch

import dicp
from dicp.domain import Domain, Row, Space, WorldConfig
from dicp.envs.tabular import TabularWorld
from dicp.oracles import RandomPolicy

SIDE, STEPS = 6, torch.arange(-1, 2)
CELLS, MOVES = (torch.cartesian_prod(x, x) for x in (torch.arange(SIDE), STEPS))
WALL = (CELLS[:, 0] == 3) & (CELLS[:, 1] < SIDE - 1)         # but for its last cell


@dataclass(frozen=True)
class WallsConfig(WorldConfig):
    name: str = "walls"
    horizon: int = 12


class WallsDomain(Domain):
    config_class = WallsConfig
    observation, action = Space(SIDE**2, coordinates_below=(SIDE, SIDE)), Space(len(MOVES))
    reward = Space(3, values=(0, 0.5, 1))
    settings = {"n_streams": 20, "batch_size": 60, "n_epochs": 10, "env_steps": 960}
    presets = [Row({}, source=settings, model={"n_layers": 2}, train={"updates": 120})]

    def split(self, seed):                                   # a task is the number of a cell
        goals = (~WALL & (CELLS.sum(1) > 2)).nonzero()[:, 0]
        goals = goals[torch.randperm(len(goals), generator=torch.Generator().manual_seed(seed))]
        return goals[4:].tolist(), goals[:4].tolist()

    def make(self, tasks, n_streams):
        x, y = (CELLS[:, None] + MOVES).clamp(0, SIDE - 1).unbind(-1)
        to, here = x * SIDE + y, torch.arange(SIDE**2)[:, None]
        leads_to = torch.where(WALL[to], here, to)[None]     # the same in every task
        distance = (CELLS - CELLS[list(tasks)][:, None]).abs().amax(-1)
        pays = (1 - distance / 2).clamp(min=0)               # task, cell
        return TabularWorld(leads_to, pays, self.config.horizon, n_streams)

    def max_return(self, tasks):
        return self.make(tasks, 1).max_return


def main():
    dicp.register("walls", WallsDomain)
    planner = dicp.Config.preset("walls", world_model="observational")
    plan = dicp.PlanConfig.preset("paper", "walls")
    agents = (RandomPolicy(planner.env), None), (dicp.Config.preset("walls"), None), (planner, plan)
    return pd.concat(dicp.evaluate(*agent, n_rollouts=8, n_episodes=15) for agent in agents)


if __name__ == "__main__":
    dicp.plot.returns(main(), title="Round the wall, in its context").figure.savefig("walls.png")
