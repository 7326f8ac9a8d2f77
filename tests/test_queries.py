"""Queries: what they may see, that nobody sees them, and that whole windows and acting agree."""

import math
from dataclasses import replace

import pytest
import torch

from dicp.beliefs import log_of, windows_of
from dicp.config import Config, EnvConfig, ModelConfig, TrainConfig, registry
from dicp.losses import losses
from dicp.models import Model, new_model
from dicp.models.transformer import counted_mask
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.selection import new_names, relabelled, remembered, renamed
from dicp.types import Tokens
from dicp.windows import WindowSampler, without_past

WORLDS = ("darkroom", "darkroom_permuted", "dark_key_to_door", "dark_treasure", "noisy_darkroom")
TASKS = {
    "darkroom": [(1, 1), (2, 1)], "noisy_darkroom": [(1, 1), (2, 1)], "darkroom_permuted": [3, 7],
    "dark_key_to_door": [((1, 1), (1, 2)), ((1, 2), (1, 1))], "dark_treasure": [((1, 1), (1, 2)), ((1, 2), (1, 1))],
}
FEW = {"dark_treasure": {"n_train": 20, "n_held_out": 5}}


def small(
    name: str, n_episodes: int = 2, size: int = 3, horizon: int = 6, kind: str = "queries", **changes
) -> Model:
    env = registry.config_class(name)(name, size=size, horizon=horizon, **FEW.get(name, {}))
    torch.manual_seed(0)
    sizes = dict(context_length=n_episodes * horizon, d_model=16, n_layers=2, n_heads=2, d_ff=16, d_head_hidden=8, n_lines=4)
    return new_model(env, ModelConfig(kind, **sizes | changes)).eval()


def lived(model: Model, n_episodes: int = 2, n_rollouts: int = 3):
    """Windows of agents that act at random, with rewards."""
    env = model.env
    return windows_of(rollout(RandomPolicy(env), env, TASKS[env.name], n_rollouts, n_episodes, seed=1), env)


def changed(windows, at: int, **fields):
    """The same windows with other values in their tokens from position `at` on."""
    tokens = windows.tokens._asdict()
    for name, values in fields.items():
        tokens[name] = tokens[name].clone()
        tokens[name][:, at:] = values
    return windows._replace(tokens=Tokens(**tokens))


@pytest.mark.parametrize("name", WORLDS)
def test_a_query_sees_what_came_before_it_and_neither_its_answer_nor_what_follows(name):
    model = small(name)
    windows, at = lived(model), 5
    before = model.predict(windows)
    other = 1 - windows.tokens.last_reward[:, at + 1 :]
    later = changed(windows, at + 1, last_reward=other, last_action=0, outcome=0, observation=0)
    after = model.predict(later)
    for one, two in zip(before.logits, after.logits, strict=True):
        assert torch.equal(one[:, : at + 1], two[:, : at + 1])
    assert not torch.allclose(before.reward[:, at + 1 :], after.reward[:, at + 1 :])
    earlier = changed(windows, at, last_reward=1 - windows.tokens.last_reward[:, at:])
    assert not torch.allclose(before.reward[:, at], model.predict(earlier).reward[:, at])


@pytest.mark.parametrize("name", WORLDS)
def test_a_move_is_predicted_without_where_it_led(name):
    model = small(name)
    windows = lived(model)
    elsewhere = windows._replace(next_observation=(windows.next_observation + 1) % model.env.n_cells)
    one, two = model.predict(windows), model.predict(elsewhere)
    assert torch.equal(one.next_x, two.next_x) and torch.equal(one.next_y, two.next_y)
    assert not torch.allclose(one.reward, two.reward)


@pytest.mark.parametrize("name", WORLDS)
def test_nobody_reads_a_query(name):
    """Neither the memory nor another query: each step's answers depend on its own query alone."""
    model = small(name)
    windows, at = lived(model), 4
    one = model.predict(windows)
    action, next_observation = windows.action.clone(), windows.next_observation.clone()
    action[:, at], next_observation[:, at] = (action[:, at] + 1) % 5, (next_observation[:, at] + 1) % model.env.n_cells
    two = model.predict(windows._replace(action=action, next_observation=next_observation))
    others = torch.arange(one.reward.shape[1]) != at
    for a, b in zip(one.logits, two.logits, strict=True):
        assert torch.equal(a[:, others], b[:, others])
    assert not torch.allclose(one.reward[:, at], two.reward[:, at])


def expected(model, predictions):
    """Reward."""
    return predictions.reward.softmax(-1) @ model.domain.reward.table()


def answers_while_acting(model, windows):
    """(P(reward), next cell) of the action taken at each step, imagined from the context of that moment."""
    context, found = model.begin(len(windows.action)), []
    for t in range(windows.action.shape[1]):
        model.observe(context, Tokens(*(field[:, t] for field in windows.tokens)))
        held = context.cache.n_held
        imagined = model.imagine(model.root(context))
        assert context.cache.n_held == held
        at = windows.action[:, t, None, None]
        found.append([x.gather(-1, at)[:, 0, 0] for x in (imagined.reward, imagined.next_observation)])
    return (torch.stack(x, 1) for x in zip(*found, strict=True))


@pytest.mark.parametrize("name", WORLDS)
def test_acting_answers_as_whole_windows_do(name):
    model = small(name)
    windows = lived(model)
    chance, next_cell = answers_while_acting(model, windows)
    p = model.predict(windows._replace(next_observation=next_cell))
    assert torch.allclose(chance, expected(model, p), atol=1e-6)
    assert torch.equal(next_cell, p.next_x.argmax(-1) * model.env.size + p.next_y.argmax(-1))


@pytest.mark.parametrize("name", WORLDS)
def test_a_full_context_answers_as_the_window_of_the_last_episodes(name):
    model = small(name)
    windows, n = lived(model, n_episodes=3), model.env.horizon
    chance, next_cell = answers_while_acting(model, windows)
    tokens = Tokens(*(x[:, n:].clone() for x in windows.tokens))
    tokens.last_action[:, 0], tokens.last_reward[:, 0], tokens.outcome[:, 0] = 5, 0, model.env.n_cells
    last = type(windows)(tokens, *(x[:, n:] for x in windows[1:]))
    p = model.predict(last._replace(next_observation=next_cell[:, n:]))
    assert torch.allclose(chance[:, -n:], expected(model, p)[:, -n:], atol=1e-6)


@pytest.mark.parametrize("name", WORLDS)
def test_a_context_of_one_episode_forgets_all_of_it(name):
    """What an agent believes in its second episode is what one that has that episode alone believes."""
    model = small(name)
    windows = lived(model)
    second = without_past(windows.tokens, model.env, model.env.horizon)
    contexts = model.begin(len(second.first), model.env.horizon), model.begin(len(second.first))
    for tokens, context in zip((windows.tokens, second), contexts, strict=True):
        for t in range(tokens.first.shape[1]):
            model.observe(context, Tokens(*(field[:, t] for field in tokens)))
    believed = [model.imagine(model.root(context), uncertainty=True) for context in contexts]
    torch.testing.assert_close(believed[0].reward, believed[1].reward, atol=1e-5, rtol=1e-4)
    assert torch.equal(believed[0].next_observation, believed[1].next_observation)


@pytest.mark.parametrize("name", WORLDS)
def test_what_was_imagined_is_read_as_if_it_had_happened(name):
    """Each beam reads its own imagined steps, whichever beams were kept."""
    model = small(name, n_episodes=3)
    windows, at = lived(model, n_episodes=2), 8
    batch = len(windows.action)
    context = model.begin(batch)
    for t in range(at + 1):
        model.observe(context, Tokens(*(field[:, t] for field in windows.tokens)))
    state = model.fork(model.root(context), torch.zeros(batch, 3, dtype=torch.long))
    path = []
    for beam in (torch.tensor([2, 0, 1]), torch.tensor([1, 1, 0])):
        action = torch.arange(3).expand(batch, -1)
        imagined = model.imagine(state).next_observation.gather(-1, action[..., None])[..., 0]
        reward = (action == 1).long()
        path = [[x.gather(1, beam.expand(batch, -1)) for x in step] for step in [*path, (state.cell, action, reward, imagined)]]
        state = model.fork(model.advance(state, action, reward, imagined), beam.expand(batch, -1))
    chance = model.imagine(state).reward                                     # batch beam action
    for k in range(3):
        cells, actions, rewards, outcome = (torch.stack([step[i][:, k] for step in path], 1) for i in range(4))
        parts = zip(windows.tokens, (outcome, actions, rewards, outcome, torch.zeros_like(actions)), strict=True)
        tokens = Tokens(*(torch.cat((old[:, : at + 1], new), 1) for old, new in parts))
        for a in range(5):
            action = torch.cat((windows.action[:, :at], actions, torch.full((batch, 1), a)), 1)
            whole = type(windows)(tokens, action, *[torch.zeros_like(action)] * 5)
            p = model.predict(whole)
            there = p.next_x.argmax(-1) * model.env.size + p.next_y.argmax(-1)
            p = model.predict(whole._replace(next_observation=there))
            assert torch.allclose(expected(model, p)[:, -1], chance[:, k, a], atol=1e-6)


def test_rewards_so_far_by_hand():
    model = small("dark_key_to_door", horizon=3)
    one = torch.zeros(1, 6, dtype=torch.long)
    #         the key, then the door; a reset; the key
    tokens = Tokens(one, one, torch.tensor([[0, 1, 1, 0, 0, 1]]), one, torch.tensor([[1, 0, 0, 1, 0, 0]]))
    before, now = model.stages(tokens)
    assert now.tolist() == [[0, 1, 2, 0, 0, 1]] and before.tolist() == [[0, 0, 1, 2, 0, 0]]
    assert not any(x.any() for x in small("darkroom", horizon=3).stages(tokens))


def test_relabelled_cells_keep_their_rows_and_columns():
    model = small("darkroom", size=5, horizon=20)
    windows, env = lived(model, n_rollouts=40), model.env
    generator = torch.Generator().manual_seed(0)
    names = new_names(len(windows.action), env, generator)
    tokens, next_observation = relabelled(windows.tokens, names), renamed(names, windows.next_observation)
    nowhere = windows.tokens.outcome == env.n_cells
    assert torch.equal(tokens.outcome == env.n_cells, nowhere) and nowhere[:, 0].all()
    for old, new in ((windows.tokens.observation, tokens.observation), (windows.next_observation, next_observation)):
        for of in (lambda x: x // env.size, lambda x: x % env.size):
            one, two = of(old), of(new)
            assert torch.equal(one[:, :, None] == one[:, None], two[:, :, None] == two[:, None])
    real = windows.next_observation
    assert not torch.equal(next_observation[0], next_observation[1]) or not torch.equal(real[0], real[1])
    starts = tokens.observation[:, 0]
    assert len(starts.unique()) > 10                    # of 25 cells: each window has its own labels
    for unused in ("last_action", "last_reward", "first"):
        assert torch.equal(getattr(tokens, unused), getattr(windows.tokens, unused))


@pytest.mark.parametrize("name, relabels, differs", [
    ("darkroom", True, True), ("darkroom", False, False), ("dark_key_to_door", True, True)])
def test_cells_are_relabelled_in_training_alone_and_where_any_cell_may_pay(name, relabels, differs):
    model = small(name, relabels=relabels)
    windows, generator = lived(model), torch.Generator().manual_seed(0)
    plain, trained = model.predict(windows), model.predict(windows, generator)
    assert torch.allclose(plain.reward, trained.reward) != differs
    assert torch.equal(plain.next_x, trained.next_x) and torch.equal(plain.next_y, trained.next_y)


def test_in_training_actions_are_forgotten_where_moves_are_hidden():
    model = small("darkroom_permuted")
    windows, generator = lived(model), torch.Generator().manual_seed(0)
    plain, trained = model.predict(windows), model.predict(windows, generator)
    assert torch.allclose(plain.next_x[:, 0], trained.next_x[:, 0])               # the birth is not an action
    assert not torch.allclose(plain.next_x[:, 1:], trained.next_x[:, 1:])


def test_what_is_forgotten_is_chosen_by_cell_and_action_whatever_came_of_it():
    env, generator = EnvConfig("darkroom_permuted", size=2), torch.Generator().manual_seed(0)
    batch, n = 600, 60
    last_action, cell = (torch.randint(most, (batch, n), generator=generator) for most in (5, 4))
    last_action[:, 0] = 5                                                         # no action yet
    no = torch.zeros_like(cell)
    kept = remembered(Tokens(cell, last_action, no, no, no), env, torch.Generator().manual_seed(1))
    assert kept[:, 0].all()
    tried_in = cell[:, :-1] * 5 + last_action[:, 1:]
    shares, n_actions = [], torch.zeros(6)
    for pairs, keeps in zip(tried_in, kept[:, 1:], strict=True):
        kept_pairs, lost_pairs = pairs[keeps].unique(), pairs[~keeps].unique()
        assert not set(kept_pairs.tolist()) & set(lost_pairs.tolist())
        n_actions[len((kept_pairs % 5).unique())] += 1
        shares.append(len(kept_pairs) / 20)
    assert (n_actions > 30).all()                                                 # none to all five of them
    assert min(shares) == 0 and max(shares) > 0.9


@pytest.mark.parametrize("lost", [(), (2,), (0, 3, 4)])
def test_nobody_reads_what_is_forgotten(lost):
    model, generator = small("darkroom").transformer, torch.Generator().manual_seed(0)
    x, queries = torch.randn(2, 6, 16, generator=generator), torch.randn(2, 6, 1, 16, generator=generator)
    kept = torch.ones(2, 6, dtype=torch.bool)
    kept[:, list(lost)] = False
    log_count = torch.zeros(2, 6).masked_fill(~kept, -torch.inf)
    h, answers = model.read_and_ask(x, queries, log_count)
    other = torch.where(kept[..., None], x, torch.randn(2, 6, 16, generator=generator))
    other_h, other_answers = model.read_and_ask(other, queries, log_count)
    assert torch.equal(answers, other_answers) and torch.equal(h[kept], other_h[kept])
    whole_h, whole_answers = model.read_and_ask(x, queries)
    first = min(lost, default=6)
    torch.testing.assert_close(whole_h[:, : first + 1], h[:, : first + 1])
    torch.testing.assert_close(whole_answers[:, :first], answers[:, :first])
    assert not lost or not torch.allclose(whole_answers[:, first:], answers[:, first:])


def test_a_token_that_counts_thrice_weighs_as_three():
    """Attention that likes all tokens alike takes their mean; each token reads itself once."""
    mask = counted_mask(torch.tensor([[0.0, math.log(3), -torch.inf]]))
    weights = mask.softmax(-1)[0, 0]
    expected = torch.tensor([[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 5, 3 / 5, 1 / 5]])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(counted_mask(torch.zeros(1, 4)).softmax(-1)[0, 0].diagonal(), 1 / torch.arange(1, 5))


def test_tokens_that_count_once_are_read_as_ever():
    model, generator = small("darkroom").transformer, torch.Generator().manual_seed(0)
    x, queries = torch.randn(2, 6, 16, generator=generator), torch.randn(2, 6, 1, 16, generator=generator)
    once = torch.zeros(2, 6)
    for got, expected in zip(model.read_and_ask(x, queries, once), model.read_and_ask(x, queries), strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(model(x, log_count=once), model(x))
    more = torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0, 0.0]).expand(2, -1)
    often, answers = model.read_and_ask(x, queries, more)
    torch.testing.assert_close(often, model(x, log_count=more))
    torch.testing.assert_close(often[:, :3], model(x)[:, :3])             # what comes before, and the token itself
    assert not torch.allclose(often[:, 3:], model(x)[:, 3:])
    assert not torch.allclose(answers[:, 2:], model.read_and_ask(x, queries)[1][:, 2:])


@pytest.mark.parametrize("size", [5, 9])
def test_the_lines_of_two_cells_meet_once_at_most(size):
    two = small("darkroom", size=size, n_lines=2).embed
    assert torch.equal(two.lines, two.xy)
    lines = small("darkroom", size=size).embed.lines
    shared = (lines[:, None] == lines).sum(-1)
    assert (shared.diagonal() == 4).all() and len(lines) == size**2 + 2
    assert shared.fill_diagonal_(0).max() == 1
    assert not shared[-2:].any()                                          # nowhere and blank are on no line of the room


@pytest.mark.parametrize("kind, name", [("queries", "darkroom"), ("heads", "darkroom"), ("heads", "darkroom_permuted")])
def test_in_training_alone_tokens_may_count_more_often(kind, name):
    model = small(name, relabels=False, kind=kind)
    windows, generator = lived(model), torch.Generator().manual_seed(0)
    plain = model.predict(windows).reward
    torch.testing.assert_close(model.predict(windows, generator).reward, plain)
    often = model.predict(windows, generator, 64).reward
    assert torch.allclose(often[:, 0], plain[:, 0], atol=1e-6) and not torch.allclose(often, plain, atol=1e-4)


def test_what_is_forgotten_is_not_repeated():
    """Where moves are hidden tokens are forgotten; one that counts 64 times is forgotten as well, and nothing is NaN."""
    model, generator = small("darkroom_permuted", n_episodes=4), torch.Generator().manual_seed(0)
    windows = lived(model, n_episodes=4)
    for _ in range(20):
        said = model.predict(windows, generator, 64)
        assert all(x.isfinite().all() for x in said.logits)
        torch.testing.assert_close(said.next_x[:, 0], model.predict(windows).next_x[:, 0])


@pytest.mark.parametrize("kind", ["queries", "heads"])
def test_training_repeats_what_its_config_says(kind):
    """The same windows and weights; what counts more often is another matter."""
    config = Config.preset("darkroom", world_model=kind)
    log = log_of(rollout(RandomPolicy(config.env), config.env, [(1, 1), (2, 6)], 4, 1, seed=0))
    model = new_model(config.env, config.model)
    once, often = (replace(config.train, batch_size=4, n_compared=1, n_streams=4, most_repeats=n) for n in (1, 64))
    sampler = WindowSampler(config.env, log)
    terms = [losses(model, sampler, train, torch.Generator().manual_seed(0)) for train in (once, often, often)]
    assert terms[1] == terms[2] and all(abs(terms[0][name] - terms[1][name]) > 1e-6 for name in ("reward", "return_to_go"))


def test_the_presets_repeat_and_draw_lines_where_a_planner_stays():
    for name, most, lines in (("darkroom", 64, 4), ("darkroom_permuted", 64, 4), ("dark_key_to_door", 1, 2)):
        config = Config.preset(name, world_model="queries")
        assert (config.train.most_repeats, config.model.n_lines) == (most, lines)
    assert Config.preset("darkroom", world_model="heads", target="idt").train.most_repeats == 1
    with pytest.raises(ValueError, match="train.most_repeats is 2; allowed: 1, with target 'idt'"):
        Config(model=ModelConfig("heads", "idt"), train=TrainConfig(most_repeats=2))
