"""The Transformer and its heads: what the future may not touch, and that every way to run the weights agrees."""

import pytest
import torch

from dicp.config import EnvConfig, ModelConfig
from dicp.models import HierarchicalModel, InContextModel, QueryModel, TableModel, new_model
from dicp.models.transformer import rotary, rotate
from dicp.types import Tokens
from dicp.windows import without_past

ENV = EnvConfig()
KINDS = ("none", "observational")


def random_tokens(batch: int, n: int, seed: int = 0) -> Tokens:
    """The first one has no past."""
    g = torch.Generator().manual_seed(seed)
    below = (ENV.n_cells, ENV.n_actions, 2, ENV.n_cells, 2)
    return without_past(Tokens(*(torch.randint(b, (batch, n), generator=g) for b in below)), ENV, n)


def at(tokens: Tokens, index) -> Tokens:
    return Tokens(*(field[:, index] for field in tokens))


def model_of(kind: str, context_length: int = 20) -> InContextModel:
    torch.manual_seed(0)
    config = ModelConfig(world_model=kind, context_length=context_length, n_layers=3)
    model = InContextModel(ENV, config).eval()
    with torch.no_grad():                       # as trained: larger than at the start, so that no path is near zero
        for parameter in model.transformer.parameters():
            parameter.mul_(2)
    return model


def test_rotation_by_hand():
    x = torch.tensor([1.0, 0.0])                                               # one pair: turned by `position` radians
    turned = rotate(x, rotary(torch.tensor(2.0), 2))
    assert torch.allclose(turned, torch.tensor([2.0]).cos().new_tensor([-0.41614684, 0.90929743]))


def test_scores_depend_on_distance_only():
    q, k = torch.randn(2, 16)
    score = [rotate(q, rotary(torch.tensor(p + 3), 16)) @ rotate(k, rotary(torch.tensor(p), 16)) for p in (0, 5, 50)]
    assert torch.allclose(score[0], score[1], atol=1e-4) and torch.allclose(score[0], score[2], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_future_token_never_changes_an_earlier_prediction(kind):
    model, tokens = model_of(kind), random_tokens(2, 12)
    for cut in (1, 6, 11):
        other = Tokens(*(torch.cat((a[:, :cut], b[:, cut:]), 1) for a, b in zip(tokens, random_tokens(2, 12, 1), strict=True)))
        h, h_other = model(tokens), model(other)
        assert torch.equal(h[:, :cut], h_other[:, :cut])
        assert not torch.equal(h[:, cut:], h_other[:, cut:])


@pytest.mark.parametrize("kind", KINDS)
def test_cached_inference_equals_the_whole_window(kind):
    model, tokens = model_of(kind), random_tokens(3, 20)
    with torch.no_grad():
        logits, context = model.policy_head(model(tokens)), model.begin(3)
        for t in range(20):
            assert torch.allclose(model.observe(context, at(tokens, t)), logits[:, t], atol=1e-4)


def lived(n_episodes: int, batch: int = 2) -> Tokens:
    """Random tokens of whole episodes."""
    first = (torch.arange(n_episodes * ENV.horizon) % ENV.horizon == 0).long().expand(batch, -1)
    return random_tokens(batch, n_episodes * ENV.horizon)._replace(first=first)


@pytest.mark.parametrize("n_held", [1, 2, 3])
@torch.no_grad()
def test_a_full_context_is_the_window_of_the_last_episodes(n_held):
    """At every step of six episodes, as if the rollout had begun with the oldest of them."""
    model, tokens, horizon = model_of("observational", 60), lived(6), ENV.horizon
    context = model.begin(2, n_held * horizon)
    for t in range(6 * horizon):
        begin = max(t // horizon + 1 - n_held, 0) * horizon
        window = without_past(at(tokens, slice(begin, t + 1)), ENV, t + 1 - begin)
        torch.testing.assert_close(model.observe(context, at(tokens, t)), model.policy_head(model(window))[:, -1],
                                   atol=1e-4, rtol=1e-3)
        assert context.n_transitions == t - begin
        assert all(torch.equal(kept[:, : t + 1 - begin], x) for kept, x in zip(context.held, window, strict=True))


@torch.no_grad()
def test_some_agents_live_on_by_themselves():
    model, tokens, context = model_of("observational", 40), lived(4, 4), model_of("none", 40).begin(4)
    for t in range(35):
        model.observe(context, at(tokens, t))
    rows = torch.tensor([3, 1])
    part = context.rows(rows)
    for t in range(35, 80):                                                    # two episodes are forgotten on the way
        logits = model.observe(context, at(tokens, t))
        some = model.observe(part, Tokens(*(x[rows, t] for x in tokens)))
        assert torch.allclose(logits[rows], some, atol=1e-4)
        assert torch.equal(context.held.observation[rows], part.held.observation)


def test_imagined_futures_equal_the_same_tokens_read_as_one_window():
    """Beams share the context, fork, and carry their own suffix; a plain window per beam must give the same."""
    model, n = model_of("observational"), 10
    past, context = random_tokens(2, n), model.begin(2)
    for t in range(n):
        model.observe(context, at(past, t))
    state, windows = model.root(context), [[Tokens(*(f[r : r + 1] for f in past))] for r in range(2)]       # row beam
    g = torch.Generator().manual_seed(3)
    for _ in range(4):
        beam = torch.randint(len(windows[0]), (2, 3), generator=g)
        cell, action, reward = (torch.randint(b, (2, 3), generator=g) for b in (ENV.n_cells, ENV.n_actions, 2))
        state = model.advance(model.fork(state, beam), action, reward, cell)
        new = [[Tokens(*(f[r, k].view(1, 1) for f in (cell, action, reward, cell, torch.zeros_like(cell)))) for k in range(3)]
               for r in range(2)]
        windows = [[Tokens(*(torch.cat(pair, 1) for pair in zip(windows[r][beam[r, k]], new[r][k], strict=True)))
                    for k in range(3)] for r in range(2)]
    imagined = model.imagine(state, return_to_go=True, uncertainty=True)
    policy = model.propose(state).log_probability
    for r in range(2):
        for k in range(3):
            with torch.no_grad():
                h = model(windows[r][k])
                p = model.world_model_head(h[:, -1])
                assert torch.allclose(policy[r, k], model.policy_head(h[0, -1]).log_softmax(-1), atol=1e-4)
                joint = (p.next_x.softmax(-1)[..., :, None] * p.next_y.softmax(-1)[..., None, :]).flatten(-2)[0]
                assert torch.equal(imagined.next_observation[r, k], joint.argmax(-1))
                assert torch.allclose(imagined.probability[r, k], joint.amax(-1), atol=1e-4)
                assert torch.allclose(imagined.entropy[r, k], -(joint * joint.log()).sum(-1), atol=1e-3)
                assert torch.allclose(imagined.reward[r, k], p.reward[0].softmax(-1)[:, 1], atol=1e-4)
                expected = (p.return_to_go.softmax(-1) * torch.arange(21)).sum(-1)[0]
                assert torch.allclose(imagined.return_to_go[r, k], expected, atol=1e-3)
    assert list(model.imagine(state)[2:5]) == [None] * 3                        # nothing that was not asked for


@pytest.mark.parametrize("kind, target, expected", [
    ("none", "ad", InContextModel), ("observational", "dpt", InContextModel), ("none", "idt", HierarchicalModel),
    ("queries", "ad", QueryModel), ("queries", "idt", QueryModel), ("table", "ad", TableModel),
])
def test_the_config_says_which_model(kind, target, expected):
    model = new_model(ENV, ModelConfig(kind, target, context_length=20))
    assert type(model) is expected and model.can_plan == (kind != "none")


@pytest.mark.parametrize("n", [0, 10, 30, 60])
def test_a_context_that_was_not_trained_is_refused(n):
    with pytest.raises(ValueError, match=f"context_length is {n}; allowed: (multiples of the horizon 20|a whole)"):
        model_of("none", 40).begin(1, n)


@pytest.mark.parametrize(
    "field, value, sentence",
    [("d_model", 0, "model.d_model is 0; allowed"), ("n_heads", 3, "d_model is 32; allowed: a multiple of 2 \\* n_heads = 6"),
     ("dropout", 1.0, "model.dropout is 1.0; allowed"), ("world_model", "obs", "world_model is 'obs'; allowed: 'none'"),
     ("target", "ppo", "target is 'ppo'; allowed: 'ad'"), ("chunk", 0, "model.chunk is 0; allowed")],
)
def test_impossible_architectures_are_refused(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        ModelConfig(**{field: value})
