"""Push: sessions become objects that never change. No step of it reads what others wrote or waits for them.

What is done is marked after it is done, so whoever is killed in between does it again, and finds it done: an object that is
there already has these very bytes.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import catalog as catalogs
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.sync.policy import read_policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from coiled_runtime_cli.core.retention import Policy
    from coiled_runtime_cli.sync.history import History, Progress
    from coiled_runtime_cli.sync.store import Store

#: Objects that are put at once, and sessions that are marked at once.
_AT_ONCE, _PORTION = 16, 64

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
    sessions: Sequence[str],
    today: date,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pushed:
    """Put the segment of each session where all can read it."""
    pushed = Pushed()
    policy: Policy | None = None
    late = 0
    for start in range(0, len(sessions), _PORTION):
        portion = []
        for number, session in enumerate(sessions[start : start + _PORTION], start):
            if progress is not None:
                progress(number, len(sessions), pushed.runs, pushed.size)
            packed = _pack(history, session)
            if catalogs.is_late(packed.key, today):
                policy = policy or read_policy(store)
                if not policy.keeps(packed.key, today):
                    pushed.expired += 1
                    continue
            portion.append(packed)
        _put(store, portion, pushed, dry_run=dry_run)
        if dry_run:
            continue
        if any(catalogs.is_late(each.key, today) for each in portion):
            # before they count as pushed: whoever is killed in between comes here again
            store.put(catalogs.KEY, catalogs.void(secrets.token_hex(8)))
            late += len(portion)
        history.mark_pushed({each.session: each.key for each in portion})
    if late >= _MANY and store.is_conditional():
        write_catalog(store, today, policy or read_policy(store))
    if progress is not None:
        progress(len(sessions), len(sessions), pushed.runs, pushed.size)
    return pushed


def _pack(history: History, session: str) -> _Packed:
    segment = history.segment(session)
    raw = core.to_bytes(segment)
    return _Packed(session, core.key_of(segment, raw), core.pack(raw), len(segment.tables.get("run", ())))


def _put(store: Store, portion: Sequence[_Packed], pushed: Pushed, *, dry_run: bool) -> None:
    if dry_run:
        answers = [True] * len(portion)
    else:
        with ThreadPoolExecutor(min(_AT_ONCE, len(portion) or 1)) as pool:
            answers = list(pool.map(lambda each: store.put(each.key, each.content, absent=True), portion))
    for each, new in zip(portion, answers, strict=True):
        if new:
            pushed.segments += 1
            pushed.runs += each.runs
            pushed.size += len(each.content)
        else:
            pushed.known += 1


def write_catalog(store: Store, today: date, policy: Policy) -> bool:
    """Make the catalog from a listing; False where another wrote or voided it meanwhile. The store keeps to conditions."""
    there = store.head(catalogs.KEY)
    sizes = {each.key: each.size for each in store.list(core.PREFIX) if core.parse_key(each.key) is not None}
    content = catalogs.Catalog.of(sizes, today, policy).to_bytes()
    return store.put(catalogs.KEY, content, absent=there is None, match=None if there is None else there.etag)
