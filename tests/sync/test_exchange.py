"""Push and pull against stores: what every interleaving, crash and repetition must leave."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.segment import Applied, Segment, SegmentError
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.sync.exchange import pull, push
from coiled_runtime_cli.sync.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Sequence

REVISION = "a7c9a77d8d2b"


class Killed(BaseException):
    """The process was killed there."""


def a_session(name: str, runs: int = 2) -> Segment:
    return Segment(
        revision=REVISION,
        session={"id": name, "started": "2026-11-20T03:00:00.000000Z"},
        tables={"run": [{"uuid": f"{name}-{number}", "duration": 1.5} for number in range(runs)]},
    )


@dataclass
class Machine:
    """A history that keeps to its protocol: marks and rows come together, whole sessions or nothing."""

    sessions: dict[str, Segment] = field(default_factory=dict)
    pushed: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    applications: int = 0

    def measure(self, name: str) -> None:
        self.sessions[name] = a_session(name)

    def unpushed(self) -> Sequence[str]:
        return sorted(set(self.sessions) - set(self.pushed))

    def segment(self, session: str) -> Segment:
        return self.sessions[session]

    def mark_pushed(self, session: str, key: str) -> None:
        self.pushed[session] = key
        self.keys.add(key)

    def applied(self) -> frozenset[str]:
        return frozenset(self.keys)

    def apply(self, key: str, segment: Segment) -> Applied:
        if segment.revision != REVISION:
            raise SegmentError(f"it is of schema {segment.revision}")
        self.applications += 1
        known = segment.id in self.sessions
        self.sessions[segment.id] = segment
        self.pushed[segment.id] = key
        self.keys.add(key)
        runs = len(segment.tables["run"])
        return Applied(new=0 if known else runs, known=runs if known else 0)


class Dying(FolderStore):
    """A folder whose user is killed at one of its requests: before it is made, or after, when nobody hears the answer."""

    def __init__(self, root: Path, at: int = -1, *, after: bool = False) -> None:
        super().__init__(root)
        self.left, self.after = at, after

    def put(self, key: str, content: bytes | Path, **rest: Any) -> bool:
        return bool(self._met(lambda: super(Dying, self).put(key, content, **rest)))

    def get(self, key: str, *, limit: int) -> bytes:
        return bytes(self._met(lambda: super(Dying, self).get(key, limit=limit)))

    def _met(self, ask: Any) -> Any:
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Killed
        answer = ask()
        if self.left == -1:
            raise Killed
        return answer


def test_a_session_is_one_object_and_comes_back_as_it_was(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a")
    one.measure("b")
    told = push(store, one, one.unpushed())
    assert (told.segments, told.known, told.runs) == (2, 0, 4)
    assert store.usage.requests == 2  # one for each session, however long the history is
    assert told.size == store.usage.sent
    reader = FolderStore(tmp_path)
    got = pull(reader, other)
    assert (got.segments, got.runs, got.refused, got.newer) == (2, 4, {}, {})
    assert {name: core.to_bytes(each) for name, each in other.sessions.items()} == {
        name: core.to_bytes(each) for name, each in one.sessions.items()
    }
    assert other.unpushed() == []
    before = reader.usage.requests
    assert pull(reader, other).segments == 0
    assert reader.usage.requests - before == 1  # nothing new costs one question
    assert push(store, one, one.unpushed()).segments == 0


def test_pushed_twice_or_by_two_machines_is_once(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for machine in (one, other):
        machine.measure("a")
    assert push(store, one, ["a"]).segments == 1
    assert (push(store, one, ["a"]).segments, push(store, other, ["a"]).known) == (0, 1)
    assert len(list(store.list(""))) == 1
    assert other.unpushed() == []


def test_a_dry_run_does_nothing_but_count(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    one.measure("a")
    told = push(store, one, ["a"], dry_run=True)
    assert told.segments == 1
    assert list(store.list("")) == []
    assert one.unpushed() == ["a"]
    push(store, one, ["a"])
    got = pull(store, other, dry_run=True)
    assert (got.segments, got.size) == (1, told.size)
    assert not other.sessions


def test_what_cannot_be_applied_is_told_and_the_rest_is_applied(tmp_path: Path) -> None:
    one, other, store = Machine(), Machine(), FolderStore(tmp_path)
    for name in ("a", "b", "c"):
        one.measure(name)
    push(store, one, one.unpushed())
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
    got = pull(store, other)
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
    push(FolderStore(tmp_path), one, one.unpushed())

    class Moving(FolderStore):
        def get(self, key: str, *, limit: int) -> bytes:
            with contextlib.suppress(FileNotFoundError):
                (tmp_path / one.pushed["a"]).unlink()
            return super().get(key, limit=limit)

    got = pull(Moving(tmp_path), other)
    assert set(other.sessions) == {"b"}
    assert (got.segments, got.refused) == (1, {})


def test_a_remote_that_cannot_be_reached_loses_nothing(tmp_path: Path) -> None:
    one = Machine()
    one.measure("a")
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteError):
        push(FolderStore(tmp_path / "file" / "x"), one, one.unpushed())
    assert one.unpushed() == ["a"]


class AnyInterleaving(RuleBasedStateMachine):
    """Machines that measure, push and pull in any order, and are killed anywhere."""

    machines = Bundle("machines")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="crt-remote-"))
        self.all: list[Machine] = []
        self.measured = 0
        self.completed: set[str] = set()

    @initialize(target=machines)
    def begin(self) -> Any:
        self.all = [Machine() for _ in range(3)]
        return multiple(*self.all)

    @rule(machine=machines)
    def measure(self, machine: Machine) -> None:
        self.measured += 1
        machine.measure(f"s{self.measured}")

    @rule(one=machines, other=machines)
    def measure_twice(self, one: Machine, other: Machine) -> None:
        """The journal of one session is stored on two machines, as of a CI job that ran again."""
        self.measured += 1
        for machine in (one, other):
            machine.measure(f"s{self.measured}")

    @rule(machine=machines, at=st.integers(-1, 3), after=st.booleans())
    def push(self, machine: Machine, at: int, after: bool) -> None:
        wanted = set(machine.unpushed())
        with contextlib.suppress(Killed):
            push(Dying(self.root, at, after=after), machine, machine.unpushed())
            self.completed |= wanted

    @rule(machine=machines, at=st.integers(-1, 3), after=st.booleans())
    def pull(self, machine: Machine, at: int, after: bool) -> None:
        with contextlib.suppress(Killed):
            pull(Dying(self.root, at, after=after), machine)

    @rule(machine=machines)
    def forget_marks(self, machine: Machine) -> None:
        """The local marks are lost: harmless."""
        machine.pushed.clear()

    @invariant()
    def one_object_for_each_session(self) -> None:
        names = [core.parse_key(each.key) for each in FolderStore(self.root).list("")]
        assert None not in names
        assert len({each.session for each in names if each}) == len(names)

    def teardown(self) -> None:
        try:
            newcomer = Machine()
            pull(FolderStore(self.root), newcomer)
            assert self.completed <= set(newcomer.sessions)
            assert newcomer.applications == len(newcomer.sessions)
            for machine in self.all:
                push(FolderStore(self.root), machine, machine.unpushed())
            for machine in (*self.all, newcomer):
                pull(FolderStore(self.root), machine)
            everything = set().union(*(machine.sessions for machine in self.all)) if self.all else set()
            assert all(set(machine.sessions) == everything for machine in (*self.all, newcomer))
        finally:
            shutil.rmtree(self.root)


AnyInterleaving.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyInterleaving = AnyInterleaving.TestCase
