"""Training windows: by hand on a history of two episodes, and against what an agent sees while it acts."""

import pytest
import torch

from dicp.config import EnvConfig
from dicp.domain import domain_of
from dicp.envs import GridWorld, all_tasks
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.types import Log, Tokens
from dicp.windows import WindowSampler, stages

SMALL = EnvConfig(size=3, horizon=3)      # cells 0 to 8, the start is 4


def log_of(*fields) -> Log:
    return Log(*(torch.as_tensor(field, dtype=torch.uint8) for field in fields))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_window_of_two_episodes_by_hand():
    """Goal (2, 2), cell 8. Episode 1: +x, +y onto the goal, stay. Episode 2: +y, +x onto the goal, -y off it again."""
    log = log_of([[[4, 7, 8, 4, 5, 8]]], [[[0, 2, 4, 2, 0, 3]]], [[[0, 1, 1, 0, 1, 0]]], [[[8, 7]]])
    windows = WindowSampler(SMALL, log).history(2, 2, 16, generator())
    for window in range(2):
        tokens = Tokens(*(field[window].tolist() for field in windows.tokens))
        assert tokens.observation == [4, 7, 8, 4, 5, 8]
        assert tokens.last_action == [5, 0, 2, 4, 2, 0]          # 5: no action yet
        assert tokens.last_reward == [0, 0, 1, 1, 0, 1]
        assert tokens.outcome == [9, 7, 8, 8, 5, 8]              # 9: nowhere yet; the 4th: the terminal cell, not the start
        assert tokens.first == [1, 0, 0, 1, 0, 0]
    assert windows.action[0].tolist() == [0, 2, 4, 2, 0, 3]
    assert windows.reward[0].tolist() == [0, 1, 1, 0, 1, 0]
    assert windows.next_observation[0].tolist() == [7, 8, 8, 5, 8, 7]   # true terminal cells at the 3rd and the 6th
    assert windows.return_to_go[0].tolist() == [2, 2, 1, 1, 1, 0]
    assert torch.equal(windows.label, windows.action)            # the action taken is the one to imitate


# ---- what to imitate -----------------------------------------------------------------------------------------------------


def labels(name: str, tasks: list, *fields) -> list:
    """Of each task's history (one stream of two episodes), whatever its actions were."""
    action = torch.randint(5, torch.tensor(fields[0]).shape, generator=generator())
    log, env = log_of(fields[0], action, *fields[1:]), EnvConfig(name, 3, len(fields[0][0][0]) // 2)
    windows = WindowSampler(env, log, optimal_of=tasks)._windows(torch.arange(2 * len(tasks)).view(-1, 2))
    assert torch.equal(windows.action, action[:, 0])
    return windows.label.tolist()


def test_the_optimal_actions_of_two_goals_by_hand():
    """Goals (2, 2) and (0, 1), cells 8 and 1. Along x first where both legs are as long; on the goal, stay."""
    cells, nothing = [[4, 7, 8, 4, 5, 0]], [[0] * 6]
    mine = labels("darkroom", [(2, 2), (0, 1)], [cells, cells], [nothing, nothing], [[[8, 0]]] * 2)
    assert mine == [[0, 2, 4, 0, 0, 0], [1, 1, 1, 1, 1, 2]]


def test_the_optimal_actions_of_two_permutations_by_hand():
    """The goal is cell 8. Task 0: actions do what they say. Task 119 turns them around: 0 stays, 4 is +x, 2 is +y. From cell
    3, (1, 0), the leg along y is the longer one: it comes first."""
    cells, nothing = [[0, 3, 6, 7, 8, 2]], [[0] * 6]
    mine = labels("darkroom_permuted", [119, 0], [cells, cells], [nothing, nothing], [[[6, 2]]] * 2)
    assert mine == [[4, 2, 2, 2, 0, 4], [0, 2, 2, 2, 4, 0]]


def test_the_optimal_actions_before_the_key_with_it_and_after_the_door_by_hand():
    """The key lies at cell 7, the door at cell 2. Second task: both at 7. The second episode begins without the key."""
    cells, rewards = [[4, 7, 4, 5, 2, 2, 4, 5, 4, 4, 4, 4]], [[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]]
    both = [[4, 7, 7, 4, 4, 4, 4, 4, 4, 4, 4, 7]], [[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]]
    tasks = [((2, 1), (0, 2)), ((2, 1), (2, 1))]
    mine = labels("dark_key_to_door", tasks, [cells, both[0]], [rewards, both[1]], [[[2, 4]], [[4, 7]]])
    assert mine[0] == [0, 1, 1, 1, 4, 4, 0, 0, 0, 0, 0, 0]
    assert mine[1] == [0, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 4]       # 7 with the key in hand: stay, the door is here


@pytest.mark.parametrize("name, n_tasks", [("darkroom", 81), ("darkroom_permuted", 120), ("dark_key_to_door", 6561)])
def test_the_optimal_actions_earn_all_there_is(name, n_tasks):
    env = EnvConfig.preset(name)
    tasks = all_tasks(name)[:: max(n_tasks // 100, 1)]
    world, table = GridWorld(env, tasks, 1), domain_of(env).optimal_actions(tasks)
    cell, earned = world.reset(), torch.zeros(len(tasks), 1, dtype=torch.long)
    for _ in range(env.horizon):
        stage = earned.clamp(max=table.shape[1] - 1)
        outcome = world.step(table[torch.arange(len(tasks))[:, None], stage, cell].long())
        cell, earned = outcome.observation, earned + outcome.reward
    assert torch.equal(earned[:, 0], world.max_return)


# ---- the best of a stream ------------------------------------------------------------------------------------------------


def of_returns(*streams: list) -> WindowSampler:
    """One task; episodes of three steps earn so much, at their end. The action names the stream, the cell the episode."""
    returns = torch.tensor(streams)
    reward = (torch.arange(3) >= 3 - returns[..., None]).flatten(1)
    stream, episode = (x.expand_as(returns).repeat_interleave(3, 1) for x in (
        torch.arange(len(returns))[:, None], torch.arange(returns.shape[1])))
    return WindowSampler(SMALL, log_of(episode[None], stream[None], reward[None], torch.zeros_like(returns)[None]))


def test_the_desired_return_by_hand():
    """As if each episode had been its own stream's best: 3, and 2 in the other stream."""
    sampler = of_returns([1, 3], [0, 2])
    assert sampler.best_return.tolist() == [3, 2]
    windows = sampler._windows(torch.tensor([[0, 1], [2, 3]]))
    assert windows.return_to_go.tolist() == [[1, 1, 1, 3, 2, 1], [0, 0, 0, 2, 2, 1]]
    assert windows.desired_return.tolist() == [[3, 3, 3, 3, 2, 1], [2, 2, 2, 2, 2, 1]]


def test_episodes_in_the_order_of_their_returns():
    """Streams stay apart, equal returns stay in the order of time, and a stride counts ranks."""
    sampler = of_returns([2, 0, 3, 1], [1, 1, 0, 2])
    ranks = {0: [1, 3, 0, 2], 1: [2, 0, 1, 3]}
    whole = sampler.history(50, 4, 1, generator(), by_return=True)
    assert {(int(a[0]), tuple(c[::3].tolist())) for a, c in zip(whole.action, whole.tokens.observation, strict=True)} == {
        (stream, tuple(order)) for stream, order in ranks.items()}
    pairs = sampler.history(500, 2, 3, generator(), by_return=True)
    seen = {(int(a[0]), *c[::3].tolist()) for a, c in zip(pairs.action, pairs.tokens.observation, strict=True)}
    assert seen == {(s, order[i], order[j]) for s, order in ranks.items() for i in range(4) for j in range(i + 1, 4)}
    in_time = sampler.history(500, 2, 3, generator())
    assert (in_time.tokens.observation[:, 0] < in_time.tokens.observation[:, 3]).all()
    assert torch.equal(in_time.action[:, 0], pairs.action[:, 0])          # the same draws


# ---- which episodes ------------------------------------------------------------------------------------------------------


N_TASKS, N_STREAMS, N_EPISODES = 3, 4, 12


def labelled(n_streams: int | None = None) -> WindowSampler:
    """Every transition tells where it is from: cell = episode, action = stream, reward = task."""
    shape = (N_TASKS, N_STREAMS, N_EPISODES, SMALL.horizon)
    task, stream, episode = (torch.arange(n).view(-1, *[1] * k) for n, k in zip(shape[:3], (3, 2, 1), strict=True))
    fields = [x.expand(shape).flatten(2) for x in (episode, stream, task)]
    return WindowSampler(SMALL, log_of(*fields, torch.zeros(shape[:3])), n_streams)


def origins(windows):
    """(task, stream, episode) of each episode of each window."""
    parts = [x.unflatten(1, (-1, SMALL.horizon)) for x in (windows.reward, windows.action, windows.tokens.observation)]
    assert all((part == part[..., :1]).all() for part in parts)             # episodes are whole
    return [part[..., 0] for part in parts]


@pytest.mark.parametrize("by_return", [False, True])              # all returns are equal here
@pytest.mark.parametrize("n_episodes, max_stride, most", [(4, 16, 3), (4, 2, 2), (4, 1, 1), (2, 16, 11), (12, 9, 1), (1, 9, 1)])
def test_a_window_follows_one_stream_in_strides(n_episodes, max_stride, most, by_return):
    task, stream, episode = origins(labelled().history(3000, n_episodes, max_stride, generator(), by_return))
    assert (task == task[:, :1]).all() and (stream == stream[:, :1]).all()
    assert len(torch.stack((task[:, 0], stream[:, 0]), -1).unique(dim=0)) == N_TASKS * N_STREAMS
    stride = episode.diff()
    assert (stride == stride[:, :1]).all()
    if n_episodes > 1:
        assert stride.unique().tolist() == list(range(1, most + 1))
    for s in stride[:, :1].unique():
        starts = episode[stride[:, 0] == s, 0].unique()
        assert starts.tolist() == list(range(N_EPISODES - int(s) * (n_episodes - 1)))         # up to the very end


@pytest.mark.parametrize("n_first", [1, 3])
def test_before_the_first_update_nobody_knows_the_goal(n_first):
    """First episodes only, of different streams of one task, in any order."""
    task, stream, episode = origins(labelled().before_first_update(3000, 3, n_first, generator()))
    assert (task == task[:, :1]).all() and task.unique().tolist() == [0, 1, 2]
    assert all(len(set(streams)) == 3 for streams in stream.tolist())
    assert len(stream.unique(dim=0)) == 4 * 3 * 2
    assert episode.unique().tolist() == list(range(n_first))


def test_a_history_in_which_nothing_was_learned_is_left_out():
    """Three tasks of two streams; the second task's streams end without a reward."""
    reward = torch.zeros(3, 2, 60)
    reward[0], reward[1, :, :20], reward[2, :, 30:] = 1, 1, 1
    stay = log_of(torch.full((3, 2, 60), 4), torch.full((3, 2, 60), 4), reward, torch.full((3, 2, 20), 4))
    tasks = torch.arange(3)[:, None, None].expand(3, 2, 60)
    sampler = WindowSampler(SMALL, stay._replace(action=tasks.byte()), min_final_return=0.25)
    assert sampler.learned.tolist() == [0, 2]
    assert sampler.history(200, 2, 16, generator()).action.unique().tolist() == [0, 2]
    assert sampler.before_first_update(200, 2, 1, generator()).action.unique().tolist() == [0, 1, 2]     # here all serve
    assert WindowSampler(SMALL, stay).learned.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="min_final_success is 0.1; allowed: 0 in darkroom"):
        WindowSampler(SMALL, stay, min_final_success=0.1)


def test_only_the_chosen_streams_are_used():
    few = labelled(n_streams=2)
    for windows in (few.history(500, 4, 16, generator()), few.before_first_update(500, 2, 1, generator())):
        task, stream, episode = origins(windows)
        assert stream.unique().tolist() == [0, 1] and task.unique().tolist() == [0, 1, 2] and episode.max() < N_EPISODES


def test_windows_longer_than_the_histories_are_refused():
    with pytest.raises(ValueError, match="episodes of a history is 12; allowed: a finite number of at least 13"):
        labelled().history(1, 13, 16, generator())
    with pytest.raises(ValueError, match="number of streams is 4; allowed: a finite number of at least 5"):
        labelled().before_first_update(1, 5, 1, generator())
    with pytest.raises(ValueError, match="episodes of a history is 12; allowed: a finite number of at least 13"):
        labelled().before_first_update(1, 2, 13, generator())


def test_the_same_generator_draws_the_same_windows():
    first, second = (labelled().history(20, 3, 16, g) for g in (generator(), generator()))
    assert all(torch.equal(a, b) for a, b in zip((*first.tokens, *first[1:]), (*second.tokens, *second[1:]), strict=True))


class Witness(RandomPolicy):
    """Acts at random and writes down every token that it is shown."""

    def begin(self, batch, context_length=None, generator=None):
        self.seen = []

    def observe(self, context, tokens):
        self.seen.append(tokens)
        return super().observe(context, tokens)


@pytest.mark.parametrize("env, tasks", [
    (EnvConfig(), [(0, 0), (4, 5), (4, 4)]),
    (EnvConfig("dark_key_to_door", horizon=50), [((4, 5), (5, 5)), ((3, 4), (4, 4))]),
])
def test_a_window_is_what_an_agent_sees_in_its_life(env, tasks):
    witness = Witness(env)
    rollouts = rollout(witness, env, tasks, n_rollouts=2, n_episodes=4)
    terminal = rollouts.next_observation[..., env.horizon - 1 :: env.horizon]
    sampler = WindowSampler(env, log_of(rollouts.observation, rollouts.action, rollouts.reward, terminal))
    windows = sampler._windows(torch.arange(2 * len(tasks) * 4).view(-1, 4))                  # each rollout whole
    for field, seen in zip(windows.tokens, zip(*witness.seen, strict=True), strict=True):
        assert torch.equal(field, torch.stack(seen, -1))
    for field, lived in zip(windows[1:4], (rollouts.action, rollouts.reward, rollouts.next_observation), strict=True):
        assert torch.equal(field, lived.flatten(0, 1))
    assert torch.equal(windows.return_to_go[:, :: env.horizon], rollouts.episode_return.flatten(0, 1))
    assert rollouts.reward.any()


def test_tasks_of_other_histories_are_refused():
    with pytest.raises(ValueError, match="optimal_of has 1 tasks; allowed: 3"):
        WindowSampler(SMALL, log_of(*torch.zeros(3, 3, 4, 36), torch.zeros(3, 4, 12)), optimal_of=[(0, 0)])


def test_rewards_so_far_by_hand_where_some_are_negative():
    """Two episodes of four steps: sums of -5, then 1 and 3; a sum below 0 is stage 0."""
    reward, first = torch.tensor([[0, -5, 0, 0, 0, 1, 2, 0]]), torch.tensor([[1, 0, 0, 0, 1, 0, 0, 0]])
    no = torch.zeros_like(reward)
    assert stages(Tokens(no, no, reward, no, first), 3).tolist() == [[0, 0, 0, 0, 0, 1, 2, 2]]
