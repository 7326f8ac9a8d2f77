"""Training windows: by hand on a history of two episodes, and against what an agent sees while it lives."""

import pytest
import torch

from dicp.config import EnvConfig
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.source import SourceLog
from dicp.windows import Tokens, WindowSampler

SMALL = EnvConfig(size=3, horizon=3)      # cells 0 to 8, the start is 4


def log_of(*fields) -> SourceLog:
    return SourceLog(*(torch.as_tensor(field, dtype=torch.uint8) for field in fields))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_window_of_two_episodes_by_hand():
    """Goal (2, 2), cell 8. Episode 1: +x, +y onto the goal, stay. Episode 2: +y, +x onto the goal, -y off it again."""
    log = log_of([[[4, 7, 8, 4, 5, 8]]], [[[0, 2, 4, 2, 0, 3]]], [[[0, 1, 1, 0, 1, 0]]], [[[8, 7]]])
    windows = WindowSampler(SMALL, log).history(2, 2, 16, generator())
    for window in range(2):
        tokens = Tokens(*(field[window].tolist() for field in windows.tokens))
        assert tokens.cell == [4, 7, 8, 4, 5, 8]
        assert tokens.last_action == [5, 0, 2, 4, 2, 0]          # 5: no action yet
        assert tokens.last_reward == [0, 0, 1, 1, 0, 1]
        assert tokens.arrived == [9, 7, 8, 8, 5, 8]              # 9: nowhere yet; the 4th: the terminal cell, not the start
        assert tokens.first == [1, 0, 0, 1, 0, 0]
    assert windows.action[0].tolist() == [0, 2, 4, 2, 0, 3]
    assert windows.reward[0].tolist() == [0, 1, 1, 0, 1, 0]
    assert windows.next_cell[0].tolist() == [7, 8, 8, 5, 8, 7]   # true terminal cells at the 3rd and the 6th
    assert windows.return_to_go[0].tolist() == [2, 2, 1, 1, 1, 0]


N_TASKS, N_STREAMS, N_EPISODES = 3, 4, 12


def labelled(n_streams: int | None = None) -> WindowSampler:
    """Every transition tells where it is from: cell = episode, action = stream, reward = task."""
    shape = (N_TASKS, N_STREAMS, N_EPISODES, SMALL.horizon)
    task, stream, episode = (torch.arange(n).view(-1, *[1] * k) for n, k in zip(shape[:3], (3, 2, 1), strict=True))
    fields = [x.expand(shape).flatten(2) for x in (episode, stream, task)]
    return WindowSampler(SMALL, log_of(*fields, torch.zeros(shape[:3])), n_streams)


def origins(windows):
    """(task, stream, episode) of each episode of each window."""
    parts = [x.unflatten(1, (-1, SMALL.horizon)) for x in (windows.reward, windows.action, windows.tokens.cell)]
    assert all((part == part[..., :1]).all() for part in parts)             # episodes are whole
    return [part[..., 0] for part in parts]


@pytest.mark.parametrize("n_episodes, max_stride, most", [(4, 16, 3), (4, 2, 2), (4, 1, 1), (2, 16, 11), (12, 9, 1), (1, 9, 1)])
def test_a_window_follows_one_stream_in_strides(n_episodes, max_stride, most):
    task, stream, episode = origins(labelled().history(3000, n_episodes, max_stride, generator()))
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


def test_only_the_chosen_streams_are_used():
    few = labelled(n_streams=2)
    for windows in (few.history(500, 4, 16, generator()), few.before_first_update(500, 2, 1, generator())):
        task, stream, episode = origins(windows)
        assert stream.unique().tolist() == [0, 1] and task.unique().tolist() == [0, 1, 2] and episode.max() < N_EPISODES


def test_windows_longer_than_the_histories_are_refused():
    with pytest.raises(ValueError, match="episodes of a history is 12; allowed: a number of at least 13"):
        labelled().history(1, 13, 16, generator())
    with pytest.raises(ValueError, match="number of streams is 4; allowed: a number of at least 5"):
        labelled().before_first_update(1, 5, 1, generator())
    with pytest.raises(ValueError, match="episodes of a history is 12; allowed: a number of at least 13"):
        labelled().before_first_update(1, 2, 13, generator())


def test_the_same_generator_draws_the_same_windows():
    first, second = (labelled().history(20, 3, 16, g) for g in (generator(), generator()))
    assert all(torch.equal(a, b) for a, b in zip((*first.tokens, *first[1:]), (*second.tokens, *second[1:]), strict=True))


class Witness(RandomPolicy):
    """Acts at random and writes down every token that it is shown."""

    def begin(self, batch, context_length=None):
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
    life = rollout(witness, env, tasks, n_rollouts=2, n_episodes=4)
    terminal = life.next_cell[..., env.horizon - 1 :: env.horizon]
    sampler = WindowSampler(env, log_of(life.cell, life.action, life.reward, terminal))
    windows = sampler._windows(torch.arange(2 * len(tasks) * 4).view(-1, 4))                  # each life whole
    for field, seen in zip(windows.tokens, zip(*witness.seen, strict=True), strict=True):
        assert torch.equal(field, torch.stack(seen, -1))
    for field, lived in zip(windows[1:4], (life.action, life.reward, life.next_cell), strict=True):
        assert torch.equal(field, lived.flatten(0, 1))
    assert torch.equal(windows.return_to_go[:, :: env.horizon], life.episode_return.flatten(0, 1))
    assert life.reward.any()
