"""Every number that moves a result, as frozen dataclasses with the paper's origin beside each
field."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Annotated, Any

from dicp.checks import OneOf, Seed, check_fields, checked, one_of, refuse, shown
from dicp.config import registry
from dicp.config.env import (
    ENVS,
    ML1_TASKS,
    EnvConfig,
    MetaWorldConfig,
    WorldConfig,
    check_keys,
    env_from_dict,
    from_dict,
    named,
)
from dicp.config.parts import (
    IMITATORS,
    MIXED,
    RETIRED,
    SOURCES,
    WORLD_MODELS,
    ModelConfig,
    SourceConfig,
    TrainConfig,
    WorldModelKind,
)
from dicp.config.plan import PLANNERS, PlanConfig
from dicp.config.presets import ALONE, PRESETS, SHARED_SOURCE, sum_of
from dicp.config.wire import old_name

__all__ = [
    "ENVS", "IMITATORS", "METHODS", "ML1_TASKS", "PLANNERS", "PROFILES", "RETIRED", "SOURCES",
    "WORLD_MODELS",
    "Config", "WorldConfig", "EnvConfig", "MetaWorldConfig", "ModelConfig", "PlanConfig",
    "SourceConfig", "TrainConfig", "env_from_dict",
]

PROFILES = ("fast", "paper")
# dicp: with a retired world model; it and the last three have no policy
METHODS = (*IMITATORS, "dicp_ad", "dicp_dpt", "dicp_idt", "dicp", "queries", "heads", "table")


@dataclass(frozen=True)
class Config:
    """Everything that decides a trained model: the world, the source, the split,
    the model and its training."""

    env: WorldConfig = field(default_factory=EnvConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    # seed of the split into training and held-out tasks (paper: five splits)
    split: Seed = 0
    source_seed: Seed = 0        # of the learning histories

    def __post_init__(self):
        check_fields(self, "")
        one_of("source.algorithm", self.source.algorithm, self.env.sources)
        one_of("model.target", self.model.target, self.env.imitators)
        one_of("model.world_model", self.model.world_model, self.env.world_models)
        if self.model.context_length % self.env.horizon:
            raise ValueError(
                f"model.context_length is {self.model.context_length}; allowed: a multiple of the "
                f"horizon {self.env.horizon}, so that training windows are whole episodes."
            )
        if self.model.target == "idt" and self.env.horizon % self.model.chunk:
            allowed = f"a divisor of the horizon {self.env.horizon}"
            raise refuse("model.chunk", self.model.chunk, allowed)
        if self.train.data != "histories" and self.model.world_model not in ALONE:
            allowed = f"'histories', with world_model {self.model.world_model!r}"
            raise refuse("train.data", self.train.data, allowed)
        if self.train.data in MIXED and self.train.batch_size == 1:
            allowed = f"2 and more, with data {self.train.data!r}"
            raise refuse("train.batch_size", self.train.batch_size, allowed)
        if self.model.new_cells != 1 and self.model.world_model != "table":
            allowed = f"1.0, with world_model {self.model.world_model!r}, which counts nothing"
            raise refuse("model.new_cells", self.model.new_cells, allowed)
        if self.train.most_repeats > 1 and self.model.target == "idt":
            allowed = "1, with target 'idt', which reads chunks"
            raise refuse("train.most_repeats", self.train.most_repeats, allowed)
        if self.train.n_streams > self.source.n_kept:
            raise refuse("train.n_streams", self.train.n_streams, f"1 to {self.source.n_kept}")

    @property
    def method(self) -> str:
        kind, target = self.model.world_model, self.model.target
        names = {"none": target, "observational": f"dicp_{target}"}
        return names.get(kind, kind)

    @property
    def key(self) -> str:
        """Ten letters that change with any field: the name under which weights are kept. A field
        that has its default does not count, so that a new field leaves the names of what is trained
        already as they are, nor does a new name of a field (`wire`)."""
        return self._digest(f.name for f in fields(self))

    @property
    def history_key(self) -> str:
        """The same for the learning histories, which depend on the world and the source alone."""
        return self._digest(("env", "source", "source_seed"))

    def _digest(self, names: Iterable[str]) -> str:
        values, default = asdict(self), defaults()
        parts = {name: values[name] for name in names}
        for name, part in parts.items():
            if isinstance(part, dict):
                parts[name] = {
                    field: value for field, value in part.items()
                    if value != default[name].get(field)
                }
        if "model" in parts:
            parts["model"] = {old_name(field): x for field, x in parts["model"].items()}
        code = registry.code_of(self.env.name)
        if code:
            parts["world"] = code
        return hashlib.sha1(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]

    @classmethod
    @checked
    def preset(
        cls,
        env: registry.WorldName = "darkroom",
        profile: Annotated[str, OneOf(PROFILES)] = "fast",
        world_model: WorldModelKind = "none",
        seed: Seed = 0,
        split: Seed = 0,
        target: Annotated[str, OneOf(IMITATORS)] = "ad",
        task: Annotated[str, OneOf(ML1_TASKS)] | None = None,
        source: Annotated[str, OneOf(SOURCES)] = "ppo",
    ) -> "Config":
        """The settings that this project's results use (`fast`), or the paper's own (`paper`: on an
        H100 11 to 27 minutes in Darkroom, four to six hours in Meta-World). Each split has learning
        histories of its own. task: which of Meta-World's (default: reach-v3). source: the algorithm
        whose learning is recorded. Raises `ValueError`, naming what it does not know."""
        world, source = named(env, task, profile), SourceConfig.preset(env, source)
        which = dict(
            env=env, task=world.task, profile=profile, world_model=world_model,
            target=target,
        )
        rows = *PRESETS, *registry.rows(env)
        model = ModelConfig(world_model, target, **sum_of(rows, "model", which))
        changes = dict(seed=seed, n_streams=source.n_kept) | sum_of(rows, "train", which)
        source_seed = 0 if env in SHARED_SOURCE else split
        return cls(world, source, model, TrainConfig(**changes), split, source_seed)

    @classmethod
    @checked
    def from_dict(cls, values: Mapping) -> "Config":
        """The inverse of `dataclasses.asdict`, as read from JSON. A field that is missing has its
        default, as in what was written before there was such a field. Raises `ValueError`, naming
        the key or the value."""
        check_keys("config", values, [f.name for f in fields(cls)])
        parts = dict(source=SourceConfig, model=ModelConfig, train=TrainConfig)
        missing = [name for name in ("env", *parts) if name not in values]
        if missing:
            given = shown(list(values))
            raise ValueError(f"config has the fields {given}; allowed: {missing[0]!r} among them.")
        made = {name: from_dict(part, values[name], name) for name, part in parts.items()}
        if not isinstance(values["env"], Mapping):
            raise refuse("env", values["env"], "a dict of its fields")
        return cls(**{**values, **made, "env": env_from_dict(values["env"])})


@cache
def defaults() -> dict[str, Any]:
    """Every field of `Config()`, as a dictionary that nobody may change."""
    return asdict(Config())
