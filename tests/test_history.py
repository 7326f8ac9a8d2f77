"""Learning histories: solved by hand, then killed, resumed, damaged, filled up and shipped."""

import errno
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from zarr.storage import LocalStore

from dicp.config import EnvConfig, MetaWorldConfig, SourceConfig
from dicp.envs import GridWorld, all_tasks
from dicp.history import HistoryError, LearningHistories, blocks, collect
from dicp.history.collection import open_or_create
from dicp.source.discrete import TASKS_PER_BLOCK
from dicp.types import Log

ENV = EnvConfig("darkroom", size=3, horizon=2)
SOURCE = SourceConfig(n_streams=2, env_steps=4, n_steps=2, batch_size=4, n_epochs=1)
TASKS = all_tasks("darkroom", 3)            # 9 goals; the centre is cell 4
STORED = "cell", "action", "reward", "terminal_cell"      # the arrays of a grid
KEY_ENV = EnvConfig("dark_key_to_door", size=3, horizon=5)
KEY_SOURCE = SourceConfig(n_streams=3, env_steps=20, n_steps=5, batch_size=5, n_epochs=1)


def walk(env, tasks, source, seed):
    """A source that learns nothing: random actions, true outcomes."""
    generator = torch.Generator().manual_seed(seed)
    world = GridWorld(env, tasks, source.n_streams)
    steps, ends = [], []
    for _ in range(source.env_steps):
        cell = world.state.cell
        action = torch.randint(5, cell.shape, generator=generator)
        step = world.step(action)
        steps.append((cell, action, step.reward))
        ends += [step.next_observation] if step.done else []
    return Log(*(torch.stack(x, -1).byte() for x in zip(*steps, strict=True)), torch.stack(ends, -1).byte())


walk.tasks_per_block, walk.name = 2, "walk"


def slow_walk(env, tasks, source, seed):
    time.sleep(0.02)
    return walk(env, tasks, source, seed)


slow_walk.tasks_per_block, slow_walk.name = 2, "walk"


def collect_here(path, env=ENV, source=SOURCE, tasks=TASKS, seed=0, algorithm=walk, n_jobs=1, progress=False):
    return collect(path, env, source, tasks, seed, algorithm, n_jobs, progress)


def files(path):
    """Every stored byte."""
    found = [file for file in Path(path).rglob("*") if file.is_file() and file.suffix != ".partial"]
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


def count_files(path):
    return sum(len(names) for _, _, names in os.walk(path))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "histories.zarr"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Histories collected without interruption; to be copied, not changed."""
    return collect_here(tmp_path_factory.mktemp("whole") / "histories.zarr")


@pytest.fixture
def copy(whole, path):
    shutil.copytree(whole.path, path)
    return path


def fails(message, function, *args, **kwargs):
    """`function` refuses in one sentence that matches `message`."""
    with pytest.raises(HistoryError, match=message) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# ---- by hand

BY_HAND = Log(        # the goal is (1, 2), cell 5. Stream 0: +y, +x; stay, -x. Stream 1: stay four times.
    observation=torch.tensor([[4, 5, 4, 4], [4, 4, 4, 4]], dtype=torch.uint8),
    action=torch.tensor([[2, 0, 4, 1], [4, 4, 4, 4]], dtype=torch.uint8),
    reward=torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8),
    terminal_observation=torch.tensor([[8, 1], [4, 4]], dtype=torch.uint8),
)


def test_next_cell_of_a_two_step_history():
    assert BY_HAND.next_observation.tolist() == [[5, 8, 4, 1], [4, 4, 4, 4]]      # 8 and 1: not the start cell 4 that follows
    assert BY_HAND.observation.tolist()[0] == [4, 5, 4, 4]                         # the log itself is left alone


def test_episode_returns_of_a_two_step_history():
    assert BY_HAND.episode_returns.tolist() == [[1, 0], [0, 0]]


def test_next_cell_where_every_step_ends_an_episode():
    log = BY_HAND._replace(terminal_observation=torch.tensor([[5, 8, 4, 1], [4, 4, 4, 4]], dtype=torch.uint8))
    assert log.next_observation.tolist() == log.terminal_observation.tolist()


def test_a_written_history_is_read_again(path):
    histories = LearningHistories.create(path, ENV, SOURCE, [(1, 2), (0, 0)], seed=3)
    assert histories.done.tolist() == [False, False]
    histories.write(0, BY_HAND)
    again = LearningHistories.open(path)
    assert again.done.tolist() == [True, False]
    assert (again.env, again.source, again.tasks, again.seed) == (ENV, SOURCE, [(1, 2), (0, 0)], 3)
    for (_, loaded), (_, written) in zip(again.load([(1, 2)]).items(), BY_HAND.items(), strict=True):
        assert loaded.dtype == torch.uint8 and torch.equal(loaded[0], written)
    assert again.load([[1, 2]], n_streams=1).observation.tolist() == [[[4, 5, 4, 4]]]
    assert again.episode_returns([(1, 2)]).tolist() == [[[1, 0], [0, 0]]]
    fails(r"1 of 2 tasks at .* are not collected yet \(\(0, 0\)\); call collect again", again.load)
    assert "1 of 2 tasks, 2 streams x 4 steps" in repr(again)


def test_histories_are_on_the_disk_before_they_count(tmp_path, monkeypatch):
    """A power cut after the name of the store, or after a flag, finds all that they vouch for."""
    path, fsync, done = tmp_path / "new" / "store", os.fsync, []

    def sync(descriptor):
        fsync(descriptor)
        done.append((os.fstat(descriptor).st_ino, path.exists(), (path / "done" / "c" / "0").exists()))

    def synced(named, flagged):
        return {file for file, *when in done if when == [named, flagged]}

    def inodes(files):
        return {p.stat().st_ino for p in files}

    monkeypatch.setattr(os, "fsync", sync)
    histories = LearningHistories.create(path, ENV, SOURCE, [(1, 2), (0, 0)])
    assert inodes([path, *path.rglob("*")]) <= synced(False, False)
    assert inodes([tmp_path]) <= synced(False, False) and inodes([path.parent]) <= synced(True, False)
    histories.write(0, BY_HAND)
    chunks = [path / name for name in files(path) if "/c/0" in name and not name.startswith("done")]
    assert len(chunks) == len(STORED)
    for chunk in chunks:
        assert inodes([chunk, *chunk.parents[:3]]) <= synced(True, False), chunk
    flag = path / "done" / "c" / "0"
    assert inodes([flag, flag.parent]) <= synced(True, True)


def test_a_log_that_breaks_the_rules_is_refused(path):
    histories = LearningHistories.create(path, ENV, SOURCE, [(1, 2)])
    after_reset = BY_HAND._replace(terminal_observation=torch.full((2, 2), 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"task \(1, 2\), stream 0, step 1 breaks the rules; .* before the reset"):
        histories.write(0, after_reset)
    elsewhere = BY_HAND.observation.clone()
    elsewhere[1, 2] = 3
    with pytest.raises(ValueError, match="stream 1, step 2 breaks the rules"):
        histories.write(0, BY_HAND._replace(observation=elsewhere))
    with pytest.raises(ValueError, match=r"action .* with values from 1 to 5; allowed: .* from 0 to 4\."):
        histories.write(0, BY_HAND._replace(action=BY_HAND.action + 1))
    with pytest.raises(ValueError, match=r"reward of task .* is torch.int64 \(2, 4\).*allowed: torch.uint8 \(2, 4\)"):
        histories.write(0, BY_HAND._replace(reward=BY_HAND.reward.long()))
    with pytest.raises(ValueError, match=r"observation .* \(1, 4\).*; allowed: torch.uint8 \(2, 4\)"):
        histories.write(0, BY_HAND.map(lambda values: values[:1]))
    assert not histories.done.any()


# ---- collecting

def test_collected_histories_are_what_the_source_did(whole):
    assert whole.done.all() and whole.tasks == TASKS
    loaded = whole.load()
    for first in range(0, 9, 2):
        log = walk(ENV, TASKS[first : first + 2], SOURCE, blocks.block_seed(0, first))
        for (_, ours), (_, expected) in zip(loaded.items(), log.items(), strict=True):
            assert torch.equal(ours[first : first + 2], expected)
    assert len({loaded.action[first].numpy().tobytes() for first in range(0, 9, 2)}) == 5      # each block its own seed


def test_any_subset_of_tasks_comes_in_the_order_asked_for(whole):
    everything, some = whole.load(), whole.load([(2, 1), (0, 0)], n_streams=1)
    assert torch.equal(some.observation, everything.observation[[7, 0], :1])
    assert torch.equal(whole.episode_returns([(2, 1)]), everything.episode_returns[7:8])


@pytest.mark.parametrize("env", ["darkroom", "darkroom_permuted", "dark_key_to_door"])
def test_next_cells_are_true_in_every_world(path, env):
    config = EnvConfig(env, size=3, horizon=5)
    tasks = random.Random(0).sample(all_tasks(env, 3), 5)
    histories = collect_here(path, config, KEY_SOURCE, tasks)
    log = LearningHistories.open(path).load()
    assert histories.tasks == LearningHistories.open(path).tasks == tasks
    world = GridWorld(config, tasks, KEY_SOURCE.n_streams)
    for t in range(KEY_SOURCE.env_steps):
        assert torch.equal(world.state.cell, log.observation[..., t].long())
        step = world.step(log.action[..., t].long())
        assert torch.equal(step.next_observation, log.next_observation[..., t].long())
        assert torch.equal(step.reward, log.reward[..., t].long())


@pytest.mark.parametrize("algorithm", ["ppo", "sb3"])
def test_a_room_of_more_than_255_cells_is_kept(path, algorithm):
    env = EnvConfig("darkroom", size=17, horizon=5)
    histories = collect(path, env, KEY_SOURCE, [(16, 16)], algorithm=algorithm, n_jobs=1, progress=False)
    log = histories.load()
    assert log.observation.max() > 140 and log.observation.dtype == log.terminal_observation.dtype == torch.int32
    assert (log.next_observation[..., ::5] != log.observation[..., ::5]).any()


@pytest.mark.parametrize("algorithm", ["ppo", "sb3"])
def test_the_built_in_sources(path, algorithm):
    histories = collect_here(path, KEY_ENV, KEY_SOURCE, [((0, 0), (1, 1)), ((2, 1), (0, 2))], algorithm=algorithm)
    assert histories.done.all() and histories.algorithm == algorithm
    log = histories.load()
    assert not torch.equal(log.action[0], log.action[1]) and log.reward.max() <= 1


def test_a_source_that_returns_too_little_is_refused(path):
    def half(env, tasks, source, seed):
        return walk(env, tasks[:1], source, seed)

    half.tasks_per_block, half.name = 3, "half"
    with pytest.raises(ValueError, match="half returned 1 tasks; allowed: the 3 asked for"):
        collect_here(path, algorithm=half)


def test_two_workers_write_the_same_bytes_as_one(whole, path, capsys):
    assert collect_here(path, n_jobs=2, progress=True).done.all()
    assert files(path) == files(whole.path)
    assert "darkroom histories: 100%" in capsys.readouterr().out
    collect_here(path, progress=True)
    assert capsys.readouterr().out == ""                # nothing to do, nothing to say


def test_blocks_depend_on_the_number_of_tasks_only():
    for n_tasks in (1, 8, 73, 108, 6233):
        size = blocks.block_size(EnvConfig(), n_tasks, "ppo")
        assert 1 <= size <= TASKS_PER_BLOCK
    assert [blocks.block_size(EnvConfig(), n, "ppo") for n in (108, 8)] == [27, 2]
    assert [blocks.block_size(EnvConfig(), 73, how) for how in ("sb3", walk)] == [1, 2]
    assert blocks.block_size(MetaWorldConfig(), 60, "ppo") == 5


def test_no_more_is_collected_than_what_is_asked_for(whole, path):
    """Blocks of two tasks: task 3 is learned together with task 2."""
    some = collect(path, ENV, SOURCE, TASKS, algorithm=walk, n_jobs=1, progress=False, only=[TASKS[3], TASKS[8]])
    assert some.done.nonzero()[0].tolist() == [2, 3, 8]
    assert torch.equal(some.load([TASKS[3]]).action, whole.load([TASKS[3]]).action)
    fails(r"Task \(9, 9\) is not at .*; allowed: its 9", collect, path, ENV, SOURCE, TASKS, algorithm=walk, only=[(9, 9)])
    collect_here(path)
    assert files(path) == files(whole.path)


def test_another_configuration_at_the_same_path_is_refused(copy):
    other = SourceConfig(n_streams=2, env_steps=4, n_steps=2, batch_size=4, n_epochs=1, learning_rate=1e-3)
    fails(r"other histories \(source.learning_rate is 0.0003 there, 0.001 here; seed is 0 there, 1 here\)",
          collect_here, copy, source=other, seed=1)
    fails("algorithm is 'walk' there, 'ppo' here", collect_here, copy, algorithm="ppo")
    fails("the 9 tasks there are not, in this order, the 8 here", collect_here, copy, tasks=TASKS[:8])
    fails("the 9 tasks there", collect_here, copy, tasks=TASKS[::-1])


@pytest.mark.parametrize(("change", "message"), [
    ({"tasks": []}, "tasks holds 0, 0 of them different; allowed: some, each once"),
    ({"tasks": [(0, 0), (0, 0)]}, "tasks holds 2, 1 of them different"),
    ({"tasks": [(0, 3)]}, r"darkroom task is \(0, 3\); allowed: a goal"),
    ({"env": EnvConfig("darkroom", size=3, horizon=3)}, "source.env_steps is 4; allowed: a multiple of the horizon 3"),
    ({"seed": -1}, "seed is -1; allowed"),
    ({"algorithm": "pppo"}, "algorithm is 'pppo'; allowed: 'ppo', 'sb3', 'trpo', 'a2c', 'sac'. Did you mean 'ppo'?"),
])
def test_what_cannot_be_collected_is_refused_before_it_starts(path, change, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        collect_here(path, **change)
    assert not path.exists() and not list(path.parent.iterdir())


def test_tasks_may_be_lists_or_arrays(path):
    assert collect_here(path, tasks=np.array(TASKS)).tasks == TASKS
    assert collect_here(path, tasks=[list(task) for task in TASKS]).done.all()


# ---- killed, interrupted, out of space

def test_killed_at_any_time_and_resumed_the_bytes_are_the_same(whole, path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dicp.history"])            # so that a process starts in milliseconds
    rng, killed, expected = random.Random(0), 0, files(whole.path)
    while not path.exists() or not LearningHistories.open(path).done.all():
        before = count_files(path)
        process = context.Process(target=collect_here, args=(path,), kwargs={"algorithm": slow_walk})
        process.start()
        while count_files(path) == before and process.is_alive():
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, 0.015))                       # a block of two tasks: ten writes, about this long
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if path.exists():                                       # what is done is whole and stays as it is
            now, done = files(path), np.flatnonzero(LearningHistories.open(path).done)
            parts = [f"{name}/c/{index}/0/0" for name in STORED for index in done]
            assert [now[part] for part in parts] == [expected[part] for part in parts]
    assert killed >= 3
    assert files(path) == expected


def test_two_workers_and_their_parent_killed(whole, path):
    code = "import sys, test_history as t; t.collect_here(sys.argv[1], algorithm=t.slow_walk, n_jobs=2)"
    run = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent, start_new_session=True)
    while run.poll() is None and not ((path / "done" / "c").exists() and LearningHistories.open(path).done.any()):
        time.sleep(0.002)                                                 # until the first task is done
    os.killpg(run.pid, signal.SIGKILL) if run.poll() is None else None
    run.wait()
    assert LearningHistories.open(path).done.any()
    collect_here(path)
    assert files(path) == files(whole.path)


@pytest.mark.parametrize("n_writes", range(0, 45, 9))
def test_a_full_disk_loses_nothing_that_was_stored(whole, path, monkeypatch, n_writes):
    """Each task takes five writes: four arrays and the flag."""
    open_or_create(path, ENV, SOURCE, TASKS, 0, walk)
    true_set, count = LocalStore.set, itertools.count()

    async def full(self, key, value):
        if next(count) >= n_writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        await true_set(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "set", full)
        fails("The disk is full at .*; make room and call again", collect_here, path)
    assert LearningHistories.open(path).done.sum() == n_writes // 5
    collect_here(path)
    assert files(path) == files(whole.path)


def test_a_full_disk_while_creating_leaves_nothing(path, monkeypatch):
    async def full(self, key, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStore, "set", full)
    fails("The disk is full", collect_here, path)
    assert not list(path.parent.iterdir())


def write_half(path, start, ready):
    histories = LearningHistories.open(path)
    ready.wait()
    for _ in range(3):
        for index in range(start, 9, 2):
            histories.write(index, walk(ENV, [TASKS[index]], SOURCE, index).map(lambda x: x[0]))


def test_two_processes_write_different_tasks(path):
    histories = LearningHistories.create(path, ENV, SOURCE, TASKS)
    context = multiprocessing.get_context("forkserver")
    ready = context.Barrier(2)
    processes = [context.Process(target=write_half, args=(path, start, ready)) for start in (0, 1)]
    [process.start() for process in processes]
    [process.join() for process in processes]
    log = histories.load()
    for index, task in enumerate(TASKS):
        for (_, ours), (_, expected) in zip(log.items(), walk(ENV, [task], SOURCE, index).items(), strict=True):
            assert torch.equal(ours[index], expected[0])


# ---- damaged, foreign, too new

def edit_json(file, change):
    """As if the store had been made so: without a seal, as older ones are."""
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    content["attributes"].pop("seal", None)
    file.write_text(json.dumps(content), encoding="utf-8")


def chunk(path, name="reward", index=4):
    return path / name / "c" / str(index) / "0" / "0"


def flip(file):
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 255
    file.write_bytes(raw)


DAMAGE = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-5]),
    "emptied": lambda file: file.write_bytes(b""),
    "flipped": flip,
    "lost": Path.unlink,
}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_chunk_is_named_and_can_be_made_again(whole, copy, damage, name):
    DAMAGE[damage](chunk(copy, name))
    histories = LearningHistories.open(copy)
    fails(rf"The {name} of task \(1, 1\) in .* is damaged \(.*\); discard\(\[\(1, 1\)\]\) and collect", histories.load)
    histories.load(TASKS[:4])                           # the others are as good as before
    histories.discard([(1, 1)])
    assert histories.done.sum() == 8
    collect_here(copy)
    assert files(copy) == files(whole.path)


def test_no_changed_bit_goes_unnoticed(whole, copy):
    file, truth = chunk(copy, "action"), whole.load([(1, 1)])
    raw, noticed = file.read_bytes(), 0
    for i, bit in itertools.product(range(len(raw)), (1, 16)):
        file.write_bytes(raw[:i] + bytes([raw[i] ^ bit]) + raw[i + 1 :])
        try:
            loaded = LearningHistories.open(copy).load([(1, 1)])
            assert torch.equal(loaded.action, truth.action)                 # a bit without meaning
        except HistoryError:
            noticed += 1
    assert noticed > len(raw)


BROKEN = {
    "truncated metadata": (lambda p: (p / "zarr.json").write_bytes(b'{"attributes": {"form'), "is damaged or not"),
    "truncated array metadata": (lambda p: (p / "cell" / "zarr.json").write_bytes(b"{"), "is damaged or not"),
    "missing array": (lambda p: shutil.rmtree(p / "reward"), r"damaged .*reward.*; delete it and collect anew"),
    "missing metadata": (lambda p: (p / "zarr.json").unlink(), r"without learning histories \(no zarr.json in it\)"),
    "newer": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"].update(version=2)),
              "format version 2; this dicp reads version 1: update dicp"),
    "foreign": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"].pop("format")),
                "is a zarr store, but not learning histories of dicp"),
    "unknown world": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"]["env"].update(name="maze")),
                      "damaged .*env is 'maze'; allowed: 'darkroom'"),
    "unknown field": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"]["source"].update(momentum=1)),
                      "damaged .*momentum"),
    "impossible task": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"]["tasks"].__setitem__(0, [7, 7])),
                        r"damaged .*darkroom task is \(7, 7\)"),
    "other shape": (lambda p: edit_json(p / "zarr.json", lambda j: j["attributes"]["source"].update(env_steps=6)),
                    r"damaged .*cell is uint8 \(9, 2, 4\), not uint8 \(9, 2, 6\)"),
    "other type": (lambda p: edit_json(p / "cell" / "zarr.json", lambda j: j.update(data_type="uint16")),
                   "damaged .*cell is uint16"),
    "other fill value": (lambda p: edit_json(p / "cell" / "zarr.json", lambda j: j.update(fill_value=3)),
                         "damaged .*cell has the fill value 3"),
    "other dimensions": (lambda p: edit_json(p / "cell" / "zarr.json", lambda j: j["dimension_names"].reverse()),
                         "damaged .*cell has chunks and dimensions"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_store_is_refused_in_one_sentence(copy, damage):
    change, message = BROKEN[damage]
    change(copy)
    fails(message, lambda: LearningHistories.open(copy).load())
    fails(message, collect_here, copy)


def test_paths_without_histories_are_refused(tmp_path):
    fails("no learning histories at .*nowhere; correct the path", LearningHistories.open, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    fails(r"folder without learning histories \(no zarr.json in it\)", LearningHistories.open, tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("not histories", encoding="utf-8")
    fails("is a file, but not a whole .zarr.zip", LearningHistories.open, tmp_path / "notes.txt")
    fails("is a file, but not a whole .zarr.zip", collect_here, tmp_path / "notes.txt")
    fails("exists already", LearningHistories.create, tmp_path / "notes.txt", ENV, SOURCE, TASKS)
    zarr.create_group(tmp_path / "foreign.zarr").create_array("x", shape=(3,), dtype="f4")
    fails("is a zarr store, but not learning histories of dicp", LearningHistories.open, tmp_path / "foreign.zarr")
    fails("cannot be written .*; correct the path", collect_here, tmp_path / "notes.txt" / "below")


def test_an_empty_folder_may_be_filled(tmp_path):
    assert collect_here(tmp_path).done.all()


def test_unknown_tasks_and_streams_are_refused(whole):
    fails(r"Task \(5, 5\) is not at .*; allowed: its 9 .tasks", whole.load, [(5, 5)])
    fails("n_streams is 3; allowed: 1 to 2", whole.load, n_streams=3)
    with pytest.raises(ValueError, match="n_streams is 0; allowed: a whole number of at least 1"):
        whole.load(n_streams=0)


# ---- xarray and the sample

def test_the_dataset_is_lazy_and_labelled(copy):
    chunk(copy, "reward", 8).write_bytes(b"damaged")
    data = LearningHistories.open(copy).dataset
    assert dict(data.sizes) == {"task": 9, "stream": 2, "step": 4, "episode": 2}
    assert list(data.data_vars) == ["cell", "action", "reward", "terminal_cell"] and "tasks" not in data.attrs
    assert "reward" in repr(data) and "reward" in data._repr_html_()                # nothing was read yet
    expected = LearningHistories.open(copy).load([(1, 2)]).action[0]
    assert data.action.sel(task="(1, 2)").values.tolist() == expected.tolist()
    assert data.done.all() and data.cell.dtype == np.uint8
    with pytest.raises(Exception, match="."):
        data.reward.isel(task=8).load()


def test_a_sample_fits_in_one_file_and_reads_the_same(whole, tmp_path):
    sample = whole.save_sample(tmp_path / "sample.zarr.zip", tasks=[(2, 2), (0, 1)], n_streams=1)
    assert [file.name for file in tmp_path.iterdir()] == ["sample.zarr.zip"]
    small = LearningHistories.open(sample)
    assert small.tasks == [(2, 2), (0, 1)] and small.n_streams == 1 and small.done.all()
    assert (small.env, small.source, small.seed) == (whole.env, whole.source, whole.seed)
    for (_, ours), (_, original) in zip(small.load().items(), whole.load([(2, 2), (0, 1)], n_streams=1).items(), strict=True):
        assert torch.equal(ours, original)
    assert torch.equal(small.episode_returns([(0, 1)]), whole.episode_returns([(0, 1)], n_streams=1))
    assert small.dataset.cell.sel(task="(0, 1)").values.tolist() == small.load([(0, 1)]).observation[0].tolist()
    fails("read only", small.write, 0, BY_HAND)
    fails("is a sample to read; collect into a folder", collect_here, sample)
    again = small.save_sample(tmp_path / "again.zarr.zip", tasks=[(0, 1)])
    assert torch.equal(LearningHistories.open(again).load().observation, small.load([(0, 1)]).observation)


def test_a_damaged_sample_is_refused(whole, tmp_path):
    sample = whole.save_sample(tmp_path / "sample.zarr.zip")
    raw = sample.read_bytes()
    sample.write_bytes(raw[: len(raw) // 2])
    fails("not a whole .zarr.zip of learning histories; get a new copy", LearningHistories.open, sample)
    middle = raw.index(b"reward/c/4/0/0") + 20
    sample.write_bytes(raw[:middle] + bytes(4) + raw[middle + 4 :])
    fails(r"The reward of task \(1, 1\) in .* is damaged .*; get a new copy", LearningHistories.open(sample).load)


def test_a_sample_of_what_is_not_collected_is_refused(path, tmp_path):
    histories = LearningHistories.create(path, ENV, SOURCE, TASKS)
    fails("9 of 9 tasks .* are not collected yet .*, ...", histories.save_sample, tmp_path / "sample.zarr.zip")
    assert not (tmp_path / "sample.zarr.zip").exists()
