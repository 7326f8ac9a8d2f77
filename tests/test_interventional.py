"""The interventional world model: what the future may not touch, that reading, acting and imagining agree, what is recalled."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from dicp.config import EnvConfig, ModelConfig
from dicp.envs import GridRules
from dicp.models.categorical import Predictions
from dicp.models.interventional import STAGES, Imagination, InterventionalModel, Memory
from dicp.planning import Imagined, PlanConfig, WorldModel, beam_search
from dicp.rollout import Learner
from dicp.windows import Tokens, Windows, newborn, stages

ENV, N = EnvConfig(size=3, horizon=8), 24         # so small that cells are met again and again; three episodes


def model_of(any_cell_may_pay: bool = True, n_layers: int = 2) -> InterventionalModel:
    """Untrained, with weights large enough that nothing is near zero."""
    torch.manual_seed(0)
    config = ModelConfig("interventional", context_length=N, d_model=16, n_layers=n_layers, n_heads=2, d_ff=32,
                         any_cell_may_pay=any_cell_may_pay)
    model = InterventionalModel(ENV, config).eval()
    with torch.no_grad():
        for parameter in model.transformer.parameters():
            parameter.mul_(2)
        for recall in (model.by_cell, model.by_stage, model.by_action):
            recall.null_value.normal_()
    return model


def random_windows(batch: int = 2, n: int = N, seed: int = 0) -> Windows:
    """Random lives in a world without rules: any action may be any move, and half of the steps pay."""
    g, shape, moves = torch.Generator().manual_seed(seed), (batch, n), GridRules.of(ENV, [(0, 0)]).next_cell[0]
    action, move, reward = (torch.randint(k, shape, generator=g) for k in (5, 5, 2))
    cell, next_cell, first = torch.full(shape, 4), torch.empty(shape, dtype=torch.long), torch.arange(n) % ENV.horizon == 0
    for t in range(n):
        if not first[t]:
            cell[:, t] = next_cell[:, t - 1]
        next_cell[:, t] = moves[cell[:, t], move[:, t]]
    first = first.expand(shape)
    last = (F.pad(x, (1, -1), value=birth) for x, birth in ((action, 5), (reward, 0), (next_cell, ENV.n_cells)))
    return Windows(Tokens(cell, *last, first.long()), action, reward, next_cell, reward, action, reward)


def each(change: Callable, *windows: Windows) -> Windows:
    """`change` every field."""
    tokens = Tokens(*(change(*fields) for fields in zip(*(w.tokens for w in windows), strict=True)))
    return Windows(tokens, *(change(*fields) for fields in zip(*(w[1:] for w in windows), strict=True)))


def at(tokens: Tokens, t: int) -> Tokens:
    return Tokens(*(field[:, t] for field in tokens))


@torch.no_grad()
def predict(model: InterventionalModel, windows: Windows) -> Predictions:
    return model.predict(windows)


def live(model: InterventionalModel, windows: Windows, until: int = N, memory: Memory | None = None, **options) -> Memory:
    memory = memory or model.begin(len(windows.action), **options)
    for t in range(memory.cache.n_held, until):
        model.observe(memory, at(windows.tokens, t))
    return memory


@torch.no_grad()
def imagine(model: InterventionalModel, memory: Memory) -> Imagined:
    return model.imagine(model.root(memory), return_to_go=True, doubts=True)


def same(first: Imagined, second: Imagined, atol: float = 1e-4) -> bool:
    return all(torch.allclose(a.float(), b.float(), atol=atol, rtol=1e-3) for a, b in zip(first, second, strict=True))


# ---- by hand -----------------------------------------------------------------------------------------------------------


def test_stages_by_hand():
    """Rewards so far in the episode, at most two; the first of the second episode belongs to the one before it."""
    first = torch.tensor([[1, 0, 0, 0, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0, 0, 0]])
    last_reward = torch.tensor([[0, 0, 1, 1, 1, 1, 0, 1], [0, 1, 1, 0, 0, 1, 1, 1]])
    tokens = Tokens(*(torch.zeros_like(first) for _ in range(2)), last_reward, torch.zeros_like(first), first)
    assert stages(tokens, STAGES).tolist() == [[0, 0, 1, 2, 2, 0, 0, 1], [0, 1, 0, 0, 0, 1, 2, 2]]


def test_an_agent_counts_stages_as_a_window_does():
    model, windows = model_of(), random_windows(4)
    memory, expected = model.begin(4), stages(windows.tokens, STAGES)
    assert expected.unique().tolist() == [0, 1, 2]
    for t in range(N):
        model.observe(memory, at(windows.tokens, t))
        assert torch.equal(memory.stage, expected[:, t]) and torch.equal(memory.cell, windows.tokens.observation[:, t])


@torch.no_grad()
def test_the_past_by_hand():
    """An episode of two steps: +x onto cell 3, which pays; stay there, which pays. The next: -x, into a wall."""
    model = model_of()
    tokens = Tokens(*(torch.tensor([x]) for x in ([0, 3, 0, 0], [5, 0, 4, 1], [0, 1, 1, 0], [9, 3, 3, 0], [1, 0, 1, 0])))
    memory = model.begin(1)
    for t in range(4):
        model.observe(memory, at(tokens, t))
    past = memory.past
    assert past.cell[0, :4].tolist() == [9, 3, 3, 0] and past.action[0, :4].tolist() == [5, 0, 4, 1]
    assert past.staged_cell[0, :4].tolist() == [27, 3 * 3 + 0, 3 * 3 + 1, 0]     # 27: nothing; with 0 and 1 rewards before; 0
    assert (past.move_salience[0, :4] > 0).tolist() == [False, True, False, False]
    again = model.past_of(at(tokens, 1), torch.tensor([0]), torch.tensor([2]))
    assert torch.equal(again.move_value[0], past.move_value[0, 1]) and again.staged_cell.item() == 3 * 3 + 2


@torch.no_grad()
def test_five_moves_are_five_findings():
    """From the centre to its neighbours, or nowhere; of the action itself nothing is said."""
    arrived, still = torch.tensor([7, 1, 5, 3, 4]), torch.zeros(5, dtype=torch.long)
    past = model_of().past_of(Tokens(arrived, torch.arange(5), still, arrived, still), torch.full((5,), 4), still)
    assert ((past.move_value[:, None] - past.move_value).abs().amax(-1) > 1e-3).sum() == 20
    assert past.move_salience.tolist() == [8, 8, 8, 8, 0] and past.staged_cell.tolist() == [21, 3, 15, 9, 12]
    again = model_of().past_of(Tokens(arrived, still, still, arrived, still), torch.full((5,), 4), still)
    assert torch.equal(past.move_value, again.move_value)


@torch.no_grad()
def test_a_cell_is_known_from_where_it_was_and_what_was_found_there():
    """Cells of the context give their own value, others the null value; with the rewards before it, likewise."""
    model, windows = model_of(), random_windows(1, 3)
    tokens = windows.tokens._replace(arrived=torch.tensor([[9, 4, 5]]), last_reward=torch.tensor([[0, 1, 0]]))
    memory = live(model, windows._replace(tokens=tokens), 3)
    by_cell, by_stage, _ = model.root(memory).look_ups
    asked, values = torch.arange(9).view(1, 1, 9), memory.past.reward_value[0]
    none = torch.zeros(0, 1, 1, dtype=torch.long), torch.zeros(0, 1, 1, 16)
    cells, staged = by_cell(asked, *none)[0, 0], by_stage(3 * asked + 1, *none)[0, 0]
    for cell in range(9):
        met = {4: values[1], 5: values[2]}.get(cell, model.by_cell.null_value)
        assert torch.allclose(cells[cell], met, atol=0.02)
        met = values[2] if cell == 5 else model.by_stage.null_value               # 4 was met before any reward
        assert torch.allclose(staged[cell], met, atol=0.02)


@torch.no_grad()
def test_a_move_tells_more_of_an_action_than_a_wall():
    """Action 0 at a wall, then from 0 to 3, then at a wall again; action 2 at a wall only; the others never."""
    model = model_of()
    tokens = Tokens(*(torch.tensor([x]) for x in ([0, 0, 3, 3, 3], [5, 0, 0, 0, 2], [0] * 5, [9, 0, 3, 3, 3], [1, 0, 0, 0, 0])))
    memory = model.begin(1)
    for t in range(5):
        model.observe(memory, at(tokens, t))
    _, _, by_action = model.root(memory).look_ups
    none = torch.zeros(0, 1, 1, dtype=torch.long), torch.zeros(0, 1, 1, 16), torch.zeros(0, 1, 1)
    moves = by_action(torch.arange(5).view(1, 1, 5), *none)[0, 0]
    assert torch.allclose(moves[0], memory.past.move_value[0, 2], atol=0.02)
    assert torch.allclose(moves[2], memory.past.move_value[0, 4], atol=0.02)
    assert torch.allclose(moves[[1, 3, 4]], model.by_action.null_value.expand(3, -1))
    imagined = torch.tensor([[[0]]]), torch.full((1, 1, 1, 16), 7.0), torch.full((1, 1, 1), 8.0)
    moves = by_action(torch.arange(5).view(1, 1, 5), *imagined)[0, 0]                  # one more change by action 0
    assert torch.allclose(moves[0], (memory.past.move_value[0, 2] + 7) / 2, atol=0.02)


@torch.no_grad()
def test_a_step_leads_no_further_than_to_a_neighbour():
    """The change of x is -1, 0 or 1 with weights 1, 2 and 4, that of y with 3, 1, 1, as far as there is no wall."""
    model = model_of()
    model.next_out.weight.zero_()
    model.next_out.bias.copy_(torch.tensor([1.0, 2, 4, 3, 1, 1]).log())
    cell, shape = torch.arange(9)[:, None], (9, 1)
    logits = model.next_logits(torch.randn(*shape, 16), cell, torch.zeros(shape, dtype=torch.long), torch.randn(*shape, 16))
    x, y = (each.softmax(-1)[:, 0] for each in logits)
    torch.testing.assert_close(x[::3], torch.tensor([[2 / 6, 4 / 6, 0], [1 / 7, 2 / 7, 4 / 7], [0, 1 / 3, 2 / 3]]))
    torch.testing.assert_close(y[:3], torch.tensor([[1 / 2, 1 / 2, 0], [3 / 5, 1 / 5, 1 / 5], [0, 3 / 4, 1 / 4]]))
    assert torch.equal(x[0], x[2]) and torch.equal(y[0], y[6])


# ---- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 20])
def test_the_future_never_changes_an_earlier_prediction(cut):
    model, windows, later = model_of(), random_windows(4), random_windows(4, seed=1)
    other = each(lambda a, b: torch.cat((a[:, :cut], b[:, cut:]), dim=1), windows, later)
    for before, after in zip(predict(model, windows), predict(model, other), strict=True):
        assert torch.allclose(before[:, :cut], after[:, :cut], atol=1e-5)
        assert not torch.allclose(before[:, cut:], after[:, cut:], atol=1e-3)


def test_the_reward_is_judged_by_where_it_led_whoever_led_there():
    """Another action, the same arrival: the reward stays, the expected arrival does not. And the other way round."""
    model, windows = model_of(), random_windows()
    plain = predict(model, windows)
    acted = predict(model, windows._replace(action=(windows.action + 1) % 5))
    led = predict(model, windows._replace(next_observation=(windows.next_observation + 1) % 9))
    assert torch.equal(plain.reward, acted.reward) and not torch.allclose(plain.next_x, acted.next_x, atol=1e-3)
    assert torch.equal(plain.next_x, led.next_x) and not torch.allclose(plain.reward, led.reward, atol=1e-3)


@pytest.mark.parametrize("any_cell_may_pay", [True, False])
@torch.no_grad()
def test_strangers_are_judged_alike_unless_their_place_is(any_cell_may_pay):
    """Two steps lie behind the agent; every cell is asked about, of which it has met 4 and 5."""
    model, windows = model_of(any_cell_may_pay), each(lambda x: x.expand(9, -1), random_windows(1, 3))
    tokens = windows.tokens._replace(arrived=torch.tensor([[9, 4, 5]]).expand(9, -1))
    everywhere = windows._replace(tokens=tokens, next_observation=torch.arange(9)[:, None].expand(-1, 3))
    reward = predict(model, everywhere).reward[:, -1]
    strangers = reward[[0, 1, 2, 3, 6, 7, 8]]
    assert torch.allclose(strangers, strangers[:1].expand(7, -1), atol=1e-6) == any_cell_may_pay
    assert ((reward[[4, 5]] - strangers[:1]).abs() > 1e-3).any(-1).all()


def test_a_known_place_adds_its_own_logits():
    blind, seeing, windows = model_of(), model_of(any_cell_may_pay=False), random_windows()
    missing, unexpected = seeing.load_state_dict(blind.state_dict(), strict=False)
    assert missing == ["place.weight"] and not unexpected
    difference = predict(seeing, windows).reward - predict(blind, windows).reward
    torch.testing.assert_close(difference, seeing.place.weight[windows.next_observation].detach())


@pytest.mark.parametrize("any_cell_may_pay", [True, False])
def test_every_parameter_learns(any_cell_may_pay):
    model, windows = model_of(any_cell_may_pay=any_cell_may_pay).train(), random_windows(8)
    prediction = model.predict(windows)
    sum(prediction.loss_terms(windows).values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_the_transformer_is_not_bent_towards_the_return():
    model, windows = model_of().train(), random_windows()
    prediction = model.predict(windows)
    prediction.loss_terms(windows)["return_to_go"].backward()
    learned = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learned == {"returns"}


# ---- acting and imagining ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("any_cell_may_pay", [True, False])
@torch.no_grad()
def test_acting_equals_the_whole_window(any_cell_may_pay):
    """At every step, for each of the five actions."""
    model, windows = model_of(any_cell_may_pay), random_windows(3)
    memory, imagined = model.begin(3), []
    for t in range(N):
        assert not model.observe(memory, at(windows.tokens, t)).any()             # no policy: all actions alike
        imagined.append(imagine(model, memory))
    steps = Imagined(*(torch.cat(x, dim=1) for x in zip(*imagined, strict=True)))   # batch n action
    for action in range(5):
        all_act = torch.full_like(windows.action, action)
        acted = windows._replace(action=all_act, next_observation=steps.next_observation[..., action])
        p = model.predict(acted)
        joint = (p.next_x.softmax(-1)[..., :, None] * p.next_y.softmax(-1)[..., None, :]).flatten(-2)
        expected = Imagined(
            p.reward.softmax(-1)[..., 1], joint.argmax(-1), p.return_to_go.softmax(-1) @ torch.arange(9.0), joint.amax(-1),
            -(joint * joint.clamp(min=1e-30).log()).sum(-1),
        )
        for mine, theirs in zip(steps, expected, strict=True):
            torch.testing.assert_close(mine[..., action], theirs, atol=1e-4, rtol=1e-3)
    assert steps.reward.std() > 0.01 and len(steps.next_observation.unique()) > 1


@pytest.mark.parametrize("any_cell_may_pay", [True, False])
@pytest.mark.parametrize("n", [1, 7, 8, 19])
def test_imagining_equals_what_would_be_seen(n, any_cell_may_pay):
    """Forking beams with their own pasts and rewards; each must be as the agent that really lived so."""
    model, past, g = model_of(any_cell_may_pay=any_cell_may_pay), random_windows(), torch.Generator().manual_seed(3)
    state, lives = model.root(live(model, past, n)), [[[]], [[]]]               # row beam step
    for _ in range(5):
        beam = torch.randint(len(lives[0]), (2, 3), generator=g)
        cell, action, reward = (torch.randint(k, (2, 3), generator=g) for k in (9, 5, 2))
        with torch.no_grad():
            state = model.advance(model.fork(state, beam), action, reward, cell)
        lives = [[lives[r][beam[r, k]] + [(cell[r, k], action[r, k], reward[r, k])] for k in range(3)] for r in range(2)]
    with torch.no_grad():
        imagined = model.imagine(state, return_to_go=True, doubts=True)
    for k in range(3):
        memory = live(model, past, n)
        for step in zip(*(lives[r][k] for r in range(2)), strict=True):
            cell, action, reward = (torch.stack(x) for x in zip(*step, strict=True))
            model.observe(memory, Tokens(cell, action, reward, cell, torch.zeros_like(cell)))
        assert same(Imagined(*(x[:, k : k + 1] for x in imagined)), imagine(model, memory))
        assert torch.equal(state.stage[:, k], memory.stage) and torch.equal(state.cell[:, k], memory.cell)


@torch.no_grad()
def three_beams(model: InterventionalModel) -> Imagination:
    """Two agents, three futures each, two steps long."""
    g, state = torch.Generator().manual_seed(0), model.root(live(model, random_windows(), 9))
    state = model.fork(state, torch.zeros(2, 3, dtype=torch.long))
    for _ in range(2):
        state = model.advance(state, *(torch.randint(k, (2, 3), generator=g) for k in (5, 2, 9)))
    return state


@torch.no_grad()
def test_a_fork_moves_whole_futures():
    model = model_of()
    state, beam = three_beams(model), torch.tensor([[2, 0, 0, 1], [1, 1, 2, 0]])
    before, after = model.imagine(state, True, True), model.imagine(model.fork(state, beam), True, True)
    assert len({x.item() for x in before.reward[0, :, 0]}) == 3                   # they differ
    row = torch.arange(2)[:, None]
    assert same(Imagined(*(x[row, beam] for x in before)), after, 1e-6)
    step = [x[row, beam] for x in (torch.tensor([[1, 2, 3]] * 2), torch.tensor([[1, 0, 1]] * 2), torch.tensor([[4, 4, 8]] * 2))]
    later = model.imagine(model.advance(model.fork(state, beam), *step), True, True)
    plain = model.imagine(model.advance(state, *(torch.tensor([x] * 2) for x in ([1, 2, 3], [1, 0, 1], [4, 4, 8]))), True, True)
    assert same(Imagined(*(x[row, beam] for x in plain)), later, 1e-5)


@torch.no_grad()
def test_imagining_leaves_the_memory_as_it_was():
    model, memory = model_of(), live(model_of(), random_windows(), 9)
    before, root = imagine(model, memory), model.root(memory)
    model.imagine(model.advance(root, *(torch.tensor([[x], [x]]) for x in (1, 1, 4))))
    assert same(before, imagine(model, memory), 0) and same(before, model.imagine(root, True, True), 0)


@torch.no_grad()
def test_some_agents_are_as_in_the_whole_batch():
    model, windows, rows = model_of(), random_windows(4), torch.tensor([3, 1])
    memory = live(model, windows, 13)
    part, plan = memory.rows(rows), PlanConfig(beam_width=4, depth=3, ties="order")
    everyone, some = (beam_search(model, model.root(m), plan, 3) for m in (memory, part))
    assert all(torch.allclose(a[rows].float(), b.float(), atol=1e-5) for a, b in zip(everyone, some, strict=True))
    before = imagine(model, memory)
    live(model, each(lambda x: x[rows], windows), memory=part)                     # it lives on by itself
    assert same(before, imagine(model, memory), 0)
    assert same(Imagined(*(x[rows] for x in imagine(model, live(model, windows, memory=memory)))), imagine(model, part))


# ---- a context shorter than life -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_held", [1, 2, 3])
@torch.no_grad()
def test_a_full_memory_is_that_of_the_last_episodes(n_held):
    """At every step of five episodes, as of an agent whose life began with the oldest of them."""
    model, windows = model_of(), random_windows(n=5 * ENV.horizon)
    memory = model.begin(2, n_held * ENV.horizon)
    for t in range(5 * ENV.horizon):
        model.observe(memory, at(windows.tokens, t))
        begin = max(t // ENV.horizon + 1 - n_held, 0) * ENV.horizon
        recent = each(lambda x, a=begin, b=t: x[:, a : b + 1], windows)
        recent = recent._replace(tokens=newborn(recent.tokens, ENV, t + 1 - begin))
        other = live(model, recent, t + 1 - begin)
        assert same(imagine(model, memory), imagine(model, other)) and memory.n_transitions == t - begin
        assert torch.equal(memory.stage, other.stage) and torch.equal(memory.cell, other.cell)


@torch.no_grad()
def test_what_was_found_is_forgotten_with_its_episode():
    """Cell 7 was met at the second token, never again; the memory holds two episodes."""
    model, windows = model_of(), random_windows(1, 3 * ENV.horizon)
    arrived = (windows.tokens.arrived % 7).index_fill(1, torch.tensor([1]), 7)
    memory, known = model.begin(1, 2 * ENV.horizon), []
    for t in range(3 * ENV.horizon):
        model.observe(memory, at(windows.tokens._replace(arrived=arrived), t))
        found = model.root(memory).look_ups[0]
        known.append(not torch.allclose((found.found / found.weight)[0, 7], model.by_cell.null_value, atol=0.02))
    assert [t for t, x in enumerate(known) if x] == list(range(1, 2 * ENV.horizon))


def test_it_is_a_learner_and_a_world_model():
    model = model_of()
    assert isinstance(model, Learner) and isinstance(model, WorldModel) and model.can_plan
    state = three_beams(model)
    assert model.propose(state).shape == (2, 3, 5) and not model.propose(state).any()
    assert list(model.imagine(state)[2:]) == [None] * 3
    with pytest.raises(ValueError, match=f"context_length is {N + 1}; allowed: multiples of the horizon 8 up to {N}"):
        model.begin(1, N + 1)
