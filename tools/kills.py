"""Kill what runs, again and again, at any moment and inside every write: is anything lost?

    OMP_NUM_THREADS=1 python tools/kills.py reproduce --kills 200
    OMP_NUM_THREADS=1 python tools/kills.py training collecting --kills 100

Each trial starts a job in a cache of its own and kills it (SIGKILL) until it once ends by itself.
Half of the kills come after a random time, half at a random step of a write: a line of the code
that writes, or the middle of the bytes. After each kill everything that was complete before must
still be; at the end all files must equal, to the last bit, those of a run that nobody killed. The
worlds are as small as can be; the code is the library's own, started from a fork of this process.
"""

import argparse
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch._dynamo  # noqa: F401 (the first optimiser imports it: once, before the forks)
from zarr.storage import _local

from dicp import artifacts, recordings, reproduce, store
from dicp.config import Config, SourceConfig
from dicp.domain import grids
from dicp.domain.base import Evaluation
from dicp.history import LearningHistories
from dicp.states import load_state

SPLITS = (0,)
NAMES = ("random", "source", "ad", "dicp_ad_gated")
PATH = re.compile(r"/\S+")


# ---- a small world -------------------------------------------------------------------------------


def small(config: Config) -> Config:
    """The same method with a source, a model and a training that take a moment."""
    source = SourceConfig(
        n_streams=4, keep_streams=4, env_steps=80, n_steps=20, batch_size=40, n_epochs=1
    )
    model = replace(config.model, d_model=8, n_layers=1, n_heads=1, d_ff=8, d_head_hidden=8)
    train = replace(config.train, updates=30, batch_size=4, n_streams=4, max_stride=1)
    return replace(config, source=source, model=model, train=train)


def make_everything_small(folder: Path) -> None:
    """In this process: small presets, three episodes, nothing recorded, a cache in `folder`."""
    preset = Config.preset
    Config.preset = lambda *args, **kwargs: small(preset(*args, **kwargs))
    grids.EVALUATIONS["darkroom"] = Evaluation(3, sizes=(2, 2))
    recordings.RECORDED = folder / "nothing is recorded"
    artifacts.train = partial(artifacts.train, save_every=5)
    reproduce.figures.draw = lambda *args: None      # seconds, and written as everything else
    os.environ["DICP_CACHE"] = str(folder)


def run_reproduce() -> None:
    reproduce.reproduce("darkroom", NAMES, SPLITS, n_jobs=1)
    reproduce.record("darkroom")


def run_training() -> None:
    config = Config.preset("darkroom", world_model="observational")
    artifacts.load_or_train(config, progress=False, n_jobs=1)


def run_collecting() -> None:
    artifacts.histories_of(Config.preset("darkroom"), n_jobs=2)


# ---- killing -------------------------------------------------------------------------------------


class Steps:
    """Counts the steps of all writes; kills this process at step `at` (0: never)."""

    def __init__(self, at: int = 0):
        self.at, self.n = at, 0

    def __call__(self) -> None:
        self.n += 1
        if self.n == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """From now on: before and after each call that changes something on the disk, and in the
        middle of the bytes."""
        for name in ("open", "fsync", "replace", "unlink", "mkdir"):
            setattr(os, name, self._around(getattr(os, name)))
        os.fdopen = self._halves(os.fdopen)
        _local._atomic_write = self._inside(_local._atomic_write)

    def watch_lines(self) -> None:
        """Every line of the writer, too."""
        self.watch()
        sys.settrace(self._trace)

    def _trace(self, frame, event, arg):
        if frame.f_code.co_filename != store.__file__:
            return None
        if event == "line":
            self()
        return self._trace

    def _around(self, function: Callable) -> Callable:
        def call(*args, **kwargs):
            self()
            result = function(*args, **kwargs)
            self()
            return result

        return call

    def _inside(self, write: Callable) -> Callable:
        """zarr's writer of a chunk, with a step when its bytes are there and not yet in their
        place."""
        @contextmanager
        def call(*args, **kwargs):
            with write(*args, **kwargs) as file:
                self()
                yield file
                self()

        return call

    def _halves(self, fdopen: Callable) -> Callable:
        """Files that can be killed in the middle of their bytes."""
        steps = self

        class Halves(io.FileIO):
            def write(self, data) -> int:
                half = len(data) // 2
                super().write(data[:half])
                steps()
                return half + super().write(data[half:])

        def call(descriptor, *args, **kwargs):
            if args == ("wb",):
                return Halves(descriptor, "w")
            return fdopen(descriptor, *args, **kwargs)

        return call


class Outcome(NamedTuple):
    killed: bool
    status: int
    n_steps: int
    seconds: float
    said: str


def start(
    job: Callable[[], None], folder: Path, at: int = 0, after: float | None = None,
    lone: bool = True, lines: bool = False,
) -> Outcome:
    """Run `job` in a fork with its cache in `folder`; kill it at step `at` of its writes or `after`
    so many seconds. lone: it has no workers; else they must end by themselves when it is killed.
    lines: each line of the writer is a step."""
    log, counted = folder.with_suffix(".log"), folder.with_suffix(".steps")
    began, steps = time.monotonic(), Steps(at)
    if not (process := os.fork()):
        status = 1
        try:
            # what was said before a kill counts, too
            with open(log, "a", encoding="utf-8") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            make_everything_small(folder)
            if lone:
                (steps.watch_lines if lines else steps.watch)()
            job()
            sys.settrace(None)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.settrace(None)
            sys.stdout.flush()
            counted.write_text(str(steps.n), encoding="utf-8")
            os._exit(status)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    n = int(counted.read_text(encoding="utf-8")) if not killed else at
    said = log.read_text(encoding="utf-8")
    return Outcome(killed, os.waitstatus_to_exitcode(status), n, time.monotonic() - began, said)


# ---- what is there -------------------------------------------------------------------------------


def complete(folder: Path) -> set[str]:
    """The names of everything in a cache that is complete, by its own record."""
    there = set()
    for record in [*folder.glob("results/*/*.json"), *folder.glob("weights/*.json")]:
        _, sealed = store.read_record(record)
        there.add(f"{record.relative_to(folder)} {sealed}")
    for state in folder.glob("weights/unfinished/*/state.pt"):
        load_state(state)
    for path in folder.glob("histories/*.zarr"):
        histories = LearningHistories.open(path)
        there |= {
            f"{path.name} task {task}"
            for task, done in zip(histories.tasks, histories.done, strict=True) if done
        }
    return there


def final(folder: Path) -> dict[str, str]:
    """The digest of every file of a finished cache, apart from what says how long it took."""
    there = (path for path in folder.rglob("*") if path.is_file())
    files = (path for path in there if "lock" not in str(path.relative_to(folder)))
    digests = {}
    for path in files:
        data = path.read_bytes()
        if path.suffix == ".json" and path.name != "zarr.json":
            data = re.sub(rb'"(seal|costs|[a-z_]*cpu[a-z_]*)": [^,\n}]*', b"", data)
        if path.name.endswith("_cost.csv"):
            data = re.sub(rb"\d+\.\d+", b"", data)
        digests[str(path.relative_to(folder))] = store.digest(data)
    return digests


# ---- campaigns -----------------------------------------------------------------------------------


@dataclass
class Campaign:
    """One kind of job, and what became of it."""

    name: str
    job: Callable[[], None]
    warm: tuple[Callable[[], None], ...] = ()       # what may have been done before
    lone: bool = True
    kills: int = 0
    in_writes: int = 0
    lost: list[str] = field(default_factory=list)

    def run(self, n_kills: int, folder: Path, rng: random.Random) -> "Campaign":
        before, beginnings, unharmed = ((), *((job,) for job in self.warm)), [], []
        trial = 0
        while self.kills < n_kills:
            number = trial % len(before)
            if number == len(beginnings):      # only those that the kills reach
                beginnings.append(self._beginning(folder, number, before[number]))
                unharmed.append(self._unharmed(beginnings[number]))
                expected = final(beginnings[0].with_suffix(".whole"))
            here = self._copy(beginnings[number], folder / f"trial-{trial}")
            self._trial(here, unharmed[number], expected, n_kills, rng)
            shutil.rmtree(folder / f"trial-{trial}")
            trial += 1
        return self

    def _beginning(self, folder: Path, number: int, jobs) -> Path:
        here = folder / f"beginning-{number}"
        here.mkdir(parents=True)
        for job in jobs:
            start(job, here)
        return here

    def _unharmed(self, beginning: Path) -> Outcome:
        """What the job does from here if nobody kills it."""
        here = self._copy(beginning, beginning.with_suffix(".whole"))
        outcome = start(self.job, here, lone=self.lone)
        if outcome.status:
            raise RuntimeError(f"{self.name} fails without being killed: {outcome.said}")
        return outcome

    @staticmethod
    def _copy(beginning: Path, to: Path) -> Path:
        shutil.copytree(beginning, to)
        return to

    def _trial(
        self, folder: Path, whole: Outcome, expected: dict, n_kills: int, rng: random.Random
    ) -> None:
        """Kill the job until it ends by itself."""
        there = complete(folder)
        while True:
            inside = self.lone and self.in_writes <= self.kills / 2 and self.kills < n_kills
            at = rng.randint(1, whole.n_steps) if inside else 0
            after = None if inside or self.kills >= n_kills else rng.uniform(0, whole.seconds)
            outcome = start(self.job, folder, at, after, self.lone)
            self.kills += outcome.killed
            self.in_writes += outcome.killed and inside
            now = complete(folder)
            self.lost += [f"lost: {name}" for name in there - now]
            there = now
            if not outcome.killed:
                break
        if outcome.status:
            self.lost.append(f"it fails after kills: {outcome.said[-2000:]}")
        elif not outcome.killed:
            found = final(folder)
            names = sorted(expected.keys() | found.keys())
            self.lost += [
                f"differs: {name}" for name in names if expected.get(name) != found.get(name)
            ]
        self.lost += [f"a message without a file: {line}" for line in outcome.said.splitlines()
                      if re.search("damaged|not whole|anew|cannot", line) and not PATH.search(line)]


def every_step_of_a_write(folder: Path) -> tuple[int, list[str]]:
    """(number of steps, what went wrong): one write, killed at each of its steps in turn."""
    path, wrong, at = folder / "file", [], 0
    old, new = b"old" * 1000, b"new" * 1000
    while True:
        at += 1
        store.write(path, old)
        outcome = start(lambda: store.write(path, new), folder / "cache", at, lines=True)
        data = path.read_bytes()
        if data not in (old, new):
            wrong.append(f"step {at}: {len(data)} bytes that nobody wrote")
        if not outcome.killed:
            break
    store.write(path, old)
    left = [p.name for p in folder.iterdir() if p.name.startswith(".file")]
    return at - 1, wrong + [f"left behind: {name}" for name in left]


def campaigns() -> dict[str, Campaign]:
    return {
        "reproduce": Campaign("reproduce", run_reproduce, warm=(run_collecting, run_training)),
        "training": Campaign("training", run_training, warm=(run_collecting,)),
        "collecting": Campaign("collecting", run_collecting, lone=False),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("jobs", nargs="+", choices=[*campaigns(), "write"])
    parser.add_argument("--kills", type=int, default=100, help="of each job (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    args, bad = parser.parse_args(), 0
    for name in args.jobs:
        with tempfile.TemporaryDirectory() as folder:
            if name == "write":
                n, lost = every_step_of_a_write(Path(folder))
                print(f"write: killed at each of its {n} steps: {len(lost)} losses", flush=True)
            else:
                done = campaigns()[name].run(args.kills, Path(folder), random.Random(args.seed))
                lost = done.lost
                inside = f"{done.in_writes} of them at a step of a write"
                print(f"{name}: {done.kills} kills, {inside}: {len(lost)} losses", flush=True)
        print("".join(f"  {line}\n" for line in dict.fromkeys(lost)), end="", flush=True)
        bad += len(lost)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
