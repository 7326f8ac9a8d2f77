"""Models and contexts that cannot fit the memory are refused before anything is made."""

import tracemalloc
from dataclasses import replace

import pytest
import torch
from beyond import beyond

from dicp import checks
from dicp.config import Config, EnvConfig, MetaWorldConfig, ModelConfig, SourceConfig, TrainConfig
from dicp.envs import GridRules
from dicp.models import new_model
from dicp.models.sizes import MODULES, context_bytes, model_bytes
from dicp.training import Trainer
from dicp.types import Log

GRID, ARM = EnvConfig(), MetaWorldConfig()
KINDS = [
    ("none", "ad"),
    ("observational", "ad"),
    ("observational", "idt"),
    ("queries", "ad"),
]
HUGE = 10**12


def model_config(kind: str = "observational", target: str = "ad", **changes) -> ModelConfig:
    return replace(ModelConfig(kind, target, context_length=100), **changes)


def refused(match: str):
    """One sentence that names the value, and no memory asked for."""
    return pytest.raises(
        ValueError, match=rf"(?s)^(?!.*\n).*{match}.*; allowed: .*GiB of memory.*\.$"
    )


def bytes_of(*tensors) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)


@pytest.mark.parametrize("env", [GRID, ARM], ids=["grid", "arm"])
@pytest.mark.parametrize("kind, target", KINDS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"d_model": 512}, {"d_ff": 4096}, {"n_layers": 40}, {"d_head_hidden": 2048}],
    ids=str,
)
def test_the_estimate_of_a_model_is_near_the_truth(env, kind, target, changes):
    if env is ARM and kind == "queries":
        return
    config = model_config(kind, target, **changes)
    with torch.device("meta"):
        model = new_model(env, config)
    truth = bytes_of(*model.state_dict().values())
    objects = MODULES * 2 * (config.n_layers + 1)
    assert 0.9 * truth < model_bytes(env, config) < 2 * truth + objects


@pytest.mark.parametrize("kind, target", KINDS[1:])
def test_the_estimate_of_a_context_is_near_the_truth(kind, target):
    model = new_model(GRID, model_config(kind, target))
    if target == "idt":
        model.prompt.fill_(1)
    context = model.begin(7)
    caches = [context.cache] + ([context.decisions] if target == "idt" else [])
    truth = bytes_of(*(cache.memory for cache in caches))
    assert truth < 7 * context_bytes(GRID, model.config, 100) < 1.5 * truth


@pytest.mark.parametrize("env", [GRID, ARM], ids=["grid", "arm"])
@pytest.mark.parametrize(
    "field", ["d_model", "n_layers", "d_ff", "d_head_hidden", "context_length"]
)
def test_a_model_that_cannot_fit_is_refused_at_once(env, field):
    """For some fields a config itself may refuse such a size."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"; allowed: .*\.$"):
        new_model(env, model_config(**{field: HUGE}))
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_billion_layers_are_refused_without_a_loop_over_them():
    config = model_config()
    object.__setattr__(config, "n_layers", 10**9)  # past whatever a config allows
    with refused("'n_layers': 1000000000"):
        new_model(GRID, config)


def test_a_room_that_cannot_fit_is_refused():
    world = EnvConfig()
    object.__setattr__(world, "size", 10**6)
    with refused("the model in darkroom"):
        new_model(world, model_config())


@pytest.mark.parametrize("kind, target", KINDS)
def test_contexts_that_cannot_fit_are_refused(kind, target):
    model = new_model(GRID, model_config(kind, target))
    with refused(f"batch is {10**10}"):
        model.begin(10**10)
    for wrong in (0, -1, True, 1.5, "2", None, [], 2**63, float("nan")):
        with pytest.raises(ValueError, match="batch is .*; allowed: a whole number"):
            model.begin(wrong)


def test_a_batch_that_cannot_fit_is_refused():
    log = Log(*(torch.zeros(1, 2, n, dtype=torch.uint8) for n in (40, 40, 40, 2)))
    source = SourceConfig(n_streams=2, env_steps=40, batch_size=40)
    train = TrainConfig(n_streams=2)
    config = Config(GRID, source, model_config(context_length=40), train)
    config = beyond(config, train=beyond(train, batch_size=10**9))
    with refused(f"train.batch_size is {10**9}"):
        Trainer(config, log)


@pytest.mark.parametrize(
    "config, sentence",
    [
        (
            ModelConfig("queries", context_length=100),
            "model.world_model is 'queries'; allowed",
        ),
        (ModelConfig(target="dpt", context_length=100), "model.target is 'dpt'; allowed"),
        (ModelConfig(context_length=80), "model.context_length is 80; allowed"),
    ],
)
def test_models_that_do_not_fit_their_world_are_refused(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        new_model(ARM, config)


def test_a_small_machine_refuses_what_a_large_one_makes(monkeypatch):
    new_model(GRID, model_config())
    monkeypatch.setattr(checks, "memory", lambda: 1000)
    with refused("the model in darkroom"):
        new_model(GRID, model_config())


def test_the_tables_of_a_grid_are_asked_for_as_one_for_each_permutation(monkeypatch):
    monkeypatch.setattr(checks, "memory", lambda: 30_000)
    GridRules.of(GRID, [(0, 3)])
    GridRules.of(EnvConfig("darkroom_permuted"), [0])
    with refused("size is 9"):
        GridRules.of(EnvConfig("darkroom_permuted"), range(3))
