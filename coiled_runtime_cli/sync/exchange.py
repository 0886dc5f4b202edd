"""Push and pull: sessions become objects that never change, and objects become sessions. No step of it waits for another's.

What is done is marked after it is done, so whoever is killed in between does it again, and finds it done: an object that is
there already has these very bytes, and a segment that was applied adds nothing.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.segment import NewerSegmentError, SegmentError
from coiled_runtime_cli.sync.store import MissingObjectError, OversizedObjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from coiled_runtime_cli.core.segment import Applied, Segment
    from coiled_runtime_cli.sync.store import Store

    #: Told what is done, what there is in all, and what is being done.
    Progress = Callable[[int, int, str], None]

#: Objects that are fetched at once, and how often a listing is asked for again when one of its objects has gone.
_AT_ONCE, _LISTINGS = 16, 5


class History(Protocol):
    """The database, as far as push and pull know it."""

    def unpushed(self) -> Sequence[str]:
        """Ids of the finished sessions that no push has marked."""

    def segment(self, session: str) -> Segment:
        """A session with all that belongs to it."""

    def mark_pushed(self, session: str, key: str) -> None:
        """Remember that the segment of a session is in the remote."""

    def applied(self) -> frozenset[str]:
        """Keys of the segments that are in the database."""

    def apply(self, key: str, segment: Segment) -> Applied:
        """Store a segment, with the mark that it is; both or neither. Raises SegmentError."""


@dataclass(slots=True)
class Pushed:
    """``segments`` are new in the remote, ``known`` were there already; ``size`` is in bytes, as they were sent."""

    segments: int = 0
    known: int = 0
    runs: int = 0
    size: int = 0


@dataclass(slots=True)
class Pulled:
    """``refused`` and ``newer`` are keys of segments that were not applied, with the reason of each."""

    segments: int = 0
    runs: int = 0
    size: int = 0
    conflicts: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    newer: dict[str, str] = field(default_factory=dict)


def push(
    store: Store, history: History, sessions: Iterable[str], *, dry_run: bool = False, progress: Progress | None = None
) -> Pushed:
    """Put the segment of each session where all can read it. Nothing is read from the remote."""
    pushed = Pushed()
    wanted = list(sessions)
    for done, session in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted), f"{pushed.runs:,} runs, {pushed.size:,} bytes")
        segment = history.segment(session)
        raw = core.to_bytes(segment)
        key, packed = core.key_of(segment, raw), core.pack(raw)
        if dry_run or store.put(key, packed, absent=True):
            pushed.segments += 1
            pushed.runs += len(segment.tables.get("run", ()))
            pushed.size += len(packed)
        else:
            pushed.known += 1
        if not dry_run:
            history.mark_pushed(session, key)
    if progress is not None:
        progress(len(wanted), len(wanted), f"{pushed.runs:,} runs, {pushed.size:,} bytes")
    return pushed


def pull(store: Store, history: History, *, dry_run: bool = False, progress: Progress | None = None) -> Pulled:
    """Fetch and apply what the database has not. What cannot be applied is told, and the rest is applied all the same."""
    pulled = Pulled()
    done = 0
    for _ in range(_LISTINGS):
        missing = _missing(store, history, pulled)
        gone = False
        if dry_run:
            pulled.segments += len(missing)
            pulled.size += sum(missing.values())
            return pulled
        for key, packed in _fetched(store, list(missing)):
            if progress is not None:
                progress(done, done + len(missing), f"{pulled.runs:,} runs, {pulled.size:,} bytes")
            if packed is None:
                gone = True  # archived since the listing: a new one tells where it is
                continue
            _apply(history, key, packed, pulled)
            done += 1
        if not gone:
            break
    return pulled


def _missing(store: Store, history: History, pulled: Pulled) -> dict[str, int]:
    """Keys and sizes of the segments in the remote that the database has not, but for those that were refused."""
    applied = history.applied()
    missing = {}
    for each in store.list(core.PREFIX):
        if each.key in applied or each.key in pulled.refused or each.key in pulled.newer:
            continue
        if core.parse_key(each.key) is None:
            pulled.refused[each.key] = "its name is none of a segment"
        elif each.size > core.MOST_PACKED:
            pulled.refused[each.key] = f"it has {each.size:,} bytes, more than {core.MOST_PACKED:,}"
        else:
            missing[each.key] = each.size
    return missing


def _fetched(store: Store, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Contents in the order of the keys, some ahead of their turn; None for what is not there any more."""

    def fetch(key: str) -> bytes | None:
        try:
            return store.get(key, limit=core.MOST_PACKED)
        except MissingObjectError:
            return None
        except OversizedObjectError:
            return b""  # it has grown since the listing: no segment does

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(keys), 4 * _AT_ONCE):
            chunk = keys[start : start + 4 * _AT_ONCE]
            yield from zip(chunk, pool.map(fetch, chunk), strict=True)


def _apply(history: History, key: str, packed: bytes, pulled: Pulled) -> None:
    try:
        segment = core.from_bytes(core.unpack(key, packed))
        name = core.parse_key(key)
        if name is None or core.session_part(segment.id) != name.session:
            raise SegmentError("it is another session's than its name says")  # noqa: TRY301 - one place tells of all
        applied = history.apply(key, segment)
    except NewerSegmentError as error:
        pulled.newer[key] = str(error)
    except SegmentError as error:
        pulled.refused[key] = str(error)
    else:
        pulled.segments += 1
        pulled.runs += applied.new
        pulled.size += len(packed)
        pulled.conflicts += itertools.filterfalse(pulled.conflicts.__contains__, applied.conflicts)
