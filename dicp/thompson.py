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
from dicp.planner import Clock
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
        self.goal: Tensor | None = None

    def act(self, context: Any, cell: Tensor, clock: Clock) -> tuple[Tensor, Tensor]:
        """(action, whether it comes from a plan) of each agent at this env step."""
        due = clock.env_step >= self.config.start_after
        if clock.episode_step == 0 or self.goal is None:
            belief = believed_rewards(self.model, context, self.env, cell)
            belief = belief.nan_to_num(0).clamp(min=LEAST)
            self.goal = torch.multinomial(belief, 1, generator=self.generator)[:, 0]
        here = GridState(cell[:, None], torch.zeros_like(cell[:, None]))
        action = self.rules.of_tasks(self.goal).optimal_action(here)[:, 0]
        return action, torch.full_like(action, due, dtype=torch.bool)

    def notice(self, reward: Tensor, next_observation: Tensor) -> None:
        """The rewards of an agent are in its context: the next draw knows them."""
