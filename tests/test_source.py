"""The source algorithm: gradients by hand against autograd, updates and learning curves against SB3's.

The curves of stable-baselines3 are recorded; `python tests/test_source.py small > tests/data/sb3_small_curves.csv` records
them again (`full`: those with the paper's settings).
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from beyond import beyond

from dicp.config import EnvConfig, SourceConfig
from dicp.domain import domain_of
from dicp.envs import GridRules, all_tasks, cell_to_xy
from dicp.envs.grid import GridState
from dicp.source import train_ppo, train_sb3
from dicp.source.discrete import Minibatch, TableAgents
from dicp.source.nets import Experience, Nets
from dicp.source.ppo import advantages, experience_of, learn
from dicp.source.sb3 import RecordedVecEnv, make_ppo
from dicp.types import Log

DATA = Path(__file__).parent / "data"
FULL_GOALS, FULL_SEEDS = [(3, 6), (8, 1)], [0, 1, 2]
SMALL_GOALS, SMALL_SEEDS = [(4, 5), (3, 5), (6, 3)], [0, 1, 2, 3, 4]
SMALL = SourceConfig(n_streams=40, env_steps=500, batch_size=200, n_epochs=10, learning_rate=1e-3)
BAND = 0.05     # of the highest return


pytestmark = pytest.mark.usefixtures("one_thread")


# --- one update -------------------------------------------------------------------------------------------------------


def new_agents(env: EnvConfig, n: int, source: SourceConfig, generator: torch.Generator) -> TableAgents:
    return TableAgents(domain_of(env), n, source, generator)


def random_problem(clip_range: float = 0.2, n: int = 3, transitions: int = 80):
    """Networks with random weights, and random data of few different cells, far from the old policy."""
    source = SourceConfig(width=16, batch_size=transitions // 2, clip_range=clip_range)
    generator = torch.Generator().manual_seed(1)
    agents = new_agents(EnvConfig(), n, source, generator)
    nets = agents.nets
    nets.weights += 0.2 * torch.randn(nets.weights.shape, generator=generator) * (nets.weights != 0)
    shape = (n, transitions)
    cell, action = torch.randint(12, shape, generator=generator), torch.randint(5, shape, generator=generator)
    old_logp = -1.6 + 0.5 * torch.randn(shape, generator=generator)
    return agents, Experience(cell, action, old_logp, *(3 * torch.randn((2, *shape), generator=generator)))


def plain_loss(nets: Nets, weights: torch.Tensor, data: list[torch.Tensor]) -> torch.Tensor:
    """The PPO loss as the textbook writes it, one row a transition, nothing merged; summed over tasks."""
    (w1, w2, w3, b), n, source = nets.split(weights), nets.n_tasks, nets.source
    cell, action, old_logp, advantage, target = data
    x = torch.cat([cell_to_xy(cell).float(), torch.ones(*cell.shape, 1)], -1).repeat(2, 1, 1)
    hidden = torch.tanh(torch.tanh(x @ w1) @ w2 + b[:, None, : source.width])
    out = hidden @ w3.mT + b[:, None, source.width :]
    advantage = (advantage - advantage.mean(1, keepdim=True)) / (advantage.std(1, keepdim=True) + 1e-8)
    ratio = (out[:n].log_softmax(-1).gather(2, action[..., None])[..., 0] - old_logp).exp()
    clipped = ratio.clamp(1 - source.clip_range, 1 + source.clip_range)
    gain = torch.min(ratio * advantage, clipped * advantage).mean(1)
    return (-gain + source.value_coef * (out[n:, :, 0] - target).square().mean(1)).sum()


@pytest.mark.parametrize("clip_range, share_clipped", [(0.2, (0.2, 0.8)), (1e-3, (0.4, 0.6)), (1e3, (0.0, 0.0))])
def test_gradient_is_autograds(clip_range, share_clipped):
    agents, data = random_problem(clip_range)
    nets, half = agents.nets, agents.source.batch_size
    batch = next(agents.minibatches(data, torch.arange(2 * half)))
    agents.write_gradient(batch)
    weights = nets.weights.clone().requires_grad_()
    plain_loss(nets, weights, [d[:, :half] for d in data]).backward()
    torch.testing.assert_close(nets.grad, weights.grad, atol=1e-5, rtol=1e-4)
    ratio = agents.tables()[0].flatten(1).gather(1, data[0] * 5 + data[1]).sub(data[2]).exp()[:, :half]
    clipped = (ratio * batch.loss < batch.floor).float().mean()
    assert share_clipped[0] <= clipped <= share_clipped[1]


def test_adam_step_is_torchs():
    """Gradient clipping per task and Adam, three steps, against torch's own on each task alone."""
    agents, data = random_problem()
    nets = agents.nets
    nets.source = replace(nets.source, learning_rate=0.01)
    order = torch.arange(80)
    before, size = nets.weights.clone(), nets.source.batch_size
    steps = [torch.arange(size), torch.arange(size, 80)]
    for _, batch in zip(steps, agents.minibatches(data, order), strict=True):
        agents.write_gradient(batch)
        nets.adam_step()
    for task in range(3):
        weights = before.clone().requires_grad_()
        adam = torch.optim.Adam([weights], lr=0.01, eps=nets.source.adam_eps)
        for chosen in steps:
            adam.zero_grad()
            plain_loss(nets, weights, [d[:, chosen] for d in data]).backward()
            for part in nets.split(weights.grad):     # leave this task's gradient only, so that its norm is the task's
                others = [i for i in range(6) if i % 3 != task]
                part[others] = 0
            norm = torch.nn.utils.clip_grad_norm_([weights], nets.source.max_grad_norm)
            assert norm > nets.source.max_grad_norm
            adam.step()
        for ours, theirs in zip(nets.layers, nets.split(weights.detach()), strict=True):
            torch.testing.assert_close(ours[[task, task + 3]], theirs[[task, task + 3]], atol=1e-5, rtol=0)


def sb3_weights(policy, nets: Nets):
    """(ours, theirs) for every weight of one task."""
    width, body = nets.source.width, policy.mlp_extractor
    pairs = (body.policy_net, policy.action_net), (body.value_net, policy.value_net)
    (w1, w2, w3, b), n_out = nets.layers, (5, 1)
    for i, (net, head) in enumerate(pairs):
        yield from ((w1[i, :2], net[0].weight.T), (w1[i, 2], net[0].bias), (w2[i], net[2].weight.T))
        yield from ((b[i, :width], net[2].bias), (w3[i, : n_out[i]], head.weight))
        yield b[i, width : width + n_out[i]], head.bias


@pytest.mark.parametrize("horizon", [20, 8])     # 8: episodes end inside a rollout, and a rollout inside an episode
def test_three_updates_equal_stable_baselines3(horizon):
    """From the same weights and the same experience, 12 gradient steps later: the same weights.

    A minibatch holds a whole rollout, so that the order of the shuffle does not matter.
    """
    env = EnvConfig(horizon=horizon)
    source = SourceConfig(n_streams=30, env_steps=60, batch_size=600, n_epochs=4, learning_rate=3e-3)
    vec_env = RecordedVecEnv(domain_of(env), (4, 5), source.n_streams, source.env_steps)
    model = make_ppo(vec_env, source, seed=0)
    agents = new_agents(env, 1, source, torch.Generator())
    nets = agents.nets
    for ours, theirs in sb3_weights(model.policy, nets):
        ours.copy_(theirs.detach())
    before = nets.weights.clone()
    model.learn(source.env_steps * source.n_streams)
    log = vec_env.log()
    for update, stop in enumerate((20, 40, 60)):
        last = log.observation[..., stop].long() if stop < 60 else vec_env.world.state.cell
        agents.begin_update(update)
        cell, action, reward = (x[..., stop - 20 : stop] for x in (log.observation, log.action, log.reward))
        done = [(t + 1) % horizon == 0 for t in range(stop - 20, stop)]
        data = experience_of(agents, (cell.long(), action.long()), reward.float(), done, last)
        learn(agents, data, torch.Generator())
    assert (nets.weights - before).abs().max() > 0.02
    for ours, theirs in sb3_weights(model.policy, nets):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-5, rtol=0)


def test_starts_as_stable_baselines3():
    source = SourceConfig()
    agents = new_agents(EnvConfig(), 2, source, torch.Generator().manual_seed(0))
    nets = agents.nets
    w1, w2, w3, b = nets.layers
    eye = torch.eye(64)
    for i in range(4):
        torch.testing.assert_close(w1[i, :2] @ w1[i, :2].T, 2 * torch.eye(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(w2[i] @ w2[i].T, 2 * eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(w3[:2] @ w3[:2].mT, 1e-4 * torch.eye(5).expand(2, -1, -1), atol=1e-8, rtol=0)
    assert w3[2:, 0].norm(dim=1) == pytest.approx([1, 1], abs=1e-5) and not w3[2:, 1:].any()
    assert not b.any() and not w1[:, 2].any()


def test_advantages_by_hand():
    source = SourceConfig(gamma=0.5, gae_lambda=0.5)
    reward, value, last = torch.tensor([[[0.0, 1.0, 2.0]]]), torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[8.0]])
    # delta: 0 + 0.5 * 2 - 1 = 0; 1 + 0.5 * 4 - 2 = 1; 2 + 0.5 * 8 - 4 = 2; each adds a quarter of what follows
    assert advantages(reward, value, last, [False] * 3, source).flatten().tolist() == [0.375, 1.5, 2.0]
    # the episode ends at the second step: 1 - 2 = -1 and nothing follows; 0 - 0.25 = -0.25
    assert advantages(reward, value, last, [False, True, False], source).flatten().tolist() == [-0.25, -1.0, 2.0]
    # it ends at the last step: 2 - 4 = -2; 1 - 0.5 = 0.5; 0.125
    assert advantages(reward, value, last, [False, False, True], source).flatten().tolist() == [0.125, 0.5, -2.0]


def test_minibatches_keep_every_transition():
    agents, data = random_problem()
    order = torch.randperm(80, generator=torch.Generator().manual_seed(3))
    batches: list[Minibatch] = list(agents.minibatches(data, order))
    assert len(batches) == 2
    for i, batch in enumerate(batches):
        chosen = order[i * 40 : (i + 1) * 40]
        cell = batch.input[:3].gather(1, (batch.choice // 5)[..., None].expand(-1, -1, 3))
        assert torch.equal(cell[..., :2].long(), cell_to_xy(data[0][:, chosen]))
        assert torch.equal(batch.choice % 5, data[1][:, chosen])
        assert torch.equal(batch.old_logp, data[2][:, chosen])
        torch.testing.assert_close(batch.count.sum(1), torch.ones(3))
        torch.testing.assert_close(batch.value_target.sum(1), data[4][:, chosen].mean(1))


# --- learning curves --------------------------------------------------------------------------------------------------


def curves(log: Log, horizon: int = 20) -> np.ndarray:
    """Mean return over streams, [task, episode]."""
    return log.reward.unflatten(-1, (-1, horizon)).float().sum(-1).mean(1).numpy()


def phases(curve: np.ndarray, goal) -> np.ndarray:
    """Mean of the whole curve and of its thirds, as shares of the highest return."""
    best = GridRules.of(EnvConfig(), [goal]).max_return(20).item()
    thirds = [third.mean(-1) for third in np.array_split(curve, 3, axis=-1)]
    return np.stack([curve.mean(-1), *thirds], -1) / best


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """99.5% interval (Welch, seeds within goals) of the mean difference over goals, for each phase."""
    parts = []
    for a, b in zip(ours, theirs, strict=True):
        parts.append((a.mean(0) - b.mean(0), a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b)))
    means, variances = np.array(parts).swapaxes(0, 1)
    half = 3.43 * np.sqrt(variances.sum(0)) / len(parts)     # t, 99.75%, 12 degrees of freedom: 3 goals x 5 seeds
    return means.mean(0) - half, means.mean(0) + half


def recorded(name: str, goal: tuple[int, int]) -> np.ndarray:
    """Mean return of stable-baselines3 in one goal, [seed, episode]."""
    table = pd.read_csv(DATA / f"{name}.csv", comment="#")
    one = table[(table.goal_x == goal[0]) & (table.goal_y == goal[1])]
    return one.pivot(index="seed", columns="episode", values="mean_return").to_numpy()


def small_difference(source: SourceConfig, n_seeds: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Of three goals at differing distances: ours with so many seeds, stable-baselines3 with 5."""
    log = train_ppo(EnvConfig(), [goal for goal in SMALL_GOALS for _ in range(n_seeds)], source, seed=7)
    split = zip(np.split(curves(log), len(SMALL_GOALS)), SMALL_GOALS, strict=True)
    ours = [phases(curve, goal) for curve, goal in split]
    return difference(ours, [phases(recorded("sb3_small_curves", goal), goal) for goal in SMALL_GOALS])


def test_learns_as_stable_baselines3():
    low, high = small_difference(SMALL)
    assert (low < 0).all() and (high > 0).all()
    assert -BAND < low[0] and high[0] < BAND                       # the whole curve
    assert (low > -2 * BAND).all() and (high < 2 * BAND).all()     # each third of it


@pytest.mark.parametrize("change", [dict(learning_rate=1e-3 / 3), dict(n_epochs=5), dict(clip_range=0.1)])
def test_the_comparison_can_fail(change):
    _, high = small_difference(replace(SMALL, **change), n_seeds=8)
    assert high[0] < -BAND


def test_full_size_curves_are_those_of_stable_baselines3():
    """The paper's settings, 20 episodes. Medians of the seeds: a run in 20 finds the far goal late."""
    n_seeds, source = 7, replace(SourceConfig(), env_steps=400)
    log = train_ppo(EnvConfig(), [goal for goal in FULL_GOALS for _ in range(n_seeds)], source, seed=3)
    slow = train_ppo(EnvConfig(), FULL_GOALS, replace(source, learning_rate=5e-5), seed=3)
    for i, goal in enumerate(FULL_GOALS):
        sb3 = recorded("sb3_curves", goal)
        assert sb3.shape == (len(FULL_SEEDS), 50)
        theirs = np.median(phases(sb3[:, :20], goal), axis=0)
        ours = np.median(phases(curves(log)[n_seeds * i : n_seeds * (i + 1)], goal), axis=0)
        assert np.abs(ours - theirs)[0] < BAND                         # the whole curve
        assert (np.abs(ours - theirs) < 2 * BAND).all()                # each third of it
        assert phases(curves(slow)[i], goal)[0] < theirs[0] - BAND


# --- the log ----------------------------------------------------------------------------------------------------------

TINY = SourceConfig(n_streams=25, env_steps=200, n_steps=20, batch_size=50, n_epochs=2)
WORLDS = [
    (EnvConfig(), [(4, 5), (0, 8)]),
    (EnvConfig(horizon=15), [(4, 4), (0, 8)]),                       # episodes and updates out of step
    (EnvConfig("darkroom_permuted", horizon=50), [0, 77]),
    (EnvConfig("dark_key_to_door", horizon=50), [((4, 5), (4, 4)), ((1, 1), (8, 8))]),
]


@pytest.mark.parametrize("train", ["ppo", "sb3"])
@pytest.mark.parametrize("env, tasks", WORLDS, ids=["darkroom", "horizon15", "permuted", "key_to_door"])
def test_log_follows_the_rules(env, tasks, train):
    if train == "ppo":
        log = train_ppo(env, tasks, TINY, seed=0)
    else:
        tasks = tasks[:1]
        log = train_sb3(env, tasks[0], TINY, seed=0)
    n_episodes = TINY.env_steps // env.horizon
    assert log.observation.shape == log.action.shape == log.reward.shape == (len(tasks), 25, 200)
    assert log.terminal_observation.shape == (len(tasks), 25, n_episodes)
    assert {part.dtype for _, part in log.items()} == {torch.uint8}
    rules = GridRules.of(env, tasks)
    start = GridState(torch.full((len(tasks), 25), rules.start), torch.zeros(len(tasks), 25, dtype=torch.long))
    state = start
    for t in range(TINY.env_steps):
        assert torch.equal(log.observation[..., t].long(), state.cell)
        state, reward = rules.step(state, log.action[..., t].long())
        assert torch.equal(log.reward[..., t].long(), reward)
        if (t + 1) % env.horizon == 0:
            assert torch.equal(log.terminal_observation[..., t // env.horizon].long(), state.cell)
            state = start
    assert log.reward[0].any() and (log.terminal_observation != rules.start).any()


def test_terminal_observation_is_the_last_one():
    vec_env = RecordedVecEnv(domain_of(EnvConfig(horizon=2)), (0, 0), 3, 2)
    assert vec_env.reset().tolist() == [[4, 4]] * 3
    vec_env.step(np.array([0, 2, 4]))
    obs, _, done, infos = vec_env.step(np.array([0, 2, 4]))
    assert obs.tolist() == [[4, 4]] * 3 and done.all()
    assert [info["terminal_observation"].tolist() for info in infos] == [[6, 4], [4, 6], [4, 4]]
    assert not any("TimeLimit.truncated" in info for info in infos)


def equal(one: Log, two: Log) -> bool:
    return all(torch.equal(a, b) for (_, a), (_, b) in zip(one.items(), two.items(), strict=True))


def test_seeds():
    source, tasks = replace(TINY, env_steps=60), all_tasks("darkroom")[:3]
    first, again = (train_ppo(EnvConfig(), tasks, source, seed=5) for _ in range(2))
    other = train_ppo(EnvConfig(), tasks, source, seed=6)
    assert equal(first, again)
    assert not torch.equal(first.action, other.action)
    before = torch.get_rng_state()
    first, again = (train_sb3(EnvConfig(), (0, 0), source, seed=5) for _ in range(2))
    assert equal(first, again)
    assert torch.equal(before, torch.get_rng_state())


def test_first_episode_is_nearly_random():
    """Before the first update nobody knows the goal: every action of every task has a chance of about 1 in 5."""
    source = replace(TINY, n_streams=100, env_steps=20)
    log = train_ppo(EnvConfig(), all_tasks("darkroom")[::9], source, seed=0)
    share = torch.stack([(log.action == a).float().mean((1, 2)) for a in range(5)])
    assert (share - 0.2).abs().max() < 0.04                 # 2,000 draws: 4 standard errors are 0.036
    spread = share.mean(1) - 0.2
    assert spread.abs().max() < 0.012
    assert len(log.action[:, :, 0].unique()) == 5 and log.reward.float().mean() < 0.1


def test_on_update_counts_updates():
    seen = []
    train_ppo(EnvConfig(), [(0, 0)], replace(TINY, env_steps=60), seed=0, on_update=seen.append)
    assert seen == [0, 1, 2]


def test_another_algorithm_plugs_in():
    from stable_baselines3 import A2C

    def make_a2c(vec_env, source, seed):
        return A2C("MlpPolicy", vec_env, n_steps=source.n_steps, seed=seed, device="cpu")

    for algorithm in (A2C, make_a2c):
        log = train_sb3(EnvConfig(), (4, 5), TINY, seed=0, algorithm=algorithm)
        assert log.observation.shape == (1, 25, 200) and log.terminal_observation.shape == (1, 25, 10)


def test_stable_baselines3_leaves_no_folders(tmp_path, monkeypatch):
    from stable_baselines3 import A2C

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for algorithm in (None, A2C):
        train_sb3(EnvConfig(), (4, 5), TINY, seed=0, algorithm=algorithm)
    assert not list(tmp_path.iterdir())


def test_bad_input_raises_one_sentence():
    class Lazy:
        def learn(self, env_steps):
            pass

    bad = {
        "darkroom task is (9, 0); allowed:": lambda: train_ppo(EnvConfig(), [(0, 0), (9, 0)], TINY, 0),
        "number of tasks is 0; allowed:": lambda: train_ppo(EnvConfig(), [], TINY, 0),
        "allowed: a divisor of": lambda: train_ppo(EnvConfig(), [(0, 0)], replace(TINY, batch_size=30), 0),
        "The algorithm took 0 env steps": lambda: train_sb3(EnvConfig(), (0, 0), TINY, 0, lambda *_: Lazy()),
    }
    for sentence, call in bad.items():
        with pytest.raises(ValueError) as error:
            call()
        assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("train", ["ppo", "sb3"])
@pytest.mark.parametrize("learning_rate", [1e30, 1e38])
def test_weights_that_are_not_finite_are_no_source(train, learning_rate):
    """nan in the weights made every action 0."""
    source = beyond(TINY, env_steps=60, learning_rate=learning_rate)
    with pytest.raises(FloatingPointError, match="^the .* are not finite") as error:
        if train == "ppo":
            train_ppo(EnvConfig(), [(4, 5), (0, 0)], source, 0)
        else:
            train_sb3(EnvConfig(), (4, 5), source, 0)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f"; try a learning_rate below {learning_rate:g}.")


def test_a_gradient_too_large_to_be_counted_is_not_taken_for_none():
    """Clipped to a share of 1 in infinity, it was 0: nothing was learned, and nobody was told."""
    with pytest.raises(FloatingPointError, match="the gradients of update 1 of the source are not"):
        train_ppo(EnvConfig(), [(4, 5)], beyond(TINY, env_steps=60, value_coef=1e38), 0)


def test_what_is_not_finite_is_named_with_its_update():
    from dicp.source.limits import check_finite

    good, bad = torch.ones(3), torch.tensor([1.0, float("nan"), 2.0])
    check_finite(0, TINY, weights=good, action_probabilities=good)
    message = "the action probabilities of update 8 of the source are not finite; try"
    with pytest.raises(FloatingPointError, match=message):
        check_finite(7, TINY, weights=good, action_probabilities=bad)


BAD = [float("nan"), float("inf"), -1, 2**63, 1e308, True, "0", [], {}]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_arguments_are_checked(bad):
    """One sentence for each; the seed of NumPy's generator has 32 bits."""
    calls = [
        lambda: train_ppo(bad, [(0, 0)], TINY, 0),
        lambda: train_ppo(EnvConfig(), bad, TINY, 0),
        lambda: train_ppo(EnvConfig(), [(0, 0)], bad, 0),
        lambda: train_ppo(EnvConfig(), [(0, 0)], TINY, bad),
        lambda: train_ppo(EnvConfig(), [(0, 0)], TINY, 0, bad),
        lambda: train_sb3(bad, (0, 0), TINY, 0),
        lambda: train_sb3(EnvConfig(), (0, 0), bad, 0),
        lambda: train_sb3(EnvConfig(), (0, 0), TINY, bad),
        lambda: train_sb3(EnvConfig(), (0, 0), TINY, 2**32),
        lambda: train_sb3(EnvConfig(), (0, 0), TINY, 0, bad),
        lambda: train_sb3(EnvConfig(), (0, 0), TINY, 0, int),
        lambda: train_sb3(EnvConfig(), (0, 0), TINY, 0, lambda *_: bad),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="; allowed: ") as error:
            call()
        assert "\n" not in str(error.value)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_asked_for():
    huge = 10**9
    sizes = [
        dict(width=huge),
        dict(env_steps=20 * 1000 * huge),
        dict(n_streams=10**5 * huge, batch_size=1),
        dict(n_streams=huge**2, batch_size=huge**2, n_steps=1, env_steps=20),
    ]
    for size in sizes:
        for train in (train_ppo, train_sb3):
            task = [(0, 0)] if train is train_ppo else (0, 0)
            with pytest.raises(ValueError, match="^source.* is .*; allowed: .*GiB of memory"):
                train(EnvConfig(), task, beyond(TINY, **size), 0)


def record(name: str) -> None:
    """Print curves of stable-baselines3, as a table: "small", 80 CPU-s, or "full", 300."""
    full = name == "full"
    goals, seeds = (FULL_GOALS, FULL_SEEDS) if full else (SMALL_GOALS, SMALL_SEEDS)
    source = SourceConfig() if full else SMALL
    print(f"# stable-baselines3 PPO in Darkroom, {source}: mean return of the streams in each episode.")
    print(f"# Made by: python tests/test_source.py {name}")
    print("goal_x,goal_y,seed,episode,mean_return")
    for seed in seeds:
        for goal in goals:
            curve = curves(train_sb3(EnvConfig(), goal, source, seed))[0]
            for episode, value in enumerate(curve, 1):
                print(*goal, seed, episode, f"{value:.3f}", sep=",", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    record(sys.argv[1])
