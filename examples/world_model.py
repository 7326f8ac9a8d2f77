"""A world model of your own in the library's search: it counts, cell by cell, what was paid."""

from types import SimpleNamespace

import torch

import dicp
from dicp.config import EnvConfig
from dicp.envs import GridRules
from dicp.planning import Imagined, Proposal

LEADS_TO = GridRules.of(EnvConfig(), [(0, 0)]).next_cell[0]   # from each cell, by each of 5 actions


class Known(SimpleNamespace):
    """Where each agent is, or each of its imagined futures (cell); P(reward) of cells (chance)."""
    n_transitions = max_plan_depth = float("inf")               # nothing is forgotten

    def rows(self, *index):
        return Known(cell=self.cell[index], chance=self.chance[index])


class Counts:
    can_plan, has_policy, env, name = True, False, EnvConfig(), "counts"

    def begin(self, batch, context_length=None, generator=None):
        return Known(cell=torch.zeros(batch).long(), chance=torch.full((batch, 81), 1 / 81))

    def observe(self, known, tokens):
        agent = (tokens.outcome < 81).nonzero()[:, 0]           # all but those just born
        known.chance[agent, tokens.outcome[agent]] = tokens.last_reward[agent].float()
        known.cell = tokens.observation
        return torch.zeros(len(known.cell), 5)

    def root(self, known):
        return Known(cell=known.cell[:, None], chance=known.chance[:, None])

    def propose(self, state, n=1, generator=None):
        return Proposal(torch.arange(5).expand(*state.cell.shape, 5))

    def imagine(self, state, action=None, **asked):
        to = LEADS_TO[state.cell]
        return Imagined.of_chances(state.chance.gather(2, to), to)

    def advance(self, state, action, reward, cell):
        chance = state.chance.scatter(2, cell[..., None], reward[..., None].float())
        return Known(cell=cell, chance=chance)

    def fork(self, state, beam):
        return state.rows(torch.arange(len(beam))[:, None], beam)


def main():
    return dicp.evaluate(Counts(), dicp.PlanConfig.preset("bayes"), n_rollouts=2, n_episodes=15)


if __name__ == "__main__":
    figure = dicp.plot.returns(main(), title="To count is enough in a dark room").figure
    figure.savefig("world_model.png")
