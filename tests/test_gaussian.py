"""Models of worlds whose observations and actions are numbers: by hand first, then what must hold of any weights."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dicp.config import Config, MetaWorldConfig, ModelConfig, PlanConfig, SourceConfig, TrainConfig
from dicp.domain import domain_of
from dicp.losses import losses
from dicp.models import new_model
from dicp.models.gaussian import ContinuousEmbedding, GaussianWorldModel
from dicp.planning import Imagined, Proposal, WorldModel, search
from dicp.policies import LEAST_LOG_STD, Gaussian, PolicyHead, policy_of
from dicp.rollout import rollout
from dicp.training import Trainer
from dicp.types import Log, Tokens, Windows
from dicp.windows import WindowSampler, without_past

ENV = MetaWorldConfig(horizon=5)
MODELS = ("ad", "idt")


def make_log(n_tasks=3, n_streams=2, n_steps=40, seed=0) -> Log:
    """Streams whose observations start anew every fifth step."""
    g = torch.Generator().manual_seed(seed)
    shape = n_tasks, n_streams, n_steps
    action, reward = torch.rand(*shape, 4, generator=g) * 2 - 1, torch.rand(shape, generator=g) * 10
    observation = torch.randn(*shape, 11, generator=g) * 0.1 + 0.5
    last = torch.randn(n_tasks, n_streams, n_steps // 5, 11, generator=g) * 0.1 + 0.5
    return Log(observation, action, reward, last, (reward > 9).byte())


def test_histories_in_which_nothing_succeeds_are_left_out():
    """Two streams of eight episodes; success in the end: three instances in all, a quarter and none of the episodes."""
    log = make_log(3, 2, 80)
    log.success.zero_()
    log.success[0, :, 2::5], log.success[1, 0, 30::10], log.success[2, :, :29] = 1, 1, 1     # the last too early
    learned = {least: WindowSampler(ENV, log, min_final_success=least).learned.tolist() for least in (0.0, 0.2, 0.3)}
    assert learned == {0.0: [0, 1, 2], 0.2: [0, 1], 0.3: [0]}
    assert WindowSampler(ENV, log._replace(success=log.success * 0), min_final_success=1.0).learned.tolist() == [0, 1, 2]
    log = log._replace(reward=torch.arange(1.0, 4.0)[:, None, None].expand(3, 2, 80))
    sampler = WindowSampler(ENV, log, min_final_success=0.3)
    for failures, seen in ((False, [1]), (True, [1, 2, 3])):
        windows = sampler.history(99, 2, 1, torch.Generator().manual_seed(0), failures=failures)
        assert windows.reward.unique().tolist() == seen
    presets = {task: Config.preset("metaworld", task=task, world_model="observational", target="idt").train
               for task in ("reach-v3", "sweep-v3", "pick-place-v3")}
    assert {train.min_final_success for train in presets.values()} == {0.1}
    assert {task: (train.failures_share, train.world_model_weight) for task, train in presets.items()} == {
        "reach-v3": (0.125, 0.3), "sweep-v3": (0.5, 0.3), "pick-place-v3": (0.125, 0.1)}
    assert Config.preset("metaworld", "paper", task="sweep-v3").train.min_final_success == 0


@pytest.mark.parametrize("kind", ["none", "observational"])
@pytest.mark.parametrize("target", MODELS)
def test_failures_are_not_imitated_but_the_world_model_learns_from_them(kind, target):
    """The first instance succeeds; in the other two the hand is moved in another way, which shows in a policy's gradient."""
    log = make_log(3, 2, 80)
    log.success.zero_()
    log.success[0] = 1
    model = ModelConfig(kind, target, context_length=20, d_model=16, n_layers=1, n_heads=2, d_ff=16, chunk=5)
    train = TrainConfig(updates=2, batch_size=6, n_streams=2, max_stride=2, min_final_success=0.5)
    config = Config(ENV, SourceConfig(n_streams=2, env_steps=80, n_steps=10, batch_size=20), model, train)
    other = log._replace(action=torch.cat((log.action[:1], -log.action[1:])))            # what was done where nothing succeeds

    def terms_of(log, **changes):
        trainer = Trainer(replace(config, train=replace(train, **changes)), log)
        return losses(trainer.model, trainer.sampler, trainer.config.train, trainer.generator)

    first, second = terms_of(log), terms_of(other)
    if target == "ad":                                                                 # IDT draws its decisions
        assert first["policy"] == second["policy"]
    assert terms_of(log, failures_share=0.0) == terms_of(other, failures_share=0.0)
    if kind == "observational":
        assert all(first[name] != second[name] for name in ("reward", "next_obs", "return_to_go"))
        halved = terms_of(log, world_model_weight=0.5)
        assert halved["reward"].item() == pytest.approx(first["reward"].item() / 2)
    trainer = Trainer(config, log)
    trainer.step()
    assert trainer.update == 1


def make_model(target="ad", seed=0, **changes):
    torch.manual_seed(seed)
    settings = dict(context_length=20, d_model=16, n_layers=2, d_ff=16, d_head_hidden=16, chunk=5) | changes
    settings = dict(n_forget_episodes=2) | settings
    model = new_model(ENV, ModelConfig("observational", target, **settings))
    for parameter in model.parameters():                             # away from symmetric starts
        parameter.data += 0.1 * torch.randn(parameter.shape)
    if target == "idt":
        model.prompt.fill_(30.0)
    return model.eval()


def windows_of(batch=3, n_episodes=4, seed=0) -> Windows:
    sampler = WindowSampler(ENV, make_log(), None)
    return sampler.history(batch, n_episodes, 2, torch.Generator().manual_seed(seed))


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_nll_by_hand():
    gaussian = Gaussian(torch.tensor([1.0, 0.0]), torch.tensor([0.0, math.log(2)]))
    half = 0.5 * math.log(2 * math.pi)
    assert gaussian.nll(torch.tensor([3.0, 4.0])).tolist() == pytest.approx([2 + half, 2 + math.log(2) + half])
    p = torch.tensor([0.5, -0.2, 0.3, 1.0])
    mine, theirs = Gaussian.of(p), torch.distributions.Normal(p[:2], Gaussian.of(p).log_std.exp())
    x = torch.tensor([0.1, 0.9])
    torch.testing.assert_close(mine.nll(x), -theirs.log_prob(x))
    standard = Gaussian.of(policy_of(domain_of(ENV).action).uninformed())
    assert not standard.mean.any() and standard.log_std.abs().max() < 1e-6
    assert Gaussian.of(torch.tensor([0.0, -100.0])).log_std.item() == pytest.approx(LEAST_LOG_STD)
    assert Gaussian.of(torch.tensor([0.0, 5.0])).log_std.item() == pytest.approx(5, abs=1e-3)


def test_balanced_nll_is_the_same_number_with_other_gradients():
    """By hand: two cases of standard deviation 1 and 1/2, so with beta = 0.5 the weights are 4/3 and 2/3."""
    mean = torch.zeros(2, 1, requires_grad=True)
    log_std = torch.tensor([[0.0], [-math.log(2)]])
    gaussian, target = Gaussian(mean, log_std), torch.tensor([[3.0], [1.0]])
    assert torch.equal(gaussian.balanced_nll(target, 0.5), gaussian.nll(target))
    gaussian.nll(target).sum().backward()
    assert mean.grad.flatten().tolist() == pytest.approx([-3, -4])           # - error / variance
    for beta, wanted in ((0.0, [-3, -4]), (0.5, [-3 * 4 / 3, -4 * 2 / 3]), (1.0, [-3 * 8 / 5, -4 * 2 / 5])):
        mean.grad = None
        gaussian.balanced_nll(target, beta).sum().backward()
        assert mean.grad.flatten().tolist() == pytest.approx(wanted)


def test_what_an_action_does_is_linear_where_the_mlp_is_silent():
    model = GaussianWorldModel(domain_of(ENV), ModelConfig("observational", d_model=16, d_head_hidden=8))
    with torch.no_grad():
        model.out.weight.zero_()
    h, a, b = torch.randn(3, 16), torch.rand(3, 4), torch.rand(3, 4)
    still, one, other, both = (model(h, x).change.mean for x in (0 * a, a, b, a + b))
    torch.testing.assert_close(both - still, (one - still) + (other - still))
    assert (one - still).abs().min() > 0 and not torch.allclose((one - still)[0] / a[0].sum(), (one - still)[1] / a[1].sum())
    many = model(h[:, None], torch.stack((a, b), dim=1))                     # one context, several candidates
    torch.testing.assert_close(many.change.mean[:, 1], other)
    assert ModelConfig(nll_beta=0).nll_beta == 0
    with pytest.raises(ValueError, match="nll_beta is -0.1; allowed"):
        ModelConfig(nll_beta=-0.1)


def test_embedding_by_hand():
    """Which number feeds which input: centred and scaled, the jump of a reset, and birth."""
    embed = ContinuousEmbedding(domain_of(ENV), 1)
    observation, outcome = torch.full((11,), 0.5), torch.full((11,), 0.5)
    observation[:4] = torch.tensor([0.1, 0.75, 0.1, 1.0])
    outcome[:4] = torch.tensor([0.2, 0.75, 0.1, 1.0])
    before = outcome - torch.tensor([0.02, *[0.0] * 10])             # the hand moved by 20 mm, the reward rose by 0.3
    outcome = domain_of(ENV).outcome(before, outcome, torch.tensor(5.0), torch.tensor(4.7))
    fields = Tokens(observation, torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor(5.0), outcome, torch.tensor(1))
    inputs = torch.zeros(41)
    with torch.no_grad():
        embed.bias.zero_()
        for i in range(41):
            embed.weight.zero_()
            embed.weight[0, i] = 1
            inputs[i] = embed(fields)
    hand, jump, moved, rest = (inputs[a:b].tolist() for a, b in ((0, 4), (11, 15), (22, 26), (33, 41)))
    assert hand == pytest.approx([1, 1, -1, 1], abs=1e-5) and jump == pytest.approx([1, 0, 0, 0], abs=1e-5)
    assert moved == pytest.approx([2, 0, 0, 0], abs=1e-4)
    assert rest == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 3, 1, 0], abs=1e-4)
    born = Tokens(observation, torch.zeros(4), torch.tensor(0.0), torch.zeros(23), torch.tensor(1))
    with torch.no_grad():
        embed.weight[:] = torch.tensor([0.0] * 11 + [1.0] * 22 + [0.0] * 4 + [1.0] * 2 + [0.0] + [7.0])
        assert embed(born).item() == 7                               # no jump, and "born" says so


def test_world_model_speaks_the_worlds_units():
    torch.manual_seed(0)
    head = GaussianWorldModel(domain_of(ENV), ModelConfig(d_model=16))
    h, observation = torch.randn(2, 3, 16), torch.randn(2, 3, 11)
    action, before = torch.rand(2, 3, 4, 4), torch.rand(2, 3)
    state = SimpleNamespace(h=h, observation=observation, reward_before=before)
    imagined, p = head.imagined(state, action, True, False), head(h[:, :, None].expand(2, 3, 4, 16), action)
    torch.testing.assert_close(imagined.reward, before[..., None] + 0.1 * p.reward_change.mean[..., 0])
    torch.testing.assert_close(imagined.return_to_go, 50 * p.return_to_go.mean[..., 0])            # 5 steps of 10 at most
    moved = imagined.next_observation - observation[:, :, None]
    torch.testing.assert_close(moved[..., 0], 0.01 * p.change.mean[..., 0], atol=1e-6, rtol=1e-4)    # hand x, in metres
    torch.testing.assert_close(moved[..., 3], 0.1 * p.change.mean[..., 3], atol=1e-6, rtol=1e-4)
    windows = windows_of()
    model = make_model()
    terms = model.predict(windows).loss_terms(windows)
    p = model.predict(windows)
    returns = windows.reward.unflatten(1, (-1, 5)).flip(-1).cumsum(-1).flip(-1).flatten(1)
    torch.testing.assert_close(windows.return_to_go, returns)
    torch.testing.assert_close(terms["return_to_go"], p.return_to_go.nll(returns[..., None] / 50).mean())
    rise = windows.reward.clone()
    rise[:, [t for t in range(20) if t % 5]] -= windows.reward[:, [t - 1 for t in range(20) if t % 5]]    # in an episode
    torch.testing.assert_close(terms["reward"], p.reward_change.nll(rise[..., None] / 0.1).mean())
    hand = (windows.next_observation - windows.tokens.observation)[..., 0] / 0.01
    first = Gaussian(*(x[..., :1] for x in p.change)).nll(hand[..., None]).mean()
    rest = 11 * terms["next_obs"] - first                                                          # a mean over 11 numbers
    other = windows._replace(next_observation=windows.next_observation + torch.eye(11)[0])
    torch.testing.assert_close(11 * p.loss_terms(other)["next_obs"] - rest,
                               Gaussian(*(x[..., :1] for x in p.change)).nll(hand[..., None] + 100).mean())


def test_the_loss_of_a_single_step_knows_the_horizon():
    """With `dense=False` a window is one step, and no episode begins in it."""
    windows, model = windows_of(), make_model()
    last, h = windows.last_steps(1), model.read(windows)[:, -1:]
    p = model.world_model_head(h, last.action)
    returns = p.return_to_go.nll(last.return_to_go[..., None] / 50).mean()
    torch.testing.assert_close(p.loss_terms(last)["return_to_go"], returns)
    assert returns.isfinite()


def test_policy_loss_sums_the_components():
    torch.manual_seed(0)
    policy = PolicyHead(policy_of(domain_of(ENV).action), 16)
    h, label = torch.randn(2, 3, 16), torch.rand(2, 3, 4)
    out = policy(h)
    torch.testing.assert_close(policy.loss(out, label), Gaussian.of(out).nll(label).mean((0, 1)).sum())


# --- windows ----------------------------------------------------------------------------------------------------------


def test_windows_say_what_happened():
    log = make_log(n_tasks=1, n_streams=1)
    windows = WindowSampler(ENV, log).history(1, 8, 1, torch.Generator().manual_seed(0))
    mine = windows.tokens.observation, windows.action, windows.reward
    theirs = log.observation, log.action, log.reward
    for ours, given in zip(mine, theirs, strict=True):
        assert torch.equal(ours[0], given[0, 0])
    ends = torch.arange(4, 40, 5)
    assert torch.equal(windows.next_observation[0, ends], log.terminal_observation[0, 0])
    inside = [t for t in range(39) if t not in ends]
    assert torch.equal(windows.next_observation[0, inside], log.observation[0, 0, [t + 1 for t in inside]])
    outcome, moved, rise = windows.tokens.outcome[0, 1:].split((11, 11, 1), dim=-1)
    assert torch.equal(outcome, windows.next_observation[0, :-1])
    assert torch.equal(moved, outcome - windows.tokens.observation[0, :-1])
    for t in range(39):
        before = windows.reward[0, t - 1] if t % 5 else 0.0
        assert rise[t, 0] == windows.reward[0, t] - before
    assert torch.equal(windows.tokens.last_action[0, 1:], log.action[0, 0, :-1])
    assert not any(x[0, 0].any() for x in windows.tokens[1:4]) and windows.tokens.first[0].tolist() == [1, 0, 0, 0, 0] * 8


# --- properties of any weights ----------------------------------------------------------------------------------------


def told(tokens, n):
    return Tokens(*(x[:, :n] for x in tokens))


@pytest.mark.parametrize("target", MODELS)
def test_the_future_changes_nothing(target):
    model, windows, other = make_model(target), windows_of(), windows_of(seed=1)

    def read(windows):
        torch.manual_seed(0)                                         # of IDT's decisions
        return model.policy_head(model.read(windows))

    before = read(windows)
    for t in (4, 7, 12):
        def cut(x, y, at=t):
            return torch.cat((x[:, :at], y[:, at:]), 1)

        tokens = Tokens(*map(cut, windows.tokens, other.tokens))
        rest = [cut(x, y, t - 1) for x, y in zip(windows[1:], other[1:], strict=True)]
        after = read(Windows(tokens, *rest)._replace(desired_return=windows.desired_return))
        assert torch.allclose(before[:, :t], after[:, :t], atol=1e-5)
        assert not torch.allclose(before[:, t:], after[:, t:], atol=1e-2)


def test_acting_equals_the_whole_window():
    """Also once the context is full: then the two oldest of four episodes are forgotten."""
    model = make_model()
    tokens = WindowSampler(ENV, make_log()).history(3, 8, 1, torch.Generator().manual_seed(0)).tokens
    context, held = model.begin(3), []
    for t in range(40):
        begin = 0 if t < 20 else 10 * ((t - 20) // 10 + 1)
        acted = model.observe(context, Tokens(*(x[:, t] for x in tokens)))
        window = without_past(told(tokens, t + 1), ENV, t + 1 - begin)
        assert torch.allclose(acted, model.policy_head(model(window))[:, -1], atol=1e-4)
        held.append(context.n_transitions + 1)
        assert torch.equal(context.observation, tokens.observation[:, t])
    assert max(held) == 20 and held[20] == 11


@pytest.mark.parametrize("target", MODELS)
def test_imagined_steps_are_read_as_real_ones(target):
    model, tokens = make_model(target), windows_of().tokens
    context = model.begin(3, generator=torch.Generator().manual_seed(0))
    for t in range(6):
        model.observe(context, Tokens(*(x[:, t] for x in tokens)))
    state = model.root(context)
    assert isinstance(model, WorldModel) and torch.equal(state.observation[:, 0], tokens.observation[:, 5])
    assert not state.reward_before.any()                             # a new episode begins: the last reward was another's
    state = model.fork(state, torch.zeros(3, 2, dtype=torch.long))
    for t in (6, 7):
        came = Tokens(*(x[:, t, None].expand(-1, 2, *x.shape[2:]) for x in tokens))
        state = model.advance(state, came.last_action, came.last_reward, came.observation)
    for t in (6, 7):
        now, before = (Tokens(*(x[:, i] for x in tokens)) for i in (t, t - 1))
        outcome = domain_of(ENV).outcome(before.observation, now.observation, now.last_reward, before.reward_before)
        model.observe(context, now._replace(outcome=outcome))
    assert torch.allclose(state.h[:, 0], context.h, atol=1e-4) and torch.allclose(state.h[:, 1], context.h, atol=1e-4)
    for ours in (state.reward_before[:, 0], state.reward_before[:, 1], model.root(context).reward_before[:, 0]):
        assert torch.equal(ours, tokens.last_reward[:, 7])


@pytest.mark.parametrize("target", MODELS)
def test_candidates_are_the_mean_and_draws(target):
    model, tokens = make_model(target), windows_of().tokens
    context = model.begin(3, generator=torch.Generator().manual_seed(0))
    out = model.observe(context, Tokens(*(x[:, 0] for x in tokens)))
    action = model.propose(model.root(context), 2000, torch.Generator().manual_seed(1)).action
    policy = Gaussian.of(out)
    torch.testing.assert_close(action[:, 0, 0], policy.mean.clamp(-1, 1))
    assert action.shape == (3, 1, 2000, 4) and action.abs().max() == 1
    drawn = (policy.mean[:, None] + policy.log_std.exp()[:, None] * torch.randn(3, 20_000, 4)).clamp(-1, 1)
    assert (action[:, 0].mean(1) - drawn.mean(1)).abs().max() < 0.08


# --- planning ---------------------------------------------------------------------------------------------------------


class Line:
    """A perfect model of a walk on a line: actions are steps, the nearer to 3 the better; the policy offers five steps."""

    class State:
        def __init__(self, at):
            self.at, self.h = at, at[..., None]

    offers = torch.tensor([0.0, -1.0, 1.0, -0.5, 0.5])

    def propose(self, state, n=1, generator=None):
        return Proposal(self.offers[:n].expand(*state.at.shape, n)[..., None])

    def imagine(self, state, action=None, *, return_to_go=False, uncertainty=False):
        reached = state.at[..., None] + action[..., 0]
        reward = -(reached - 3).abs() - 2.0 * (reached - 0.5).abs().lt(0.1)      # a ditch at 0.5
        return Imagined(reward, reached[..., None], reward * 3)

    def advance(self, state, action, reward, next_observation):
        return self.State(next_observation[..., 0])

    def fork(self, state, beam):
        return self.State(state.at.gather(1, beam))


def brute_force(start, depth, return_to_go=False):
    best = None
    for steps in itertools.product(Line.offers.tolist(), repeat=depth):
        at, total = start, 0.0
        for i, step in enumerate(steps):
            at += step
            reward = -abs(at - 3) - 2.0 * (abs(at - 0.5) < 0.1)
            total += (3 * reward if return_to_go else reward) if i == depth - 1 else reward
        best = total if best is None else max(best, total)
    return best


@pytest.mark.parametrize("return_to_go", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_exhaustive_beam_equals_brute_force(depth, return_to_go):
    starts = torch.tensor([[0.0], [1.0], [-0.5]])
    config = PlanConfig.preset("paper", "metaworld", depth=depth, beam_width=5**depth, candidates=5, return_to_go=return_to_go)
    plan = search(Line(), Line.State(starts), config, 10)
    assert plan.score.tolist() == pytest.approx([brute_force(x, depth, return_to_go) for x in (0.0, 1.0, -0.5)])
    assert plan.action.shape == (3, depth, 1)
    assert torch.allclose(plan.next_observation[:, -1, 0], starts[:, 0] + plan.action.sum((1, 2)))


def test_plans_end_with_the_episode_and_see_what_one_step_does_not():
    config = PlanConfig.preset("paper", "metaworld", depth=4, beam_width=25, candidates=5, return_to_go=False)
    root = Line.State(torch.tensor([[0.0]]))
    assert search(Line(), root, config, 2).action.shape[1] == 2
    assert search(Line(), root, config, 10).action[0, :3, 0].tolist() == [1, 1, 1]


# --- acting in Meta-World ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", MODELS)
def test_a_life_in_reach(target):
    pytest.importorskip("metaworld")
    from dicp.domain import world_of

    model, tasks = make_model(target), [(0.01, 0.65, 0.02, -0.05, 0.85, 0.2), (0.0, 0.6, 0.02, 0.05, 0.81, 0.1)]
    plan = PlanConfig.preset("paper", "metaworld", start_after=10, start_after_step=2)
    rollouts = rollout(model, ENV, tasks, 2, 4, plan, seed=1)
    assert rollouts.planned[0, 0].tolist() == [False] * 10 + [False, False, True, True, True] * 2
    world = world_of(ENV, tasks, 2)
    seen = world.reset()
    for t in range(20):
        assert torch.equal(rollouts.observation[:, :, t], seen)
        outcome = world.step(rollouts.action[:, :, t])
        assert torch.equal(rollouts.reward[:, :, t], outcome.reward) and torch.equal(rollouts.success[:, :, t], outcome.success)
        assert torch.equal(rollouts.next_observation[:, :, t], outcome.next_observation)
        seen = outcome.observation
    assert torch.equal(rollouts.episode_return, rollouts.reward.unflatten(-1, (4, 5)).sum(-1))
    assert rollouts.max_return.tolist() == [50, 50]
    brief = rollout(model, ENV, tasks, 2, 4, plan, seed=1, record=False)
    assert brief.observation is None and torch.equal(brief.reward, rollouts.reward)
    assert torch.equal(brief.episode_success, rollouts.success.unflatten(-1, (4, 5)).any(-1))


@pytest.mark.parametrize("target", MODELS)
def test_training_learns_and_goes_on(target):
    """Actions that follow the observation, rewards that follow the action: the loss falls, and a resumed run is the same."""
    log = make_log()
    action = (log.observation[..., :4] - 0.5).mul(4).clamp(-1, 1)
    log = log._replace(action=action, reward=5 + 5 * action[..., 0])
    small = dict(d_model=16, n_layers=1, d_ff=16, d_head_hidden=16, chunk=5)
    model = ModelConfig("observational", target, context_length=20, **small)
    source = SourceConfig(n_streams=2, env_steps=40, n_steps=10, batch_size=20)
    config = Config(ENV, source, model, TrainConfig(updates=60, batch_size=16, warmup=5, n_streams=2, max_stride=2))
    trainer = Trainer(config, log)
    for _ in range(20):
        trainer.step()
    state = trainer.state_dict()
    for _ in range(40):
        trainer.step()
    first, last = trainer.log.iloc[:5].mean(), trainer.log.iloc[-5:].mean()
    assert last["policy"] < first["policy"] - 1 and last["reward"] < first["reward"] - 0.3
    again = Trainer(config, log)
    again.load_state_dict(state, "here")
    for _ in range(40):
        again.step()
    assert again.rows == trainer.rows


def test_what_metaworld_lacks_is_refused():
    for change in (dict(target="dpt"), dict(world_model="queries")):
        with pytest.raises(ValueError, match="allowed: "):
            Config.preset("metaworld", **change)
    with pytest.raises(ValueError, match="task is 'reach-v2'; allowed: .*Did you mean 'reach-v3'?"):
        Config.preset("metaworld", task="reach-v2")
    with pytest.raises(ValueError, match="task is 'reach-v3'; allowed: none in darkroom"):
        Config.preset("darkroom", task="reach-v3")
    with pytest.raises(ValueError, match="planner in metaworld is 'bayes'; allowed: 'none', 'paper'"):
        PlanConfig.preset("bayes", "metaworld")


def test_config_comes_back_from_json():
    from dataclasses import asdict

    config = Config.preset("metaworld", task="push-v3", world_model="observational", split=2)
    assert Config.from_dict(asdict(config)) == config and config.source_seed == 2
    assert config.key != Config.preset("metaworld", task="sweep-v3", world_model="observational", split=2).key
