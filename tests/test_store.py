"""Files are whole or not there, whoever is killed, whoever else writes; and known to be whole."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import flipped

from dicp import store


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "a.bin"
    for data in (b"first", b"second " * 1000, b""):
        assert store.write(path, data) == store.digest(data)
        assert store.read(path, store.digest(data)) == data and names(path.parent) == ["a.bin"]


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a"
    store.write(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(store.StoreError, match=f"{path} cannot be written, the disk is full"):
                store.write(path, b"new")
        assert store.read(path) == b"old" and names(tmp_path) == ["a"]


def test_the_file_is_on_the_disk_before_it_has_its_name_and_then_its_folder(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def sync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("renamed") or replace(*paths))
    store.write(tmp_path / "a", b"data")
    assert done == ["file", "renamed", "folder"]


def special(kind, path):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "device":
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "device"])
def test_what_is_no_plain_file_is_refused(tmp_path, kind):
    path = tmp_path / "a"
    try:
        special(kind, path)
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(store.StoreError, match=f"{path} is a {kind}; allowed: a plain file"):
        store.write(path, b"data")
    assert names(tmp_path) == ["a"]
    if kind != "link":
        with pytest.raises(store.StoreError, match=f"{path} is a {kind}"):
            store.read(path)


def test_a_planted_draft_is_never_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    for name in ("a.tmp", ".a.tmp", ".a.0000000000000000.tmp"):
        (tmp_path / name).symlink_to(target)
    store.write(tmp_path / "a", b"data")
    assert target.read_bytes() == b"precious"


def test_a_planted_draft_is_not_followed_where_its_name_was_guessed(tmp_path, monkeypatch):
    target, draft = tmp_path / "precious", tmp_path / ".a.guessed.tmp"
    target.write_bytes(b"precious")
    draft.symlink_to(target)
    monkeypatch.setattr(store.secrets, "token_hex", lambda n: "guessed")
    with pytest.raises(store.StoreError, match="File exists"):
        store.write(tmp_path / "a", b"data")
    assert target.read_bytes() == b"precious" and names(tmp_path) == [draft.name, "precious"]


def test_a_draft_that_was_swept_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    real, swept = store.fcntl.flock, []

    def flock(file, how):
        if not swept:
            swept.extend(tmp_path.glob(".a.*.tmp"))
            swept[0].unlink()
        real(file, how)

    monkeypatch.setattr(store.fcntl, "flock", flock)
    store.write(tmp_path / "a", b"data")
    assert swept and store.read(tmp_path / "a") == b"data" and names(tmp_path) == ["a"]


def test_drafts_of_killed_writers_are_removed_and_those_of_living_ones_kept(tmp_path):
    path = tmp_path / "a"
    dead = tmp_path / ".a.0123456789abcdef.tmp"
    dead.write_bytes(b"half")
    alive, file = store._new_draft(path)
    store.write(path, b"data")
    assert names(tmp_path) == sorted(["a", alive.name])
    file.close()
    store.sweep(tmp_path)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("flip", range(0, 200, 7))
def test_a_record_with_a_flipped_bit_is_refused_or_says_the_same(tmp_path, flip):
    path, values = tmp_path / "a.json", {"cpu_seconds": 12.5, "sha256": {"a": "0" * 16}, "list": [1, 2], "text": "ä"}
    store.write_record(path, values)
    assert store.read_record(path) == (values, True)
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_record(path, {"cpu_seconds": float("nan")})
    data = path.read_bytes()
    path.write_bytes(flipped(data, 8 * (flip * 8 % len(data)) + flip % 8))
    try:
        assert store.read_record(path) == (values, True)
    except store.StoreError as error:
        assert str(path) in str(error)


def test_an_older_record_has_no_seal(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert store.read_record(path) == ({"a": 1}, False)
    for text in ("[1]", "{", "", "\xff", "[" * 100_000):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(store.StoreError, match=str(path)):
            store.read_record(path)


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    code = "import sys; from dicp import store\nfor i in range(30): store.write(sys.argv[1], sys.argv[2].encode() * 200_000)"
    path = tmp_path / "a"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "abc"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert len(set(data := path.read_bytes())) == 1 and len(data) == 200_000
        time.sleep(0.01)
    assert [writer.wait() for writer in writers] == [0, 0, 0] and names(tmp_path) == ["a"]


LOCKED = """
import sys, time
from dicp import store
with store.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_the_process_that_held_it(tmp_path):
    path = tmp_path / "folder" / "lock"
    holder = subprocess.Popen([sys.executable, "-c", LOCKED, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with store.lock(path, wait=False) as mine:
        assert not mine
    holder.kill()
    holder.wait()
    with store.lock(path, wait=False) as mine:
        assert mine


def test_who_waits_for_a_lock_says_so(tmp_path, capsys):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", LOCKED.replace("60", "1.5"), str(path)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with store.lock(path, what="training of x") as mine:
        assert mine
    assert capsys.readouterr().out == "training of x: another process is at it; waiting for it.\n"
    holder.wait()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_a_lock_is_a_plain_file(tmp_path, kind):
    """A link is not followed: filelock 3.16, the lowest allowed, empties what it leads to."""
    path, precious = tmp_path / "lock", tmp_path / "elsewhere"
    precious.write_bytes(b"precious")
    special(kind, path)
    with pytest.raises(store.StoreError, match=f"{path} is a {kind}; allowed: a plain file"):
        with store.lock(path):
            pass
    assert precious.read_bytes() == b"precious"


def test_where_there_are_no_locks_a_sentence_says_so(tmp_path, monkeypatch):
    """As filelock 3.16, the lowest allowed, has it."""
    def no_locks(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(store.FileLock, "acquire", no_locks)
    with pytest.raises(store.StoreError, match=f"{tmp_path / 'lock'} cannot be .* support flock"):
        with store.lock(tmp_path / "lock"):
            pass


def test_an_error_under_a_lock_is_not_the_locks(tmp_path):
    """Whether it is held here or by another process."""
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", LOCKED, str(path)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    for is_mine in (False, True):
        with pytest.raises(FileNotFoundError):
            with store.lock(path, wait=False) as mine:
                assert mine == is_mine
                (tmp_path / "missing").read_bytes()
        holder.kill()
        holder.wait()


def test_names_with_special_letters(tmp_path):
    for name in ("a[1]*?.csv", "ä ö.csv"):
        store.write(tmp_path / name, b"1")
        store.write(Path(tmp_path / name), b"2")
        assert store.read(tmp_path / name) == b"2"
    left = tmp_path / ".a[1]*?.csv.00.tmp"
    left.write_bytes(b"half")
    store.write(tmp_path / "a[1]*?.csv", b"3")
    assert not left.exists()
