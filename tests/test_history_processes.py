"""Learning histories and processes: shared work, killed workers, leftovers, no workers at all."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import runs, until
from test_history import ENV, SOURCE, TASKS, collect_here, fails, files, walk

from dicp.history import LearningHistories, collect
from dicp.history.blocks import Job
from dicp.history.claims import claim, draft_folder, locks_folder
from dicp.history.collection import open_or_create
from dicp.types import Log

TESTS = Path(__file__).parent
FIRSTS = ["0", "2", "4", "6", "8"]  # blocks of two tasks

# A process that collects with `walk`, tells of each block that it computes, and sleeps in those of
# SLEEPY.
COLLECT = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_history as t
folder, n_jobs = Path(sys.argv[2]), int(sys.argv[3])
def told(env, tasks, source, seed):
    first = t.TASKS.index(tasks[0])
    with open(folder / "computed", "a", encoding="utf-8") as file:
        file.write(f"{first} {os.getpid()}\\n")
    time.sleep(600 if str(first) in os.environ.get("SLEEPY", "").split() else 0.1)
    return t.walk(env, tasks, source, seed)
told.tasks_per_block, told.name = 2, "walk"
Path(folder, f"ready-{os.getpid()}").touch()
while not Path(folder, "go").exists():
    time.sleep(0.01)
done = t.collect_here(folder / "histories.zarr", algorithm=told, n_jobs=n_jobs).done
print("complete" if done.all() else done, flush=True)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return collect_here(tmp_path_factory.mktemp("whole") / "histories.zarr")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "histories.zarr"


@pytest.fixture
def start(tmp_path):
    """Start a process that collects; all of them end with the test."""
    started = []

    def run(n_jobs, sleepy=""):
        command = [sys.executable, "-c", COLLECT, str(TESTS), str(tmp_path), str(n_jobs)]
        env = os.environ | {"SLEEPY": sleepy}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
    for pid in {pid for _, pid in computed(tmp_path)}:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def computed(folder):
    """(first task of a block, process that computes it), in order."""
    if not (folder / "computed").exists():
        return []
    lines = (folder / "computed").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def names(folder):
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(("ready-", "go", "computed"))
    )


# ---- shared work


def test_two_processes_share_the_work(whole, path, start, tmp_path):
    processes = [start(1), start(2)]
    until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
    (tmp_path / "go").touch()
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(output.endswith("complete\n") for output in outputs)
    assert sorted(first for first, _ in computed(tmp_path)) == FIRSTS  # each once
    assert files(path) == files(whole.path) and names(tmp_path) == ["histories.zarr"]


def test_the_block_of_a_killed_process_is_taken(whole, path, start, tmp_path):
    (tmp_path / "go").touch()
    sleepy = start(1, sleepy="0")
    assert until(lambda: computed(tmp_path))
    helper = start(1)
    assert "another process collects, too; waiting for its part" in helper.stdout.readline()
    assert sorted(first for first, _ in computed(tmp_path)) == FIRSTS  # it waits for block 0 alone
    sleepy.kill()
    killed = time.monotonic()
    assert helper.communicate(timeout=60)[0] == "complete\n" and time.monotonic() - killed < 60
    assert files(path) == files(whole.path) and names(tmp_path) == ["histories.zarr"]


def test_who_finds_that_another_has_just_created_the_store_goes_on(path, monkeypatch):
    """Both have seen that there is nothing; the first creates it."""
    seen = []

    def nothing_yet(at):
        seen.append(at)
        if len(seen) == 2:
            LearningHistories.create(path, ENV, SOURCE, TASKS, 0, "walk", 2)
        return at.exists() and len(seen) != 2

    monkeypatch.setattr("dicp.history.collection.holds_something", nothing_yet)
    monkeypatch.setattr("dicp.history.histories.holds_something", nothing_yet)
    assert open_or_create(path, ENV, SOURCE, TASKS, 0, walk).tasks == TASKS
    monkeypatch.setattr("dicp.history.histories.holds_something", lambda at: False)
    fails("cannot be written", LearningHistories.create, path, ENV, SOURCE, TASKS)
    assert names(path.parent) == ["histories.zarr"]


def test_a_block_that_another_process_holds_is_not_computed(path):
    histories = open_or_create(path, ENV, SOURCE, TASKS, 0, walk)
    with claim(path, 2) as mine:
        assert mine
        with claim(path, 2) as again:
            assert not again
        assert locks_folder(path).is_dir()
    collect_here(path)
    assert histories.done.all() and not locks_folder(path).exists()


def test_a_block_that_is_held_is_neither_written_nor_discarded(whole, path):
    shutil.copytree(whole.path, path)
    histories = LearningHistories.open(path)
    log = whole.load(TASKS[:1]).map(lambda values: values[0])
    for change in (lambda: histories.discard(TASKS[:1]), lambda: histories.write(0, log)):
        before = histories.is_done(0)
        waiting = threading.Thread(target=change)
        with claim(path, 0):
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive() and histories.is_done(0) == before
        waiting.join()
        assert histories.is_done(0) != before


# ---- leftovers


def plant(path, name):
    path = path / f"{name}.{'0123456789abcdef' * 2}.partial"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


def test_what_killed_writers_left_behind_is_removed(whole, path):
    shutil.copytree(whole.path, path)
    dead = [
        plant(path, "cell/c/0/0/0"),
        plant(path, "done/c/3"),
        plant(path, "zarr"),
        plant(path, "reward/c/8/0/0"),
    ]
    living = [plant(path, "action/c/4/0/0"), plant(path, "done/c/5")]  # of the block of 4 and 5
    draft = path.with_name(f".{path.name}.{'0' * 32}.tmp")
    (draft / "cell").mkdir(parents=True)
    with claim(path, 4), draft_folder(path) as new:
        collect_here(path)
        assert not any(file.exists() for file in dead) and not draft.exists()
        assert all(file.exists() for file in living) and new.is_dir()
    collect_here(path)
    assert not any(file.exists() for file in living)
    assert files(path) == files(whole.path) and names(path.parent) == ["histories.zarr"]


def test_drafts_of_samples_are_removed(whole, tmp_path):
    sample = tmp_path / "new" / "folder" / "sample.zarr.zip"
    draft = sample.with_name(f".{sample.name}.{'0' * 16}.tmp")
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half")
    assert whole.save_sample(sample) == sample and names(sample.parent) == [sample.name]


# ---- ends of processes


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(path, start, tmp_path, sign):
    (tmp_path / "go").touch()
    parent = start(2, sleepy=" ".join(FIRSTS))
    assert until(lambda: len(computed(tmp_path)) == 2)
    parent.send_signal(sign)
    assert parent.wait(timeout=20) == (
        -signal.SIGKILL if sign == signal.SIGKILL else 128 + signal.SIGTERM
    )
    workers = [pid for _, pid in computed(tmp_path)]
    assert parent.pid not in workers and until(lambda: not any(map(runs, workers)), 10)
    shutil.rmtree(path)
    time.sleep(1)
    assert not path.exists() and len(computed(tmp_path)) == 2  # nothing was waiting behind them
    collect_here(path)


def test_sigterm_is_an_orderly_stop_without_workers(start, tmp_path):
    (tmp_path / "go").touch()
    process = start(1, sleepy="4")
    assert until(lambda: len(computed(tmp_path)) == 3)
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert (
        LearningHistories.open(tmp_path / "histories.zarr").done.tolist()
        == [True] * 4 + [False] * 5
    )


def deleting(env, tasks, source, seed):
    shutil.rmtree(deleting.path)
    if deleting.seed is not None:
        LearningHistories.create(deleting.path, env, source, TASKS, deleting.seed, "other", 2)
    return walk(env, tasks, source, seed)


deleting.tasks_per_block, deleting.name = 2, "deleting"


@pytest.mark.parametrize("seed", [None, 7])
def test_a_store_that_is_gone_is_not_written(path, seed):
    """Deleted while its first block was computed, or deleted and made anew for other histories."""
    deleting.path, deleting.seed = path, seed
    fails(
        "was deleted or replaced while it was in use; nothing more is written there",
        collect_here,
        path,
        algorithm=deleting,
    )
    assert path.exists() == (seed is not None)
    if seed is not None:
        there = LearningHistories.open(path)
        assert there.seed == 7 and not there.done.any() and not (path / "cell" / "c").exists()


def test_a_job_of_histories_that_were_replaced_is_not_done(path):
    """By a worker that opens them after that."""
    histories = open_or_create(path, ENV, SOURCE, TASKS, 0, walk)
    job = Job(path, histories.seal, 0, walk, os.getpid())
    shutil.rmtree(path)
    replaced = open_or_create(path, ENV, SOURCE, TASKS, 1, walk)
    fails("was replaced by other histories", job)
    assert not replaced.done.any()


def test_a_worker_that_is_killed_is_told_in_a_sentence(start, tmp_path):
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
import test_history as t
def killed(env, tasks, source, seed):
    os.kill(os.getpid(), 9)
killed.name = "killed"
try:
    t.collect_here(sys.argv[2], algorithm=killed, n_jobs=2)
except ValueError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(TESTS), str(tmp_path / "a.zarr")],
        capture_output=True,
        text=True,
    )
    assert run.stdout.startswith(
        "A worker process was ended by something else; what it had stored is kept"
    )
    assert len(run.stdout.splitlines()) == 1


# ---- no processes


NO_SEMAPHORES = """
import sys
sys.path.insert(0, sys.argv[1])
{patch}
import test_history as t
histories = t.collect_here(sys.argv[2], n_jobs=int(sys.argv[3]))
print(histories.done.all(), {after})
"""
AT_IMPORT = """
import _multiprocessing
class SemLock(_multiprocessing.SemLock):
    def __new__(cls, *_, **__): raise OSError(38, "Function not implemented")
_multiprocessing.SemLock = SemLock
"""
LATER = """
import joblib, joblib.externals.loky.backend.synchronize as synchronize
def refused(*_, **__): raise PermissionError(13, "Permission denied")
synchronize._SemLock = refused
"""


@pytest.mark.parametrize(
    "patch, n_jobs, said",
    [
        (
            AT_IMPORT,
            2,
            "No worker processes can be started here (there are no semaphores); "
            "going on in this process.\nTrue darkroom\n",
        ),
        (
            LATER,
            2,
            "No worker processes can be started here "
            "(PermissionError: [Errno 13] Permission denied); "
            "going on in this process.\nTrue darkroom\n",
        ),
        (AT_IMPORT, 1, "True darkroom\n"),
    ],
)
def test_without_semaphores_all_is_computed_in_this_process(whole, path, patch, n_jobs, said):
    code = NO_SEMAPHORES.format(patch=patch, after="t.ENV.name")
    run = subprocess.run(
        [sys.executable, "-c", code, str(TESTS), str(path), str(n_jobs)],
        capture_output=True,
        text=True,
    )
    assert run.stdout == said and "Error" not in run.stderr
    assert files(path) == files(whole.path)


@pytest.mark.parametrize("n_jobs", [0, -2, 1.0, True, "2", None, 2**63, float("nan"), []])
def test_n_jobs_is_a_number_of_processes(path, n_jobs):
    with pytest.raises(
        ValueError,
        match="n_jobs is .*; allowed: a whole number of at least 1, or -1 for one a core",
    ):
        collect_here(path, n_jobs=n_jobs)
    assert not path.exists()


def test_all_cores(whole, path, monkeypatch):
    """Of a machine that has one."""
    monkeypatch.setattr("dicp.history.workers.n_cores", lambda: 1)
    monkeypatch.setattr("dicp.history.workers.worker_pool", None)
    collect_here(path, n_jobs=-1)
    assert files(path) == files(whole.path)


def test_what_an_algorithm_returns_is_looked_at(path):
    for i, (returned, message) in enumerate(
        [
            (None, "What .*returning returned is None; allowed: a dicp.types.Log"),
            (Log(*[None] * 4), "What .*returning returned is .*NoneType.*; allowed: arrays"),
            (Log(*[0] * 4), "What .*returning returned is .*int.*; allowed: arrays"),
        ]
    ):
        returning.value = returned
        with pytest.raises(ValueError, match=message):
            collect(
                path.with_name(str(i)),
                ENV,
                SOURCE,
                TASKS,
                algorithm=returning,
                n_jobs=1,
                progress=False,
            )


def returning(env, tasks, source, seed):
    return returning.value
