"""Thompson sampling: believe in one goal at a time, drawn in proportion to what the model believes.

As an episode begins the model is asked for P(reward) of every cell of Darkroom; one cell is drawn,
and until the episode ends the agent acts as if it were the goal. It needs no search, so it shows
what of a result is the world model's and not the planner's.
"""

from typing import Any

import torch
from torch import Tensor

from dicp.believed import believed_rewards
from dicp.config import EnvConfig, PlanConfig
from dicp.envs import GridRules, GridState, all_tasks
from dicp.planning import WorldModel

LEAST = 1e-9          # of a belief: every cell may be drawn


class GoalSampler:
    """Carries each agent's goal from step to step, and draws new ones as an episode begins."""

    def __init__(
        self, model: WorldModel, config: PlanConfig, batch: int,
        generator: torch.Generator | None = None,
    ):
        self.model, self.config, self.generator = model, config, generator
        self.env: EnvConfig = model.env
        self.rules = GridRules.of(self.env, all_tasks(self.env.name, self.env.size))
        self.cell = torch.full((batch,), self.rules.start)
        self.goal: Tensor | None = None

    def notice(self, env_step: int, reward: Tensor, next_cell: Tensor, done: bool) -> None:
        """Where each agent is now. What it was paid is in the context: the next draw knows it."""
        self.cell = torch.full_like(next_cell, self.rules.start) if done else next_cell

    def act(self, context: Any, env_step: int, steps_left: int) -> tuple[Tensor, Tensor]:
        """(action, whether it comes from a plan) of each agent at this env step."""
        due = env_step >= self.config.start_after
        if steps_left == self.env.horizon or self.goal is None:
            belief = believed_rewards(self.model, context, self.env, self.cell)
            belief = belief.nan_to_num(0).clamp(min=LEAST)
            self.goal = torch.multinomial(belief, 1, generator=self.generator)[:, 0]
        here = GridState(self.cell[:, None], torch.zeros_like(self.cell[:, None]))
        action = self.rules.of_tasks(self.goal).optimal_action(here)[:, 0]
        return action, torch.full_like(action, due, dtype=torch.bool)
