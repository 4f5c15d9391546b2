"""Files are replaced whole or not at all."""

import os
import sys

import pytest

from deepconv.files import atomic_write, clear_parts, hold, replace_file


def test_it_writes_and_replaces(tmp_path):
    atomic_write(tmp_path / "a.bin", b"first")
    atomic_write(str(tmp_path / "a.bin"), b"2")
    assert (tmp_path / "a.bin").read_bytes() == b"2"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_after_an_error_the_old_file_stays_alone(tmp_path, error):
    (tmp_path / "a.bin").write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        replace_file(tmp_path / "a.bin", write)
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_raises_even_when_only_the_flush_notices(tmp_path, monkeypatch):
    import builtins

    monkeypatch.setattr(
        builtins, "open", lambda _path, _mode: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb")
    )
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "a.bin", b"some")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """After a power cut the name must not stand for an empty file."""
    done, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(os.fstat(handle).st_size), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append("replace"), replace(old, new)))
    atomic_write(tmp_path / "a.bin", b"some bytes")
    assert done[:2] == [10, "replace"]


def test_a_failing_rename_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="read-only"):
        atomic_write(tmp_path / "a.bin", b"x")
    assert os.listdir(tmp_path) == []


def test_links_are_followed_and_devices_and_folders_refused(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to(tmp_path / "real.bin")
    atomic_write(tmp_path / "link.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(OSError, match="not a plain file"):
            atomic_write(path, b"x")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        atomic_write(tmp_path / "nowhere" / "a.bin", b"x")


def test_a_name_of_the_longest_length_works(tmp_path):
    atomic_write(tmp_path / ("é" * 127), b"x")
    assert os.listdir(tmp_path) == ["é" * 127]


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    for name in ("a[1].bin", ".a[1].bin.0123abcd.part", ".b.bin.0123abcd.part", ".a[1].bin.mine.part"):
        (tmp_path / name).write_bytes(b"x")
    clear_parts(tmp_path / "a[1].bin")
    assert sorted(os.listdir(tmp_path)) == [".a[1].bin.mine.part", ".b.bin.0123abcd.part", "a[1].bin"]


def test_a_folder_is_held_by_one_and_let_go(tmp_path):
    """Another process is another opening of the folder, to the system's lock."""
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert hold(tmp_path) is None
    os.close(handle)  # as the end of a process does
    mine = hold(tmp_path)
    assert hold(tmp_path) is None
    mine.release()
    mine.release()  # once more changes nothing
    assert os.listdir(tmp_path) == []
    hold(tmp_path).release()


def test_where_the_system_has_no_locks_threads_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    mine = hold(tmp_path)
    assert hold(tmp_path / ".") is None
    mine.release()
    hold(tmp_path).release()
