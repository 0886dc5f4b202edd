"""The protocol under any interleaving: machines that measure, push, pull and publish, and are killed anywhere."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from machines import TODAY, Dying, Killed, Machine

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import Policy
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.publish import KEY, Options, publish
from coiled_runtime_cli.sync.pull import ARCHIVE, pull
from coiled_runtime_cli.sync.push import push

#: Starts of sessions: young ones, late ones, ones at every edge, and one that nobody knows.
DAYS = st.sampled_from([TODAY - timedelta(days=each) for each in (0, 6, 7, 8, 13, 14, 15, 40, 98, 120)] + [None])
DEATHS = st.integers(-1, 8)


def options(keep: Policy | None = None) -> Options:
    return Options(inspect=lambda _: None, knows={"r"}.__contains__, revision="r", keep=keep, pause=lambda _: None)


class AnyInterleaving(RuleBasedStateMachine):
    machines = Bundle("machines")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="crt-remote-"))
        self.all: list[Machine] = []
        self.mirrors: list[Machine] = []
        self.measured = 0
        self.completed: set[str] = set()
        self.days: dict[str, date | None] = {}
        self.published: set[str] = set()
        self.keep = Policy()

    @initialize(target=machines)
    def begin(self) -> Any:
        self.all, self.mirrors = ([Machine() for _ in range(3)] for _ in range(2))
        return multiple(*self.all)

    @rule(machine=machines, day=DAYS)
    def measure(self, machine: Machine, day: date | None) -> None:
        self.measured += 1
        machine.measure(f"s{self.measured}", day)
        self.days[f"s{self.measured}"] = day

    @rule(one=machines, other=machines, day=DAYS)
    def measure_twice(self, one: Machine, other: Machine, day: date | None) -> None:
        """The journal of one session is stored on two machines, as of a CI job that ran again."""
        self.measured += 1
        for machine in (one, other):
            machine.measure(f"s{self.measured}", day)
        self.days[f"s{self.measured}"] = day

    @rule(machine=machines, at=DEATHS, after=st.booleans())
    def push(self, machine: Machine, at: int, after: bool) -> None:
        wanted = {each for each, day in machine.pending().items() if self.keep.keeps(day, TODAY)}
        with contextlib.suppress(Killed):
            push(Dying(self.root, at, after=after), machine, machine.pending(), TODAY)
            self.completed |= wanted

    @rule(machine=machines, at=DEATHS, after=st.booleans())
    def pull(self, machine: Machine, at: int, after: bool) -> None:
        expected = {each for each in self.completed if self.keep.keeps(self.days[each], TODAY)}
        with contextlib.suppress(Killed):
            pull(Dying(self.root, at, after=after), machine, TODAY)
            # whatever catalog there is, and whoever was killed while making one: nothing is overlooked
            assert expected <= set(machine.sessions)

    @rule(machine=machines, at=st.integers(-1, 14), after=st.booleans(), fresh=st.booleans())
    def publish(self, machine: Machine, at: int, after: bool, fresh: bool) -> None:
        mirror = Machine() if fresh else self.mirrors[self.all.index(machine)]
        with contextlib.suppress(Killed):
            publish(Dying(self.root, at, after=after), mirror, TODAY, options())

    @rule(days=st.sampled_from([90, 14, None]))
    def keep_other_days(self, days: int | None) -> None:
        policy = Policy(days)
        with contextlib.suppress(Killed):
            publish(FolderStore(self.root), Machine(), TODAY, options(policy))
        self.keep = policy
        self.published = self._in_published()

    @rule(machine=machines)
    def forget_marks(self, machine: Machine) -> None:
        """The local marks are lost: harmless."""
        machine.pushed.clear()
        machine.keys.clear()
        machine.seen = None

    def _in_published(self) -> set[str]:
        path = self.root / KEY
        return set(path.read_text().split()) if path.exists() else set()

    @invariant()
    def one_object_for_each_session(self) -> None:
        store = FolderStore(self.root)
        names = [core.parse_key(each.key) for each in store.list(core.PREFIX)]
        assert None not in names
        assert len({each.session for each in names if each}) == len(names)

    @invariant()
    def what_is_published_only_grows(self) -> None:
        now = self._in_published()
        kept = {each for each in self.published if self.keep.keeps(self.days[each], TODAY)}
        assert kept <= now
        self.published = now

    @invariant()
    def what_was_pushed_is_somewhere(self) -> None:
        store = FolderStore(self.root)
        names = [
            core.parse_key(each.key.removeprefix(ARCHIVE)) for each in (*store.list(core.PREFIX), *store.list(ARCHIVE))
        ]
        assert self.completed <= {each.session for each in names if each}

    def teardown(self) -> None:
        try:
            newcomer = Machine()
            pull(FolderStore(self.root), newcomer, TODAY)
            kept = {each for each in self.completed if self.keep.keeps(self.days[each], TODAY)}
            assert kept <= set(newcomer.sessions)
            assert newcomer.applications == len(newcomer.sessions)
            publish(FolderStore(self.root), Machine(), TODAY, options(Policy()))
            for machine in self.all:
                push(FolderStore(self.root), machine, machine.pending(), TODAY)
            for machine in (*self.all, newcomer):
                pull(FolderStore(self.root), machine, TODAY, archived=True)
            everything = set().union(*(machine.sessions for machine in self.all)) if self.all else set()
            assert all(set(machine.sessions) == everything for machine in (*self.all, newcomer))
        finally:
            shutil.rmtree(self.root)


AnyInterleaving.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyInterleaving = AnyInterleaving.TestCase
