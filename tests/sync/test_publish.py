"""The published database, retention and the archive, on folders."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from machines import TODAY, Machine

from coiled_runtime_cli.core import catalog as catalogs
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import Policy
from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.sync import verify as verification
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.policy import read_policy
from coiled_runtime_cli.sync.publish import KEY, Options, publish
from coiled_runtime_cli.sync.pull import ARCHIVE, pull
from coiled_runtime_cli.sync.push import push

if TYPE_CHECKING:
    from pathlib import Path

OLD = TODAY - timedelta(days=100)


def ours(_copy: Path) -> None:
    """The one that lies there may be replaced."""


def options(**more: Any) -> Options:
    return Options(**{"inspect": ours, "knows": {"r"}.__contains__, "revision": "r", "pause": lambda _: None, **more})


def published(root: Path) -> set[str]:
    return set((root / KEY).read_text().split())


def shared(root: Path, **sessions: date | None) -> Machine:
    machine = Machine()
    for name, day in sessions.items():
        machine.measure(name, day)
    push(FolderStore(root), machine, machine.pending(), TODAY)
    return machine


def test_everything_that_was_pushed_is_published(tmp_path: Path) -> None:
    shared(tmp_path, a=OLD, b=TODAY, c=None)
    mirror = Machine()
    done = publish(FolderStore(tmp_path), mirror, TODAY, options())
    assert published(tmp_path) == {"a", "b", "c"}
    assert (done.runs, done.archived, done.has_catalog) == (6, 0, True)
    shared(tmp_path, d=TODAY)
    publish(FolderStore(tmp_path), Machine(), TODAY, options())  # another machine, whose mirror is empty
    assert published(tmp_path) == {"a", "b", "c", "d"}


def test_of_two_publishers_none_undoes_the_other_s_work(tmp_path: Path) -> None:
    shared(tmp_path, a=TODAY)
    mirror = Machine()

    class Slow(FolderStore):
        """While this one writes, another session comes, and another publisher is faster."""

        races = 2

        def put(self, key: str, content: bytes | Path, **rest: Any) -> bool:
            if key == KEY and self.races:
                Slow.races -= 1
                shared(tmp_path, **{f"late{self.races}": TODAY})
                publish(FolderStore(tmp_path), Machine(), TODAY, options())
            return super().put(key, content, **rest)

    publish(Slow(tmp_path), mirror, TODAY, options())
    assert published(tmp_path) == {"a", "late0", "late1"}

    class Hopeless(Slow):
        races = 99

    Slow.races = 99
    with pytest.raises(RemoteError, match="other publishers were faster"):
        publish(Slow(tmp_path), mirror, TODAY, options())


def test_a_store_without_conditional_writes_needs_a_word(tmp_path: Path) -> None:
    shared(tmp_path, a=OLD)

    class Careless(FolderStore):
        def put(self, key: str, content: bytes | Path, **rest: Any) -> bool:
            return super().put(key, content, metadata=rest.get("metadata"))

    with pytest.raises(UsageError, match="no conditional writes"):
        publish(Careless(tmp_path), Machine(), TODAY, options())
    assert not (tmp_path / KEY).exists()
    done = publish(Careless(tmp_path), Machine(), TODAY, options(single_publisher=True))
    assert (done.is_conditional, done.has_catalog) == (False, False)
    assert published(tmp_path) == {"a"}
    other = Machine()
    assert pull(FolderStore(tmp_path), other, TODAY).segments == 1


def test_what_crt_did_not_publish_is_not_overwritten(tmp_path: Path) -> None:
    shared(tmp_path, a=TODAY)
    (tmp_path / KEY).write_text("precious")

    def refuse(copy: Path) -> None:
        assert copy.read_text() == "precious"
        raise UsageError("not ours")

    with pytest.raises(UsageError, match="not ours"):
        publish(FolderStore(tmp_path), Machine(), TODAY, options(inspect=refuse))
    assert (tmp_path / KEY).read_text() == "precious"
    publish(FolderStore(tmp_path), Machine(), TODAY, options(inspect=refuse, replace=True))
    assert published(tmp_path) == {"a"}


def test_a_history_that_is_newer_is_not_published_by_an_older_crt(tmp_path: Path) -> None:
    machine = shared(tmp_path, a=TODAY)
    raw = core.to_bytes(machine.sessions["a"]).replace(b'"version":1', b'"version":2')
    FolderStore(tmp_path).put(core.key_of(machine.sessions["a"], raw), core.pack(raw))
    with pytest.raises(RemoteError, match="is of version 2"):
        publish(FolderStore(tmp_path), Machine(), TODAY, options())
    assert not (tmp_path / KEY).exists()


def test_retention_archives_after_a_time_of_grace_and_deletes_only_on_request(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    days = {"kept": 89, "graceful": 92, "old": 99, "older": 106}
    machine = shared(tmp_path, **{name: TODAY - timedelta(days=days_ago) for name, days_ago in days.items()})
    done = publish(store, Machine(), TODAY, options(keep=Policy(90)))
    assert published(tmp_path) == {"kept"}
    assert read_policy(store) == Policy(90)
    assert (done.archived, done.deleted) == (2, 0)
    keys = {each.key for each in store.list(core.PREFIX)}
    assert keys == {machine.pushed["kept"], machine.pushed["graceful"]}
    assert {each.key for each in store.list(ARCHIVE)} == {ARCHIVE + machine.pushed[name] for name in ("old", "older")}
    found = catalogs.read(store.get(catalogs.KEY, limit=10**6))
    assert found is not None
    assert set(found.sizes) == {machine.pushed["kept"]}
    # the policy stays until another is given, and what is archived is not pushed again
    assert publish(store, Machine(), TODAY, options()).archived == 0
    assert push(store, Machine(sessions=machine.sessions), machine_pending(machine), TODAY).expired == 3
    reader = Machine()
    assert pull(store, reader, TODAY).segments == 1
    assert pull(store, reader, TODAY, archived=True).segments == 3
    assert set(reader.sessions) == set(days)
    # nothing is lost, as far as those are concerned who pushed it
    there = {each.key for each in store.list("")}
    assert verification.lost(store, machine.pushed, there, TODAY) == {}
    done = publish(store, Machine(), TODAY, options(delete_archived=True))
    assert done.deleted == 1
    assert {each.key for each in store.list(ARCHIVE)} == {ARCHIVE + machine.pushed["old"]}
    assert verification.lost(store, machine.pushed, {each.key for each in store.list("")}, TODAY) == {}
    assert publish(store, Machine(), TODAY, options(keep=Policy())).policy == Policy()
    assert published(tmp_path) == {"kept", "graceful", "old"}  # what is kept again came back from the archive


def machine_pending(machine: Machine) -> dict[str, date | None]:
    return Machine(sessions=machine.sessions).pending()


def test_verify_names_what_is_damaged_and_lost_and_moves_it_aside(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    machine = shared(tmp_path, a=TODAY, b=TODAY, c=TODAY, d=OLD)
    publish(store, Machine(), TODAY, options())
    clean = verification.verify(store, machine.pushed, TODAY)
    assert (clean.segments, clean.runs, clean.damaged, clean.lost) == (4, 8, {}, {})
    (tmp_path / machine.pushed["a"]).write_bytes(b"")
    (tmp_path / machine.pushed["b"]).unlink()
    (tmp_path / "segments/v1/2026-11-20").mkdir(exist_ok=True)
    (tmp_path / "segments/v1/2026-11-20/evil.jsonl.gz").write_bytes(b"x")
    found = verification.verify(store, machine.pushed, TODAY)
    assert found.segments == 2
    assert set(found.damaged) == {machine.pushed["a"], "segments/v1/2026-11-20/evil.jsonl.gz"}
    assert found.lost == {"b": machine.pushed["b"]}
    verification.quarantine(store, found)
    assert sorted(found.moved) == sorted(found.damaged)
    assert {each.key for each in store.list("quarantine/")} == {f"quarantine/{key}" for key in found.damaged}
    other = Machine()
    got = pull(store, other, TODAY)
    assert (set(other.sessions), got.refused) == ({"c", "d"}, {})
    # an intact copy takes its place again
    again = Machine(sessions=machine.sessions)
    assert push(store, again, again.pending(), TODAY).segments == 2
    assert pull(store, other, TODAY).segments == 2
