"""Pull: objects become sessions. Only what is new is fetched, and every session comes whole or not at all.

Which segments are new no clock decides: all that there are, by the catalog and by listing, but for those that the database
has. So a session that was pushed late, or by a machine whose clock is wrong, is seen like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import temporary
from coiled_runtime_cli.core import catalog as catalogs
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import day_of
from coiled_runtime_cli.core.segment import NewerSegmentError, Segment, SegmentError
from coiled_runtime_cli.sync.policy import read_policy
from coiled_runtime_cli.sync.store import MissingObjectError, OversizedObjectError, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from coiled_runtime_cli.core.catalog import Catalog
    from coiled_runtime_cli.core.retention import Policy
    from coiled_runtime_cli.sync.history import History, Progress
    from coiled_runtime_cli.sync.store import Store

#: Segments that are fetched together, and applied in one transaction.
_PORTION = 32

#: How often it is looked again for what has gone since it was listed.
_LOOKS = 5

#: Where segments go that are kept no more.
ARCHIVE = "archive/"


@dataclass(slots=True)
class Pulled:
    """``refused`` and ``newer`` are keys of segments that were not applied, with the reason of each; ``size`` in bytes."""

    segments: int = 0
    runs: int = 0
    size: int = 0
    conflicts: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    newer: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """Sizes (bytes) of the segments in a remote by their keys, and the catalog that was used, if there was one."""

    sizes: dict[str, int] = field(default_factory=dict)
    catalog: tuple[str, date] | None = None
    unchanged: bool = False  # the database has all of that catalog


def look(store: Store, history: History) -> Found:
    """What is in the remote, but for the days whose segments the database is known to have."""
    head = store.head(catalogs.KEY)
    if head is None:
        return Found(listed(store))
    seen = history.catalog()
    if seen is not None and head.etag == seen[0]:
        return Found(listed(store, after=catalogs.after(seen[1])), seen, unchanged=True)
    etag, catalog = _catalog(store)
    if catalog is None:
        return Found(listed(store))
    return Found({**catalog.sizes, **listed(store, after=catalog.after)}, (etag, catalog.through))


def _catalog(store: Store) -> tuple[str, Catalog | None]:
    with temporary.folder() as folder:
        target = Path(folder) / "catalog"
        try:
            # its etag is that of these very bytes: another may have been written since it was asked for
            head = store.download(catalogs.KEY, target)
        except MissingObjectError:
            return "", None
        return head.etag, catalogs.read(target.read_bytes()) if head.size <= catalogs.MOST_PACKED else None


def listed(store: Store, prefix: str = core.PREFIX, *, after: str = "") -> dict[str, int]:
    return {each.key: each.size for each in store.list(prefix, after=after)}


def pull(
    store: Store,
    history: History,
    today: date,
    *,
    archived: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pulled:
    """Fetch and apply what the database has not. What cannot be applied is told, and the rest is applied all the same.

    ``archived``: also what is kept no more.
    """
    pulled = Pulled()
    done = 0
    for attempt in range(_LOOKS):
        # what has gone since the catalog was made, a listing does not have
        found = Found(listed(store)) if archived or attempt else look(store, history)
        wanted = _missing(store, history, found.sizes, pulled, today, archived=archived)
        places = dict.fromkeys(wanted, "")
        if archived:
            old = {key.removeprefix(ARCHIVE): size for key, size in listed(store, ARCHIVE + core.PREFIX).items()}
            for key, size in _missing(store, history, old, pulled, today, archived=True).items():
                if key not in places:
                    places[key], wanted[key] = ARCHIVE, size
        if dry_run:
            pulled.segments, pulled.size = len(wanted), sum(wanted.values())
            return pulled
        gone = False
        total = done + len(places)
        for portion in _fetched(store, places):
            if progress is not None:
                progress(done, total, pulled.runs, pulled.size)
            gone = gone or any(packed is None for _, packed in portion)
            _apply(history, portion, pulled)
            done += len(portion)
        if not gone:
            if found.catalog is not None and not found.unchanged and not (pulled.refused or pulled.newer):
                history.saw_catalog(*found.catalog)
            break
    if progress is not None and done:
        progress(done, done, pulled.runs, pulled.size)
    return pulled


def _missing(
    store: Store, history: History, sizes: dict[str, int], pulled: Pulled, today: date, *, archived: bool
) -> dict[str, int]:
    """Keys and sizes of what the database has not and the remote keeps, but for those that were refused."""
    applied = history.applied()
    policy: Policy | None = None
    missing = {}
    for key, size in sizes.items():
        if key in applied or key in pulled.refused or key in pulled.newer:
            continue
        if core.parse_key(key) is None:
            pulled.refused[key] = "its name is none of a segment"
        elif size > core.MOST_PACKED:
            pulled.refused[key] = f"it has {size:,} bytes, more than {core.MOST_PACKED:,}"
        else:
            day = day_of(key)
            if catalogs.is_late(day, today) and not archived:
                policy = policy or read_policy(store)
                if not policy.keeps(day, today):
                    continue
            missing[key] = size
    return missing


def _fetched(store: Store, places: dict[str, str]) -> Iterator[list[tuple[str, bytes | None]]]:
    """Contents in the order of the keys, some ahead of their turn; None for what is not there any more."""

    def fetch(key: str) -> bytes | None:
        try:
            return store.get(places[key] + key, limit=core.MOST_PACKED)
        except MissingObjectError:
            return None
        except OversizedObjectError:
            return b""  # it has grown since the listing: no segment does

    keys = list(places)
    with at_once(store) as pool:
        for start in range(0, len(keys), _PORTION):
            portion = keys[start : start + _PORTION]
            yield list(zip(portion, pool.map(fetch, portion), strict=True))


def _apply(history: History, portion: Sequence[tuple[str, bytes | None]], pulled: Pulled) -> None:
    sizes: dict[str, int] = {}
    segments: list[tuple[str, Segment]] = []
    for key, packed in portion:
        if packed is None:
            continue  # archived since the listing: another look tells
        try:
            segments.append((key, checked(key, packed)))
            sizes[key] = len(packed)
        except SegmentError as error:
            _refuse(pulled, key, error)
    for (key, _), applied in zip(segments, history.apply(segments), strict=True):
        if isinstance(applied, SegmentError):
            _refuse(pulled, key, applied)
            continue
        pulled.segments += 1
        pulled.runs += applied.new
        pulled.size += sizes[key]
        pulled.conflicts += [each for each in applied.conflicts if each not in pulled.conflicts]


def _refuse(pulled: Pulled, key: str, error: SegmentError) -> None:
    (pulled.newer if isinstance(error, NewerSegmentError) else pulled.refused)[key] = str(error)


def checked(key: str, packed: bytes) -> Segment:
    """The segment of this key, from the bytes of its object. Raises SegmentError."""
    segment = core.from_bytes(core.unpack(key, packed))
    name = core.parse_key(key)
    if name is None or core.session_part(segment.id) != name.session:
        raise SegmentError("it is another session's than its name says")
    return segment
