"""Beliefs about every cell: by hand for the exact belief, against the planner's own questions for a trained model."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dicp import beliefs
from dicp.beliefs import (
    believed_rewards,
    first_arrivals,
    last_episodes,
    log_of,
    p_reward,
    remember,
    rollouts_to_learn_from,
    tokens_of,
    who_acts,
    windows_of,
)
from dicp.config import Config, EnvConfig, MetaWorldConfig, ModelConfig, PlanConfig
from dicp.config.parts import MIXED
from dicp.domain import split_of
from dicp.envs import GridRules
from dicp.explorers import GoalExplorer, exact_belief
from dicp.models import new_model
from dicp.oracles import RandomPolicy, Simulator
from dicp.rollout import rollout
from dicp.types import Tokens, Windows
from dicp.windows import WindowSampler

ENV, GOALS, START = EnvConfig(), [(0, 0), (8, 1)], 40


@pytest.fixture(scope="module")
def rollouts():
    return rollout(RandomPolicy(ENV), ENV, GOALS, n_rollouts=3, n_episodes=4, seed=0)


def model_of(kind):
    torch.manual_seed(0)
    model = new_model(ENV, Config.preset(world_model=kind).model)
    with torch.no_grad():
        model.embed.weight *= 10                     # fresh weights hardly look at the tokens
    return model


def up_to(tokens, n):
    return Tokens(*(field[:, :n] for field in tokens))


class Recorder(RandomPolicy):
    """A random agent that keeps what it reads."""

    def begin(self, batch, context_length=None, generator=None):
        self.read = []

    def observe(self, context, tokens):
        self.read.append(torch.stack(tokens, dim=-1))
        return super().observe(context, tokens)


def test_tokens_are_what_the_agents_read():
    agent = Recorder(ENV)
    rollouts = rollout(agent, ENV, GOALS, n_rollouts=3, n_episodes=3, seed=1)
    assert torch.equal(torch.stack(tokens_of(rollouts, ENV), dim=-1)[:, :-1], torch.stack(agent.read, dim=1))


def test_a_whole_life_ends_in_the_present(rollouts):
    tokens = tokens_of(rollouts, ENV)
    assert tokens.observation.shape == (6, 81) and (tokens.observation[:, -1] == START).all()
    assert (tokens.first[:, -1] == 1).all()
    assert torch.equal(tokens.outcome[:, -1], rollouts.next_observation.flatten(0, 1)[:, -1])


def test_windows_are_those_of_the_sampler(rollouts):
    mine, sampler = windows_of(rollouts, ENV), WindowSampler(ENV, log_of(rollouts))
    theirs = sampler.history(64, 4, 1, torch.Generator().manual_seed(0))
    rows = [(mine.action == action).all(1).nonzero()[0, 0] for action in theirs.action]
    for a, b in zip((*mine.tokens, *mine[1:]), (*theirs.tokens, *theirs[1:]), strict=True):
        assert torch.equal(a[torch.stack(rows)], b)


def test_exact_belief_by_hand():
    """Nothing known: after d - 1 imagined steps without a reward, 1 / (81 - cells walked over)."""
    context = GoalExplorer(ENV).begin(1)
    belief = believed_rewards(GoalExplorer(ENV), context, ENV, torch.tensor([START]))[0]
    for cell, n_before in ((START, 0), (START + 1, 0), (START + 9, 0), (START + 2, 1), (0, 7), (80, 7)):
        assert belief[cell] == pytest.approx(1 / (81 - n_before))


def test_visited_cells_are_ruled_out(rollouts):
    nothing = rollouts.reward.sum(-1).flatten() == 0
    assert nothing.any()
    tokens = tokens_of(rollouts, ENV)
    belief = believed_rewards(GoalExplorer(ENV), remember(GoalExplorer(ENV), tokens), ENV, tokens.observation[:, -1])
    visited = torch.zeros(6, 82, dtype=torch.bool).scatter_(1, tokens.outcome, True)[:, :81]
    assert (belief[nothing][visited[nothing]] == 0).all() and (belief[nothing][~visited[nothing]] > 1 / 81).all()


def test_a_simulator_believes_in_its_goals():
    model = Simulator(ENV, GOALS)
    belief = believed_rewards(model, model.begin(2), ENV, torch.tensor([START, START]))
    assert belief.nonzero().tolist() == [[0, 0], [1, 73]] and belief.max() == 1


@pytest.mark.parametrize("kind", ["observational", "queries"])
def test_one_step_beliefs_are_what_the_planner_imagines(kind, rollouts):
    model, tokens = model_of(kind), up_to(tokens_of(rollouts, ENV), 31)
    context, cell = remember(model, tokens), tokens.observation[:, -1]
    belief = believed_rewards(model, context, ENV, cell)
    reached = GridRules.of(ENV, [(0, 0)]).next_cell[0, cell]                  # agent action
    inner = reached.sort().values.diff().ne(0).all(1)                          # no wall: five different cells
    imagined = model.imagine(model.root(context)).reward[:, 0]
    if kind == "observational":
        torch.testing.assert_close(belief.gather(1, reached)[inner], imagined[inner])
    assert inner.any() and belief.shape == (6, 81) and ((belief > 0) & (belief < 1)).all()


def test_the_context_of_remember_is_the_window(rollouts):
    model, tokens = model_of("observational"), up_to(tokens_of(rollouts, ENV), 80)
    torch.testing.assert_close(remember(model, tokens).h, model(tokens)[:, -1], atol=1e-4, rtol=1e-4)


def test_last_episodes_begin_a_life(rollouts):
    windows = windows_of(rollouts, ENV)
    short = last_episodes(windows, 40, ENV)
    born = WindowSampler(ENV, log_of(rollouts)).history(64, 2, 1, torch.Generator().manual_seed(0))
    first = torch.stack([field[:, 0] for field in born.tokens], dim=-1)
    assert (torch.stack([field[:, 0] for field in short.tokens], dim=-1) == first[0]).all()
    assert torch.equal(short.tokens.outcome[:, 1:], windows.tokens.outcome[:, 41:])
    assert torch.equal(short.reward, windows.reward[:, 40:]) and (windows.tokens.last_action[:, 40] < 5).all()


def test_first_arrivals_step_by_step(rollouts):
    windows = windows_of(rollouts, ENV)
    new, n_visited = first_arrivals(windows, ENV)
    for row, (cells, rewards) in enumerate(zip(windows.next_observation.tolist(), windows.reward.tolist(), strict=True)):
        for t, cell in enumerate(cells):
            assert bool(new[row, t]) == (cell not in cells[:t] and not any(rewards[:t]))
            assert n_visited[row, t] == len(set(cells[:t]))


@pytest.mark.parametrize("kind", ["observational", "queries"])
def test_p_reward_ignores_what_comes_later(kind, rollouts):
    model, windows = model_of(kind), windows_of(rollouts, ENV)
    early = Windows(up_to(windows.tokens, 30), *(x[:, :30] for x in windows[1:]))
    torch.testing.assert_close(p_reward(model, windows)[:, :30], p_reward(model, early), atol=1e-5, rtol=1e-4)


def test_p_reward_of_two_levels_is_read_off_the_chunks(rollouts):
    """IDT reads what happened as well as the tokens, and draws its decisions."""
    torch.manual_seed(0)
    model, windows = new_model(ENV, ModelConfig("observational", "idt", n_layers=1)), windows_of(rollouts, ENV)
    torch.manual_seed(0)
    expected = model.world_model_head(model.read(windows), windows.action).reward.softmax(-1)[..., 1]
    torch.manual_seed(0)
    assert torch.equal(p_reward(model, windows), expected)


def test_beliefs_in_key_to_door_are_about_the_key_then_about_the_door():
    """By hand: the key at the agent's right, the door nowhere seen; one reward later only the door is asked for."""
    env = EnvConfig.preset("dark_key_to_door")
    model = Simulator(env, [((5, 4), (0, 0))])
    context = model.begin(1)
    fields = {"observation": START, "last_action": env.n_actions, "last_reward": 0, "outcome": env.n_cells, "first": 1}
    model.observe(context, Tokens(**{name: torch.tensor([x]) for name, x in fields.items()}))
    assert believed_rewards(model, context, env, torch.tensor([START])).nonzero().tolist() == [[0, START + 9]]
    fields |= {"observation": START + 9, "last_action": 0, "last_reward": 1, "outcome": START + 9, "first": 0}
    model.observe(context, Tokens(**{name: torch.tensor([x]) for name, x in fields.items()}))
    assert believed_rewards(model, context, env, torch.tensor([START + 9])).nonzero().tolist() == [[0, 0]]


def test_beliefs_end_where_imagination_ends(rollouts):
    """IDT imagines to the end of its chunk of ten steps; what lies farther away is unknown."""
    torch.manual_seed(0)
    model = new_model(ENV, ModelConfig("observational", "idt", n_layers=1))
    model.prompt.fill_(18)
    tokens = up_to(tokens_of(rollouts, ENV), 28)                                     # three steps of the chunk are left
    belief = believed_rewards(model, remember(model, tokens), ENV, tokens.observation[:, -1])
    far = torch.stack([(torch.tensor([[c // 9, c % 9]]) - torch.stack((torch.arange(81) // 9, torch.arange(81) % 9), 1))
                       .abs().sum(-1) > 3 for c in tokens.observation[:, -1].tolist()])
    assert torch.equal(belief.isnan(), far)


def test_nobody_knows_the_walk_in_permuted():
    env = EnvConfig.preset("darkroom_permuted")
    with pytest.raises(ValueError, match="allowed: 'darkroom', 'dark_key_to_door'"):
        believed_rewards(exact_belief(env), exact_belief(env).begin(1), env, torch.tensor([0]))


def unrecorded(rollouts):
    return rollouts._replace(observation=None, action=None, next_observation=None)


@pytest.mark.parametrize("sentence, call", [
    ("rollouts is None; allowed: a Rollouts", lambda rollouts: tokens_of(None, ENV)),
    ("rollouts.observation is None; allowed: those of rollout", lambda rollouts: tokens_of(unrecorded(rollouts), ENV)),
    ("rollouts.observation is None; allowed: those of rollout", lambda rollouts: windows_of(unrecorded(rollouts), ENV)),
    ("rollouts is 'Rollouts'; allowed: rollouts in a grid", lambda rollouts: log_of(unrecorded(rollouts))),
    ("env.horizon is 50; allowed: 20", lambda rollouts: windows_of(rollouts, EnvConfig(horizon=50))),
    ("env is MetaWorldConfig.*; allowed: the world", lambda rollouts: windows_of(rollouts, MetaWorldConfig(horizon=20))),
    ("env is .*size=3.*; allowed: the world", lambda rollouts: tokens_of(rollouts, EnvConfig(size=3))),
    ("n_steps is 81; allowed: 1 to 80", lambda rollouts: last_episodes(windows_of(rollouts, ENV), 81, ENV)),
    ("tokens is 3; allowed: a Tokens", lambda rollouts: remember(GoalExplorer(ENV), 3)),
    ("model is None; allowed: a Learner", lambda rollouts: remember(None, tokens_of(rollouts, ENV))),
    ("context is None; allowed: what model.begin",
     lambda rollouts: believed_rewards(GoalExplorer(ENV), None, ENV, torch.tensor([0]))),
    ("cell is 81; allowed: numbers of cells, from 0 to 80",
     lambda rollouts: believed_rewards(GoalExplorer(ENV), GoalExplorer(ENV).begin(1), ENV, torch.tensor([81]))),
    ("model.config.world_model is 'none'; allowed: 'observational'",
     lambda rollouts: p_reward(model_of("none"), windows_of(rollouts, ENV))),
])
def test_what_nothing_is_known_of_is_refused(sentence, call, rollouts):
    with pytest.raises(ValueError, match=sentence):
        call(rollouts)


def test_a_large_room_takes_more_than_a_byte_a_cell():
    env = EnvConfig(size=30)
    rollouts = rollout(RandomPolicy(env), env, [(0, 0)], 1, 1)
    log = log_of(rollouts)
    assert torch.equal(log.observation.long(), rollouts.observation) and log.observation.max() > 255


def test_who_searches_well_hardly_ever_steps_where_nothing_is_left():
    """Why rollouts of the exact belief alone teach little of cells met in vain: docs/data.md."""
    config = Config.preset(world_model="queries")
    tasks, _ = split_of(config.env, 0)
    shares = []
    for agent, plan in ((exact_belief(config.env), PlanConfig.preset("bayes", "darkroom")), (RandomPolicy(config.env), None)):
        windows = windows_of(rollout(agent, config.env, tasks, 4, 4, plan, 0), config.env)
        cell = F.one_hot(windows.next_observation, config.env.n_cells)
        paid = cell * (windows.reward > 0).long()[..., None]
        met, has_paid = (
            (x.cumsum(1) - x > 0).gather(2, windows.next_observation[..., None])[..., 0] for x in (cell, paid))
        shares.append(float((met & ~has_paid).float().mean()))
    assert shares[0] < 0.08 and shares[1] > 0.55


def test_rollouts_to_learn_from_are_of_the_tasks_in_their_order_however_many_at_once(monkeypatch):
    config, tasks = Config.preset(world_model="queries"), [(0, 0), (4, 5), (8, 2)]
    agent = exact_belief(config.env)
    monkeypatch.setattr(beliefs, "AT_ONCE", 2)
    log = rollouts_to_learn_from(config, agent, tasks, 3)
    assert log.reward.shape == (3, 3, config.model.context_length)
    goals = torch.tensor([x * 9 + y for x, y in tasks])[:, None, None]
    assert torch.equal(log.next_observation.long() == goals, log.reward > 0) and log.reward[1].any()
    assert (log.observation[..., 0] == 40).all() and not torch.equal(log.action[0, 0], log.action[0, 1])
    earned = log.reward.unflatten(-1, (-1, config.env.horizon)).float().sum(-1).mean((0, 1))
    assert earned[-1] > earned[0] + 3                           # they learn within a window
    with pytest.raises(ValueError, match="tasks"):
        rollouts_to_learn_from(config, agent, [], 3)
    with pytest.raises(ValueError, match="planner in metaworld is 'bayes'; allowed: "):
        rollouts_to_learn_from(Config.preset("metaworld"), agent, tasks, 3)


@pytest.mark.parametrize("data", MIXED)
def test_who_acts_is_the_exact_belief_or_was_trained_on_first_episodes(data):
    config = Config.preset(world_model="queries")
    config, asked = replace(config, train=replace(config.train, data=data)), []
    agent, seconds = who_acts(config, lambda first: asked.append(first) or (RandomPolicy(first.env), 7.0))
    if data == "first_and_exact":
        assert isinstance(agent, GoalExplorer) and seconds == 0 and not asked
    else:
        assert isinstance(agent, RandomPolicy) and seconds == 7
        first = replace(config, train=replace(config.train, data="first_episodes"))
        more = replace(config, train=replace(config.train, n_rollouts=3))       # which first episodes do not read
        who_acts(more, lambda first: asked.append(first) or (RandomPolicy(first.env), 7.0))
        assert asked == [first, first]
        with pytest.raises(ValueError, match="config.train.data is 'first_episodes'; allowed: 'first_and_exact', "):
            who_acts(first, lambda _: pytest.fail("nobody is asked"))


@pytest.mark.parametrize("kind", ["queries", "heads", "observational"])
def test_who_is_asked_about_another_room_says_so(kind, rollouts):
    model, windows = model_of(kind), windows_of(rollouts, ENV)
    tokens = windows.tokens
    for field, value, allowed in (("observation", 81, "0 to 80"), ("outcome", 82, "0 to 81"), ("last_action", 6, "0 to 5"),
                                  ("last_reward", 2, "from 0 to 1"), ("observation", -1, "0 to 80")):
        odd = tokens._replace(**{field: torch.full_like(getattr(tokens, field), value)})
        for ask in (lambda odd=odd: p_reward(model, windows._replace(tokens=odd)), lambda odd=odd: remember(model, odd)):
            with pytest.raises(ValueError, match=f"tokens.{field} is (from )?{value}.*; allowed: {allowed}"):
                ask()
    for field, value, allowed in (
            ("next_observation", 81, "0 to 80"), ("action", 5, "0 to 4"), ("next_observation", -1, "0 to 80")):
        odd = windows._replace(**{field: torch.full_like(getattr(windows, field), value)})
        with pytest.raises(ValueError, match=f"windows.{field} is {value}; allowed: {allowed}"):
            p_reward(model, odd)
