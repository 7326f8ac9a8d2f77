"""Every number that moves a result, as frozen dataclasses with the paper's origin beside each field."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace

from dicp.errors import at_least, one_of, whole

ENVS = ("darkroom", "darkroom_permuted", "dark_key_to_door")
ML1_TASKS = (
    "assembly-v3", "basketball-v3", "bin-picking-v3", "box-close-v3", "button-press-topdown-v3", "button-press-topdown-wall-v3",
    "button-press-v3", "button-press-wall-v3", "coffee-button-v3", "coffee-pull-v3", "coffee-push-v3", "dial-turn-v3",
    "disassemble-v3", "door-close-v3", "door-lock-v3", "door-open-v3", "door-unlock-v3", "drawer-close-v3", "drawer-open-v3",
    "faucet-close-v3", "faucet-open-v3", "hammer-v3", "hand-insert-v3", "handle-press-side-v3", "handle-press-v3",
    "handle-pull-side-v3", "handle-pull-v3", "lever-pull-v3", "peg-insert-side-v3", "peg-unplug-side-v3", "pick-out-of-hole-v3",
    "pick-place-v3", "pick-place-wall-v3", "plate-slide-back-side-v3", "plate-slide-back-v3", "plate-slide-side-v3",
    "plate-slide-v3", "push-back-v3", "push-v3", "push-wall-v3", "reach-v3", "reach-wall-v3", "shelf-place-v3", "soccer-v3",
    "stick-pull-v3", "stick-push-v3", "sweep-into-v3", "sweep-v3", "window-close-v3", "window-open-v3",
)
TWO_OBJECTS = ("hammer-v3", "stick-pull-v3", "stick-push-v3")          # of them
PROFILES = ("fast", "paper")
IMITATORS = ("ad", "dpt", "idt")
METHODS = (*IMITATORS, "dicp_ad", "dicp_dpt", "dicp_idt", "dicp")      # dicp: the interventional world model, no imitation
WORLD_MODELS = ("none", "observational", "interventional")
PLANNERS = ("none", "paper", "gated", "bayes")


@dataclass(frozen=True)
class EnvConfig:
    """A grid world."""

    name: str = "darkroom"
    size: int = 9        # cells a side (paper: 9)
    horizon: int = 20    # env steps an episode (paper: 20, the other two worlds 50)

    def __post_init__(self):
        one_of("env", self.name, ENVS)
        whole("size", self.size, 2)
        whole("horizon", self.horizon, 1)

    @property
    def n_actions(self) -> int:
        return 5

    @property
    def n_cells(self) -> int:
        return self.size**2

    @classmethod
    def preset(cls, env: str) -> "EnvConfig":
        one_of("env", env, ENVS)
        return cls(env, horizon=20 if env == "darkroom" else 50)


@dataclass(frozen=True)
class MetaWorldConfig:
    """One of the fifty ML1 tasks of Meta-World. Its instances are what other worlds call tasks."""

    name: str = "metaworld"
    task: str = "reach-v3"
    horizon: int = 100   # env steps an episode (paper: 100; the library cuts episodes off at 500)

    def __post_init__(self):
        one_of("env", self.name, ("metaworld",))
        one_of("task", self.task, ML1_TASKS)
        whole("horizon", self.horizon, 1)

    @property
    def n_observed(self) -> int:
        """Numbers that an agent sees, the first of the library's 39 (`dicp.envs.metaworld.observed` names them)."""
        return 18 if self.task in TWO_OBJECTS else 11

    @property
    def d_action(self) -> int:
        return 4


Env = EnvConfig | MetaWorldConfig


def env_from_dict(values: dict) -> Env:
    """The inverse of `dataclasses.asdict`, as read from JSON."""
    return (MetaWorldConfig if values["name"] == "metaworld" else EnvConfig)(**values)


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
    def preset(cls, planner: str, env: str = "darkroom", **changes) -> "PlanConfig | None":
        """The named planner's setting for a world; "none" is no planner. `bayes` is the same in every world."""
        one_of("planner", planner, PLANNERS)
        one_of("env", env, (*ENVS, "metaworld"))
        if planner == "none":
            return None
        if env == "metaworld":
            one_of("planner", planner, PLANNERS[:2])
            return cls(planner, **{"depth": 1, "start_after": 1000, "start_after_step": 50, **changes})
        depth, full = (8, 80) if env == "darkroom" else (16, 200)
        settings = {
            "paper": dict(depth=depth, start_after=full),
            "gated": dict(depth=depth, needs_reward=True, start_after=0, replan=False),
            "bayes": dict(beam_width=81, depth=25, rank="mean", ties="random", resolution=1e-3, discount=0.97,
                          weigh_paths=True, curiosity=0.003, deduplicate=True, start_after=0, replan=False),
        }[planner]
        return cls(planner=planner, **{**settings, **changes})


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
        for name in ("min_final_return", "prompt_quantile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"train.{name} is {getattr(self, name)!r}; allowed: a number in [0, 1].")
        whole("train.seed", self.seed, 0)


@dataclass(frozen=True)
class Config:
    """Everything that decides a trained model: the world, the source, the split, the model and its training."""

    env: Env = field(default_factory=EnvConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    split: int = 0               # seed of the split into training and held-out tasks (paper: five splits)
    source_seed: int = 0         # of the learning histories

    def __post_init__(self):
        if isinstance(self.env, MetaWorldConfig):
            one_of("model.imitates", self.model.imitates, ("ad", "idt"))
            one_of("model.world_model", self.model.world_model, WORLD_MODELS[:2])
        if self.model.context_length % self.env.horizon:
            raise ValueError(
                f"model.context_length is {self.model.context_length}; allowed: a multiple of the horizon "
                f"{self.env.horizon}, so that training windows are whole episodes."
            )
        if self.model.imitates == "idt" and self.env.horizon % self.model.chunk:
            raise ValueError(f"model.chunk is {self.model.chunk}; allowed: a divisor of the horizon {self.env.horizon}.")
        if self.train.n_streams > self.source.n_kept:
            raise ValueError(f"train.n_streams is {self.train.n_streams}; allowed: 1 to {self.source.n_kept}.")

    @property
    def method(self) -> str:
        kind, imitates = self.model.world_model, self.model.imitates
        return {"none": imitates, "observational": f"dicp_{imitates}", "interventional": "dicp"}[kind]

    @property
    def key(self) -> str:
        """Ten letters that change with any field: the name under which weights are kept. A field that has its default does
        not count, so that a new field leaves the names of what is trained already as they are."""
        return self._digest(f.name for f in fields(self))

    @property
    def history_key(self) -> str:
        """The same for the learning histories, which depend on the world and the source alone."""
        return self._digest(("env", "source", "source_seed"))

    def _digest(self, names: Iterable[str]) -> str:
        values, default = asdict(self), asdict(Config())
        parts = {name: values[name] for name in names}
        for name, part in parts.items():
            if isinstance(part, dict):
                parts[name] = {field: value for field, value in part.items() if value != default[name].get(field)}
        return hashlib.sha1(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]

    @classmethod
    def preset(
        cls, env: str = "darkroom", profile: str = "fast", world_model: str = "none", seed: int = 0, split: int = 0,
        imitates: str = "ad", task: str | None = None,
    ) -> "Config":
        """The settings that this project's results use (`fast`), or the paper's own (`paper`: hours on a GPU). Each split
        has learning histories of its own. task: which of Meta-World's (default: reach-v3)."""
        one_of("env", env, (*ENVS, "metaworld"))
        one_of("profile", profile, PROFILES)
        one_of("world_model", world_model, WORLD_MODELS)
        one_of("imitates", imitates, IMITATORS)
        if env == "metaworld":
            return cls._metaworld(task or "reach-v3", profile, world_model, seed, split, imitates)
        if task is not None:
            raise ValueError(f"task is {task!r}; allowed: none in {env}, only in metaworld.")
        world, source, small = EnvConfig.preset(env), SourceConfig.preset(env), env == "darkroom"
        any_cell = world_model != "interventional" or env != "darkroom_permuted"         # there, the goal never moves
        model = ModelConfig(world_model, imitates, context_length=80 if small else 200, any_cell_may_pay=any_cell)
        # In Darkroom the best return of a stream says how far its goal is, and whoever is asked for what a near goal allows
        # passes by the others. Validation tasks, last ten episodes: 0.53 when asked for 18, 0.74 for 14, 0.65 for nothing; test
        # tasks of split 0: 0.75 for 18, 0.56 for 14.
        model = replace(model, asks_return=(env, imitates) != ("darkroom", "idt"))
        train = TrainConfig(seed=seed, n_streams=source.n_kept, batch_size=64 if small else 32,
                            push_walls=(env, imitates) == ("darkroom_permuted", "dpt"))
        if profile == "paper":
            model = replace(model, n_heads=4, dropout=0.1)
            train = replace(train, updates=50_000, batch_size=512, warmup=1, max_stride=1, min_final_return=0.0)
        elif world_model == "interventional":
            model = replace(model, n_layers=2)
            train = replace(train, updates=1000, batch_size=32, learning_rate=6e-3)
        # the 6,561 tasks of key-to-door make up for one seed
        return cls(world, source, model, train, split, source_seed=0 if env == "dark_key_to_door" else split)

    @classmethod
    def _metaworld(cls, task: str, profile: str, world_model: str, seed: int, split: int, imitates: str) -> "Config":
        source = SourceConfig.preset("metaworld")
        model = ModelConfig(world_model, imitates, context_length=1000, forgets=5)
        train = TrainConfig(seed=seed, n_streams=source.n_kept, batch_size=8, updates=1500, max_stride=11)
        if profile == "paper":
            wide = dict(d_model=64, n_heads=8, d_ff=256) if imitates == "ad" else dict(n_heads=4)
            model = replace(model, dropout=0.1, forgets=1, **wide)
            train = replace(train, updates=50_000, batch_size=512, warmup=1, max_stride=1, min_final_return=0.0)
        return cls(MetaWorldConfig(task=task), source, model, train, split, source_seed=split)

    def cut(self, train_instances: int = 10, env_steps: int = 2000, updates: int = 300) -> "Config":
        """The same in Meta-World with a fraction of the source's runs and of the training: a quarter of an hour on one core
        where everything takes two hours. It shows how things work; its results are not those of the project."""
        one_of("env", self.env.name, ("metaworld",))
        source = replace(self.source, train_instances=train_instances, test_instances=1, env_steps=env_steps)
        return replace(self, source=source, train=replace(self.train, updates=updates))

    @classmethod
    def from_dict(cls, values: dict) -> "Config":
        """The inverse of `dataclasses.asdict`, as read from JSON."""
        parts = dict(source=SourceConfig, model=ModelConfig, train=TrainConfig)
        values = values | {"train": values["train"] | {"betas": tuple(values["train"]["betas"])}}      # JSON has no tuples
        made = {name: part(**values[name]) for name, part in parts.items()}
        return cls(**values | made | {"env": env_from_dict(values["env"])})
