"""The source, the model and its training."""

from dataclasses import dataclass
from typing import Annotated

from dicp.checks import (
    Each,
    Number,
    OneOf,
    Seed,
    Share,
    Whole,
    check_fields,
    checked,
    one_of,
    refuse,
)
from dicp.config import registry
from dicp.config.presets import ALONE, PRESETS, sum_of

IMITATORS = ("ad", "dpt", "idt")
WORLD_MODELS = ("none", "observational", *ALONE)
# look-ups built by hand; what they earned stays among the recorded results
RETIRED = ("interventional",)
# our own PPO, many tasks at once | through stable-baselines3 (sb3: its PPO), one task at a time
SOURCES = ("ppo", "sb3", "trpo", "a2c", "sac")
# what a world model alone is trained on; of the last two half is first episodes
MIXED = ("first_and_exact", "first_and_own")
DATA = ("histories", "first_episodes", "exact_belief", *MIXED)

# What no machine could build, or no run could end, is refused where it is written.
Width = Annotated[int, Whole(1, 65_536)]        # of a layer: a square matrix of it takes 16 GiB
Layers = Annotated[int, Whole(1, 1024)]
Transitions = Annotated[int, Whole(1, 10**7)]   # of a context or an update: read at once
Many = Annotated[int, Whole(1, 10**6)]          # streams, tasks, episodes
Long = Annotated[int, Whole(1, 10**9)]          # env steps, updates: weeks on a fast machine
Instances = Annotated[int, Whole(1, 50)]        # of Meta-World: an ML1 benchmark has 50 and 50
LearningRate = Annotated[float, Number(0, 1, above=True)]
Coefficient = Annotated[float, Number(0, 10**6)]    # of a loss: more drowns the other terms
Bound = Annotated[float, Number(0, 10**12, above=True)]    # 1e9 and more: none
BelowOne = Annotated[float, Number(0, 1, below=True)]


def world_model_kind(what: str, value: object) -> str:
    """The rule of `WORLD_MODELS`; of a retired one it says what took its place."""
    try:
        return one_of(what, value, WORLD_MODELS)
    except ValueError as error:
        if not (isinstance(value, str) and value in RETIRED):
            raise
        sentence = str(error).partition(" Did you mean")[0]
        advice = "train 'queries' (dicp.reproduce --runs queries)"
        raise ValueError(f"{sentence} The look-ups were retired: {advice}.") from None


WorldModelKind = Annotated[str, world_model_kind]


@dataclass(frozen=True)
class SourceConfig:
    """PPO with stable-baselines3's defaults, except for what the paper's Table 4 changes.

    Of other algorithms a preset changes the learning rate to their own default; A2C and SAC
    read of the rest how long and how many streams, `n_steps` (A2C), `batch_size` (SAC),
    `gamma` and `width`.
    """

    n_streams: Many = 100          # parallel actors of ONE policy a task (paper: 100)
    # at most so many of them are stored (key-to-door: 10, with its 6,561 tasks)
    keep_streams: Many = 100
    env_steps: Long = 1000         # per stream; the paper's 100K a task over 100 streams
    n_steps: Transitions = 20      # env steps per stream between updates (paper: the horizon)
    batch_size: Long = 50          # transitions a minibatch (paper: 50; key-to-door 100)
    n_epochs: Many = 20            # passes over the data of an update (paper: 20; key-to-door 10)
    learning_rate: LearningRate = 3e-4    # Adam
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    clip_range: Bound = 0.2
    value_coef: Coefficient = 0.5
    max_grad_norm: Bound = 0.5
    adam_eps: Share = 1e-5
    width: Width = 64              # two tanh layers of this width, for policy and value each
    # Meta-World: of the split's 50 training instances (paper: 50)
    train_instances: Instances = 50
    # Meta-World: of its 50 held-out ones, for the source's own curve
    test_instances: Instances = 10
    algorithm: Annotated[str, OneOf(SOURCES)] = "ppo"

    def __post_init__(self):
        check_fields(self, "source")
        if self.env_steps % self.n_steps:
            allowed = f"a multiple of n_steps = {self.n_steps}"
            raise refuse("source.env_steps", self.env_steps, allowed)
        if (self.n_steps * self.n_streams) % self.batch_size:
            raise ValueError(
                f"source.batch_size is {self.batch_size}; allowed: a divisor of "
                f"n_steps * n_streams = {self.n_steps * self.n_streams}."
            )

    @property
    def n_kept(self) -> int:
        return min(self.keep_streams, self.n_streams)

    @classmethod
    @checked
    def preset(
        cls, env: registry.WorldName, algorithm: Annotated[str, OneOf(SOURCES)] = "ppo"
    ) -> "SourceConfig":
        """The paper's settings (Table 4).
        Raises `ValueError` for a world or an algorithm that there is not."""
        which = {"env": env, "algorithm": algorithm}
        return cls(algorithm=algorithm, **sum_of((*PRESETS, *registry.rows(env)), "source", which))


@dataclass(frozen=True)
class ModelConfig:
    """The causal Transformer and what is read off it."""

    # none: imitation alone | observational: the paper's DICP | queries: ours
    # | heads: the paper's without a policy | table: counted, without learning
    world_model: WorldModelKind = "none"
    # ad: the source's actions | dpt: optimal actions | idt: the source's, through decisions
    target: Annotated[str, OneOf(IMITATORS)] = "ad"
    context_length: Transitions = 80    # transitions the model sees (paper: 80 in Darkroom)
    d_model: Width = 32            # (paper: 32)
    n_layers: Layers = 4           # (paper: 4)
    n_heads: Width = 2             # (paper: 4; heads narrower than 16 are slow on a CPU)
    d_ff: Width = 128              # width of the gated feed-forward layer (paper: 128)
    d_head_hidden: Width = 64      # hidden width of the world-model heads
    # Meta-World: how much more an error counts where it is uncertain (0: plain likelihood)
    nll_beta: Annotated[float, Number(0, 10)] = 0.5
    dropout: BelowOne = 0.0        # (paper: 0.1)
    # episodes dropped at once when the context is full; the others are then read again
    n_forget_episodes: Many = 1
    chunk: Transitions = 10        # idt: env steps a high-level decision lasts (paper: 10)
    d_decision: Width = 8          # idt: numbers a decision (paper: 8)
    # idt: decisions depend on the return asked for (Darkroom: no, it says how far the goal is)
    return_conditioned: bool = True
    # queries: the cells of a training window get other names at random, so that any cell may pay
    relabels: bool = True
    # queries: numbers that tell where an action led: row and column | their sum and difference, too
    n_lines: Annotated[int, OneOf((2, 4))] = 2
    # table: by this, by hand, P(reward) of a cell never met is multiplied after counting (1: not)
    new_cells: Annotated[float, Number(0, 100)] = 1.0

    def __post_init__(self):
        check_fields(self, "model")
        if self.d_model % (2 * self.n_heads):
            allowed = f"a multiple of 2 * n_heads = {2 * self.n_heads}"
            raise refuse("model.d_model", self.d_model, allowed)


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: AdamW with a short warm-up and cosine decay."""

    updates: Long = 2500               # gradient steps (paper: 50K)
    batch_size: Many = 64              # windows a batch (paper: 512)
    learning_rate: LearningRate = 1e-2    # (paper: 1e-2)
    # updates until the full learning rate (paper: none)
    warmup: Annotated[int, Whole(0, 10**9)] = 100
    weight_decay: Coefficient = 0.01   # (paper: 0.01)
    betas: Annotated[tuple[float, float], Each(Number(0, 1, below=True), 2)] = (0.9, 0.99)
    max_grad_norm: Bound = 1.0         # (authors' code: 1)
    max_stride: Many = 16              # episodes of a window lie 1 to this many apart (paper: 1)
    n_streams: Many = 100              # of the source's streams that are used
    # at most so many of the split's training tasks are used, the first ones
    max_tasks: Many = 10_000
    # loss at every position of a window (authors' code: at the last one alone)
    dense: bool = True
    # histories that end below this share of the median task's return are left out (paper: 0)
    min_final_return: Share = 0.25
    # Meta-World: the same of successes, as a share of the best instance's; the world model learns
    # from what is left out, too (paper: 0)
    min_final_success: Share = 0.0
    # of a batch that is drawn from all histories, for the world model alone, where
    # min_final_success leaves some out
    failures_share: BelowOne = 0.5
    # dpt: on a goal by the wall the label is to push against it, not to stay (Permuted: yes)
    push_walls: bool = False
    # windows in the order of the episodes' returns (authors' code for IDT: yes)
    sort_episodes: bool = False
    # idt: asks for the best return that this share of the training streams does not beat
    prompt_quantile: Share = 0.75
    world_model_weight: Coefficient = 1.0    # (paper: lambda = 1); 0 trains AD
    n_first_episodes: Many = 1         # of each stream count as "before the first update"
    # queries, heads, table: whole learning histories | episodes before the source's first update,
    # of several streams | the first episodes of rollouts of the exact belief | half first episodes,
    # half such rollouts | or rollouts of the same model trained on first episodes alone
    data: Annotated[str, OneOf(DATA)] = "histories"
    n_rollouts: Many = 8               # in each training task, where such rollouts are half of it
    # first episodes: each is, of up to so many, the one that adds most cells to its window (1: any)
    n_compared: Many = 1
    # queries, heads: windows with rare rewards are drawn more often, and count the less
    prefers_rare: bool = False
    # queries, heads: of a window's (cell, action) pairs some count up to so many times (1: none do)
    most_repeats: Annotated[int, Whole(1, 10**6)] = 1
    # from this share of the updates on; before, each counts once: so to look up is learned sooner
    repeats_after: BelowOne = 0.0
    seed: Seed = 0

    def __post_init__(self):
        check_fields(self, "train")
