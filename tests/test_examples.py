"""The example programs run, are short, and their agents end above the random policy."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from dicp import results
from dicp.config import Config, registry
from dicp.domain import domain_of
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout

EXAMPLES = Path(__file__).parents[1] / "examples"
BY_RUN = ("env", "method", "world_model", "planner", "run")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path_factory):
    """A cache of its own; what an example registers is forgotten after it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("DICP_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    registry.REGISTERED.clear()
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_each_is_shorter_than_sixty_lines():
    assert len(list(EXAMPLES.glob("*.py"))) == 5
    for path in EXAMPLES.glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 60 and max(map(len, lines)) <= 110, path.name


@pytest.mark.parametrize("name, runs", [
    ("walls", ["ad", "dicp_ad"]), ("point", ["ad", "dicp_ad"]), ("agents", ["rememberer", "own"])])
def test_its_agents_end_above_the_random_policy(name, runs):
    summary = results.summary(import_module(name).main(), BY_RUN, last=10)
    last = summary[summary["metric"] == "last_10_episodes"].set_index("run")["value"]
    assert list(last.index) == ["random", *runs]
    assert (last[runs] > 2 * last["random"]).all(), last


def test_a_world_model_that_counts_is_searched():
    table = results.compact(import_module("world_model").main())
    assert results.normalised(table[table["episode"] > 5]).mean() > 0.8


def test_other_sources_learn():
    """Some later tenth of their episodes brings more than the random policy does. In one task of the example's two."""
    curves = import_module("sources").main(n_tasks=1)
    assert list(curves) == ["trpo", "a2c", "sac"]
    for name, curve in curves.items():
        env = Config.preset("metaworld" if name == "sac" else "darkroom").env
        tasks = domain_of(env).split(0)[0][:1]
        chance = rollout(RandomPolicy(env), env, tasks, 10, 5, record=False).episode_return.float().mean()
        assert curve[-6:].max() > 1.3 * chance, (name, curve, chance)
