"""Worlds of somebody else: registered, installed, refused in one sentence; and the contract that they keep."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import dicp
from dicp import results
from dicp.beliefs import log_of
from dicp.config import Config, EnvConfig, MetaWorldConfig, PlanConfig, env_from_dict, registry
from dicp.domain import Domain, GridConfig, Row, Space, Step, WorldConfig, domain_of, register
from dicp.envs.grid import moves_in
from dicp.envs.tabular import NoisyTabularWorld, TabularWorld
from dicp.models import new_model
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.source import train_ppo
from dicp.testing import check_world
from dicp.training import Trainer, counted
from dicp.types import Log
from dicp.windows import WindowSampler
from dicp.worlds import worlds

ROOT = Path(__file__).parents[1]
RING = torch.tensor([[[1, 3], [2, 0], [3, 1], [0, 2]]])          # four cells in a ring: on, back


@dataclass(frozen=True)
class RingConfig(WorldConfig):
    name: str = "ring"
    horizon: int = 6


class RingDomain(Domain):
    """Four cells in a ring, of which one pays."""

    config_class = RingConfig
    observation, action = Space(4), Space(2)
    presets = (Row({}, source={"n_steps": 6, "env_steps": 1200}, model={"context_length": 12}),)

    def split(self, seed):
        return [0, 1, 2], [3]

    def make(self, tasks, n_streams):
        pays = torch.eye(4, dtype=torch.long)[list(tasks)]
        return TabularWorld(RING, pays, self.config.horizon, n_streams)

    def max_return(self, tasks):
        return self.make(tasks, 1).max_return


@pytest.fixture(autouse=True)
def forgotten():
    """What a test registers is forgotten after it."""
    yield
    registry.REGISTERED.clear()
    registry._installed.cache_clear()


@pytest.fixture
def ring():
    register("ring", RingDomain)
    return RingConfig()


@dataclass(frozen=True)
class HallConfig(GridConfig):
    name: str = "hall"
    horizon: int = 6
    size: int = 4
    world_models = ("none", "observational", "queries", "table")


class HallDomain(Domain):
    """Sixteen cells, of which one pays; the library knows them from their coordinates alone."""

    config_class = HallConfig
    observation, action = Space(16, coordinates_below=(4, 4)), Space(5)
    presets = (Row({"world_model": ("queries", "table")}, model={"n_layers": 1}, train={"data": "first_episodes"}),)
    leads_to = moves_in(4)[None]

    def split(self, seed):
        return list(range(12)), [12, 13, 14, 15]

    def make(self, tasks, n_streams):
        pays = torch.eye(16, dtype=torch.long)[list(tasks)]
        return TabularWorld(moves_in(4)[None], pays, self.config.horizon, n_streams, start=5)

    def max_return(self, tasks):
        return self.make(tasks, 1).max_return


# ---- ours, and one of somebody else ----


@pytest.mark.parametrize("env", [
    *(EnvConfig(name, horizon=20) for name in ("darkroom", "darkroom_permuted", "dark_key_to_door")),
    EnvConfig("darkroom", size=4, horizon=10), MetaWorldConfig(horizon=30), MetaWorldConfig(task="hammer-v3", horizon=20)],
    ids=lambda env: f"{env.name}-{env.horizon}-{getattr(env, 'task', '')}")
def test_our_worlds_keep_the_contract(env):
    check_world(env)


def test_a_world_of_four_cells_by_hand(ring):
    check_world(ring)
    world = domain_of(ring).make([2, 0], 1)
    assert world.max_return.tolist() == [3, 3]                    # there in 2 steps, then back and forth; on, off, on, ...
    steps = [world.step(torch.tensor([[0], [1]])) for _ in range(3)]
    assert [step.observation[:, 0].tolist() for step in steps] == [[1, 3], [2, 2], [3, 1]]
    assert [step.reward[:, 0].tolist() for step in steps] == [[0, 0], [1, 0], [0, 0]]


def test_what_is_registered_is_known_everywhere(ring):
    config = Config.preset("ring", world_model="observational")
    assert config.env == ring and config.source.env_steps == 1200 and config.model.context_length == 12
    assert env_from_dict({"name": "ring", "horizon": 9}) == RingConfig(horizon=9)
    assert "ring" in worlds() and "ring" in registry.names()
    assert PlanConfig.preset("paper", "ring").planner == "paper"
    env = dicp.make_env("ring", n_streams=2)
    assert env.reset().tolist() == [[0, 0]]


def test_its_key_is_its_own():
    register("ring", RingDomain)
    keys = {Config.preset("ring").key, Config.preset("darkroom").key}
    keys |= {replace(Config.preset("ring"), env=RingConfig(horizon=12)).key}
    assert len(keys) == 3


def test_the_papers_own_settings_hold_in_any_world(monkeypatch):
    """What a world brings along is for the fast profile, unless it names the other."""
    plain = Row({}, train={"updates": 7, "batch_size": 3})
    named = Row({"profile": "paper"}, train={"batch_size": 5})
    registry.REGISTERED["ring"] = type("Slow", (RingDomain,), {"presets": (named, plain)})
    fast, paper = (Config.preset("ring", profile).train for profile in ("fast", "paper"))
    assert (fast.updates, fast.batch_size) == (7, 3)
    assert (paper.updates, paper.batch_size) == (50_000, 5)
    assert Config.preset("dark_treasure", "paper", "queries").train.updates == 50_000


@pytest.mark.parametrize("name", ["walls", "point"])
def test_the_worlds_of_the_examples_keep_the_contract(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    module = __import__(name)
    domain = getattr(module, f"{name.title()}Domain")
    register(name, domain)
    check_world(domain.config_class())


def test_settings_follow_from_the_horizon():
    registry.REGISTERED["ring"] = type("Plain", (RingDomain,), {"presets": (), "config_class": dataclass(frozen=True)(
        type("Seven", (WorldConfig,), {"__annotations__": {"name": str, "horizon": int}, "name": "ring", "horizon": 7}))})
    for target in ("ad", "idt"):
        config = Config.preset("ring", target=target)
        assert (config.model.context_length, config.model.chunk, config.source.n_steps) == (28, 7, 7)
    assert PlanConfig.preset("paper", "ring").start_after == 28 and config.source.env_steps == 350


def test_success_is_judged_in_the_world_that_was_lived_in(ring):
    """Half of the highest return, which a longer episode raises."""
    tables = [dicp.evaluate(RandomPolicy(env), tasks=[0], n_rollouts=40, n_episodes=2) for env in (ring, RingConfig(horizon=9))]
    for table, env in zip(tables, (ring, RingConfig(horizon=9)), strict=True):
        most = domain_of(env).max_return([0]).item()
        assert (table["success"] == (table["episode_return"] >= most / 2)).all() and 0 < table["success"].mean() < 1
    with pytest.raises(ValueError, match="the table mixes env_horizon"):
        results.summary(pd.concat(tables), last=1, found_by=1)


def test_a_reward_that_was_not_declared_is_refused(ring):
    """It would be kept as a byte: 0 for one half."""
    registry.REGISTERED["ring"] = spoilt(lambda step, world: step._replace(reward=step.reward + 0.5))
    sentence = "the reward at env step 0 is from 0.5 to .*, torch.float32; allowed: from 0 to 1, torch.int64."
    with pytest.raises(ValueError, match=sentence):
        dicp.evaluate(RandomPolicy(ring), tasks=[0], n_rollouts=2, n_episodes=1)
    with pytest.raises(ValueError, match=sentence):
        train_ppo(ring, [0], replace(Config.preset("ring").source, env_steps=12, n_steps=12), 0)


def test_a_task_that_there_is_not_is_refused(ring):
    for task in (-1, 4):
        with pytest.raises(ValueError, match=f"ring task is {task}; allowed: one of split 0"):
            dicp.make_env("ring", [task])


def test_a_window_of_costs_keeps_every_task(ring):
    """What is left out ends far below the median, measured from the lowest return."""
    reward = torch.tensor([-3.0, -2.0, -1.0])[:, None, None].expand(3, 1, 12)
    log = Log(torch.zeros(3, 1, 12).byte(), torch.zeros(3, 1, 12).byte(), reward, torch.zeros(3, 1, 2).byte())
    for share, kept in ((0.0, [0, 1, 2]), (0.25, [1, 2])):
        assert WindowSampler(ring, log, None, share).learned.tolist() == kept


# ---- refused ----


@pytest.mark.parametrize("name, sentence", [
    ("darkroom", "name is 'darkroom'; allowed: one that is not taken; there are 'darkroom', .*"),
    ("metaworld", "name is 'metaworld'; allowed: one that is not taken; .*"),
    ("My World", "name is 'My World'; allowed: lower-case letters, digits and _, as in 'my_world_2'."),
    ("../ring", "name is '../ring'; allowed: lower-case letters, .*"),
    ("", "name is ''; allowed: a text that is not empty."),
])
def test_a_name_that_cannot_be_is_refused(name, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        register(name, RingDomain)
    assert registry.REGISTERED == {}


def test_another_class_does_not_take_a_name_but_the_same_one_defined_anew_does(ring):
    register("ring", RingDomain)
    anew = type("RingDomain", (RingDomain,), {"__qualname__": "RingDomain", "__module__": __name__})
    register("ring", anew)
    assert type(domain_of(ring)) is anew
    other = type("Other", (RingDomain,), {})
    with pytest.raises(ValueError, match="name is 'ring'; allowed: one that is not taken"):
        register("ring", other)


class NoMethods(Domain):
    config_class = RingConfig


class NoConfig(RingDomain):
    config_class = None


class MissTyped(RingDomain):
    presets = [Row({}, model={"context_lenght": 12})]


class NoRow(RingDomain):
    presets = {"model": {}}


class OddWhen(RingDomain):
    presets = [Row({"method": "ad"}, model={})]


class NotFrozen(RingDomain):
    config_class = dataclass(type("Loose", (WorldConfig,), {"__annotations__": {"name": str, "horizon": int}}))


@pytest.mark.parametrize("domain, sentence", [
    (3, "domain is 3; allowed: a type"),
    (dict, "domain is <class 'dict'>; allowed: a subclass of dicp.domain.Domain."),
    (NoMethods, "NoMethods lacks make, split; allowed: a domain with all methods of dicp.domain.Domain."),
    (NoConfig, "NoConfig.config_class is None; allowed: a frozen dataclass .* with name and horizon."),
    (MissTyped, "MissTyped.presets: model has the field 'context_lenght'; allowed: .*Did you mean 'context_length'"),
    (NoRow, "NoRow.presets is {'model': {}}; allowed: a list of dicp.domain.Row."),
    (OddWhen, "OddWhen.presets: when has the field 'method'; allowed: env, task, profile, "),
    (NotFrozen, "NotFrozen.config_class is .*; allowed: a frozen dataclass .*"),
])
def test_a_domain_that_lacks_something_is_refused(domain, sentence):
    with pytest.raises(ValueError, match=sentence):
        register("ring", domain)


@pytest.mark.parametrize("changes, sentence", [
    ({"action": Space(shape=(2,), low=-1, high=1)},
     "has observations that are one of a few and actions that are numbers; allowed: both one of a few, or both numbers."),
    ({"observation": Space(6, coordinates_below=(4, 2))}, r"coordinates_below is \(4, 2\); allowed: .* product is 6"),
    ({"reward": Space()}, r"reward is .*; allowed: Space\(n\), one of n of at least 1"),
    ({"reward": Space(2, values=(1, 0))}, r"reward.values is \(1, 0\); allowed: 2 numbers in rising order"),
    ({"observation": Space(shape=(2, 2)), "action": Space(shape=(1,), low=-1, high=1)}, r"observation.shape is \(2, 2\)"),
    ({"observation": Space(shape=(2,)), "action": Space(shape=(1,))}, r"action's bounds is .*; allowed: \(-1, 1\)"),
    ({"observation": Space(shape=(2,)), "action": Space(shape=(1,), low=-1, high=1)}, r"reward is .*; allowed: Space\(\)"),
    ({"observation": Space(shape=(2,)), "action": Space(shape=(1,), low=-1, high=1), "reward": Space()},
     "config_class is .*; allowed: a subclass of dicp.domain.NumbersConfig"),
    ({"observation": 9}, "observation is 9; allowed: a dicp.domain.Space"),
    ({"observation": Space("9")}, "observation.n is '9'; allowed: a whole number"),
    ({"observation": Space(4, coordinates_below=(-2, -2))}, "coordinates_below.0. is -2; allowed: a whole number"),
    ({"reward": Space(2, values=("a", "b"))}, "reward.values.0. is 'a'; allowed: a finite number"),
    ({"observation": Space(shape=2)}, "observation.shape is 2; allowed: a sequence"),
    ({"reward": Space(2, low=3, high=1)}, "reward's low and high is .*; allowed: two numbers in rising order"),
])
def test_spaces_that_cannot_be_learned_are_refused(changes, sentence, ring):
    registry.REGISTERED["ring"] = type("Odd", (RingDomain,), changes)
    with pytest.raises(ValueError, match=sentence):
        domain_of(ring)
    assert domain_of(EnvConfig()).name == "darkroom"


@pytest.mark.parametrize("config", [RingConfig(), EnvConfig()])
def test_a_config_of_another_world_is_refused(config, ring):
    registry.REGISTERED["ring"] = type("Other", (RingDomain,), {"config_class": dataclass(frozen=True)(
        type("OtherConfig", (WorldConfig,), {"__annotations__": {"name": str, "horizon": int}, "name": "ring", "horizon": 3}))})
    if config.name == "ring":
        with pytest.raises(ValueError, match="env is RingConfig.*; allowed: a OtherConfig, as 'ring' was registered"):
            domain_of(config)
    else:
        domain_of(config)


# ---- the contract catches ----


def broken(**changes):
    """A domain whose simulator or whose methods are spoilt."""
    return type("Broken", (RingDomain,), changes)


class Spoilt(TabularWorld):
    """Its steps are changed by `spoil`."""

    def __init__(self, spoil, *args):
        self.spoil = spoil
        super().__init__(*args)

    def step(self, action):
        return self.spoil(super().step(action), self)


def spoilt(spoil):
    def make(self, tasks, n_streams):
        return Spoilt(spoil, RING, torch.eye(4, dtype=torch.long)[list(tasks)], self.config.horizon, n_streams)

    return broken(make=make)


@pytest.mark.parametrize("domain, sentence", [
    (broken(split=lambda self, seed: ([0, 1], [1])), "1 tasks are for training and held out, too"),
    (broken(split=lambda self, seed: ([0], [])), "no training or no held-out tasks"),
    (broken(split=lambda self, seed: ([[0], [1]], [[2]])), "task \\[0\\] is not what storing"),
    (broken(max_return=lambda self, tasks: torch.ones(7)), "max_return has shape"),
    (broken(max_return=lambda self, tasks: torch.zeros(len(tasks))), "add a constant to every reward"),
    (broken(max_return=lambda self, tasks: torch.full((len(tasks),), 0.5)), "is above max_return"),
    (spoilt(lambda step, world: step._replace(reward=step.reward.float())), "reward is torch.float32, not torch.int64"),
    (spoilt(lambda step, world: step._replace(reward=step.reward + 5)), "reward holds values from 5"),
    (spoilt(lambda step, world: step._replace(done=False)), "done is False at step 5 of episodes of 6"),
    (spoilt(lambda step, world: step._replace(observation=step.observation * 0)), "observation differs from next_observation"),
    (spoilt(lambda step, world: step._replace(next_observation=step.next_observation[0])), "next_observation has shape"),
    (spoilt(lambda step, world: step._replace(success=step.reward > 0)), "says_success is False"),
    (spoilt(lambda step, world: Step(step.reward, *[(step.observation + world.n_streams) % 4] * 2, step.done)),
     "is another for one agent alone than among others"),
])
def test_a_broken_world_is_told_what_it_breaks(domain, sentence):
    registry.REGISTERED["ring"] = domain
    with pytest.raises(AssertionError, match=sentence):
        check_world(RingConfig())


# ---- installed ----


def install(folder, name, value, code):
    """A distribution with one entry point, and its module, in a folder that Python looks into."""
    (folder / f"{name}_package.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[dicp.domains]\n{name} = {value}\n", encoding="utf-8")
    registry._installed.cache_clear()


RING_CODE = """
from test_registry import RingConfig, RingDomain
from dataclasses import dataclass

@dataclass(frozen=True)
class Config(RingConfig):
    name: str = "installed"

class World(RingDomain):
    config_class = Config
"""


def test_a_world_of_another_distribution_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "installed", "installed_package:World", RING_CODE)
    assert "installed_package" not in sys.modules and "installed" in registry.names()
    check_world(Config.preset("installed").env)
    assert "installed_package" in sys.modules


def test_a_world_that_was_changed_is_another(tmp_path, monkeypatch):
    """What was computed before is not taken for what would be now."""
    monkeypatch.syspath_prepend(tmp_path)
    keys = []
    for change in ("", "\n# another rule", ""):
        monkeypatch.delitem(sys.modules, "installed_package", raising=False)
        registry.REGISTERED.clear()
        install(tmp_path, "installed", "installed_package:World", RING_CODE + change)
        config = Config.preset("installed")
        keys.append((config.key, config.history_key))
    assert keys[0] == keys[2] and keys[0][0] != keys[1][0] and keys[0][1] != keys[1][1]
    assert "world" not in Config.preset("darkroom").__dict__ and registry.code_of("darkroom") is None


def test_fields_that_json_has_no_words_for_come_back(tmp_path):
    @dataclass(frozen=True)
    class Walled(RingConfig):
        walls: tuple = ((1, 2), (3, 4))

    registry.REGISTERED["ring"] = type("Walls", (RingDomain,), {"config_class": Walled})
    assert env_from_dict(json.loads(json.dumps({"name": "ring", "walls": ((1, 2),)}))).walls == ((1, 2),)
    check_world(Walled())


@pytest.mark.parametrize("code, value, sentence", [
    ("import nothing_of_that_name", "broken_package:World", "ModuleNotFoundError"),
    ("", "broken_package:World", "AttributeError"),
    ("World = 3", "broken_package:World", "allowed: a subclass of dicp.domain.Domain"),
])
def test_one_that_cannot_be_imported_is_named_and_the_others_go_on(code, value, sentence, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_package", raising=False)
    install(tmp_path, "broken", value, code)
    with pytest.raises(ValueError, match=f"The world 'broken' of broken .broken_package:World. cannot be used .*{sentence}"):
        Config.preset("broken")
    assert Config.preset("darkroom").env == EnvConfig()


def test_one_with_the_name_of_ours_is_not_used_and_says_so(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "darkroom", "darkroom_package:World", RING_CODE)
    with pytest.warns(UserWarning, match="The world 'darkroom' of darkroom .* is not used: its name is taken"):
        registry.names()
    assert domain_of(EnvConfig()).name == "darkroom"


def test_a_process_that_was_started_does_not_say_it_again(tmp_path):
    install(tmp_path, "darkroom", "darkroom_package:World", RING_CODE)
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, sys\nsys.path.insert(0, sys.argv[1])\nfrom dicp.config import registry\n"
        "if __name__ == '__main__':\n    registry.names()\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=registry.names)\n"
        "    worker.start()\n    worker.join()\n    print(worker.exitcode)\n", encoding="utf-8")
    done = subprocess.run([sys.executable, program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"] and done.stderr.count("is not used: its name is taken") == 1


# ---- a room of somebody else ---------------------------------------------------------------------


def test_a_room_of_ones_own_keeps_the_contract():
    register("hall", HallDomain)
    check_world(Config.preset("hall").env)


@pytest.mark.parametrize("kind", ["queries", "table"])
def test_in_a_room_of_ones_own_queries_and_the_table_learn_and_plan(kind):
    register("hall", HallDomain)
    config = Config.preset("hall", world_model=kind)
    config = replace(config, train=replace(config.train, updates=3, n_streams=10))
    train, held_out = domain_of(config.env).split(0)
    log = log_of(rollout(RandomPolicy(config.env), config.env, train, 10, 1))
    if kind == "table":
        model = counted(config, log)
    else:
        trainer = Trainer(config, log)
        losses = [trainer.step() for _ in range(3)]
        assert len(losses) == 3
        model = trainer.model.eval().requires_grad_(False)
    n_episodes = 12 if kind == "table" else 2
    rollouts = rollout(model, config.env, held_out, 4, n_episodes, PlanConfig.preset("bayes", "hall"))
    assert rollouts.planned.all()
    if kind == "table":
        assert (rollouts.episode_return[..., -1] == rollouts.max_return[:, None]).float().mean() > 0.8


def test_a_random_world_draws_from_the_generator_that_it_is_given():
    class Lucky(HallDomain):
        def make(self, tasks, n_streams, generator=None):
            pays = torch.eye(16, dtype=torch.long)[list(tasks)]
            return NoisyTabularWorld(moves_in(4)[None], pays, 6, n_streams, start=5, p_reward=0.5)

    @dataclass(frozen=True)
    class LuckyConfig(HallConfig):
        name: str = "lucky"
        is_random = True

    Lucky.config_class = LuckyConfig
    register("lucky", Lucky)
    with pytest.raises(AssertionError, match="is_random is True, but no number is drawn"):
        check_world(LuckyConfig())


def test_rewards_that_are_one_as_floats_are_refused():
    class Close(HallDomain):
        reward = Space(3, values=(0.0, 0.99999999, 1.0))

    register("hall", Close)
    with pytest.raises(ValueError, match="Close.reward.values is .*; allowed: 3 numbers in rising order"):
        domain_of(HallConfig())


def test_a_table_needs_to_know_where_actions_lead():
    class Unknown(HallDomain):
        leads_to = None

    register("hall", Unknown)
    sentence = "world_model is 'table'.* hall does not say where actions lead; allowed: .* leads_to"
    with pytest.raises(ValueError, match=sentence):
        new_model(HallConfig(), Config.preset("hall", world_model="table").model)


def test_a_cell_may_take_away_and_a_table_counts_it():
    class Loss(HallDomain):
        reward = Space(2, values=(-1.0, 1.0))

        def make(self, tasks, n_streams):
            pays = 2 * torch.eye(16)[list(tasks)] - 1
            return TabularWorld(moves_in(4)[None], pays, self.config.horizon, n_streams, start=5)

    register("hall", Loss)
    check_world(HallConfig())
    model = new_model(HallConfig(), Config.preset("hall", world_model="table").model)
    log = log_of(rollout(RandomPolicy(HallConfig()), HallConfig(), [3, 9], 4, 2))
    counts = model.count(WindowSampler(HallConfig(), log).history(8, 2, 1, torch.Generator().manual_seed(0)))
    assert counts.sum() == 8 * 12 and counts[1, 1] == 0 and counts[2, 0] == 0      # what a cell gives stays the same


def test_queries_refuse_a_world_in_which_an_action_jumps():
    leads = moves_in(4).clone()
    leads[6, 4] = 15

    class Jump(HallDomain):
        leads_to = leads[None]

    register("hall", Jump)
    sentence = "world_model is 'queries', and in hall action 4 leads from cell 6 to 15; allowed: .* change by 1 at most"
    with pytest.raises(ValueError, match=sentence):
        new_model(HallConfig(), Config.preset("hall", world_model="queries").model)
    assert new_model(HallConfig(), Config.preset("hall", world_model="table").model) is not None
