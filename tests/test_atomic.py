"""Files that are written whole or not at all, and what is no file."""

import os
import stat
import threading

import pytest

from coiled_runtime_cli import atomic


def by_stream(file, content):
    with atomic.replacing(file) as stream:
        stream.write(content)


def half_written(file):
    with atomic.replacing(file) as stream:
        stream.write(b"new")
        raise RuntimeError


WAYS = pytest.mark.parametrize("write", [atomic.write, by_stream])


@WAYS
def test_a_file_is_replaced_and_nothing_is_left_beside_it(write, tmp_path):
    file = tmp_path / "a file"
    for content in (b"one", b"two"):
        write(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@WAYS
def test_a_link_stays_and_what_it_leads_to_is_replaced(write, tmp_path):
    (tmp_path / "there").mkdir()
    target, link, other = tmp_path / "there" / "file", tmp_path / "link", tmp_path / "other"
    link.symlink_to("there/file")
    other.symlink_to(link)
    write(other, b"made through a link that leads nowhere yet")
    write(other, b"content")
    assert (link.is_symlink(), other.is_symlink(), target.read_bytes()) == (True, True, b"content")
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "link", "other", "there"]


@WAYS
def test_what_is_no_file_is_written_into_and_stays_what_it_is(write, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"content")
    reader.join(timeout=30)
    assert read == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@WAYS
def test_an_open_file_that_the_system_names_is_written_into(write, tmp_path):
    with (tmp_path / "output").open("wb") as stream:
        link = tmp_path / "stdout"
        link.symlink_to(f"/proc/self/fd/{stream.fileno()}")
        if not link.exists():
            pytest.skip("no /proc here")
        inode = os.fstat(stream.fileno()).st_ino
        write(link, b"content")
    assert (tmp_path / "output").read_bytes() == b"content"
    assert (tmp_path / "output").stat().st_ino == inode


@WAYS
def test_a_folder_is_refused(write, tmp_path):
    with pytest.raises(IsADirectoryError):
        write(tmp_path, b"content")


@WAYS
def test_links_in_a_circle_are_refused(write, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a", b"content")


def test_what_fails_midway_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        half_written(file)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_permissions_are_those_of_the_file_that_is_replaced_or_of_a_new_one(tmp_path):
    file, fresh = tmp_path / "file", tmp_path / "fresh"
    file.write_bytes(b"old")
    file.chmod(0o640)
    by_stream(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    by_stream(fresh, b"new")
    (tmp_path / "plain").write_bytes(b"")
    assert fresh.stat().st_mode == (tmp_path / "plain").stat().st_mode
