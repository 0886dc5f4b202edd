"""Push: sessions become objects that never change. No step of it reads what others wrote or waits for them.

What is done is marked after it is done, so whoever is killed in between does it again, and finds it done: an object that is
there already has these very bytes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import catalog as catalogs
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import Policy
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.sync.policy import read_policy
from coiled_runtime_cli.sync.store import MissingObjectError, OversizedObjectError, at_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from coiled_runtime_cli.sync.history import History, Progress
    from coiled_runtime_cli.sync.store import Store

#: Sessions that are put and marked together.
_PORTION = 64

#: Late segments in one push from which on it is worth to make the catalog again, rather than to leave it void.
_MANY = 500


@dataclass(slots=True)
class Pushed:
    """``segments`` are new in the remote, ``known`` were there already, ``expired`` are older than the remote keeps.

    ``size`` is in bytes, as they were sent.
    """

    segments: int = 0
    known: int = 0
    expired: int = 0
    runs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Packed:
    session: str
    key: str
    content: bytes
    runs: int


def push(
    store: Store,
    history: History,
    sessions: Mapping[str, date | None],
    today: date,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pushed:
    """Put the segment of each session, given with the day (UTC) of its start, where all can read it."""
    pushed = Pushed()
    late = {session for session, day in sessions.items() if catalogs.is_late(day, today)}
    policy = read_policy(store) if late else Policy()
    wanted = [session for session, day in sessions.items() if policy.keeps(day, today)]
    pushed.expired = len(sessions) - len(wanted)
    for start in range(0, len(wanted), _PORTION):
        portion = []
        for number, session in enumerate(wanted[start : start + _PORTION], start):
            if progress is not None:
                progress(number, len(wanted), pushed.runs, pushed.size)
            portion.append(_pack(history, session))
        _put(store, portion, pushed, dry_run=dry_run)
        if dry_run:
            continue
        if late.intersection(each.session for each in portion):
            # before they count as pushed: whoever is killed in between comes here again
            void_catalog(store)
        history.mark_pushed({each.session: each.key for each in portion})
    if not dry_run and len(late.intersection(wanted)) >= _MANY and store.is_conditional():
        write_catalog(store, today, policy)
    if progress is not None and wanted:
        progress(len(wanted), len(wanted), pushed.runs, pushed.size)
    return pushed


def _pack(history: History, session: str) -> _Packed:
    segment = history.segment(session)
    raw = core.to_bytes(segment)
    return _Packed(session, core.key_of(segment, raw), core.pack(raw), len(segment.tables.get("run", ())))


def _put(store: Store, portion: Sequence[_Packed], pushed: Pushed, *, dry_run: bool) -> None:
    if dry_run:
        answers = [True] * len(portion)
    else:
        with at_once(store) as pool:
            answers = list(pool.map(lambda each: _put_one(store, each), portion))
    for each, new in zip(portion, answers, strict=True):
        if new:
            pushed.segments += 1
            pushed.runs += each.runs
            pushed.size += len(each.content)
        else:
            pushed.known += 1


def _put_one(store: Store, packed: _Packed) -> bool:
    """Whether the segment is new in the remote, or takes the place of what a broken upload has left of it."""
    if store.put(packed.key, packed.content, absent=True):
        return True
    there = store.head(packed.key)
    if there is None:  # never pushed as far as anybody can tell, but for one that was archived in this very moment
        raise RemoteError(
            f"{store.name}: {packed.key} was refused since it is there, and it is not there",
            hint="push again; what is done already is not done twice",
        )
    if there.size == len(packed.content):
        return False
    try:
        core.unpack(packed.key, store.get(packed.key, limit=core.MOST_PACKED))
    except MissingObjectError:
        return False  # archived meanwhile
    except (core.SegmentError, OversizedObjectError):
        return store.put(packed.key, packed.content)
    return False  # packed by another zlib


def void_catalog(store: Store) -> None:
    """Have everybody list everything, until there is a catalog again; one that is being made now will not be accepted."""
    store.put(catalogs.KEY, catalogs.void(secrets.token_hex(8)))


def write_catalog(store: Store, today: date, policy: Policy) -> bool:
    """Make the catalog from a listing; False where another wrote or voided it meanwhile. The store keeps to conditions."""
    there = store.head(catalogs.KEY)
    sizes = {each.key: each.size for each in store.list(core.PREFIX) if core.parse_key(each.key) is not None}
    content = catalogs.Catalog.of(sizes, today, policy).to_bytes()
    return store.put(catalogs.KEY, content, absent=there is None, match=None if there is None else there.etag)
