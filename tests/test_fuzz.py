"""Nonsense in every field and every argument, found by looking at the package: one sentence, no
traceback, no memory.

Every field of a configuration and every argument of a public function gets NaN, infinities, -1, 0,
2**63, 1e308, True, "0", None, [] and NumPy's numbers, and whatever Hypothesis thinks of. It is
allowed by its declaration and kept as a plain Python value, or it is refused by a `ValueError` that
names it: "NAME is VALUE; allowed: WHAT.".
"""

import dataclasses
import inspect
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Annotated, Any, get_args, get_origin

import fuzzing
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from examples_of_functions import SMALL, built, log, meta_world
from fuzzing import NUMPY, PLAIN, Public, check, public
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicp import checks, results
from dicp.artifacts import load_or_train
from dicp.checks import Rule, anything, rules_of
from dicp.config import (
    Config,
    EnvConfig,
    ModelConfig,
    PlanConfig,
    SourceConfig,
    TrainConfig,
    WorldConfig,
    env_from_dict,
)
from dicp.config.world import GridConfig
from dicp.domain import split_of
from dicp.envs import GridWorld, all_tasks
from dicp.envs.metaworld import MetaWorld, MetaWorldMissing
from dicp.exercises import Hint
from dicp.explorers import GoalExplorer, exact_belief
from dicp.history import collect
from dicp.models import new_model
from dicp.oracles import RandomPolicy, Simulator
from dicp.planning import search
from dicp.rollout import rollout
from dicp.training import train
from examples import CONFIGS

SENTENCE = re.compile(
    r"[^\n]+ (is|has|holds|lacks|mixes) [^\n]+; (allowed|needed|select)[^\n]+(\.|\?)"
)
PUBLIC = public()
FIELDS = [(kind, field) for kind in CONFIGS for field in dataclasses.fields(kind)]
NONSENSE = st.one_of(
    st.sampled_from([*PLAIN, *NUMPY]),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.booleans(),
    st.binary(max_size=5),
    st.lists(st.floats(), max_size=3),
    st.complex_numbers(),
    st.builds(object),
    st.just("../x"),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)
QUICK = settings(
    database=None,
    derandomize=True,
    max_examples=400,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with half a gigabyte left: whoever asks for more gets an error from the system."""
    monkeypatch.setattr(checks, "memory", lambda: 2.0**29)
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def made(kind: type, **values: Any) -> Any:
    """A configuration as users make it, without the type checker of the test run, which would speak
    first."""
    config = object.__new__(kind)
    inspect.unwrap(kind.__init__)(config, **values)
    return config


def refusal(name: str, call) -> str | None:
    """The sentence with which a call refuses a value; None: it is allowed. Every other error fails
    the test."""
    try:
        call()
    except ValueError as error:
        sentence = str(error)
        ours = type(error) is not ValueError and "\n" not in sentence  # of a file, a store, ...
        assert ours or SENTENCE.fullmatch(sentence), f"not one sentence of ours: {sentence}"
        assert name in sentence, f"{name} is not named: {sentence}"
        return sentence
    return None


def is_kept(kept: Any, value: Any) -> bool:
    """Whether what was kept is the plain Python value of what was given."""
    kept = list(kept) if isinstance(kept, tuple) else kept
    value = checks.plain(value)
    return type(kept) in (type(value), float) and not isinstance(kept, np.generic) and kept == value


# ---- the configurations --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, field", FIELDS, ids=lambda x: getattr(x, "__name__", None) or getattr(x, "name", None)
)
def test_every_field_declares_what_it_may_be(kind, field):
    """A new field without a rule fails here."""
    hint = fuzzing.hints_of_class(kind)[field.name]
    has_rule = get_origin(hint) is Annotated and any(
        isinstance(x, Rule) for x in get_args(hint)[1:]
    )
    parts = all(isinstance(leaf, type) and leaf in (*CONFIGS, WorldConfig, GridConfig) for leaf in fuzzing.leaves(hint))
    assert hint is bool or has_rule or parts, (
        f"{kind.__name__}.{field.name}: {hint} says nothing of what is allowed"
    )
    if get_origin(hint) is Annotated and get_args(hint)[0] in (int, float):
        assert refusal(field.name, lambda: made(kind, **{field.name: 2**63})), "a bound is missing"


@pytest.mark.parametrize(
    "kind, field", FIELDS, ids=lambda x: getattr(x, "__name__", None) or getattr(x, "name", None)
)
def test_nonsense_in_a_field_gets_a_sentence(kind, field, little_memory):
    hint = fuzzing.hints_of_class(kind)[field.name]
    for value in (*PLAIN, *NUMPY):
        sentence = refusal(field.name, lambda value=value: made(kind, **{field.name: value}))
        plain = checks.plain(value)
        if not fuzzing.may_be(hint, plain):
            assert sentence, f"{field.name} = {value!r} is accepted"
        if sentence is None:
            assert is_kept(getattr(made(kind, **{field.name: value}), field.name), value)
        if value is not plain:
            without = refusal(field.name, lambda plain=plain: made(kind, **{field.name: plain}))
            assert (sentence is None) == (without is None)


@QUICK
@given(place=st.sampled_from(FIELDS), value=NONSENSE)
def test_anything_in_a_field_is_right_or_gets_a_sentence(place, value):
    kind, field = place
    if refusal(field.name, lambda: made(kind, **{field.name: value})) is None:
        assert fuzzing.may_be(fuzzing.hints_of_class(kind)[field.name], checks.plain(value))
        assert is_kept(getattr(made(kind, **{field.name: value}), field.name), value)


# ---- the public functions ------------------------------------------------------------------------


def test_every_module_says_what_it_offers():
    """A new module has an `__all__`, or is on a list."""
    for module in fuzzing.modules():
        top = module.__name__.count(".") == 1
        if top and not fuzzing.is_in(module.__name__, fuzzing.INTERNAL):
            assert getattr(module, "__all__", ()), f"{module.__name__} has no __all__"


@pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.key)
def test_every_public_function_is_checked(one: Public):
    assert one.is_checked, f"{one.key} is not @checked"
    rules, hints = rules_of(one.function), fuzzing.hints_of(one.function)
    for name in fuzzing.arguments_of(one.function):
        if (one.name, name) not in fuzzing.OPEN:
            assert name in hints, f"{one.key} does not say what {name} may be"
            assert rules[name] is not anything, f"{one.key} allows any {name}"
    checked_or_skipped(one)  # the examples are valid


def test_only_inner_methods_go_unchecked():
    found = fuzzing.unchecked_methods()
    assert found.keys() == fuzzing.INNER, [found[name] for name in found.keys() - fuzzing.INNER]


def checked_or_skipped(one: Public, **changes: Any) -> inspect.BoundArguments:
    try:
        return check(one, **changes)
    except MetaWorldMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.key)
def test_nonsense_in_an_argument_gets_a_sentence(one: Public, little_memory):
    checked_or_skipped(one)
    hints = fuzzing.hints_of(one.function)
    for name in tried_arguments(one):
        for value in (*PLAIN, *NUMPY):
            plain = checks.plain(value)
            sentence = refusal(name, lambda name=name, value=value: check(one, **{name: value}))
            if sentence is None:
                assert fuzzing.may_be(hints[name], plain), (
                    f"{one.key}({name}={value!r}) is accepted"
                )


def tried_arguments(one: Public) -> list[str]:
    names = fuzzing.arguments_of(one.function)
    return [name for name in names if (one.name, name) not in fuzzing.OPEN]


@QUICK
@given(data=st.data(), value=NONSENSE)
def test_anything_in_an_argument_is_right_or_gets_a_sentence(data, value):
    one = data.draw(st.sampled_from(PUBLIC))
    names = tried_arguments(one)
    if names:
        name = data.draw(st.sampled_from(names))
        refusal(name, lambda: check(one, **{name: value}))


# ---- called for real -----------------------------------------------------------------------------

# What takes minutes, starts processes or changes this machine where its arguments are right: the
# rules alone are tried. And two classes that others are made of.
NOT_CALLED = {
    "artifacts.histories_of",
    "artifacts.load_or_collect",
    "artifacts.load_or_train",
    "artifacts.training_log",
    "envs.Camera",
    "envs.GridEnv",
    "envs.ml1_instances",
    "estimate.report",
    "figures.draw",
    "figures.figures_of",
    "history.collect",
    "explorers.Explorer",
    "parts.parts_of",
    "measuring.measure",
    "reproduce.probe_models",
    "reproduce.record",
    "reproduce.reproduce",
    "reproduce.ship",
    "source.train_ppo",
    "source.train_sb3",
    "training.Trainer",
    "training.train",
}
CALLED = [one for one in PUBLIC if one.key not in NOT_CALLED and fuzzing.can_be_called(one)]
FEW = {"rollout.rollout": {"n_episodes": 1, "n_rollouts": 1}}


def called(one: Public, **arguments: Any) -> Any:
    """What a function returns; a wrong answer to an exercise is no nonsense."""
    verdicts = (Hint, AssertionError) if one.key.startswith("exercises.") else ()
    with suppress(*verdicts):
        return fuzzing.call(one, **arguments)


@pytest.mark.parametrize("one", CALLED, ids=lambda one: one.key)
def test_nonsense_that_is_no_nonsense_to_the_rules_does_no_harm(
    one: Public, little_memory, headless, tmp_path, monkeypatch
):
    """What the rules let pass is either right, or refused by the function itself, before memory is
    asked for."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    checked_or_skipped(one)
    for name in tried_arguments(one):
        for value in (*PLAIN, np.int64(3), np.float32(0.5)):
            arguments = FEW.get(one.key, {}) | {name: value}
            if name != "n_episodes":
                refusal("", lambda arguments=arguments: called(one, **arguments))
        plt.close("all")


TABLES = [(one, name) for one in CALLED for name in fuzzing.tables_in(one)]


@pytest.mark.parametrize("one, name", TABLES, ids=lambda x: getattr(x, "key", x))
def test_an_odd_table_gets_a_sentence(one: Public, name: str, headless, tmp_path, monkeypatch):
    """No rows or other columns: a sentence. Two settings in one table: a sentence, or both drawn."""
    monkeypatch.chdir(tmp_path)
    good = fuzzing.valid_arguments(one)[name]
    for is_wrong, change in ODD_TABLES:
        odd = {key: change(table) for key, table in good.items()} if type(good) is dict else None
        value = change(good) if odd is None else odd
        sentence = refusal("", lambda value=value: called(one, **{name: value}))
        if is_wrong and one.key.startswith("plot."):
            assert sentence and sentence.startswith(name), sentence
        plt.close("all")


def two_settings(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.assign(depth=depth) for depth in (1, 2)], ignore_index=True)


ODD_TABLES = [
    (True, lambda table: table.iloc[:0]),
    (True, lambda table: pd.DataFrame({"a": [1]})),
    (False, two_settings),
]
NAN = float("nan")
SWITCHES = [
    (kind, field.name) for kind, field in FIELDS if fuzzing.hints_of_class(kind)[field.name] is bool
]
GRID = EnvConfig()
SMALL_RUN = built()
SETTINGS = SMALL_RUN["settings"]


def build(**changes: Any) -> pd.DataFrame:
    return results.build(**SMALL_RUN | changes)


def in_a_folder(call) -> Any:
    """The call with a folder that is there for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        return call(f"{folder}/histories")


def of_the_arm() -> MetaWorld:
    try:
        return meta_world()
    except MetaWorldMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    "name, call",
    [
        ("source.learning_rate is nan", lambda: made(SourceConfig, learning_rate=NAN)),
        ("train.world_model_weight is nan", lambda: made(TrainConfig, world_model_weight=NAN)),
        ("train.betas[1] is 1.0", lambda: made(TrainConfig, betas=(0.9, 1.0))),
        ("train.betas is (0.9,)", lambda: made(TrainConfig, betas=(0.9,))),
        ("split is '0'", lambda: made(Config, split="0")),
        ("source_seed is 9223372036854775808", lambda: made(Config, source_seed=2**63)),
        ("seed is 9223372036854775808", lambda: Config.preset(seed=2**63)),
        ("train.seed is -1", lambda: made(TrainConfig, seed=-1)),
        ("model.n_layers is 1000000000", lambda: made(ModelConfig, n_layers=10**9)),
        ("env is SourceConfig", lambda: made(Config, env=SourceConfig())),
        ("env.size is 100000", lambda: made(EnvConfig, size=10**5)),
        ("plan has the field 'beamwidth'", lambda: PlanConfig.preset("paper", beamwidth=3)),
        ("config has the fields []", lambda: Config.from_dict({})),
        (
            "config has the field 'trane'",
            lambda: Config.from_dict(dataclasses.asdict(Config()) | {"trane": {}}),
        ),
        (
            "train has the field 'lr'",
            lambda: Config.from_dict(dataclasses.asdict(Config()) | {"train": {"lr": 1}}),
        ),
        ("train is 3", lambda: Config.from_dict(dataclasses.asdict(Config()) | {"train": 3})),
        ("env has the fields ['size']", lambda: env_from_dict({"size": 9})),
        ("env has the field 'sise'", lambda: env_from_dict({"name": "darkroom", "sise": 9})),
        ("task is 'reach-v3'", lambda: PlanConfig.preset("paper", "darkroom", "reach-v3")),
        (
            "plan.beam_width is",
            lambda: search(Simulator(EnvConfig(), [(0, 3)]), *state_of(10**6)),
        ),
        ("tasks is []", lambda: rollout(RandomPolicy(GRID), GRID, [])),
        ("darkroom task is (9, 9)", lambda: rollout(RandomPolicy(GRID), GRID, [(9, 9)])),
        ("darkroom task is (0, nan)", lambda: rollout(RandomPolicy(GRID), GRID, [(0, NAN)])),
        ("task is []", lambda: in_a_folder(lambda x: collect(x, GRID, SourceConfig(), [[]]))),
        ("task is nan", lambda: in_a_folder(lambda x: collect(x, GRID, SourceConfig(), [NAN]))),
        ("darkroom task is", lambda: in_a_folder(lambda x: collect(x, GRID, SourceConfig(), [7]))),
        ("tasks is 3", lambda: in_a_folder(lambda x: collect(x, GRID, SourceConfig(), 3))),
        ("the log has", lambda: train(Config.preset("dark_key_to_door"), log())),
        ("the log holds", lambda: train(Config.preset("metaworld"), log())),
        ("histories is None", lambda: train(Config.preset(), None)),
        ("config is 'darkroom'", lambda: load_or_train("darkroom")),
        ("returns is", lambda: build(returns=[[NAN]])),
        ("returns is", lambda: build(returns=np.full((2, 2, 12), NAN))),
        ("returns has shape", lambda: build(tasks=[(0, 1)])),
        ("max_return is", lambda: build(max_return=[10, NAN])),
        ("horizon is 0", lambda: build(horizon=0)),
        ("success is", lambda: build(success=np.full((2, 2, 12), 7))),
        ("settings['split'] is []", lambda: build(settings=SETTINGS | {"split": []})),
        ("action holds", lambda: GridWorld(GRID, [(0, 3)]).step(torch.full((1, 1), -1))),
        ("action holds", lambda: GridWorld(GRID, [(0, 3)]).step(torch.full((1, 1), 5))),
        ("action holds nan", lambda: of_the_arm().step(np.full((1, 1, 4), NAN))),
        ("plan.planner is 'x'", lambda: PlanConfig("x")),
        ("env is None", lambda: made(Simulator, env=None, tasks=[(0, 3)])),
        ("tasks is 3", lambda: made(Simulator, env=EnvConfig(), tasks=3)),
        ("tasks is []", lambda: made(Simulator, env=EnvConfig(), tasks=[])),
        ("batch is 3", lambda: Simulator(EnvConfig(), [(0, 3), (0, 4)]).begin(3)),
        ("batch is", lambda: GoalExplorer(EnvConfig()).begin(2**50)),
        ("env.name is 'darkroom_permuted'", lambda: GoalExplorer(EnvConfig("darkroom_permuted"))),
        (
            "number of agents x env steps is",
            lambda: rollout(RandomPolicy(EnvConfig()), EnvConfig(), [(0, 3)], 2**50, 1),
        ),
        (
            "number of agents x env steps is",
            lambda: rollout(RandomPolicy(EnvConfig()), EnvConfig(), [(0, 3)], 1, 2**50),
        ),
        (
            "number of agents x env steps is",
            lambda: rollout(new_model(GRID, SMALL), GRID, [(0, 3)], 1_000_000, 1),
        ),
    ],
)
def test_what_was_silent_raw_or_large_gets_a_sentence(name, call, little_memory):
    sentence = refusal("", call)
    assert sentence and sentence.startswith(name), sentence


UNTYPED = """
import numpy, torch
from dicp.config import EnvConfig
from dicp.envs import GridWorld
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout

env = EnvConfig()
world = GridWorld(env, [(0, 3)])
calls = [lambda tasks=tasks: rollout(RandomPolicy(env), env, tasks)
         for tasks in ([[]], [None], ["0"], [(0, "x")], [1.5], [[float("nan"), 1]], [{}], [True])]
actions = (torch.full((1, 1), float("nan")), torch.zeros(1), torch.ones(1, 1).bool(),
           torch.full((1, 1), 2**62), numpy.zeros((1, 1)), [[0]], None, 3, "0")
calls += [lambda action=action: world.step(action) for action in actions]
for call in calls:
    try:
        call()
        print("silent")
    except ValueError as error:
        print(error)
"""


def test_what_the_type_checker_of_the_tests_would_see_first():
    """Tasks and actions of other types, in a process of its own, as users meet them."""
    run = [sys.executable, "-c", UNTYPED]
    said = subprocess.run(run, capture_output=True, encoding="utf-8", check=True, timeout=100)
    sentences = said.stdout.splitlines()
    assert len(sentences) == 17 and all(map(SENTENCE.fullmatch, sentences)), said.stdout


def state_of(n: int) -> tuple:
    """Arguments of a search from `n` contexts, half a gigabyte of futures."""
    plan = PlanConfig(beam_width=1000, depth=20)
    simulator = Simulator(EnvConfig(), [(0, 3)])
    return simulator.root(simulator.begin(n)), plan, 20


@pytest.mark.parametrize("kind, name", SWITCHES, ids=lambda x: getattr(x, "__name__", x))
def test_a_switch_is_no_number(kind, name):
    for value in (0, 1, 0.0, "", "False", None, [], np.int64(1)):
        sentence = refusal(name, lambda value=value: made(kind, **{name: value}))
        assert sentence and sentence.endswith("allowed: True or False.")


def test_the_rules_of_a_large_room_need_no_list_of_its_tasks(little_memory):
    """A 100 x 100 Key-to-Door has a hundred million tasks: 4 GB and more."""
    room = EnvConfig("dark_key_to_door", size=100)
    assert exact_belief(room).begin(2).possible.shape == (2, 2, 10_000)
    assert "size is 100" in refusal("size", lambda: all_tasks(room.name, room.size))
    assert "size is 100" in refusal("size", lambda: split_of(room, 0))


def test_the_fuzz_finds_what_there_is():
    assert len(FIELDS) >= 70 and len(SWITCHES) >= 10 and len(PUBLIC) >= 200 and len(CALLED) >= 180
    assert {one.key for one in PUBLIC} >= NOT_CALLED
