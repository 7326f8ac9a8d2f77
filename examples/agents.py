"""An agent of your own, and a planner of your own, in the library's `evaluate`."""

from types import SimpleNamespace

import pandas as pd
import torch

import dicp
from dicp.config import EnvConfig
from dicp.envs import GridRules
from dicp.oracles import RandomPolicy, Simulator

ENV, N_WALKS = EnvConfig(), 100
LEADS_TO = GridRules.of(ENV, [(0, 0)]).next_cell[0]      # from each cell, by each of 5 actions


class Rememberer:
    """It walks at random, and likes to step where it was paid."""
    can_plan, env, name = False, ENV, "rememberer"

    def begin(self, batch, context_length=None, generator=None):
        return SimpleNamespace(paid=torch.zeros(batch, ENV.n_cells + 1))

    def observe(self, context, tokens):                         # logits of the next action
        context.paid[torch.arange(len(context.paid)), tokens.outcome] += tokens.last_reward
        return 5.0 * context.paid.gather(1, LEADS_TO[tokens.observation]).clamp(max=1)


class Shooting:
    """It imagines walks at random to the episode's end, and takes the first step of the best."""

    def __init__(self, model, batch, generator):
        self.model, self.generator = model, generator
        self.start = torch.zeros(batch, N_WALKS).long()         # all walks begin where the agent is

    def act(self, context, observation, clock):
        state, total = self.model.fork(self.model.root(context), self.start), 0
        walks = torch.randint(5, (clock.steps_left, *self.start.shape), generator=self.generator)
        for action in walks:
            each, here = self.model.imagine(state), action[..., None]
            reward, cell = (x.gather(2, here)[..., 0] for x in (each.reward, each.next_observation))
            state, total = self.model.advance(state, action, reward.long(), cell), total + reward
        best = walks[0].gather(1, total.argmax(1, keepdim=True))[:, 0]
        return best, torch.ones(len(best), dtype=torch.bool)    # the plan of every agent counts

    def notice(self, reward, next_observation):
        """It keeps nothing from step to step."""


def main():
    sizes = dict(tasks=[(0, 8), (4, 1)], n_rollouts=4, n_episodes=15)
    shooting = Simulator(ENV, sizes["tasks"]), Shooting, "own"
    agents = (RandomPolicy(ENV), None, "random"), (Rememberer(), None, None), shooting
    return pd.concat(dicp.evaluate(agent, plan, name=name, **sizes) for agent, plan, name in agents)


if __name__ == "__main__":
    figure = dicp.plot.returns(main(), title="An agent and a planner of one's own").figure
    figure.savefig("agents.png")
