"""IDT's two levels: what the future may not touch, and that reading, acting and imagining agree."""

import pytest
import torch
import torch.nn.functional as F

from dicp.config import EnvConfig, ModelConfig, PlanConfig
from dicp.models import InContextModel, new_model
from dicp.models.idt import HierarchicalModel
from dicp.planning import WorldModel, search
from dicp.rollout import Learner, rollout
from dicp.types import Tokens, Windows
from dicp.windows import without_past

ENV, CHUNK, PROMPT = EnvConfig(), 5, 12.5


def model_of(kind: str = "observational", certain: bool = True, n_layers: int = 2) -> HierarchicalModel:
    """Untrained, with weights large enough that nothing is near zero. certain: a decision has no noise."""
    torch.manual_seed(0)
    model = HierarchicalModel(ENV, ModelConfig(kind, "idt", 60, n_layers=n_layers, chunk=CHUNK, d_decision=4)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        if certain:
            model.high_level.out.weight[4:], model.high_level.out.bias[4:] = 0, -200
    model.prompt.fill_(PROMPT)
    return model


def random_windows(batch: int = 2, n_episodes: int = 3, seed: int = 0) -> Windows:
    """A random rollout, and PROMPT in every episode as the desired return."""
    g, shape = torch.Generator().manual_seed(seed), (batch, n_episodes * ENV.horizon)
    cell, action, reward, next_cell = (torch.randint(n, shape, generator=g) for n in (81, 5, 2, 81))
    inside = torch.arange(shape[1]) % ENV.horizon > 0
    cell[:, 1:] = torch.where(inside[1:], next_cell[:, :-1], cell[:, 1:])
    last = (F.pad(x, (1, -1), value=birth) for x, birth in ((action, 5), (reward, 0), (next_cell, 81)))
    earned = reward.unflatten(1, (-1, ENV.horizon)).cumsum(-1).flatten(1) - reward
    tokens = Tokens(cell, *last, (~inside).long().expand(shape))
    return Windows(tokens, action, reward, next_cell, reward, action, PROMPT - earned)


def spliced(first: Windows, second: Windows, cut: int) -> Windows:
    """The first until an agent stands at `cut`, then the second: what it did at `cut - 1` may differ, too."""
    def at(a, b, n):
        return torch.cat((a[:, :n], b[:, n:]), dim=1)

    tokens = Tokens(*(at(a, b, cut) for a, b in zip(first.tokens, second.tokens, strict=True)))
    desired = at(first.desired_return, second.desired_return, cut)
    return Windows(tokens, *(at(a, b, cut - 1) for a, b in zip(first[1:-1], second[1:-1], strict=True)), desired)


def at(tokens: Tokens, t: int) -> Tokens:
    return Tokens(*(field[:, t] for field in tokens))


def read(model: HierarchicalModel, windows: Windows, seed: int = 0):
    torch.manual_seed(seed)
    with torch.no_grad():
        return model.read(windows)


def live(model: HierarchicalModel, windows: Windows, until: int | None = None, **options):
    """(the context after `until` steps, the logits of each)."""
    context = model.begin(len(windows.action), **options)
    steps = range(windows.action.shape[1] if until is None else until)
    return context, torch.stack([model.observe(context, at(windows.tokens, t)) for t in steps], dim=1)


# ---- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 3, 5, 7, 10, 20, 25, 39])
def test_the_future_never_changes_an_earlier_prediction(cut):
    model, windows = model_of(certain=False), random_windows()
    h, other = read(model, windows), read(model, spliced(windows, random_windows(seed=1), cut))
    assert torch.equal(h[:, :cut], other[:, :cut])
    assert (h[:, cut:] != other[:, cut:]).any(-1).all()


@pytest.mark.parametrize("field", ["action", "reward", "next_observation"])
def test_what_happened_in_a_chunk_is_reviewed_once_it_is_over(field):
    """The last transition of the second chunk stands in no token of that chunk."""
    model, windows, t = model_of(), random_windows(), 2 * CHUNK - 1
    changed = getattr(windows, field).clone()
    changed[:, t] = (changed[:, t] + 1) % 2
    changed = (read(model, windows) != read(model, windows._replace(**{field: changed}))).any(-1)
    assert not changed[:, : t + 1].any() and changed[:, t + 1 :].all()


def test_a_chunk_knows_of_the_past_through_its_decision_alone():
    model, windows = model_of(), random_windows()
    with torch.no_grad():
        model.from_decision.weight.zero_()
    blind, seeing = read(model, windows), read(model, spliced(random_windows(seed=1), windows, 3 * CHUNK))
    assert torch.equal(blind[:, 3 * CHUNK :], seeing[:, 3 * CHUNK :]) and not torch.equal(blind[:, :CHUNK], seeing[:, :CHUNK])


def test_both_levels_are_told_that_an_episode_begins():
    model, windows, t = model_of(), random_windows(), ENV.horizon
    first = windows.tokens.first.clone()
    first[:, t] = 0
    other = windows._replace(tokens=windows.tokens._replace(first=first))
    assert (read(model, windows) != read(model, other))[:, t:].any(-1).all()                  # the low level, its neighbours
    with torch.no_grad():
        model.embed.weight[model.embed.offsets[4] :][:2] = 0                                  # deaf to it
    changed = (read(model, windows) != read(model, other)).any(-1)
    assert not changed[:, :t].any() and changed[:, t:].all()


def test_a_decision_is_drawn_once_a_chunk_from_its_gaussian():
    model = model_of()
    with torch.no_grad():
        model.from_decision.weight.copy_(torch.eye(32)[:, :4])
        model.from_decision.bias.zero_()
    mean, log_variance = torch.tensor([1.0, -2, 0, 3]), torch.tensor([0.0, -2, 2, -200])
    torch.manual_seed(0)
    z = model.draw(torch.cat((mean, log_variance)).expand(20_000, -1))[:, :4].detach()
    torch.testing.assert_close(z.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), (log_variance / 2).exp(), atol=0.05, rtol=0.02)
    noisy, windows = model_of(certain=False), random_windows()
    changed = (read(noisy, windows) != read(noisy, windows, 1)).any(-1)
    assert changed.all() and torch.equal(read(noisy, windows), read(noisy, windows))


@pytest.mark.parametrize("kind", ["none", "observational"])
def test_every_parameter_learns(kind):
    model, windows = model_of(kind, certain=False).train(), random_windows()
    h = model.read(windows)
    loss = F.cross_entropy(model.policy_head(h).mT, windows.label)
    if model.can_plan:
        p = model.world_model_head(h, windows.action)
        x, y = windows.next_observation // 9, windows.next_observation % 9
        for logits, target in zip(p.logits, (windows.reward, x, y, windows.return_to_go), strict=True):
            loss = loss + F.cross_entropy(logits.mT, target)
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    log_variance = model.high_level.out.weight.grad[4:]
    assert log_variance.any(dim=1).all()                                      # through the noise


# ---- acting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "observational"])
def test_acting_equals_the_whole_window(kind):
    """Three episodes of four chunks: R' starts anew in each and falls with every reward."""
    model, windows = model_of(kind), random_windows(3)
    assert isinstance(model, Learner) and model.can_plan == (kind != "none") and isinstance(model, WorldModel)
    _, logits = live(model, windows)
    with torch.no_grad():
        torch.testing.assert_close(logits, model.policy_head(read(model, windows)), atol=1e-4, rtol=1e-4)


def test_a_window_may_be_one_chunk():
    """Nothing to review yet."""
    model, windows = model_of(), random_windows()
    short = Windows(Tokens(*(x[:, :CHUNK] for x in windows.tokens)), *(x[:, :CHUNK] for x in windows[1:]))
    assert torch.allclose(read(model, short), read(model, windows)[:, :CHUNK], atol=1e-5)
    model.read(short).sum().backward()


def test_the_desired_return_falls_and_starts_anew():
    model, windows = model_of(), random_windows()
    context = model.begin(2)
    for t in range(60):
        model.observe(context, at(windows.tokens, t))
        assert torch.equal(context.desired_return, windows.desired_return[:, t])


def test_the_generator_draws_the_decisions_and_nothing_else():
    model, windows = model_of(certain=False), random_windows()
    (_, first), (_, again), (_, other) = (
        live(model, windows, 12, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    _, default = live(model, windows, 12)
    assert torch.equal(first, again) and torch.equal(first, default) and (first != other).any(-1).all()
    context, generator = model.begin(2, generator=(g := torch.Generator().manual_seed(3))), g
    states = []
    for t in range(12):
        model.observe(context, at(windows.tokens, t))
        states.append(generator.get_state())
    moved = [not torch.equal(a, b) for a, b in zip(states, states[1:], strict=False)]
    assert [t + 1 for t, x in enumerate(moved) if x] == [CHUNK, 2 * CHUNK]


@pytest.mark.parametrize("n_held", [1, 2, 3])
@torch.no_grad()
def test_a_full_context_is_the_window_of_the_last_episodes(n_held):
    """At every step of five episodes, as if the rollout had begun with the oldest of them."""
    model, windows = model_of(), random_windows(n_episodes=5)
    context = model.begin(2, n_held * ENV.horizon)
    for t in range(5 * ENV.horizon):
        logits = model.observe(context, at(windows.tokens, t))
        begin = max(t // ENV.horizon + 1 - n_held, 0) * ENV.horizon
        last = begin + n_held * ENV.horizon
        recent = Windows(Tokens(*(x[:, begin:last] for x in windows.tokens)), *(x[:, begin:last] for x in windows[1:]))
        recent = recent._replace(tokens=without_past(recent.tokens, ENV, recent.action.shape[1]))
        expected = model.policy_head(read(model, recent))[:, t - begin]
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-3)
        assert context.n_transitions == t - begin


@pytest.mark.parametrize("n", [CHUNK, 30, 80])
def test_an_impossible_context_is_refused(n):
    with pytest.raises(ValueError, match=f"context_length is {n}; allowed: multiples of the horizon 20 up to 60"):
        model_of().begin(1, n)


# ---- prompts -----------------------------------------------------------------------------------------------------------


def test_without_a_prompt_nobody_acts():
    model = new_model(ENV, ModelConfig("none", "idt", 20))
    with pytest.raises(ValueError, match="no prompt: train it first"):
        model.begin(2)
    model.prompted(torch.tensor([3.0, 4])).begin(2)
    with pytest.raises(ValueError, match="no prompt: train it first"):
        model.begin(2)
    assert model.state_dict()["prompt"].isnan()                     # kept with the weights


def test_a_privileged_prompt_speaks_to_each_agent():
    model, one = model_of(), random_windows(1)
    both = Windows(Tokens(*(x.expand(2, -1) for x in one.tokens)), *(x.expand(2, -1) for x in one[1:]))
    asked = model.prompted(torch.tensor([PROMPT, 3]))
    _, plain = live(model, both)
    _, logits = live(asked, both)
    assert torch.allclose(logits[0], plain[0], atol=1e-5) and ((logits[1] - plain[1]).abs() > 1e-5).any(-1).all()
    desired = both.desired_return + torch.tensor([[0], [3 - PROMPT]])
    with torch.no_grad():
        window = asked.policy_head(read(asked, both._replace(desired_return=desired)))
    torch.testing.assert_close(logits, window, atol=1e-4, rtol=1e-4)
    assert all(a is b for a, b in zip(model.parameters(), asked.parameters(), strict=True)) and model.prompt == PROMPT
    with pytest.raises(ValueError, match="desired_return has 2 agents; allowed: 3"):
        asked.begin(3)


def test_a_model_that_hears_no_return_needs_no_privilege():
    model, windows = model_of(), random_windows()
    with torch.no_grad():
        model.high_level.from_return.weight.zero_()
    assert torch.equal(live(model, windows)[1], live(model.prompted(torch.tensor([0.0, 7])), windows)[1])


# ---- planning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 22])
def test_imagining_equals_what_would_be_seen(n):
    """Forking beams, until the end of the chunk; each must be as the agent that really lived so."""
    model, past, g = model_of(certain=False), random_windows(), torch.Generator().manual_seed(3)
    context, _ = live(model, past, n)
    state, rollouts = model.root(context), [[[]], [[]]]                           # row beam step
    for _ in range(context.max_plan_depth - 1):
        beam = torch.randint(len(rollouts[0]), (2, 3), generator=g)
        cell, action, reward = (torch.randint(b, (2, 3), generator=g) for b in (81, 5, 2))
        state = model.advance(model.fork(state, beam), action, reward, cell)
        rollouts = [[rollouts[r][beam[r, k]] + [(cell[r, k], action[r, k], reward[r, k])] for k in range(3)] for r in range(2)]
    imagined = model.imagine(state, return_to_go=True, uncertainty=True)
    policy = model.propose(state).log_probability
    assert len(rollouts[0][0]) == CHUNK - 1 - (n - 1) % CHUNK
    for k in range(3):
        context, _ = live(model, past, n)                                       # the same decisions: seeded
        for step in zip(*(rollouts[r][k] for r in range(2)), strict=True):
            cell, action, reward = (torch.stack(x) for x in zip(*step, strict=True))
            logits = model.observe(context, Tokens(cell, action, reward, cell, torch.zeros_like(cell)))
        real = model.imagine(model.root(context), return_to_go=True, uncertainty=True)
        assert torch.allclose(policy[:, k], logits.log_softmax(-1), atol=1e-4)
        for a, b in zip(imagined, real, strict=True):
            assert torch.allclose(a[:, k], b[:, 0], atol=1e-3)


def test_the_depth_of_a_plan_counts_down_to_the_end_of_the_chunk():
    model, windows = model_of(), random_windows()
    context, left = model.begin(2), []
    for t in range(3 * CHUNK):
        model.observe(context, at(windows.tokens, t))
        left.append(context.max_plan_depth)
    assert left == 3 * [5, 4, 3, 2, 1]


@torch.no_grad()
def test_a_plan_ends_with_its_chunk():
    model, windows, deep = model_of(), random_windows(), PlanConfig(depth=8, beam_width=6)
    context = model.begin(2)
    for t in range(2 * ENV.horizon):
        model.observe(context, at(windows.tokens, t))
        steps_left = min(ENV.horizon - t % ENV.horizon, context.max_plan_depth)
        plan = search(model, model.root(context), deep, steps_left)
        assert plan.action.shape == (2, CHUNK - t % CHUNK)
        with pytest.raises(ValueError, match="to the chunk's end"):
            search(model, model.root(context), deep, context.max_plan_depth + 1)


@torch.no_grad()
def test_some_agents_plan_as_all_do():
    model, windows = model_of(certain=False), random_windows(4)
    context, _ = live(model, windows, 23)
    rows = torch.tensor([3, 1])
    part = context.rows(rows)
    assert part.n_transitions == context.n_transitions == 22 and part.max_plan_depth == context.max_plan_depth == 3
    everyone, some = (search(model, model.root(c), PlanConfig(ties="order"), c.max_plan_depth) for c in (context, part))
    for a, b in zip(everyone, some, strict=True):
        assert torch.allclose(a[rows], b, atol=1e-5)
    certain = model_of()
    context, _ = live(certain, windows, 23)
    part = context.rows(rows)
    for t in range(23, 60):                                                     # it goes on, through reviews
        tokens = at(windows.tokens, t)
        logits = certain.observe(context, tokens)
        assert torch.allclose(logits[rows], certain.observe(part, Tokens(*(x[rows] for x in tokens))), atol=1e-4)


def test_a_rollout_runs_and_changes_no_weight():
    model = new_model(ENV, ModelConfig("none", "idt", 40))
    assert type(model) is HierarchicalModel and type(new_model(ENV, ModelConfig("none", "ad", 40))) is InContextModel
    model.prompt.fill_(PROMPT)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rollouts = rollout(model, ENV, [(4, 3), (0, 8)], 2, 3)
    assert rollouts.action.shape == (2, 2, 60) and len(rollouts.action.unique()) > 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
