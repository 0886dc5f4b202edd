"""Histories that keep to the protocol in memory, and folders whose users die: what models of push and pull are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.segment import Applied, Segment, SegmentError
from coiled_runtime_cli.sync.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REVISION = "a7c9a77d8d2b"
TODAY = date(2026, 11, 23)


class Killed(BaseException):
    """The process was killed there."""


def a_session(name: str, runs: int = 2, day: date | None = date(2026, 11, 20)) -> Segment:
    return Segment(
        revision=REVISION,
        session={"id": name, "started": None if day is None else f"{day}T03:00:00.000000Z"},
        tables={"run": [{"uuid": f"{name}-{number}", "duration": 1.5} for number in range(runs)]},
    )


@dataclass
class Machine:
    """Marks and rows come together: whole sessions or nothing."""

    sessions: dict[str, Segment] = field(default_factory=dict)
    pushed: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    seen: tuple[str, date] | None = None
    applications: int = 0

    def measure(self, name: str, day: date | None = date(2026, 11, 20)) -> None:
        self.sessions[name] = a_session(name, day=day)

    def pending(self) -> dict[str, date | None]:
        found = {}
        for name, each in self.sessions.items():
            if name not in self.pushed:
                started = each.session["started"]
                found[name] = None if started is None else date.fromisoformat(started[:10])
        return found

    def segment(self, session: str) -> Segment:
        return self.sessions[session]

    def mark_pushed(self, keys: Mapping[str, str]) -> None:
        self.pushed.update(keys)
        self.keys.update(keys.values())

    def applied(self) -> frozenset[str]:
        return frozenset(self.keys)

    def apply(self, segments: Sequence[tuple[str, Segment]]) -> list[Applied | SegmentError]:
        return [self._apply(key, segment) for key, segment in segments]

    def _apply(self, key: str, segment: Segment) -> Applied | SegmentError:
        if segment.revision != REVISION:
            return SegmentError(f"it is of schema {segment.revision}")
        self.applications += 1
        known = segment.id in self.sessions
        self.sessions[segment.id] = segment
        self.pushed[segment.id] = key
        self.keys.add(key)
        runs = len(segment.tables["run"])
        return Applied(new=0 if known else runs, known=runs if known else 0)

    def catalog(self) -> tuple[str, date] | None:
        return self.seen

    def saw_catalog(self, etag: str, through: date) -> None:
        self.seen = etag, through

    def snapshot(self, target: Path, first: date | None) -> int:
        kept = [name for name, each in sorted(self.sessions.items()) if _is_kept(each, first)]
        target.write_text("\n".join(kept))
        return 2 * len(kept)

    def runs(self) -> int:
        return 2 * len(self.sessions)


def _is_kept(segment: Segment, first: date | None) -> bool:
    started = segment.session["started"]
    return first is None or started is None or date.fromisoformat(started[:10]) >= first


class Dying(FolderStore):
    """A folder whose user is killed at one of its requests: before it is made, or after, when nobody hears the answer."""

    def __init__(self, root: Path, at: int = -1, *, after: bool = False) -> None:
        super().__init__(root)
        self.left, self.after = at, after

    def put(self, key: str, content: bytes | Path, **rest: Any) -> bool:
        return bool(self._met(lambda: super(Dying, self).put(key, content, **rest)))

    def get(self, key: str, *, limit: int) -> bytes:
        return bytes(self._met(lambda: super(Dying, self).get(key, limit=limit)))

    def head(self, key: str) -> Any:
        return self._met(lambda: super(Dying, self).head(key))

    def delete(self, key: str) -> None:
        self._met(lambda: super(Dying, self).delete(key))

    def _met(self, ask: Any) -> Any:
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Killed
        answer = ask()
        if self.left == -1:
            raise Killed
        return answer
