"""A world of your own in which actions are numbers: a point, and a goal that it cannot see."""

from dataclasses import dataclass

import pandas as pd
import torch

import dicp
from dicp.domain import Domain, NumbersConfig, Row, Space, Step
from dicp.oracles import RandomPolicy


@dataclass(frozen=True)
class PointConfig(NumbersConfig):
    name: str = "point"
    horizon: int = 20


class Point:
    def __init__(self, horizon, goals, n_streams):
        self.goal, self.horizon, self.n_streams = torch.tensor(goals)[:, None], horizon, n_streams

    def reset(self):
        self.t, self.at = 0, torch.zeros(len(self.goal), self.n_streams, 2)
        return self.at

    def step(self, action):
        self.at, self.t = (self.at + 0.2 * action).clamp(-1, 1), self.t + 1
        reached, done = self.at, self.t == self.horizon
        reward = (1 - (reached - self.goal).norm(dim=-1)).clamp(min=0)
        return Step(reward, reached, self.reset() if done else reached, done)


class PointDomain(Domain):
    config_class = PointConfig
    observation = action = Space(shape=(2,), low=-1.0, high=1.0)
    reward, max_reward = Space(), 1.0
    settings = {"n_streams": 10, "batch_size": 200, "env_steps": 2000, "learning_rate": 1e-3}
    presets = [Row({}, source=settings, model={"n_layers": 2}, train={"updates": 120})]

    def split(self, seed):                                   # goals on a circle
        angle = 6.283 * torch.rand(24, generator=torch.Generator().manual_seed(seed))
        goals = [tuple(goal) for goal in torch.stack((angle.cos(), angle.sin()), 1).tolist()]
        return goals[:20], goals[20:]

    def make(self, tasks, n_streams):
        return Point(self.config.horizon, tasks, n_streams)


def main():
    dicp.register("point", PointDomain)
    planner = dicp.Config.preset("point", world_model="observational")
    plan = dicp.PlanConfig.preset("paper", "point", depth=1)
    agents = (RandomPolicy(planner.env), None), (dicp.Config.preset("point"), None), (planner, plan)
    return pd.concat(dicp.evaluate(*agent, n_rollouts=8, n_episodes=15) for agent in agents)


if __name__ == "__main__":
    dicp.plot.returns(main(), title="It finds a goal it cannot see").figure.savefig("point.png")
