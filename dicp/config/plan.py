"""The planners."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from dicp.checks import Number, OneOf, Whole, check_fields, checked, one_of, refuse
from dicp.config import registry
from dicp.config.env import ML1_TASKS, check_keys, named
from dicp.config.presets import PLANS, sum_of
from dicp.config.world import WorldConfig

PLANNERS = ("none", "paper", "gated", "bayes", "thompson")
# more than a context of any length can be continued by
Futures = Annotated[int, Whole(1, 10**6)]


@dataclass(frozen=True)
class PlanConfig:
    """A beam search through imagined futures; the planners are settings of it
    (`PlanConfig.preset`). One does not search: it draws a goal (`draws_goal`)."""

    # the setting's name, for tables and figures
    planner: Annotated[str, OneOf(PLANNERS[1:])] = "paper"
    beam_width: Futures = 10           # futures kept after each imagined step (paper: K = 10)
    # env steps imagined, never past the end of the episode (paper: 8, the other worlds 16)
    depth: Annotated[int, Whole(1, 10**6)] = 8
    # mode: most likely reward, 0 or 1 (paper) | mean: expected reward
    rank: Annotated[str, OneOf(("mode", "mean"))] = "mode"
    # parent by parent, actions drawn from the policy (drawn, paper) or the likeliest first (order)
    # | logp: log-probability of the whole path | random
    ties: Annotated[str, OneOf(("drawn", "order", "logp", "random"))] = "drawn"
    # imagined rewards are rounded to multiples of it, so that nearly equal ones tie
    resolution: Annotated[float, Number(0, 10**6)] = 0.0
    # the predicted return-to-go takes the place of the last imagined reward (paper: Eq. 3;
    # not in its code)
    return_to_go: bool = False
    # of imagined rewards, per env step
    discount: Annotated[float, Number(0, 1, above=True)] = 1.0
    # an imagined reward counts with the probability of the imagined way to it
    weigh_paths: bool = False
    # reward a nat for uncertain next observations, while no reward is in the context
    curiosity: Annotated[float, Number(0, 10**6)] = 0.0
    deduplicate: bool = False          # keep one future for each (cell, rewards so far)
    # an unlikely reward counts once for every step that is left of the episode, as the agent can
    # stay where it finds one; so does the last imagined one
    rewards_persist: bool = False
    # env steps before planning starts (paper: 80, 200, when the context is full)
    start_after: Annotated[int, Whole(0, 10**9)] = 80
    needs_reward: bool = False         # plan only once a reward is in the context
    # plan anew at every env step (paper), or only when reality differs from the plan
    replan: bool = True
    # Darkroom: no search; as an episode begins, draw a goal in proportion to what the model
    # believes of each cell, and walk there (Thompson sampling)
    draws_goal: bool = False
    # where actions are numbers: so many drawn for each future,
    # the policy's mean among them (paper: 10)
    candidates: Futures = 10
    # steps of each episode before planning starts (paper: none; its code, in Meta-World: 50)
    start_after_step: Annotated[int, Whole(0, 10**6)] = 0

    def __post_init__(self):
        check_fields(self, "plan")
        if self.rewards_persist and self.return_to_go:
            counted = "False with rewards_persist, which counts what comes after the plan, too"
            raise refuse("plan.return_to_go", True, counted)

    @classmethod
    @checked
    def preset(
        cls,
        planner: Annotated[str, OneOf(PLANNERS)],
        env: registry.WorldName | WorldConfig = "darkroom",
        task: Annotated[str, OneOf(ML1_TASKS)] | None = None,
        **changes: Any,
    ) -> "PlanConfig | None":
        """The named planner's setting for a world (and, of Meta-World, a task);
        "none" is no planner.

        env: a name or a config. `bayes` is the same in every world, but for its width: a future for
        each cell, and at least 81. changes: fields of the setting. Raises `ValueError`, naming what
        it does not know.
        """
        names = [field.name for field in fields(cls) if field.name != "planner"]
        check_keys("plan", changes, names)
        world = named(env, task) if isinstance(env, str) else env
        one_of(f"planner in {world.name}", planner, world.planners)
        if planner == "none":
            return None
        which = dict(planner=planner, env=world.name, task=world.task)
        settings = sum_of((*PLANS, *registry.rows(world.name)), "plan", which)
        if "beam_width" in settings:
            settings["beam_width"] = max(settings["beam_width"], world.n_cells)
        return cls(planner, **settings | changes)
