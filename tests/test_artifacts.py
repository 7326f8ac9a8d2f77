"""Weights on demand: nothing lost in a kill, one training at a time, a cache anywhere."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import refused
from test_states import GOALS, LOG, tiny

from dicp import artifacts, reproduce, store
from dicp.artifacts import load_or_train, sample_histories, weights_name
from dicp.cache import cache_folder, writable_cache
from dicp.config import Config
from dicp.files import CheckpointError
from dicp.store import StoreError
from dicp.training import Trainer

HERE = Path(__file__).parent


def python(code: str, *args, **env) -> subprocess.Popen:
    """A process that knows this folder; a variable that is None is unset."""
    env = {name: str(value) for name, value in (os.environ | env).items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env=env,
        cwd=HERE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one, and histories that need not be collected."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(artifacts, "load_or_collect", lambda config, n_jobs: LOG)
    monkeypatch.setattr(artifacts, "training_tasks", lambda config: GOALS)
    return tmp_path / "cache"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def of_model(config: Config) -> set[str]:
    name = weights_name(config).removesuffix(".safetensors")
    return {f"weights/{name}{suffix}" for suffix in (".safetensors", ".csv", ".json")}


def interrupted(config: Config, monkeypatch, at: int = 3) -> None:
    """Train until update `at`, its state kept, as a process that was killed leaves it."""
    real = Trainer.step

    def step(self):
        if self.update == at:
            raise KeyboardInterrupt
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        patch.setattr(artifacts, "train", functools.partial(artifacts.train, save_every=1))
        with pytest.raises(KeyboardInterrupt):
            load_or_train(config, progress=False)


# ---- what is taken, what goes on, what begins anew -----------------------------------------------


@pytest.mark.parametrize("retrain", [False, True])
def test_an_interrupted_training_goes_on(cache, monkeypatch, retrain):
    """Also with `retrain`; in the end nothing is left but the model (and the lock's file)."""
    whole = load_or_train(tiny(), progress=False)
    (cache / "weights").rename(cache / "whole")
    interrupted(tiny(), monkeypatch)
    steps, real = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self: steps.append(self.update) or real(self))
    draft = cache / "weights" / f".{weights_name(tiny())}.00.tmp"
    draft.write_bytes(b"a killed writer's")
    draft.with_name(".another.safetensors.00.tmp").write_bytes(b"of a model never trained again")
    (cache / "weights" / "unfinished" / tiny().key / ".state.pt.00.tmp").write_bytes(b"another's")
    resumed = load_or_train(tiny(), retrain=retrain, progress=False)
    assert steps == [3, 4, 5] and resumed.origin == "trained"
    assert resumed.log.equals(whole.log)
    left = {name for name in files(cache) if not name.startswith(("whole/", "locks/"))}
    assert left == of_model(tiny()) and not list((cache / "weights" / "unfinished").iterdir())
    for name in of_model(tiny()):
        if not name.endswith(".json"):
            assert (cache / name).read_bytes() == (cache / "whole" / Path(name).name).read_bytes()


def test_fresh_discards_what_is_finished_and_what_is_not(cache, monkeypatch):
    whole = load_or_train(tiny(), progress=False)
    steps, real = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self: steps.append(self.update) or real(self))
    assert load_or_train(tiny(), fresh=True, progress=False).log.equals(whole.log) and steps == [
        *range(6)
    ]
    for name in of_model(tiny()):
        (cache / name).unlink()
    interrupted(tiny(), monkeypatch)
    steps.clear()
    assert load_or_train(tiny(), fresh=True, progress=False).log.equals(whole.log) and steps == [
        *range(6)
    ]


def test_fresh_cures_every_damage(cache, monkeypatch):
    whole = load_or_train(tiny(), progress=False)
    for name in sorted(of_model(tiny())):
        (cache / name).write_bytes(b"damaged")
        for retrain in (False, True):
            with refused(f"{name}.*; train it anew with fresh=True"):
                load_or_train(tiny(), retrain=retrain, progress=False)
        assert load_or_train(tiny(), fresh=True, progress=False).log.equals(whole.log)
    for name in of_model(tiny()):
        (cache / name).unlink()
    interrupted(tiny(), monkeypatch)
    state = cache / "weights" / "unfinished" / tiny().key / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    with refused("state.pt is not a whole training state .*fresh=True"):
        load_or_train(tiny(), progress=False)
    assert load_or_train(tiny(), fresh=True, progress=False).log.equals(whole.log)


def test_fresh_never_returns_what_it_could_not_delete(cache, monkeypatch):
    load_or_train(tiny(), progress=False)

    def refuse_to_delete(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(artifacts, "writable_cache", lambda part: cache)      # its weights are not
    monkeypatch.setattr(Path, "unlink", refuse_to_delete)
    with pytest.raises(StoreError, match="weights/.*json cannot be deleted, Permission denied; "):
        load_or_train(tiny(), fresh=True, progress=False)


@pytest.mark.parametrize("missing", [".json", ".safetensors"])
def test_a_model_without_its_record_or_its_weights_is_not_there(cache, missing):
    load_or_train(tiny(), progress=False)
    (cache / "weights" / weights_name(tiny())).with_suffix(missing).unlink()
    assert load_or_train(tiny(), progress=False).origin == "trained"


def test_what_a_killed_training_left_beside_its_model_is_removed(cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(artifacts.shutil, "rmtree", lambda *_, **__: None)
        load_or_train(tiny(), progress=False)
    unfinished = cache / "weights" / "unfinished" / tiny().key
    assert (
        unfinished.exists()
        and load_or_train(tiny(), progress=False).origin == "cached"
        and not unfinished.exists()
    )


def test_processes_are_passed_on(cache, monkeypatch):
    asked = []
    monkeypatch.setattr(
        artifacts, "load_or_collect", lambda config, n_jobs: asked.append(n_jobs) or LOG
    )
    load_or_train(tiny(), progress=False, n_jobs=7), load_or_train(tiny(seed=1), progress=False)
    assert asked == [7, 2]
    monkeypatch.undo()
    monkeypatch.setenv("DICP_CACHE", str(cache))
    histories = sample_histories()
    monkeypatch.setattr(
        artifacts, "collect", lambda *_, **options: asked.append(options["n_jobs"]) or histories
    )
    artifacts.histories_of(tiny(), n_jobs=5), artifacts.histories_of(tiny())
    artifacts.load_or_collect(tiny(), histories.tasks[:1], n_jobs=3)
    assert asked == [7, 2, 5, 2, 3]


# ---- kills ---------------------------------------------------------------------------------------

KILLED = """
import functools, hashlib, os, shutil, signal, sys, tempfile
from pathlib import Path
from test_states import GOALS, LOG, tiny
from dicp import artifacts

artifacts.load_or_collect = lambda config, n_jobs: LOG
artifacts.training_tasks = lambda config: GOALS
artifacts.train = functools.partial(artifacts.train, save_every=2)
config = tiny(updates=3)
EVENTS = "open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def run(cache, fresh, kill_at):
    '''Train in a fork, killed before step `kill_at` on the disk: (status, number of steps).'''
    reader, writer = os.pipe()
    if not os.fork():
        n_steps = 0
        def hook(event, args):
            nonlocal n_steps
            if event not in EVENTS or not str(args[0]).startswith(cache):
                return
            if event == "open" and not (args[2] or 0) & WRITES:
                return
            n_steps += 1
            if n_steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        os.environ["DICP_CACHE"] = cache
        sys.addaudithook(hook)
        artifacts.load_or_train(config, progress=False, fresh=fresh)
        os.write(writer, str(n_steps).encode())
        os._exit(0)
    os.close(writer)
    status = os.wait()[1]
    with open(reader, "rb") as pipe:
        return status, int(pipe.read() or 0)

def model(cache):
    '''Digests of weights and curve; what else there is.'''
    found, other = {}, []
    for path in Path(cache).rglob("*"):
        hidden = path.name.startswith(".")
        if path.suffix in (".safetensors", ".csv") and path.parent.name == "weights" and not hidden:
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.is_file() and path.suffix not in (".json", ".lock") and "probe" not in path.name:
            other.append(path.name)
    return found, other

fresh = sys.argv[1] == "fresh"
with tempfile.TemporaryDirectory() as folder:      # what PyTorch imports late, before the forks
    os.environ["DICP_CACHE"] = folder
    artifacts.load_or_train(config, progress=False)
with tempfile.TemporaryDirectory() as start, tempfile.TemporaryDirectory() as folder:
    if fresh:                                            # something to discard
        run(start, False, 0)
    def anew():
        shutil.rmtree(folder)
        shutil.copytree(start, folder)
    anew()
    status, n_steps = run(folder, fresh, 0)
    whole = model(folder)
    assert status == 0 and len(whole[0]) == 2 and not whole[1], whole
    for kill_at in range(1 + fresh, n_steps + 1, 2):
        anew()
        assert run(folder, fresh, kill_at)[0] == signal.SIGKILL, kill_at
        assert run(folder, False, 0)[0] == 0, kill_at
        run(folder, False, 0)
        assert model(folder) == whole, (kill_at, model(folder), whole)
    print("killed", n_steps)
"""


@pytest.mark.parametrize("how", ["plain", "fresh"])
def test_a_kill_before_any_step_on_the_disk_loses_nothing(how):
    """The next call ends with the same bytes, by itself, and leaves nothing behind. Every other step: the odd ones,
    or the even ones."""
    process = python(KILLED, how)
    said = process.communicate()[0]
    assert process.returncode == 0 and int(said.split("killed")[-1]) > 15, said


# ---- two at once ---------------------------------------------------------------------------------

TWO = """
import sys, time
from pathlib import Path
from test_states import GOALS, LOG, tiny
from dicp import artifacts
from dicp.training import Trainer
artifacts.load_or_collect = lambda config, n_jobs: LOG
artifacts.training_tasks = lambda config: GOALS
real = Trainer.step
def step(self):
    if self.update == 2:
        print("training", flush=True)
        while not Path(sys.argv[1]).exists():
            time.sleep(0.05)
    real(self)
Trainer.step = step
trained = artifacts.load_or_train(tiny(), progress=False)
print(trained.origin, trained.log["policy"].tolist(), flush=True)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_the_second_of_two_trainings_waits_and_takes_the_firsts(tmp_path, killed):
    """Or, where the first is killed, trains itself."""
    go, env = tmp_path / "go", {"DICP_CACHE": str(tmp_path / "cache")}
    first = python(TWO, go, **env)
    assert first.stdout.readline() == "training\n"
    second = python(TWO, go, **env)
    assert "another process is at it; waiting for it" in second.stdout.readline()
    if killed:
        first.kill()
    go.touch()
    results = first.communicate()[0], second.communicate()[0]
    assert second.returncode == 0
    if killed:
        assert "trained" in results[1]
    else:
        assert first.returncode == 0
        assert results[0].split("[")[0] == "trained " and results[1].split("[")[0] == "cached "
        assert results[0].split("[")[1] == results[1].split("[")[1]
    names = files(tmp_path / "cache")
    assert {name for name in names if not name.startswith("locks/")} == of_model(tiny())


# ---- the cache -----------------------------------------------------------------------------------

NOBODY = """
import os, pwd
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
from dicp.artifacts import load_or_train
from dicp.config import Config
print(load_or_train(Config.preset("darkroom")).origin)
try:
    load_or_train(Config.preset("darkroom", seed=123))
except ValueError as error:
    print(error)
"""


def test_a_cache_that_cannot_be_looked_at_is_named(monkeypatch, tmp_path):
    """A name that is too long raises in `Path.exists` what a folder does that may not be entered."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / ("a" * 300)))
    cures = "a{300}/.* cannot be looked at, File name too long; correct the path or its permissions"
    for call in (load_or_train, artifacts.histories_of):
        with pytest.raises(StoreError, match=cures):
            call(tiny())
    with pytest.raises(StoreError, match=cures):
        reproduce.reproduce("metaworld-door-open-v3", ["random"], [0])


def test_shipped_weights_need_neither_home_nor_cache(tmp_path):
    """As in a container under a number without a name; where a cache is needed, a sentence."""
    said = python(NOBODY, HOME=None, DICP_CACHE=None).communicate()[0].splitlines()
    cure = "set the environment variable DICP_CACHE to a folder for what is computed."
    assert said == ["shipped", f"There is no home folder; {cure}"]
    said = (
        python(NOBODY.replace("seed=123", "seed='x'"), HOME=None, DICP_CACHE="")
        .communicate()[0]
        .splitlines()
    )
    assert said[0] == "shipped"


def test_a_cache_needs_no_home(tmp_path):
    code = NOBODY.partition("from dicp")[0] + "from dicp.cache import writable_cache; print(writable_cache())"
    assert python(code, HOME=None, DICP_CACHE=tmp_path).communicate()[0] == f"{tmp_path}\n"


def test_what_killed_writers_left_is_removed_at_the_next_start(cache):
    """Also where there is nothing to do."""
    load_or_train(tiny(), progress=False)
    left = cache / "weights" / ".x.json.00.tmp", cache / "results" / "darkroom" / ".x.csv.00.tmp"
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    load_or_train(tiny(), progress=False)
    assert reproduce.reproduce("darkroom", ["random"], [0], n_jobs=1) == 0
    assert not any(path.exists() for path in left)


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, folder in (
        ("~/dicp", tmp_path / "dicp"),
        ("~", tmp_path),
        ("/somewhere", Path("/somewhere")),
    ):
        monkeypatch.setenv("DICP_CACHE", value)
        assert cache_folder() == folder
    monkeypatch.delenv("DICP_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "dicp"
    for empty in ("", " ", "\t"):
        monkeypatch.setenv("DICP_CACHE", empty)
        with refused("DICP_CACHE is .*; allowed: a folder", ValueError):
            cache_folder()
    monkeypatch.setenv("DICP_CACHE", "~nobody-of-that-name/dicp")
    with refused(
        "DICP_CACHE is '~nobody-of-that-name/dicp', and there is no such home folder", ValueError
    ):
        cache_folder()


def test_a_cache_that_cannot_be_written_is_found_at_the_start(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "file" / "cache"))
    sentence = (
        "The cache .* cannot be written .Not a directory.; set the environment variable DICP_CACHE"
    )
    with refused(sentence, StoreError):
        writable_cache()
    monkeypatch.setattr(artifacts, "collect", None)
    for use in (lambda: load_or_train(tiny()), lambda: artifacts.histories_of(tiny())):
        with refused(sentence, StoreError):
            use()
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "new" / "cache"))
    assert writable_cache() == tmp_path / "new" / "cache" and not list(writable_cache().iterdir())
    (writable_cache() / "weights").write_text("", encoding="utf-8")
    with refused("cache/weights cannot be written .File exists.; set the env", StoreError):
        load_or_train(tiny())


def test_a_finished_model_is_taken_from_a_cache_that_can_only_be_read(cache, monkeypatch):
    load_or_train(tiny(), progress=False)

    def refuse(*_):
        raise StoreError("read-only")

    monkeypatch.setattr(store, "write", refuse)
    assert (
        load_or_train(tiny(), progress=False).origin
        == load_or_train(tiny(), retrain=True).origin
        == "cached"
    )


# ---- arguments -----------------------------------------------------------------------------------

BAD = [float("nan"), float("inf"), -1, 0, 2**63, 1e308, True, "0", None, []]


@pytest.mark.parametrize(
    "name, allowed",
    [
        ("config", []),
        ("retrain", [True]),
        ("device", [None]),
        ("progress", [True]),
        ("fresh", [True]),
        ("n_jobs", [-1]),
    ],
)
def test_what_makes_no_sense_is_refused(name, allowed):
    for value in BAD:
        if not any(value is good for good in allowed):
            with refused(f"{name} is .*; allowed: ", ValueError):
                load_or_train(**{"config": tiny(), name: value})


@pytest.mark.parametrize("env", [*BAD, "metaworld", "../darkroom", "darkrom", ""])
def test_a_sample_cannot_leave_its_folder(env):
    with pytest.raises(
        ValueError,
        match="^env is .*; allowed: 'darkroom', 'darkroom_permuted', 'dark_key_to_door'[.]",
    ):
        sample_histories(env)


@pytest.mark.parametrize("tasks", [x for x in BAD if x is not None])
def test_tasks_are_tasks(cache, monkeypatch, tasks):
    monkeypatch.undo()
    with refused("allowed: ", ValueError):
        artifacts.load_or_collect(tiny(), tasks)


def test_errors_are_value_errors():
    assert issubclass(CheckpointError, StoreError) and issubclass(StoreError, ValueError)
