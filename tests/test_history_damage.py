"""A flipped bit in any file of learning histories is refused in a sentence, or changes nothing."""

import os
import random
import shutil
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from beyond import beyond
from helpers import flipped
from test_history import ENV, SOURCE, TASKS, collect_here, edit_json, fails, files
from test_metaworld_history import ENV as ARM
from test_metaworld_history import INSTANCES, drift
from test_metaworld_history import SOURCE as ARM_SOURCE

from dicp.artifacts import SHIPPED
from dicp.history import HistoryError, LearningHistories, collect

N_FLIPS = 40  # of each kind of file; of 750 of each, none was silent
SAMPLES = sorted((SHIPPED / "histories").glob("*.zip"))


def told(path, labels=True):
    """Everything that histories say."""
    histories = LearningHistories.open(path)
    facts = [
        histories.env,
        histories.source,
        histories.tasks,
        histories.seed,
        histories.algorithm,
        histories.algorithm_code,
        histories.tasks_per_block,
        histories.n_streams,
        histories.done.tolist(),
    ]
    arrays = [values.numpy().tobytes() for _, values in histories.load().items()]
    if labels:
        data = histories.dataset
        facts += [
            [
                (name, data[name].dims, data[name].shape, data[name].attrs)
                for name in data.variables
            ],
            data.attrs,
        ]
    return facts, arrays


def silent_flips(path, file, n_flips, labels=False):
    """How many of `n_flips` flipped bits of `file` change what is told, without a word."""
    raw, truth, rng, silent = file.read_bytes(), told(path, labels), random.Random(file.name), []
    bits = rng.sample(range(8 * len(raw)), min(n_flips, 8 * len(raw)))
    for bit in bits:
        file.write_bytes(flipped(raw, bit))
        try:
            if told(path, labels) != truth:
                silent.append(bit)
        except ValueError as error:
            assert "\n" not in str(error) and path.name in str(error), error
    file.write_bytes(raw)
    assert told(path, labels) == truth
    return silent


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    return collect_here(tmp_path_factory.mktemp("grids") / "grids.zarr").path


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    path = tmp_path_factory.mktemp("arm") / "arm.zarr"
    return collect(path, ARM, ARM_SOURCE, INSTANCES, algorithm=drift, n_jobs=1, progress=False).path


METADATA = [
    "zarr.json",
    "cell/zarr.json",
    "reward/zarr.json",
    "terminal_cell/zarr.json",
    "done/zarr.json",
]
CHUNKS = ["cell/c/4/0/0", "action/c/0/0/0", "reward/c/8/0/0", "terminal_cell/c/4/0/0", "done/c/4"]


@pytest.mark.parametrize("name", METADATA + CHUNKS)
def test_no_flipped_bit_in_a_folder_is_silent(grids, tmp_path, name):
    path = shutil.copytree(grids, tmp_path / "copy.zarr")
    assert silent_flips(path, path / name, N_FLIPS, labels=name.endswith("zarr.json")) == []


def test_a_seal_whose_name_is_damaged_is_no_store_without_one(grids, tmp_path):
    path = shutil.copytree(grids, tmp_path / "copy.zarr")
    raw = (path / "zarr.json").read_bytes()
    (path / "zarr.json").write_bytes(raw.replace(b'"seal"', b'"sgal"'))
    fails("damaged .*attributes that are not known", LearningHistories.open, path)


@pytest.mark.parametrize(
    "name", ["zarr.json", "observation/zarr.json", "observation/c/1/0/0/0", "success/c/0/0/0"]
)
def test_no_flipped_bit_in_a_folder_of_metaworld_is_silent(arm, tmp_path, name):
    path = shutil.copytree(arm, tmp_path / "copy.zarr")
    assert silent_flips(path, path / name, N_FLIPS) == []


def test_no_flipped_bit_in_a_sample_is_silent(grids, tmp_path):
    sample = LearningHistories.open(grids).save_sample(tmp_path / "sample.zarr.zip")
    assert silent_flips(sample, sample, 4 * N_FLIPS) == []


@pytest.mark.parametrize("shipped", SAMPLES, ids=lambda path: path.stem)
def test_no_flipped_bit_in_a_shipped_sample_is_silent(shipped, tmp_path):
    assert silent_flips(Path(copy := shutil.copy(shipped, tmp_path)), Path(copy), 10) == []


def test_the_shipped_samples_say_what_they_said():
    """The sum of all that is stored of their 16 tasks."""
    sums = {}
    for path in SAMPLES:
        log = LearningHistories.open(path).load()
        sums[log_name(path)] = sum(int(values.long().sum()) for _, values in log.items())
        assert len(log.reward) == 16
    assert sums == {
        "dark_key_to_door": 6_714_543,
        "darkroom": 7_638_452,
        "darkroom_permuted": 7_997_263,
    }


def log_name(path):
    return path.name.removesuffix("-sample.zarr.zip")


# ---- what a seal is for


def test_changed_attributes_do_not_fit_their_seal(grids, tmp_path):
    path = shutil.copytree(grids, tmp_path / "copy.zarr")
    file = path / "zarr.json"
    raw = file.read_text(encoding="utf-8")
    for old, new in (
        ('"seed": 0', '"seed": 8'),
        ('"gamma": 0.99', '"gamma": 0.98'),
        ('"tasks_per_block": 2', '"tasks_per_block": 3'),
        ('"walk"', '"wall"'),
    ):
        assert old in raw
        file.write_text(raw.replace(old, new), encoding="utf-8")
        fails(
            "is damaged .*its attributes do not fit their seal.*; delete it and collect anew",
            LearningHistories.open,
            path,
        )


def test_an_older_store_without_a_seal_is_read_and_goes_on(grids, tmp_path):
    path = shutil.copytree(grids, tmp_path / "copy.zarr")
    edit_json(path / "zarr.json", lambda content: None)
    assert told(path) == told(grids)
    LearningHistories.open(path).discard(TASKS[:3])
    assert collect_here(path).done.all()
    assert {**files(path), "zarr.json": b""} == {**files(grids), "zarr.json": b""}


# ---- done flags


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x03", b"\x81", b"\x01\x01"])
def test_a_damaged_flag_is_neither_done_nor_lost(grids, tmp_path, capsys, content):
    path = shutil.copytree(grids, tmp_path / "copy.zarr")
    (path / "done" / "c" / "4").write_bytes(content)
    histories = LearningHistories.open(path)
    assert histories.done.sum() == 8 and not histories.is_done(4)
    fails(
        r"The done flag of task \(1, 1\) in .* is damaged .*; discard\(\[\(1, 1\)\]\) and collect",
        histories.load,
    )
    assert len(histories.load(TASKS[:4]).reward) == 4
    collect_here(path)
    assert "the done flag of (1, 1) is damaged; made anew" in capsys.readouterr().out
    assert files(path) == files(grids)


# ---- samples


@pytest.fixture
def soon():
    """What takes too long ends with an error."""
    def give_up(*_):
        raise TimeoutError("reading a pipe never ends")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe_instead(path):
    path.unlink()
    os.mkfifo(path)


def test_a_pipe_as_a_flag_is_a_damaged_one(grids, tmp_path, soon):
    path = shutil.copytree(grids, tmp_path / "h")
    pipe_instead(path / "done" / "c" / "1")
    assert LearningHistories.open(path).done.tolist()[:3] == [True, False, True]


def test_a_pipe_as_a_chunk_is_damage(grids, tmp_path, soon):
    path = shutil.copytree(grids, tmp_path / "h")
    pipe_instead(path / "reward" / "c" / "1" / "0" / "0")
    with pytest.raises(HistoryError, match=r"The reward of task .* is damaged \(no plain file\)"):
        LearningHistories.open(path).load()


def test_a_sample_makes_its_folder_and_has_the_same_bytes_each_time(grids, tmp_path):
    histories = LearningHistories.open(grids)
    one = histories.save_sample(tmp_path / "new" / "folder" / "one.zip", TASKS[:2], 1)
    two = histories.save_sample(str(tmp_path / "two.zip"), TASKS[:2], 1)
    assert one.read_bytes() == two.read_bytes() and isinstance(two, Path)
    assert zipfile.ZipFile(one).testzip() is None


def test_a_sample_goes_where_a_plain_file_can_be(grids, tmp_path):
    histories = LearningHistories.open(grids)
    (tmp_path / "link.zip").symlink_to(tmp_path / "elsewhere")
    for where in (tmp_path, tmp_path / "link.zip", Path("")):
        fails("allowed: a plain file", histories.save_sample, where)
    for where in ("", None, 3, "a\0b", []):
        with pytest.raises(ValueError, match="path is .*; allowed: a path"):
            histories.save_sample(where)
    assert [path.name for path in tmp_path.iterdir()] == ["link.zip"]


# ---- arguments


BAD = [float("nan"), float("inf"), -1, 2**63, 1e308, True, "0", [], {}, object()]


@pytest.mark.parametrize("bad", [*BAD, None, 0], ids=lambda bad: repr(bad).partition(" at ")[0])
def test_arguments_are_checked(grids, tmp_path, bad):
    """One sentence for each, and nothing is made."""
    histories, path = LearningHistories.open(grids), tmp_path / "new.zarr"
    log = histories.load([TASKS[0]])
    calls = {
        "seed": lambda: collect_here(path, seed=bad),
        "tasks": lambda: collect_here(path, tasks=bad),
        "task": lambda: collect_here(path, tasks=[bad]),
        "tasks_per_block": lambda: LearningHistories.create(
            path, ENV, SOURCE, TASKS, 0, "ppo", bad
        ),
        "env": lambda: collect_here(path, env=bad),
        "source": lambda: collect_here(path, source=bad),
        "algorithm": lambda: collect_here(path, algorithm=bad),
        "log": lambda: histories.write(0, bad),
        "reward": lambda: histories.write(0, log.map(lambda x: x[0])._replace(reward=bad)),
        "index": lambda: histories.write(bad, log),
        "discard": lambda: histories.discard([bad]),
    }
    if bad is None or (bad == 0 and bad is not False):
        del calls["seed"]  # 0 is one
    if bad is None:
        del calls["algorithm"]  # that of the settings
    for name, call in calls.items():
        if bad == 0 and name == "index":
            continue
        with pytest.raises(ValueError) as refusal:
            call()
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400, name
    assert not list(tmp_path.iterdir()) and histories.done.all()


def test_numbers_of_numpy_are_numbers(tmp_path):
    histories = collect_here(
        tmp_path / "a.zarr", seed=np.int64(3), tasks=[(np.int64(0), 1)], n_jobs=np.int32(1)
    )
    assert histories.seed == 3 and type(histories.seed) is int and histories.tasks == [(0, 1)]
    assert histories.load(n_streams=np.int8(1)).reward.shape[1] == 1 and histories.is_done(
        np.uint8(0)
    )


def test_what_does_not_fit_into_memory_is_refused_before_it_is_asked_for(tmp_path):
    huge = 10**15
    for change, message in (
        (dict(env_steps=huge), "source.env_steps is 10+; allowed: fewer, .*GiB"),
        (dict(n_streams=10**14, batch_size=2), "source.env_steps is 4; allowed: fewer, .*GiB"),
    ):
        with pytest.raises(ValueError, match=message):
            collect_here(tmp_path / "a.zarr", source=beyond(SOURCE, **change))
    assert not list(tmp_path.iterdir())


def test_the_log_of_another_world_is_refused(grids, arm):
    log = LearningHistories.open(arm).load()
    with pytest.raises(
        ValueError, match=r"The log of task \(0, 0\) holds observation, .*; allowed in darkroom: obs"
    ):
        LearningHistories.open(grids).write(0, log.map(lambda x: x[0]))
    assert torch.is_tensor(log.reward)
