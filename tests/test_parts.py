"""Runs that are kept in the cache: done if their record says so, made anew and named if not, never
lost, and each made by one process alone."""

import itertools
import os
import shutil
import signal
import sys
import time

import pandas as pd
import pytest

from dicp import estimate, figures, parts, recordings, reproduce, results, runs, store
from dicp.domain import grids
from dicp.recordings import COSTS

WORLD, ASKED = "darkroom", (["random", "exact_belief"], [0, 1])


@pytest.fixture(scope="module")
def done():
    """Short runs of two controls in two splits: (table, cost) by (run, split)."""
    before = grids.EVALUATIONS[WORLD]
    grids.EVALUATIONS[WORLD] = before._replace(n_episodes=3)
    try:
        yield {
            (name, split): reproduce.measure(runs.run_named(name, WORLD), WORLD, split)
            for name in ASKED[0]
            for split in ASKED[1]
        }
    finally:
        grids.EVALUATIONS[WORLD] = before


def prepare(patch, folder, done):
    """An empty cache, nothing recorded, runs that take no time; a figure is a line of text."""
    patch.setenv("DICP_CACHE", str(folder / "cache"))
    patch.setattr(recordings, "RECORDED", folder / "data")
    patch.setattr(reproduce, "measure", lambda run, world, split, n_jobs: done[run.name, split])
    patch.setattr(
        figures,
        "draw",
        lambda world, folder, table_of, probes: store.write_text(
            folder / f"{world}.png", str(len(table_of(world)))
        ),
    )
    return folder / "cache" / "results"


def make_all():
    made = reproduce.reproduce(WORLD, *ASKED)
    reproduce.record(WORLD)
    return made


def contents(folder):
    """Every file that counts: locks stay, whoever held them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, done):
    """What lies in the cache when all is done."""
    with pytest.MonkeyPatch.context() as patch:
        cache = prepare(patch, tmp_path_factory.mktemp("whole"), done)
        assert make_all() == 4 and make_all() == 0
        files = contents(cache)
    assert len(files) == 4 * 2 + 3 + 1
    return files


@pytest.fixture
def cache(tmp_path, monkeypatch, done):
    return prepare(monkeypatch, tmp_path, done)


@pytest.fixture
def filled(cache, whole):
    """A cache in which all is done."""
    fill(cache, whole)
    return cache


def fill(cache, files):
    for name, data in files.items():
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def part(name="random", split=1):
    return parts.parts_of(WORLD, [name], [split])[0]


def spoil_cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2].rsplit(b"\n", 1)[0] + b"\n")


def spoil_flip(path):
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])


def spoil_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [spoil_cut, spoil_flip, spoil_empty, os.unlink])
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_bad_part_is_named_and_made_anew(filled, whole, spoil, suffix, capsys):
    spoil(part().path.with_suffix(suffix))
    capsys.readouterr()
    assert make_all() == 1
    said = capsys.readouterr().out
    assert part().path.name.removesuffix(".csv") in said and "It is made anew." in said
    assert contents(filled) == whole


def test_a_part_that_is_not_asked_for_is_named_and_left_out(filled, whole, capsys):
    spoil_cut(part().path)
    assert reproduce.reproduce(WORLD, ["exact_belief"], [0]) == 0
    reproduce.record(WORLD)
    assert f"{part().path} is damaged" in capsys.readouterr().out
    table = results.load(filled / f"{WORLD}.csv.gz")
    assert sorted(set(zip(table["run"], table["split"], strict=True))) == [
        ("exact_belief", 0),
        ("exact_belief", 1),
        ("random", 0),
    ]
    assert make_all() == 1 and contents(filled) == whole


def test_another_parts_files_are_not_taken_for_it(filled, whole, capsys):
    for suffix in (".csv", ".json"):
        other = part(split=0).path.with_suffix(suffix)
        part().path.with_suffix(suffix).write_bytes(other.read_bytes())
    (part().path.parent / ".a-part-that-nobody-writes.csv.00.tmp").write_bytes(b"half")
    assert make_all() == 1 and part().record.name in capsys.readouterr().out
    assert contents(filled) == whole


def test_a_record_without_its_seal_is_none(filled):
    text = part().record.read_text(encoding="utf-8")
    part().record.write_text(text.replace('"seal"', '"real"'), encoding="utf-8")
    with pytest.raises(store.StoreError, match="no sealed record of random-1"):
        parts.read_part(part())


@pytest.mark.parametrize("change", [
    {"run": "exact_belief"}, {"split": 0}, {"env_steps": [1]}, {"train_cpu_s": -5}, {"evaluate_cpu_s": "x"}, {"more": 1},
])
def test_a_sealed_record_with_another_cost_is_none(filled, change):
    values, _ = store.read_record(part().record)
    store.write_record(part().record, values | {"cost": values["cost"] | change})
    with pytest.raises(store.StoreError, match="no sealed record of random-1"):
        parts.read_part(part())


def older(one):
    """The part as version 0.1.0 kept it: a cost and no record."""
    values, _ = store.read_record(one.record)
    cost = pd.DataFrame([values["cost"]])[list(COSTS[:-1])]
    one.older_cost.write_text(cost.to_csv(index=False), encoding="utf-8")
    one.record.unlink()


def test_a_whole_part_of_an_older_version_gets_its_record(filled, whole, capsys):
    older(part())
    before = contents(filled)
    assert "nothing to do" in estimate.report(WORLD, *ASKED) and contents(filled) == before
    capsys.readouterr()
    assert make_all() == 0 and contents(filled) == whole and "anew" not in capsys.readouterr().out


def cut_line(data):
    return data[:2000].rsplit(b"\n", 1)[0] + b"\n"


def cut_field(data):
    return data[:-3]


@pytest.mark.parametrize(
    "cut",
    [
        cut_line,
        cut_field,
        lambda data: data.replace(b",32,", b",31,"),
        lambda data: data.replace(b"random", b"source"),
    ],
)
def test_a_cut_part_of_an_older_version_is_named_and_made_anew(filled, whole, cut, capsys):
    older(part())
    part().path.write_bytes(cut(part().path.read_bytes()))
    capsys.readouterr()
    assert make_all() == 1
    assert part().path.name in capsys.readouterr().out
    part().older_cost.unlink()
    assert contents(filled) == whole


def test_a_damaged_part_that_the_package_has_is_not_made_again(
    filled, whole, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(reproduce, "checkout", lambda: tmp_path)
    reproduce.record(WORLD, tracked=True)
    spoil_flip(part().path)
    before = contents(filled)
    assert "nothing to do" in estimate.report(WORLD, *ASKED) and contents(filled) == before
    capsys.readouterr()
    assert make_all() == 0
    said = capsys.readouterr().out
    assert part().path.name in said and "recorded with the package counts" in said
    assert not part().files_exist
    assert contents(filled)[f"{WORLD}.csv.gz"] == whole[f"{WORLD}.csv.gz"]


def test_a_copy_of_what_the_package_has_needs_no_record(filled, monkeypatch, tmp_path):
    monkeypatch.setattr(reproduce, "checkout", lambda: tmp_path)
    reproduce.record(WORLD, tracked=True)
    older(part())
    assert make_all() == 0 and not part().record.exists()


def test_what_another_process_is_making_is_left_out(filled):
    with parts.lock_of(part()) as mine:
        _, costs = parts.combined(WORLD)
    assert mine and len(costs) == 3 and part().path.name not in set(costs["part"])


def test_a_table_with_holes_is_not_kept(cache, done, monkeypatch):
    table, cost = done["random", 1]
    with pytest.raises(
        store.StoreError, match=r"random-1-.*lacks 1 of 24 rows, the first is task .*, episode 1"
    ):
        parts.write_part(part(), table.drop(index=table.index[2]), cost)
    with pytest.raises(store.StoreError, match="holds another run than random split 1"):
        parts.write_part(part(), done["random", 0][0], cost)
    one_more = pd.concat([table, table.tail(1).assign(episode=4)])
    with pytest.raises(store.StoreError, match="it has 25 rows instead of 24"):
        parts.write_part(part(), one_more, cost)
    with pytest.raises(store.StoreError, match="means over 32 rollouts"):
        parts.write_part(part(), table.assign(n_rollouts=31), cost)
    assert not part().files_exist
    made = {part().path.name: (table.drop(index=table.index[2]), cost)}
    monkeypatch.setattr(parts, "shipped", lambda world: made)
    with pytest.raises(store.StoreError, match="lacks 1 of 24 rows.*cannot be recorded"):
        parts.combined(WORLD)


def killed(prepare, action):
    """Run `action` in a process that `prepare` arranges the death of; whether it died of it."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            prepare()
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(n):
    """Die at the n-th function that the store calls, of any kind."""
    calls = itertools.count(1)

    def count(frame, event, argument):
        if event == "c_call" and frame.f_code.co_filename == store.__file__ and next(calls) == n:
            kill()

    return lambda: sys.setprofile(count)


def at_system_call(n):
    """Die at the n-th time that the store asks the operating system for something."""
    calls = itertools.count(1)

    class Counted:
        def __getattr__(self, name):
            if next(calls) == n:
                kill()
            return getattr(os, name)

    return lambda: setattr(store, "os", Counted())


def test_a_kill_at_any_step_of_one_write_loses_nothing(cache, whole, done):
    one, n = part("exact_belief"), 1
    while killed(at_call(n), lambda: parts.write_part(one, *done["exact_belief", 1])):
        try:
            parts.read_part(one)
        except store.StoreError as error:
            assert one.path.stem in str(error)
        parts.write_part(one, *done["exact_belief", 1])
        names = {path.name for path in one.path.parent.iterdir()}
        assert names == {one.path.name, one.record.name}  # no draft is left
        assert one.path.read_bytes() == whole[f"{WORLD}/{one.path.name}"]
        one.record.unlink()
        one.path.unlink()
        n += 1
    assert n > 20


def test_a_kill_anywhere_loses_nothing(cache, whole, capsys):
    """One cache, killed again and again until all is done, then from nothing."""
    n_kills = 0
    for i in range(30):
        if killed(at_system_call(1 + 7 * i % 37), make_all):
            n_kills += 1
        else:
            assert contents(cache) == whole
            shutil.rmtree(cache)
    make_all()
    assert n_kills > 20 and contents(cache) == whole and not list(cache.rglob("*.tmp"))


def in_a_process(action):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        action()
        code = 0
    except SystemExit as error:
        code = error.code
    finally:
        os._exit(code)


def test_two_processes_share_the_runs(cache, whole, done, monkeypatch, tmp_path):
    def measure(run, world, split, n_jobs):
        with open(tmp_path / f"{run.name}-{split}", "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        return done[run.name, split]

    monkeypatch.setattr(reproduce, "measure", measure)
    pids = [in_a_process(make_all) for _ in range(3)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    made = [
        (tmp_path / f"{name}-{split}").read_text(encoding="utf-8").split()
        for name in ASKED[0]
        for split in ASKED[1]
    ]
    assert [len(by) for by in made] == [1, 1, 1, 1] and len({by[0] for by in made}) > 1
    assert contents(cache) == whole


def test_a_run_that_another_process_makes_is_waited_for(cache, whole):
    others = [one for one in parts.parts_of(WORLD, *ASKED) if one.path != part().path]
    with parts.lock_of(part()):
        pid = in_a_process(make_all)
        while not all(one.record.exists() for one in others):
            time.sleep(0.05)
        time.sleep(0.3)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert os.waitpid(pid, 0)[1] == 0 and contents(cache) == whole


def test_sigterm_is_an_orderly_stop(cache, whole, done, monkeypatch):
    ready, begun = os.pipe()

    def measure(run, world, split, n_jobs):
        if (run.name, split) == ("exact_belief", 0):
            os.write(begun, b"x")
            time.sleep(60)
        return done[run.name, split]

    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "measure", measure)
        arguments = ["--runs", *ASKED[0], "--splits", *map(str, ASKED[1])]
        pid = in_a_process(lambda: reproduce.main(arguments))
        assert os.read(ready, 1) == b"x"
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 143
    assert make_all() == 2 and contents(cache) == whole


@pytest.mark.parametrize("digest", [None, 7])
def test_a_part_whose_record_has_no_digest_of_it_is_damaged(filled, digest):
    part = parts.parts_of(WORLD, *ASKED)[0]
    record, _ = store.read_record(part.record)
    store.write_record(part.record, record | {"sha256": {"table": digest}})
    with pytest.raises(store.StoreError, match="is damaged: it is no sealed record"):
        parts.read_part(part)
