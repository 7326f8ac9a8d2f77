"""The recorded results in the package: known by their records, found by a world's name alone, the
same bytes when they are put together again."""

import json
import shutil

import pandas as pd
import pytest
from helpers import flipped

import dicp
from dicp import parts, recordings, runs, store
from dicp.worlds import worlds

SMALL = "metaworld-sweep-v3"
FILES = (f"{SMALL}.csv.gz", f"{SMALL}_cost.csv", f"{SMALL}.json")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the recorded results of one world, which may be spoilt."""
    for name in FILES:
        shutil.copy(recordings.RECORDED / name, tmp_path / name)
    monkeypatch.setattr(recordings, "RECORDED", tmp_path)
    return tmp_path


def read_all():
    return recordings.recorded_costs(SMALL), recordings.recorded(SMALL)


def test_the_recorded_results_are_package_data():
    assert recordings.RECORDED.is_relative_to(next(iter(dicp.__path__)))
    assert len(recordings.recorded_worlds()) == 9
    for world in recordings.recorded_worlds():
        values, sealed = store.read_record(recordings.RECORDED / f"{world}.json")
        assert sealed and set(values["sha256"]) == {"table", "costs"}


@pytest.mark.parametrize("world", ["darkroom_permuted", "metaworld-push-v3"])     # two of eight, 5 s each
def test_put_together_again_they_are_the_same_bytes(world, tmp_path, monkeypatch):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "empty"))
    assert recordings.write_recorded(tmp_path, world, *parts.combined(world))
    for name in (f"{world}.csv.gz", f"{world}_cost.csv", f"{world}.json"):
        assert (tmp_path / name).read_bytes() == (recordings.RECORDED / name).read_bytes(), name
    assert not (tmp_path / "empty").exists()


def test_what_can_no_longer_be_made_stays_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    assert "bayes" not in {run.name for run in runs.runs_in("darkroom_permuted")}
    table, costs = parts.combined("darkroom_permuted")
    for rows in (table, costs):
        assert set(rows.loc[rows["run"] == "bayes", "split"]) == {0, 1, 2, 3, 4}
    retired = [runs.is_retired(run, "darkroom_permuted") for run in costs["run"]]
    assert retired == sorted(retired)                                            # they come last


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_goes_unnoticed(copy, name):
    data = (copy / name).read_bytes()
    right = read_all()
    for i in range(40):
        (copy / name).write_bytes(flipped(data, 8 * (i * len(data) // 40) + i % 8))
        try:
            found = read_all()
        except store.StoreError as error:
            assert name in str(error) or FILES[2] in str(error)
        else:
            assert name == FILES[2] and all(map(pd.DataFrame.equals, found, right))  # a space, say


def test_a_missing_or_foreign_record_is_named(copy):
    (copy / FILES[2]).unlink()
    with pytest.raises(store.StoreError, match=rf"{SMALL}\.json cannot be read"):
        recordings.recorded(SMALL)
    store.write_record(copy / FILES[2], {"world": "darkroom", "sha256": {}})
    with pytest.raises(store.StoreError, match="no sealed record of the results of"):
        recordings.recorded(SMALL)
    (copy / FILES[2]).write_text(json.dumps({"world": SMALL, "sha256": {}}), encoding="utf-8")
    with pytest.raises(store.StoreError, match="no sealed record"):
        recordings.recorded(SMALL)


@pytest.mark.parametrize("lost", [FILES[:1], FILES[1:2], FILES[:2]])
def test_a_lost_file_is_not_one_that_was_never_written(copy, lost):
    for name in lost:
        (copy / name).unlink()
    for read in (recordings.recorded, recordings.recorded_costs, recordings.is_recorded, parts.shipped):
        with pytest.raises(store.StoreError, match=rf"{lost[0]} is missing, .*check the file out"):
            read(SMALL)
    (copy / FILES[2]).unlink()
    for name in FILES[:2]:
        (copy / name).unlink(missing_ok=True)
    assert not recordings.is_recorded(SMALL) and recordings.recorded_costs(SMALL).empty


@pytest.mark.parametrize(
    "name", ["../x", "darkroom/../darkroom", "", "drakroom", "metaworld-", "/etc/x", None, 3]
)
@pytest.mark.parametrize(
    "read", [recordings.recorded, recordings.is_recorded, recordings.recorded_costs]
)
def test_a_name_is_that_of_a_world(read, name):
    with pytest.raises(ValueError, match="^env is .*; allowed: 'darkroom', .*'metaworld-reach-v3'"):
        read(name)


def test_a_world_without_records_says_what_there_is():
    with pytest.raises(
        ValueError, match="recorded are: darkroom, .*--task door-open-v3 makes them"
    ):
        recordings.recorded("metaworld-door-open-v3")
    assert not recordings.recorded_path("metaworld-door-open-v3").exists()
    assert recordings.recorded_costs("metaworld-door-open-v3").empty and len(worlds()) == 55


class Killed(BaseException):
    """As if the process had ended here."""


def test_a_kill_between_two_files_leaves_what_the_record_knows(copy, monkeypatch):
    table, costs = recordings.recorded(SMALL), recordings.recorded_costs(SMALL)
    table, costs = (rows[rows["run"].isin(["random", "source"])] for rows in (table, costs))
    recordings.write_recorded(copy, SMALL, table, costs)
    less, fewer = (rows[rows["run"] == "source"] for rows in (table, costs))
    real, left = store.write, []

    def write(path, data):
        if not left:
            raise Killed
        left.pop()
        return real(path, data)

    monkeypatch.setattr(store, "write", write)
    for n_writes in range(5):
        left[:] = [None] * n_writes
        try:
            recordings.write_recorded(copy, SMALL, less, fewer)
        except Killed:
            assert n_writes < 4
        assert len(recordings.recorded(SMALL)) in (len(table), len(less))
        assert set(parts.shipped(SMALL)) >= set(fewer["part"])
        left[:] = [None] * 9
        recordings.write_recorded(copy, SMALL, table, costs)
    left[:] = [None] * 9
    assert not recordings.write_recorded(copy, SMALL, table, costs)  # all of it is there already


def test_the_same_rows_are_not_packed_anew(copy):
    """Another zlib packs the same rows into other bytes; what is tracked stays as it is."""
    table, costs = recordings.recorded(SMALL), recordings.recorded_costs(SMALL)
    packed = (copy / FILES[0]).read_bytes()
    other = copy / "other"
    table.to_csv(
        copy / "x.csv.gz",
        index=False,
        float_format="%.5g",
        lineterminator="\n",
        compression={"method": "gzip", "mtime": 0, "compresslevel": 1},
    )
    other.mkdir()
    shutil.copy(copy / "x.csv.gz", other / FILES[0])
    assert (other / FILES[0]).read_bytes() != packed
    recordings.write_recorded(other, SMALL, table, costs)
    assert (other / FILES[0]).read_bytes() == (copy / "x.csv.gz").read_bytes()
    pd.testing.assert_frame_equal(recordings.decode((other / FILES[0]).read_bytes(), FILES[0]), table)
