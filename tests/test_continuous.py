"""PPO with continuous actions: gradients by hand against autograd, updates and learning curves against stable-baselines3's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from beyond import beyond

from dicp.config import MetaWorldConfig, SourceConfig
from dicp.domain import Domain, domain_of
from dicp.source.continuous import GaussianAgents
from dicp.source.nets import Experience
from dicp.source.ppo import act, learn, ppo
from dicp.source.record import Recorder
from dicp.source.sb3 import RecordedVecEnv, make_ppo
from dicp.types import Space, Step


class Moving:
    """Points in four dimensions that move as told; reward: 1 less the distance from the goal. They see themselves, and 0.3."""

    def __init__(self, goals, n_streams, horizon):
        self.goals, self.n_streams, self.horizon = torch.tensor(goals), n_streams, horizon

    def observation(self):
        return torch.cat([self.point, torch.full((*self.point.shape[:2], 1), 0.3)], -1)

    def reset(self):
        self.point, self.t = torch.zeros(len(self.goals), self.n_streams, 4), 0
        return self.observation()

    def step(self, action):
        assert action.shape == self.point.shape and action.abs().max() <= 1
        self.point, self.t = self.point + 0.1 * action, self.t + 1
        reward = 1 - (self.point - self.goals[:, None]).norm(dim=-1)
        outcome, done = self.observation(), self.t == self.horizon
        observation = self.reset() if done else outcome
        return Step(reward, outcome, observation, done, reward > 0.9)


class Drift(Domain):
    """The world of these points. Other agents see the first three numbers alone."""

    observation, source_observation = Space(shape=(3,)), Space(shape=(5,))
    action, reward = Space(shape=(4,), low=-1, high=1), Space()
    says_success = timeout_bootstraps = True
    world = Moving

    def __init__(self, horizon=20):
        super().__init__(SimpleNamespace(horizon=horizon, is_random=False))

    def make_for_source(self, tasks, n_streams):
        return self.world(tasks, n_streams, self.config.horizon)


Drift.__abstractmethods__ = frozenset()      # what PPO does not ask for is not there
GOALS = [(0.5, -0.5, 0.2, 0.0), (-0.5, 0.0, 0.0, 0.8), (0.0, 0.0, 0.0, 0.3)]
SOURCE = SourceConfig(n_streams=10, env_steps=80, n_steps=20, batch_size=40, n_epochs=3, keep_streams=4)


pytestmark = pytest.mark.usefixtures("one_thread")


def random_problem(clip_range=0.2, n=3, transitions=50):
    """Networks with random weights, and random data far from the old policy."""
    source = SourceConfig(width=16, batch_size=transitions, clip_range=clip_range)
    generator = torch.Generator().manual_seed(1)
    agents = GaussianAgents(Drift(), n, source, generator)
    nets = agents.nets
    nets.weights += 0.2 * torch.randn(nets.weights.shape, generator=generator) * (nets.weights != 0)
    nets.layers[4] += 0.3 * torch.randn(n, 4, generator=generator)
    x = torch.cat((torch.randn(n, transitions, 5, generator=generator), torch.ones(n, transitions, 1)), -1)
    action = torch.randn(n, transitions, 4, generator=generator)
    old_logp = -3 + torch.randn(n, transitions, generator=generator)
    rest = 3 * torch.randn(2, n, transitions, generator=generator)
    return agents, Experience(x.repeat(2, 1, 1), action, old_logp, *rest)


def plain_loss(nets, weights, data):
    """The PPO loss as the textbook writes it, with PyTorch's own normal distribution; summed over tasks."""
    (w1, w2, w3, b, log_std), n, source = nets.split(weights), nets.n_tasks, nets.source
    hidden = torch.tanh(torch.tanh(data.input @ w1) @ w2 + b[:, None, : source.width])
    out = hidden @ w3.mT + b[:, None, source.width :]
    logp = torch.distributions.Normal(out[:n], log_std.exp()[:, None]).log_prob(data.action).sum(-1)
    logp = logp + 4 * 0.5 * np.log(2 * np.pi)                        # the constant that the library leaves out
    advantage = data.advantage
    advantage = (advantage - advantage.mean(1, keepdim=True)) / (advantage.std(1, keepdim=True) + 1e-8)
    ratio = (logp - data.old_logp).exp()
    clipped = ratio.clamp(1 - source.clip_range, 1 + source.clip_range)
    gain = torch.min(ratio * advantage, clipped * advantage).mean(1)
    return (-gain + source.value_coef * (out[n:, :, 0] - data.value_target).square().mean(1)).sum()


@pytest.mark.parametrize("clip_range", [0.2, 1e-3, 1e3])
def test_gradient_is_autograds(clip_range):
    agents, data = random_problem(clip_range)
    nets = agents.nets
    agents.write_gradient(data)
    weights = nets.weights.clone().requires_grad_()
    plain_loss(nets, weights, data).backward()
    torch.testing.assert_close(nets.grad, weights.grad, atol=2e-4, rtol=1e-3)
    assert all(part.abs().max() > 1e-3 for part in nets.grads)


def test_clips_the_gradient_of_each_task_alone():
    agents, data = random_problem()
    nets = agents.nets
    agents.write_gradient(data)
    weights = nets.weights.clone().requires_grad_()
    adam = torch.optim.Adam([weights], lr=nets.source.learning_rate, eps=nets.source.adam_eps)
    weights.grad = nets.grad.clone()
    parts = nets.split(weights.grad)
    for task in range(nets.n_tasks):
        of_task = [part[i] for part in parts for i in range(task, len(part), nets.n_tasks)]
        norm = torch.cat([x.flatten() for x in of_task]).norm()
        assert norm > nets.source.max_grad_norm
        for x in of_task:
            x *= nets.source.max_grad_norm / norm
    adam.step()
    nets.adam_step()
    torch.testing.assert_close(nets.weights, weights.detach(), atol=1e-6, rtol=0)


def sb3_weights(policy, nets):
    """(ours, theirs) for every weight of one task."""
    width, body, n = nets.source.width, policy.mlp_extractor, nets.n_inputs
    w1, w2, w3, b, log_std = nets.layers
    for i, (net, head, outputs) in enumerate([(body.policy_net, policy.action_net, 4), (body.value_net, policy.value_net, 1)]):
        yield from ((w1[i, :n], net[0].weight.T), (w1[i, n], net[0].bias), (w2[i], net[2].weight.T))
        yield from ((b[i, :width], net[2].bias), (w3[i, :outputs], head.weight), (b[i, width : width + outputs], head.bias))
    yield log_std[0], policy.log_std


def check_updates(domain, task, n_streams, n_updates, n_steps):
    """From the same weights and the same experience, `n_updates` later: the same weights as stable-baselines3's.

    A minibatch holds a whole rollout, so that the order of the shuffle does not matter.
    """
    source = SourceConfig(n_streams=n_streams, env_steps=n_updates * n_steps, n_steps=n_steps, batch_size=n_streams * n_steps,
                          n_epochs=4, learning_rate=3e-3)
    model = make_ppo(RecordedVecEnv(domain, task, n_streams, source.env_steps), source, seed=0)
    world = domain.make_for_source([task], n_streams)
    observation = world.reset()
    agents = GaussianAgents(domain, 1, source, torch.Generator())
    nets = agents.nets
    for ours, theirs in sb3_weights(model.policy, nets):
        ours.copy_(theirs.detach())
    before, drawn = nets.weights.clone(), []
    distribution = type(model.policy.action_dist)
    sample = distribution.sample

    def record(self):                                                # the numbers that stable-baselines3 draws
        action = sample(self)
        drawn.append((action - self.distribution.mean) / self.distribution.stddev)
        return action

    distribution.sample = record
    try:
        model.learn(source.env_steps * n_streams)
    finally:
        distribution.sample = sample
    recorder = Recorder(domain, 1, n_streams, source.env_steps)
    original, values = torch.randn, iter(drawn)
    torch.randn = lambda shape, generator: next(values).detach()[None]
    try:
        for start in range(0, source.env_steps, n_steps):
            observation, data = act(agents, world, observation, recorder, start, torch.Generator())
            learn(agents, data, torch.Generator().manual_seed(0))
    finally:
        torch.randn = original
    assert (nets.weights - before).abs().max() > 0.01
    for ours, theirs in sb3_weights(model.policy, nets):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("horizon", [20, 8])     # 8: episodes end inside a rollout, and a rollout inside an episode
def test_three_updates_equal_stable_baselines3(horizon):
    check_updates(Drift(horizon), GOALS[0], 15, 3, 20)


def test_updates_on_reach_equal_stable_baselines3():
    pytest.importorskip("metaworld")
    from dicp.envs.metaworld import ml1_instances

    instances, _ = ml1_instances("reach-v3", 0)
    check_updates(domain_of(MetaWorldConfig(horizon=10)), instances[0], 3, 2, 20)


def test_horizon_is_a_truncation():
    """Constant reward 1 and a value net that says 2 everywhere: nothing is lost where an episode is cut off."""

    class Steady(Moving):
        def step(self, action):
            return super().step(action)._replace(reward=torch.ones(1, 3))

    domain, world = Drift(horizon=4), Steady(GOALS[:1], 3, horizon=4)
    source = SourceConfig(n_streams=3, env_steps=8, n_steps=8, batch_size=24, gamma=0.5, gae_lambda=1.0)
    observation, generator = world.reset(), torch.Generator().manual_seed(0)
    agents = GaussianAgents(domain, 1, source, generator)
    agents.nets.weights.zero_()
    agents.nets.layers[3][1, source.width] = 2.0                     # the bias of the value net's output
    _, data = act(agents, world, observation, Recorder(domain, 1, 3, 8), 0, generator)
    torch.testing.assert_close(data.value_target, torch.full((1, 24), 2.0))          # 1 + 1/2 + 1/4 + ... = 2
    torch.testing.assert_close(data.advantage, torch.zeros(1, 24))


def test_log_holds_what_was_done():
    steps, updates = [], []

    class Watched(Moving):
        def step(self, action):
            before = self.observation()
            steps.append((before, action, outcome := super().step(action)))
            return outcome

    domain = Drift()
    domain.world = Watched
    log = ppo(domain, GOALS, SOURCE, seed=0, on_update=updates.append)
    assert updates == [0, 1, 2, 3] and log.observation.shape == (3, 4, 80, 3)
    for t, (observation, action, outcome) in enumerate(steps):
        for mine, theirs in ((log.observation, observation[..., :3]), (log.action, action), (log.reward, outcome.reward),
                             (log.success, outcome.success)):
            assert np.allclose(mine[:, :, t], theirs[:, :4], atol=1e-6)
        if outcome.done:
            last = log.terminal_observation[:, :, t // 20]
            assert np.allclose(last, outcome.next_observation[:, :4, :3]) and not np.allclose(last[..., :2], 0)
    assert (log.action.abs() == 1).float().mean() > 0.2              # a standard deviation of 1 is often clipped


def test_seeds():
    logs = [ppo(Drift(), GOALS, SOURCE, seed) for seed in (5, 5, 6)]
    assert all(torch.equal(a, b) for a, b in zip(*logs[:2], strict=True))
    assert not torch.equal(logs[0].action, logs[2].action)


def test_weights_that_are_not_finite_are_no_source():
    message = "^the .* of update [1-4] of the source are not finite; try a learning_rate below"
    for change in (dict(learning_rate=1e38), dict(value_coef=1e38)):
        with pytest.raises(FloatingPointError, match=message):
            ppo(Drift(), GOALS, beyond(SOURCE, **change), 0)


def test_a_world_that_gives_nan_is_named():
    class Broken(Moving):
        def step(self, action):
            step = super().step(action)
            factor = torch.nan if self.t == 7 else 1
            return step._replace(**{self.part: getattr(step, self.part) * factor})

    for part, step in (("reward", 6), ("observation", 7)):
        domain = Drift()
        domain.world = type("Broken", (Broken,), {"part": part})
        message = f"The {part} that the world gives at env step {step} is nan or infinite; allowed"
        with pytest.raises(ValueError, match=message):
            ppo(domain, GOALS, SOURCE, 0)


def test_impossible_sizes_are_refused_before_anything_is_made():
    for change, name in ((dict(width=10**9), "source.width"), (dict(env_steps=20 * 10**12), "source.env_steps")):
        with pytest.raises(ValueError, match=rf"^{name}.* is .*; allowed: ") as error:
            ppo(Drift(), GOALS, beyond(SOURCE, **change), 0)
        assert "\n" not in str(error.value)


def test_a_choice_among_actions_by_what_numbers_say_is_no_world_of_ours():
    domain = Drift()
    domain.action = Space(3)
    with pytest.raises(ValueError, match="observations that are numbers and .* one of a few; allowed: both one of a few"):
        domain.check_spaces()


def test_learns_as_stable_baselines3():
    """Mean reward by fifths of the run, one goal: eight tasks of ours against four seeds of theirs."""
    source = SourceConfig(n_streams=20, env_steps=300, n_steps=20, batch_size=100, n_epochs=10, learning_rate=1e-3)
    ours = ppo(Drift(), GOALS[:1] * 8, source, seed=1).reward.mean(1).unflatten(-1, (5, -1)).mean(-1)
    theirs = []
    for seed in range(4):
        vec_env = RecordedVecEnv(Drift(), GOALS[0], source.n_streams, source.env_steps)
        make_ppo(vec_env, source, seed).learn(source.env_steps * source.n_streams)
        theirs.append(vec_env.log().reward[0].mean(0).view(5, -1).mean(1))
    theirs = torch.stack(theirs)
    error = (ours.var(0) / len(ours) + theirs.var(0) / len(theirs)).sqrt()
    assert theirs.mean(0)[-1] > theirs.mean(0)[0] + 0.15             # there is something to learn
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 4 * error + 0.02).all()
    slow = ppo(Drift(), GOALS[:1] * 8, SourceConfig(
        n_streams=20, env_steps=300, n_steps=20, batch_size=100, n_epochs=2, learning_rate=1e-3), seed=1)
    assert slow.reward[..., -60:].mean() < theirs.mean(0)[-1] - 0.05        # the comparison can fail
