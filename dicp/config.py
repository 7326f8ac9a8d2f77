"""Every number that moves a result, as frozen dataclasses with the paper's origin beside each field."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace

from dicp.errors import at_least, one_of

ENVS = ("darkroom", "darkroom_permuted", "dark_key_to_door")
PROFILES = ("fast", "paper")
METHODS = ("ad", "dicp_ad")
WORLD_MODELS = ("none", "observational", "interventional")
PLANNERS = ("none", "paper", "gated", "bayes")


@dataclass(frozen=True)
class EnvConfig:
    name: str = "darkroom"
    size: int = 9        # cells a side (paper: 9)
    horizon: int = 20    # env steps an episode (paper: 20, the other two worlds 50)

    def __post_init__(self):
        one_of("env", self.name, ENVS)
        at_least("size", self.size, 2)
        at_least("horizon", self.horizon, 1)

    @property
    def n_actions(self) -> int:
        return 5

    @property
    def n_cells(self) -> int:
        return self.size**2


@dataclass(frozen=True)
class SourceConfig:
    """PPO with stable-baselines3's defaults, except for what the paper's Table 4 changes."""

    n_streams: int = 100           # parallel actors of ONE policy a task (paper: 100)
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

    def __post_init__(self):
        for f in fields(self):
            at_least(f"source.{f.name}", getattr(self, f.name), 0 if isinstance(f.default, float) else 1)
        if self.env_steps % self.n_steps:
            raise ValueError(f"source.env_steps is {self.env_steps}; allowed: a multiple of n_steps = {self.n_steps}.")
        if (self.n_steps * self.n_streams) % self.batch_size:
            raise ValueError(
                f"source.batch_size is {self.batch_size}; allowed: a divisor of "
                f"n_steps * n_streams = {self.n_steps * self.n_streams}."
            )
