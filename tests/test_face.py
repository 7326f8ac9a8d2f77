"""What a user sees first: `import dicp`, `dicp.evaluate`, `python -m dicp`."""

import re
import textwrap
from dataclasses import replace

import pytest
import torch

import dicp
from dicp import __main__ as command
from dicp import results
from dicp.config import Config, EnvConfig, PlanConfig
from dicp.explorers import exact_belief
from dicp.oracles import RandomPolicy, Simulator

ENV = EnvConfig("darkroom", size=3, horizon=5)
FEW = dict(n_rollouts=2, n_episodes=3)


def test_the_face_is_what_it_lists():
    assert dir(dicp) == sorted(dicp.__all__) == [
        "Config", "PlanConfig", "__version__", "evaluate", "load_or_train", "make_env", "plot", "recorded", "register"]
    assert all(getattr(dicp, name) is not None for name in dicp.__all__)
    assert dicp.Config is Config and dicp.plot.__name__ == "dicp.plot"
    with pytest.raises(AttributeError, match="module 'dicp' has no attribute 'evalute'; it has __version__, Config, "):
        dicp.evalute  # noqa: B018


def test_the_lines_of_its_help_run(headless):
    lines = textwrap.dedent("\n".join(re.findall(r"^    .*$", dicp.__doc__, re.MULTILINE)))
    names = {}
    exec(lines, names)
    assert len(lines.splitlines()) == 5 and names["table"]["episode"].max() == 10


def test_a_batched_env_by_its_name_or_its_config():
    env = dicp.make_env(ENV, [(0, 0), (2, 2)], 4)
    assert env.reset().tolist() == [[4] * 4] * 2
    assert dicp.make_env("dark_key_to_door").reset().shape == (328, 1)
    with pytest.raises(ValueError, match=r"darkroom task is \(3, 0\); allowed: a goal"):
        dicp.make_env(ENV, [(3, 0)])
    with pytest.raises(ValueError, match="env is 'dark_room'; allowed: .*Did you mean 'darkroom'?"):
        dicp.make_env("dark_room")


# ---- evaluate ----


def test_controls_are_named_by_what_they_are():
    for agent, plan in ((RandomPolicy(ENV), None), (exact_belief(ENV), PlanConfig.preset("bayes"))):
        table = dicp.evaluate(agent, plan, tasks=[(0, 1)], **FEW)
        assert set(table["method"]) == set(table["run"]) == {agent.name} and len(table) == 2 * 3
        assert set(table["planner"]) == {"none" if plan is None else "bayes"}
    assert results.compact(table)["episode_return"].iloc[-1] > 3          # the belief has found it


def test_what_a_config_describes_lives_as_in_the_recorded_runs():
    table = dicp.evaluate(Config.preset("darkroom"), n_episodes=2, n_rollouts=1)
    assert table["task"].nunique() == 8 and set(table["method"]) == {"ad"} and table["config_hash"].nunique() == 1
    again = dicp.evaluate(dicp.load_or_train(Config.preset("darkroom")).model, n_episodes=2, n_rollouts=1)
    assert (again["episode_return"] == table["episode_return"]).all() and set(again["method"]) == {"ad"}


class Still:
    """An agent of somebody else."""

    can_plan = False

    def begin(self, batch, context_length=None, generator=None):
        return None

    def observe(self, context, tokens):
        return 100.0 * (tokens.observation[:, None] * 0 + 1) * (torch.arange(5) == 4)


def test_an_agent_of_ones_own():
    table = dicp.evaluate(Still(), env=ENV, tasks=[(1, 1), (0, 0)], **FEW)
    assert set(table["method"]) == {"own"} and set(table["run"]) == {"Still"}
    assert table[table["task"] == "(1, 1)"]["episode_return"].eq(5).all()
    assert table[table["task"] == "(0, 0)"]["episode_return"].eq(0).all() and set(table["config_hash"]) == {"none"}
    with pytest.raises(ValueError, match="env is None; allowed: a world's config, because this agent does not say"):
        dicp.evaluate(Still())


class Posing(RandomPolicy):
    name = "dicp_ad"


def test_nobody_poses_as_ours():
    table = dicp.evaluate(Posing(ENV), tasks=[(1, 1)], **FEW)
    assert set(table["method"]) == {"own"} and set(table["run"]) == {"dicp_ad"}


@pytest.mark.parametrize("said", [
    lambda n: torch.zeros(n, 4), lambda n: torch.full((n, 5), torch.nan), lambda n: torch.zeros(n, 5).long(),
    lambda n: torch.zeros(1, 5), lambda n: None])
def test_what_an_agent_says_is_looked_at(said):
    agent = Still()
    agent.observe = lambda context, tokens: said(len(tokens.first))
    with pytest.raises(ValueError, match=r"^what observe gives is .*; allowed: finite floats of the shape \(4, 5\).$"):
        dicp.evaluate(agent, env=ENV, tasks=[(1, 1), (0, 0)], **FEW)


@pytest.mark.parametrize("said", [
    lambda n: None, lambda n: (torch.zeros(n).long(), None), lambda n: (torch.zeros(n).long(), torch.zeros(n).long()),
    lambda n: (torch.zeros(1).long(), torch.ones(n).bool()), lambda n: (torch.zeros(n), torch.ones(n).bool())])
def test_what_a_planner_says_is_looked_at(said):
    class Odd(Right):
        def act(self, context, observation, clock):
            return said(self.batch)

    with pytest.raises(ValueError, match="^what act gives is .*; allowed: .actions, whether to take each.: .2,."):
        dicp.evaluate(Still(), Odd, env=ENV, tasks=[(2, 1)], **FEW)


class Right:
    """A planner of somebody else: +x, +x, ..."""

    def __init__(self, model, batch, generator):
        self.batch = batch

    def act(self, context, observation, clock):
        return torch.arange(self.batch) * 0, torch.arange(self.batch) >= 0

    def notice(self, reward, next_observation):
        pass


def test_a_planner_of_ones_own(headless):
    table = dicp.evaluate(Still(), Right, env=ENV, tasks=[(2, 1)], **FEW)
    assert set(table["planner"]) == {"own"} and table["episode_return"].eq(5).all()
    dicp.plot.returns(table, title="It goes to the right")
    with pytest.raises(ValueError, match="what plan makes is .*; allowed: an OwnPlanner, which has act, notice"):
        dicp.evaluate(Still(), lambda *_: 3, env=ENV, tasks=[(2, 1)], **FEW)


@pytest.mark.parametrize("arguments, sentence", [
    (dict(plan="bayes"), r"plan is 'bayes'; allowed: a PlanConfig, as PlanConfig.preset\('bayes'\) makes one, .*"),
    (dict(agent=Simulator(ENV, [(0, 0)])), "plan is None; allowed: a PlanConfig, because this Simulator has no policy .*"),
    (dict(agent="ad"), "agent is 'ad'; allowed: .*"),
    (dict(tasks=[(9, 9)]), r"darkroom task is \(9, 9\); allowed: .*"),
    (dict(agent=Config.preset("darkroom"), env=ENV), "env is .*; allowed: None, because the config says it."),
    (dict(plan=PlanConfig.preset("paper")), "planner is 'paper', but this agent has no world model; allowed: no plan."),
    (dict(tasks=[]), r"tasks is \[\]; allowed: at least one, each once."),
    (dict(tasks=[(0, 1), (0, 1)]), "tasks is .*; allowed: at least one, each once."),
    (dict(agent=Config.preset("darkroom", world_model="queries")), "plan is None; allowed: a PlanConfig, because queries .*"),
    (dict(n_episodes=0), "n_episodes is 0; allowed: .*"),
    (dict(name=""), "name is ''; allowed: .*"),
])
def test_what_cannot_be_evaluated_gets_one_sentence(arguments, sentence):
    whole = dict(agent=RandomPolicy(ENV), tasks=[(0, 0)], **FEW) | arguments
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        dicp.evaluate(whole.pop("agent"), whole.pop("plan", None), **whole)


def test_a_wide_plan_fits_the_room():
    assert PlanConfig.preset("bayes", "darkroom").beam_width == 81
    assert PlanConfig.preset("bayes", EnvConfig("darkroom", size=11)).beam_width == 121
    assert PlanConfig.preset("bayes", EnvConfig("darkroom", size=11), beam_width=7).beam_width == 7
    assert PlanConfig.preset("bayes", ENV).beam_width == 81


# ---- the command line ----


def run(capsys, *arguments):
    command.main(arguments)
    return capsys.readouterr().out


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    return f"{stop.value.code} {capsys.readouterr().err}"


def test_without_a_verb_the_verbs_are_listed(capsys):
    said = run(capsys)
    assert said == run(capsys, "--help")
    assert all(f"\n  {verb} " in said for verb in ("reproduce", "collect", "train", "evaluate"))


@pytest.mark.parametrize("verb", ["reproduce", "collect", "train", "evaluate"])
def test_every_verb_has_its_help(verb, capsys):
    assert "0 " in refused(capsys, verb, "--help") or "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, sentence", [
    (["evalute"], "the verb is 'evalute'; allowed: reproduce, collect, train, evaluate. Did you mean 'evaluate'?"),
    (["train", "--word-model", "none"], "--word-model is no option; allowed: --help, .* Did you mean '--world-model'?"),
    (["train", "--env", "darkrom"], "--env is 'darkrom'; allowed: 'darkroom', .* Did you mean 'darkroom'?"),
    (["train", "--env", "metaworld", "--task", "reach"], "task is 'reach'; allowed: .*Did you mean"),
    (["train", "--task", "reach-v3"], "task is 'reach-v3'; allowed: none in darkroom"),
    (["evaluate", "--planner", "paper"], "planner is 'paper', but ad has no world model; allowed: no plan, or"),
    (["evaluate", "--episodes", "0"], "n_episodes is 0"),
    (["train", "--split", "-1"], "seed is -1; allowed"),
])
def test_a_wrong_word_gets_one_sentence(arguments, sentence, capsys):
    assert re.search(sentence.replace("?", r"\?"), refused(capsys, *arguments)), sentence


def test_train_and_evaluate_what_is_shipped(capsys, tmp_path):
    said = run(capsys, "train", "--world-model", "observational")
    assert said.startswith("dicp_ad in darkroom, shipped: policy ")
    file = tmp_path / "rollouts.csv.gz"
    sizes = ["--episodes", "2", "--rollouts", "1"]
    said = run(capsys, "evaluate", "--world-model", "observational", "--planner", "gated", *sizes, "--out", str(file))
    assert "all_episodes" in said and len(results.load(file)) == 8 * 2


def test_a_source_is_a_field_of_the_config():
    config = Config.preset("darkroom", source="trpo")
    assert config.source.algorithm == "trpo" and config.history_key != Config.preset("darkroom").history_key
    assert replace(config.source, algorithm="ppo", learning_rate=3e-4) == Config.preset("darkroom").source
    with pytest.raises(ValueError, match="source is 'trop'; allowed: 'ppo', 'sb3', 'trpo', 'a2c', 'sac'. Did you mean 'trpo'?"):
        Config.preset("darkroom", source="trop")
