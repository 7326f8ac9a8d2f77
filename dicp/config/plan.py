"""The planners."""

from dataclasses import dataclass

from dicp.checks import at_least, one_of, whole
from dicp.config.env import ENVS, ML1_TASKS

PLANNERS = ("none", "paper", "gated", "bayes")
# Tasks of Meta-World in which the paper's planner ranks by the return-to-go, as in its text; in the others by the reward alone,
# as in its code. Success per episode of DICP-IDT in 20 validation instances after 60 episodes, policy alone / by reward / by
# return-to-go: reach 0.78 / 0.98 / 0.87, push 0.49 / 0.50 / 0.49 (there DICP-AD's decided: 0.65 / 0.47 / 0.24), pick-place
# 0.49 / 0.38 / 0.46, peg-insert-side 0.22 / 0.22 / 0.51; sweep after 40: 0.32 / 0.05 / 0.70.
RANKED_BY_RETURN = ("sweep-v3", "pick-place-v3", "peg-insert-side-v3")


@dataclass(frozen=True)
class PlanConfig:
    """A beam search through imagined futures; the four planners are four settings of it (`PlanConfig.preset`)."""

    planner: str = "paper"             # the setting's name, for tables and figures
    beam_width: int = 10               # futures kept after each imagined step (paper: K = 10)
    depth: int = 8                     # env steps imagined, never past the end of the episode (paper: 8, the other worlds 16)
    rank: str = "mode"                 # mode: most likely reward, 0 or 1 (paper) | mean: expected reward
    ties: str = "drawn"                # parent by parent, actions drawn from the policy (drawn, paper) or the likeliest first
                                       # (order) | logp: log-probability of the whole path | random
    resolution: float = 0.0            # imagined rewards are rounded to multiples of it, so that nearly equal ones tie
    return_to_go: bool = False         # add the predicted return-to-go to the score (paper: Eq. 3; not in its code)
    discount: float = 1.0              # of imagined rewards, per env step
    weigh_paths: bool = False          # an imagined reward counts with the probability of the imagined way to it
    curiosity: float = 0.0             # reward a nat for uncertain next observations, while no reward is in the context
    deduplicate: bool = False          # keep one future for each (cell, rewards so far)
    start_after: int = 80              # env steps before planning starts (paper: 80, 200, when the context is full)
    needs_reward: bool = False         # plan only once a reward is in the context
    replan: bool = True                # plan anew at every env step (paper), or only when reality differs from the plan
    candidates: int = 10               # Meta-World: actions drawn for each future, the policy's mean among them (paper: 10)
    start_after_step: int = 0          # Meta-World: steps of each episode before planning starts (paper: none; its code: 50)

    def __post_init__(self):
        one_of("planner", self.planner, PLANNERS[1:])
        one_of("plan.rank", self.rank, ("mode", "mean"))
        one_of("plan.ties", self.ties, ("drawn", "order", "logp", "random"))
        at_least("plan.resolution", self.resolution, 0)
        at_least("plan.curiosity", self.curiosity, 0)
        whole("beam_width", self.beam_width, 1)
        whole("depth", self.depth, 1)
        whole("start_after", self.start_after, 0)
        whole("candidates", self.candidates, 1)
        whole("start_after_step", self.start_after_step, 0)
        if not 0 < self.discount <= 1:
            raise ValueError(f"plan.discount is {self.discount!r}; allowed: a number in (0, 1].")

    @classmethod
    def preset(cls, planner: str, env: str = "darkroom", task: str | None = None, **changes) -> "PlanConfig | None":
        """The named planner's setting for a world (and, of Meta-World, a task); "none" is no planner. `bayes` is the same in
        every world."""
        one_of("planner", planner, PLANNERS)
        one_of("env", env, (*ENVS, "metaworld"))
        if planner == "none":
            return None
        if env == "metaworld":
            one_of("planner", planner, PLANNERS[:2])
            if task is not None:
                one_of("task", task, ML1_TASKS)
            settings = dict(depth=1, start_after=1000, start_after_step=50, return_to_go=task in RANKED_BY_RETURN)
            return cls(planner, **{**settings, **changes})
        depth, full = (8, 80) if env == "darkroom" else (16, 200)
        settings = {
            "paper": dict(depth=depth, start_after=full),
            "gated": dict(depth=depth, needs_reward=True, start_after=0, replan=False),
            "bayes": dict(beam_width=81, depth=25, rank="mean", ties="random", resolution=1e-3, discount=0.97,
                          weigh_paths=True, curiosity=0.003, deduplicate=True, start_after=0, replan=False),
        }[planner]
        return cls(planner=planner, **{**settings, **changes})
