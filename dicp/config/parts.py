"""The source, the model and its training."""

from dataclasses import dataclass, fields

from dicp.checks import at_least, one_of, whole
from dicp.config.env import ENVS

IMITATORS = ("ad", "dpt", "idt")
WORLD_MODELS = ("none", "observational", "interventional")


@dataclass(frozen=True)
class SourceConfig:
    """PPO with stable-baselines3's defaults, except for what the paper's Table 4 changes."""

    n_streams: int = 100           # parallel actors of ONE policy a task (paper: 100)
    keep_streams: int = 100        # at most so many of them are stored (key-to-door: 10, with its 6,561 tasks)
    env_steps: int = 1000          # per stream; the paper's 100K a task over 100 streams
    n_steps: int = 20              # env steps per stream between updates (paper: the horizon)
    batch_size: int = 50           # transitions a minibatch (paper: 50; key-to-door 100)
    n_epochs: int = 20             # passes over the data of an update (paper: 20; key-to-door 10)
    learning_rate: float = 3e-4    # Adam
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    value_coef: float = 0.5
    max_grad_norm: float = 0.5
    adam_eps: float = 1e-5
    width: int = 64                # two tanh layers of this width, for policy and value each
    train_instances: int = 50      # Meta-World: of the split's 50 training instances (paper: 50)
    test_instances: int = 10       # Meta-World: of its 50 held-out ones, for the source's own curve

    def __post_init__(self):
        for f in fields(self):
            check = at_least if isinstance(f.default, float) else whole
            check(f"source.{f.name}", getattr(self, f.name), 0 if isinstance(f.default, float) else 1)
        if self.env_steps % self.n_steps:
            raise ValueError(f"source.env_steps is {self.env_steps}; allowed: a multiple of n_steps = {self.n_steps}.")
        if (self.n_steps * self.n_streams) % self.batch_size:
            raise ValueError(
                f"source.batch_size is {self.batch_size}; allowed: a divisor of "
                f"n_steps * n_streams = {self.n_steps * self.n_streams}."
            )

    @property
    def n_kept(self) -> int:
        return min(self.keep_streams, self.n_streams)

    @classmethod
    def preset(cls, env: str) -> "SourceConfig":
        """The paper's settings (Table 4)."""
        one_of("env", env, (*ENVS, "metaworld"))
        return {
            "darkroom": cls(),
            "darkroom_permuted": cls(n_steps=50),
            "dark_key_to_door": cls(n_steps=50, batch_size=100, n_epochs=10, keep_streams=10),
            "metaworld": cls(env_steps=10_000, n_steps=100, batch_size=200, keep_streams=10),
        }[env]


@dataclass(frozen=True)
class ModelConfig:
    """The causal Transformer and what is read off it."""

    world_model: str = "none"      # none: imitation alone | observational: the paper's DICP | interventional: ours
    imitates: str = "ad"           # ad: the source's actions | dpt: optimal actions | idt: the source's, through decisions
    context_length: int = 80       # transitions the model sees (paper: 80 in Darkroom)
    d_model: int = 32              # width (paper: 32)
    n_layers: int = 4              # (paper: 4)
    n_heads: int = 2               # (paper: 4; heads narrower than 16 are slow on a CPU)
    d_ff: int = 128                # width of the gated feed-forward layer (paper: 128)
    d_head_hidden: int = 64        # hidden width of the world-model heads
    nll_beta: float = 0.5          # Meta-World: how much more an error counts where it is uncertain (0: plain likelihood)
    dropout: float = 0.0           # (paper: 0.1)
    forgets: int = 1               # episodes dropped at once when the context is full; the others are then read again
    chunk: int = 10                # idt: env steps a high-level decision lasts (paper: 10)
    d_decision: int = 8            # idt: numbers a decision (paper: 8)
    asks_return: bool = True       # idt: decisions depend on the return asked for (Darkroom: no, it says how far the goal is)
    any_cell_may_pay: bool = True  # interventional: a cell is judged by what was found there alone (False: and by its place)

    def __post_init__(self):
        one_of("world_model", self.world_model, WORLD_MODELS)
        one_of("imitates", self.imitates, IMITATORS)
        sizes = "context_length", "d_model", "n_layers", "n_heads", "d_ff", "d_head_hidden", "forgets", "chunk", "d_decision"
        for name in sizes:
            whole(f"model.{name}", getattr(self, name), 1)
        if self.d_model % (2 * self.n_heads):
            raise ValueError(f"model.d_model is {self.d_model}; allowed: a multiple of 2 * n_heads = {2 * self.n_heads}.")
        at_least("model.nll_beta", self.nll_beta, 0)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout is {self.dropout!r}; allowed: a number in [0, 1).")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: AdamW with a short warm-up and cosine decay."""

    updates: int = 2500                # gradient steps (paper: 50K)
    batch_size: int = 64               # windows a batch (paper: 512)
    learning_rate: float = 1e-2        # (paper: 1e-2)
    warmup: int = 100                  # updates until the full learning rate (paper: none)
    weight_decay: float = 0.01         # (paper: 0.01)
    betas: tuple[float, float] = (0.9, 0.99)
    max_grad_norm: float = 1.0         # (authors' code: 1)
    max_stride: int = 16               # episodes of a window lie 1 to this many apart (paper: 1)
    n_streams: int = 100               # of the source's streams that are used
    max_tasks: int = 10_000            # at most so many of the split's training tasks are used, the first ones
    dense: bool = True                 # loss at every position of a window (authors' code: at the last one alone)
    min_final_return: float = 0.25     # histories that end below this share of the median task's return are left out (paper: 0)
    min_final_success: float = 0.0     # Meta-World: the same of successes, as a share of the best instance's; the world model
                                       # learns from what is left out, too (paper: 0)
    failures_share: float = 0.5        # of a batch that is drawn from all histories, for the world model alone, where
                                       # min_final_success leaves some out
    push_walls: bool = False           # dpt: on a goal by the wall the label is to push against it, not to stay (Permuted: yes)
    sort_episodes: bool = False        # windows in the order of the episodes' returns (authors' code for IDT: yes)
    prompt_quantile: float = 0.75      # idt: asks for the best return that this share of the training streams does not beat
    world_model_weight: float = 1.0    # (paper: lambda = 1); 0 trains AD
    n_first_episodes: int = 1          # of each stream count as "before the first update"
    seed: int = 0

    def __post_init__(self):
        for name in ("updates", "batch_size", "max_stride", "n_streams", "n_first_episodes", "max_tasks"):
            whole(f"train.{name}", getattr(self, name), 1)
        for name in ("learning_rate", "warmup", "weight_decay", "max_grad_norm", "world_model_weight"):
            at_least(f"train.{name}", getattr(self, name), 0)
        for name in ("min_final_return", "min_final_success", "prompt_quantile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"train.{name} is {getattr(self, name)!r}; allowed: a number in [0, 1].")
        if not 0 <= self.failures_share < 1:
            raise ValueError(f"train.failures_share is {self.failures_share!r}; allowed: a number in [0, 1).")
        whole("train.seed", self.seed, 0)
