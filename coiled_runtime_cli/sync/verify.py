"""Verify: read everything that a remote holds, and say what of it cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import Policy, day_of
from coiled_runtime_cli.core.segment import NewerSegmentError, SegmentError
from coiled_runtime_cli.sync.policy import read_policy
from coiled_runtime_cli.sync.pull import ARCHIVE, checked
from coiled_runtime_cli.sync.push import void_catalog
from coiled_runtime_cli.sync.store import MissingObjectError, OversizedObjectError, at_once, is_safe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from coiled_runtime_cli.sync.history import Progress
    from coiled_runtime_cli.sync.store import Listed, Store

#: Where objects are put that nobody should read.
QUARANTINE = "quarantine/"

_PORTION = 64


@dataclass(slots=True)
class Verified:
    """``damaged`` and ``newer`` are keys with reasons; ``lost`` the keys, by session, that were pushed and are not there."""

    segments: int = 0
    archived: int = 0
    runs: int = 0
    size: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    newer: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)


def verify(store: Store, pushed: Mapping[str, str], today: date, *, progress: Progress | None = None) -> Verified:
    """Read each segment; ``pushed`` are the keys, by session, that should be there as long as they are kept."""
    verified = Verified()
    listed = [*store.list(core.PREFIX), *store.list(ARCHIVE + core.PREFIX)]
    done = 0
    for portion in _read(store, listed):
        for each, content in portion:
            _check(each.key, content, verified)
        done += len(portion)
        if progress is not None:
            progress(done, len(listed), verified.runs, verified.size)
    verified.lost = lost(store, pushed, {each.key for each in listed}, today)
    return verified


def lost(store: Store, pushed: Mapping[str, str], there: Collection[str], today: date) -> dict[str, str]:
    """The keys, by session, that were pushed and should still be there, and are neither there nor in the archive."""
    bare = {key.removeprefix(ARCHIVE) for key in there}
    gone = {session: key for session, key in pushed.items() if key not in bare}
    policy = read_policy(store) if gone else Policy()
    return {session: key for session, key in gone.items() if policy.keeps(day_of(key), today)}


def _read(store: Store, listed: Sequence[Listed]) -> Iterator[list[tuple[Listed, bytes | str | None]]]:
    """Each with its content, or with the reason why that is not read; None where it has gone meanwhile."""

    def read(each: Listed) -> bytes | str | None:
        if core.parse_key(each.key.removeprefix(ARCHIVE)) is None:
            return "its name is none of a segment"
        try:
            return store.get(each.key, limit=core.MOST_PACKED)
        except OversizedObjectError:
            return f"it has {each.size:,} bytes, more than {core.MOST_PACKED:,}"
        except MissingObjectError:
            return None  # archived since

    with at_once(store) as pool:
        for start in range(0, len(listed), _PORTION):
            portion = listed[start : start + _PORTION]
            yield list(zip(portion, pool.map(read, portion), strict=True))


def _check(key: str, content: bytes | str | None, verified: Verified) -> None:
    if isinstance(content, str):
        verified.damaged[key] = content
        return
    if content is None:
        return
    try:
        segment = checked(key.removeprefix(ARCHIVE), content)
    except NewerSegmentError as error:
        verified.newer[key] = str(error)
    except SegmentError as error:
        verified.damaged[key] = str(error)
    else:
        verified.archived += key.startswith(ARCHIVE)
        verified.segments += not key.startswith(ARCHIVE)
        verified.runs += len(segment.tables.get("run", ()))
        verified.size += len(content)


def quarantine(store: Store, verified: Verified) -> None:
    """Move what is damaged to where no pull looks, so that an intact copy can take its place."""
    for key in verified.damaged:
        if not is_safe(key):
            continue
        try:
            content = store.get(key, limit=core.MOST_PACKED)
        except (MissingObjectError, OversizedObjectError):
            continue
        store.put(QUARANTINE + key, content)
        store.delete(key)
        verified.moved.append(key)
    if verified.moved:
        # a catalog that names them would send every pull after them
        void_catalog(store)
