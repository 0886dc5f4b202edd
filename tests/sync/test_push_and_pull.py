"""Push and pull against stores: what every interleaving, crash and repetition must leave."""

from __future__ import annotations

import contextlib
import gzip
import shutil
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from machines import TODAY, Machine, a_session

from coiled_runtime_cli.core import catalog as catalogs
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import Policy
from coiled_runtime_cli.core.segment import Segment
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.policy import write_policy
from coiled_runtime_cli.sync.pull import ARCHIVE, pull
from coiled_runtime_cli.sync.push import push, write_catalog

if TYPE_CHECKING:
    from pathlib import Path


def test_a_session_is_one_object_and_comes_back_as_it_was(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a")
    one.measure("b")
    told = push(store, one, one.pending(), TODAY)
    assert (told.segments, told.known, told.runs) == (2, 0, 4)
    assert store.usage.requests == 2  # one for each session, however long the history is
    assert told.size == store.usage.sent
    reader = FolderStore(tmp_path)
    got = pull(reader, other, TODAY)
    assert (got.segments, got.runs, got.refused, got.newer) == (2, 4, {}, {})
    assert {name: core.to_bytes(each) for name, each in other.sessions.items()} == {
        name: core.to_bytes(each) for name, each in one.sessions.items()
    }
    assert other.pending() == {}
    before = reader.usage.requests
    assert pull(reader, other, TODAY).segments == 0
    assert reader.usage.requests - before == 2  # nothing new costs two: the catalog's etag, and a listing
    assert push(store, one, one.pending(), TODAY).segments == 0


def test_pushed_twice_or_by_two_machines_is_once(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for machine in (one, other):
        machine.measure("a")
    assert push(store, one, {"a": date(2026, 11, 20)}, TODAY).segments == 1
    again, elsewhere = (push(store, each, {"a": date(2026, 11, 20)}, TODAY) for each in (one, other))
    assert (again.segments, elsewhere.known) == (0, 1)
    assert len(list(store.list(""))) == 1
    assert other.pending() == {}


def test_a_dry_run_does_nothing_but_count(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a")
    told = push(store, one, {"a": date(2026, 11, 20)}, TODAY, dry_run=True)
    assert told.segments == 1
    assert list(store.list("")) == []
    assert list(one.pending()) == ["a"]
    push(store, one, {"a": date(2026, 11, 20)}, TODAY)
    got = pull(store, other, TODAY, dry_run=True)
    assert (got.segments, got.size) == (1, told.size)
    assert not other.sessions


def test_what_cannot_be_applied_is_told_and_the_rest_is_applied(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for name in ("a", "b", "c"):
        one.measure(name)
    push(store, one, one.pending(), TODAY)
    good = one.pushed["a"]
    (tmp_path / one.pushed["b"]).write_bytes(b"garbage")
    wrong = (tmp_path / good).with_name(f"z-{core.parse_key(good).hash}.jsonl.gz")  # type: ignore[union-attr]
    shutil.copyfile(tmp_path / good, wrong)  # the right content under another session's name
    (tmp_path / "segments" / "v1" / "notes.txt").write_text("mine")
    future = Segment(revision="ffffffffffff", session={"id": "f", "started": None}, tables={"run": [{"uuid": "u"}]})
    raw = core.to_bytes(future)
    store.put(core.key_of(future, raw), core.pack(raw))
    newer = core.to_bytes(a_session("n")).replace(b'"version":1', b'"version":2')
    store.put(core.key_of(a_session("n"), newer), core.pack(newer))
    got = pull(store, other, TODAY)
    assert set(other.sessions) == {"a", "c"}
    assert len(got.refused) == 4
    assert "unpacked" in got.refused[one.pushed["b"]]
    assert got.refused["segments/v1/notes.txt"] == "its name is none of a segment"
    assert any("another session" in reason for reason in got.refused.values())
    assert list(got.newer.values()) == ["it is of version 2, and this crt reads version 1"]


def test_what_was_archived_after_the_listing_is_looked_for_again(tmp_path: Path) -> None:
    one, other = Machine(), Machine()
    for name in ("a", "b"):
        one.measure(name)
    push(FolderStore(tmp_path), one, one.pending(), TODAY)

    class Moving(FolderStore):
        def get(self, key: str, *, limit: int) -> bytes:
            with contextlib.suppress(FileNotFoundError):
                (tmp_path / one.pushed["a"]).unlink()
            return super().get(key, limit=limit)

    got = pull(Moving(tmp_path), other, TODAY)
    assert set(other.sessions) == {"b"}
    assert (got.segments, got.refused) == (1, {})


def test_a_remote_that_cannot_be_reached_loses_nothing(tmp_path: Path) -> None:
    one = Machine()
    one.measure("a")
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteError):
        push(FolderStore(tmp_path / "file" / "x"), one, one.pending(), TODAY)
    assert list(one.pending()) == ["a"]


def test_a_session_that_nobody_stored_is_not_pushed(answering: Any) -> None:
    for statuses in ({}, {"PUT": 412}):  # a proxy that knows no such path, and one that refuses what is not there
        one = Machine()
        one.measure("a")
        with pytest.raises(RemoteError):
            push(answering(statuses), one, one.pending(), TODAY)
        assert list(one.pending()) == ["a"]


def test_how_much_there_is_to_fetch_is_known_from_the_beginning(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for number in range(70):
        one.measure(f"session-{number}")
    push(store, one, one.pending(), TODAY)
    told: list[tuple[int, int]] = []
    pull(store, other, TODAY, progress=lambda done, total, *_: told.append((done, total)))
    assert told == [(0, 70), (32, 70), (64, 70), (70, 70)]


def test_a_dry_run_counts_what_is_archived_too(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for name in ("a", "b"):
        one.measure(name)
    push(store, one, one.pending(), TODAY)
    (tmp_path / ARCHIVE / one.pushed["a"]).parent.mkdir(parents=True)
    (tmp_path / one.pushed["a"]).rename(tmp_path / ARCHIVE / one.pushed["a"])
    (tmp_path / ARCHIVE / "segments" / "v1" / "notes.txt").write_text("mine")
    told = pull(store, other, TODAY, archived=True, dry_run=True)
    assert not other.sessions
    assert pull(store, other, TODAY, dry_run=True).segments == 1
    got = pull(store, other, TODAY, archived=True)
    assert set(other.sessions) == {"a", "b"}
    assert (told.segments, told.size, told.refused) == (got.segments, got.size, got.refused)
    assert list(got.refused) == ["segments/v1/notes.txt"]
    assert pull(store, other, TODAY, archived=True).segments == 0


OLD = date(2026, 6, 1)


def test_a_catalog_saves_listing_what_is_old(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for number in range(5):
        one.measure(f"old-{number}", OLD + timedelta(days=number))
        one.measure(f"young-{number}", TODAY - timedelta(days=number))
    push(store, one, one.pending(), TODAY)
    assert write_catalog(store, TODAY, Policy())
    listed: list[str] = []

    class Listening(FolderStore):
        def list(self, prefix: str, *, after: str = "") -> Any:
            found = list(super().list(prefix, after=after))
            listed.extend(each.key for each in found)
            return iter(found)

    reader = Listening(tmp_path)
    assert pull(reader, other, TODAY).segments == 10
    assert reader.usage.requests == 4 + 10  # etag, catalog, listing, policy, and one for each segment
    assert len(listed) == 5  # the young ones alone
    before = reader.usage.requests
    assert pull(reader, other, TODAY).segments == 0
    assert reader.usage.requests - before == 2
    one.measure("new", TODAY)
    push(store, one, one.pending(), TODAY)
    assert pull(reader, other, TODAY).segments == 1
    assert set(other.sessions) == set(one.sessions)


def test_what_is_pushed_late_is_seen_in_spite_of_a_catalog(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a", OLD)
    push(store, one, one.pending(), TODAY)
    write_catalog(store, TODAY, Policy())
    pull(store, other, TODAY)
    assert other.seen is not None
    one.measure("b", OLD)
    push(store, one, one.pending(), TODAY)
    assert catalogs.read(store.get(catalogs.KEY, limit=10_000)) is None
    assert pull(store, other, TODAY).segments == 1

    # a catalog that was begun before the late session came must not hide it: it is refused
    class Slow(FolderStore):
        def list(self, prefix: str, *, after: str = "") -> Any:
            found = list(super().list(prefix, after=after))
            one.measure("c", OLD)
            push(store, one, one.pending(), TODAY)
            return iter(found)

    assert not write_catalog(Slow(tmp_path), TODAY, Policy())
    assert pull(store, other, TODAY).segments == 1
    assert set(other.sessions) == {"a", "b", "c"}


def test_a_catalog_that_is_damaged_or_hostile_is_not_needed(tmp_path: Path) -> None:
    one, store = Machine(), FolderStore(tmp_path)
    one.measure("a", OLD)
    push(store, one, one.pending(), TODAY)
    good = catalogs.Catalog.of({one.pushed["a"]: 10}, TODAY, Policy())
    for content in (
        b"",
        b"garbage",
        good.to_bytes()[:-9],
        catalogs.Catalog(TODAY, {"segments/v1/../../etc/passwd": 1}).to_bytes(),
        catalogs.Catalog(TODAY, {one.pushed["a"]: -1}).to_bytes(),
    ):
        store.put(catalogs.KEY, content)
        other = Machine()
        assert pull(store, other, TODAY).segments == 1, content
        assert other.seen is None
    assert catalogs.read(good.to_bytes()) == good


def test_what_a_catalog_names_and_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for name in ("a", "b"):
        one.measure(name, OLD)
    push(store, one, one.pending(), TODAY)
    write_catalog(store, TODAY, Policy())
    store.delete(one.pushed["a"])
    got = pull(store, other, TODAY)
    assert (got.segments, got.refused, set(other.sessions)) == (1, {}, {"b"})
    assert other.seen is None


def test_what_is_older_than_the_remote_keeps_is_neither_pushed_nor_pulled(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for name, day in (("old", OLD), ("young", TODAY), ("timeless", None)):
        one.measure(name, day)
    push(store, one, one.pending(), TODAY)
    write_policy(store, Policy(90))
    assert pull(store, other, TODAY).segments == 2
    assert set(other.sessions) == {"young", "timeless"}
    one.measure("old too", OLD)
    told = push(store, one, one.pending(), TODAY)
    assert (told.segments, told.known, told.expired) == (0, 0, 1)
    assert list(one.pending()) == ["old too"]
    write_policy(store, Policy())
    assert pull(store, other, TODAY).segments == 1
    assert push(store, one, one.pending(), TODAY).segments == 1
    store.put("retention.json", b'{"keep_days": "all"}')
    one.measure("old three", OLD)
    with pytest.raises(RemoteError, match="says not how long"):
        push(store, one, one.pending(), TODAY)


def test_young_sessions_are_pushed_without_a_question(tmp_path: Path) -> None:
    one, store = Machine(), FolderStore(tmp_path)
    write_policy(store, Policy(90))
    for number in range(3):
        one.measure(f"a{number}", TODAY)
    before = store.usage.requests
    push(store, one, one.pending(), TODAY)
    assert store.usage.requests - before == 3


def test_a_large_push_of_old_sessions_leaves_a_catalog(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for number in range(520):
        one.measure(f"a{number}", OLD)
    push(store, one, one.pending(), TODAY)
    found = catalogs.read(store.get(catalogs.KEY, limit=10**6))
    assert found is not None
    assert len(found.sizes) == 520
    assert pull(store, other, TODAY).segments == 520
    before = store.usage.requests
    pull(store, other, TODAY)
    assert store.usage.requests - before == 2


def test_what_a_broken_upload_has_left_is_replaced(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a")
    push(store, one, one.pending(), TODAY)
    whole = (tmp_path / one.pushed["a"]).read_bytes()
    for left in (b"", whole[:-20], whole + b"more"):
        (tmp_path / one.pushed["a"]).write_bytes(left)
        again = Machine(sessions=one.sessions)
        told = push(store, again, again.pending(), TODAY)
        assert (told.segments, told.known) == (1, 0)
        assert (tmp_path / one.pushed["a"]).read_bytes() == whole
    # another zlib packs the same content otherwise
    raw = core.unpack(one.pushed["a"], whole)
    other_zlib = gzip.compress(raw, compresslevel=1, mtime=0)
    assert len(other_zlib) != len(whole)
    (tmp_path / one.pushed["a"]).write_bytes(other_zlib)
    again = Machine(sessions=one.sessions)
    told = push(store, again, again.pending(), TODAY)
    assert (told.segments, told.known) == (0, 1)
    assert pull(store, other, TODAY).segments == 1
