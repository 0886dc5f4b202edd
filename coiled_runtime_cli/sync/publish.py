"""Publish: the whole history as one database under the key that everyone knows, the catalog, and the archive.

What is published contains what was published before, within the retention: it is made of everything in the remote after the
old one was looked at, and takes the old one's place only if that is still the same.
"""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import temporary
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.retention import GRACE, day_of
from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.sync.policy import read_policy, write_policy
from coiled_runtime_cli.sync.pull import ARCHIVE, Pulled, pull
from coiled_runtime_cli.sync.push import void_catalog, write_catalog
from coiled_runtime_cli.sync.store import MissingObjectError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from coiled_runtime_cli.core.retention import Policy
    from coiled_runtime_cli.sync.history import Mirror, Progress
    from coiled_runtime_cli.sync.store import Head, Store

#: The key that the predecessor's users know.
KEY = "benchmark.db"

#: Tries against other publishers, and the longest pause between two of them (s).
_TRIES, _LONGEST = 6, 10.0

_ID, _REVISION = "crt-publish-id", "crt-revision"


@dataclass(slots=True)
class Published:
    """``size`` is that of the database, in bytes; ``archived``, ``restored`` and ``deleted`` count segments."""

    runs: int = 0
    size: int = 0
    restored: int = 0
    archived: int = 0
    deleted: int = 0
    policy: Policy | None = None
    pulled: Pulled = field(default_factory=Pulled)
    is_conditional: bool = True
    has_catalog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``inspect`` looks at a database that was published without metadata, and raises where it must not be replaced."""

    inspect: Callable[[Path], None]
    knows: Callable[[str], bool]  # whether a schema's revision is one of this crt's
    revision: str
    keep: Policy | None = None  # None: what the remote says
    single_publisher: bool = False
    replace: bool = False
    delete_archived: bool = False
    pause: Callable[[float], None] = time.sleep


def publish(
    store: Store, mirror: Mirror, today: date, options: Options, *, progress: Progress | None = None
) -> Published:
    """Put everything that the remote holds under ``benchmark.db``, and move away what is kept no more.

    Raises UsageError where the store has no conditional writes and ``single_publisher`` was not said, or another program's
    file lies there; RemoteError where other publishers were always faster, or a newer crt has written what this one would lose.
    """
    published = Published(is_conditional=store.is_conditional())
    if not published.is_conditional and not options.single_publisher:
        raise UsageError(
            f"{store.name} has no conditional writes: of two that publish at once one would undo the other's work",
            hint="where only one publishes (one CI job), say --single-publisher; pushing and pulling need nothing of it",
        )
    if options.keep is not None:
        write_policy(store, options.keep)
        void_catalog(store)  # it was made by the policy of before
    policy = published.policy = read_policy(store)
    published.restored = _restore(store, policy, today)
    looked_at: Head | None = None
    for attempt in range(1, _TRIES + 1):
        there = store.head(KEY)
        if there is not None and there != looked_at and not options.replace:
            _check_old(store, there, options)
            looked_at = there
        published.pulled = pull(store, mirror, today, progress=progress)
        if published.pulled.newer:
            key, reason = next(iter(published.pulled.newer.items()))
            raise RemoteError(
                f"{store.name}: {key}: {reason}; a database without it would be older than the history",
                hint="publish with the newest crt: python3 -m pip install --upgrade coiled-runtime-cli",
            )
        if _put(store, mirror, there, published, today, options):
            break
        if attempt == _TRIES:
            raise RemoteError(
                f"{store.name}: other publishers were faster {_TRIES} times", hint="leave it to them, or try again"
            )
        options.pause(random.uniform(0, min(_LONGEST, 0.5 * 2**attempt)))
    if published.is_conditional:
        published.has_catalog = write_catalog(store, today, policy)
    published.archived = _archive(store, policy, today)
    if options.delete_archived:
        published.deleted = _delete(store, policy, today)
    return published


def _check_old(store: Store, there: Head, options: Options) -> None:
    """Raise where what lies there is not to be replaced: by metadata where the store keeps it, else by looking inside."""
    if _ID in there.metadata:
        revision = there.metadata.get(_REVISION, "")
        if not options.knows(revision):
            raise RemoteError(
                f"{store.name}: a newer crt published {KEY} (schema {revision})",
                hint="python3 -m pip install --upgrade coiled-runtime-cli",
            )
        return
    with temporary.folder() as folder:
        copy = Path(folder) / KEY
        try:
            store.download(KEY, copy)
        except MissingObjectError:
            return
        options.inspect(copy)


def _put(store: Store, mirror: Mirror, there: Head | None, published: Published, today: date, options: Options) -> bool:
    """Whether it is there; False where another published something since."""
    identity = secrets.token_hex(16)
    condition: dict[str, Any] = {}
    if published.is_conditional:
        condition = {"absent": True} if there is None else {"match": there.etag}
    with temporary.folder() as folder:
        target = Path(folder) / KEY
        assert published.policy is not None
        published.runs = mirror.snapshot(target, published.policy.first(today))
        published.size = target.stat().st_size
        metadata = {_ID: identity, _REVISION: options.revision}
        if store.put(KEY, target, metadata=metadata, **condition):
            return True
    # the answer to a first try may have been lost, and the second one was told that something is there: our own
    now = store.head(KEY)
    return now is not None and now.metadata.get(_ID) == identity


def _archive(store: Store, policy: Policy, today: date) -> int:
    """Move the segments away that are kept no more; each is in one place at least at any time."""
    moved = 0
    if policy.days is None:
        return moved
    for each in list(store.list(core.PREFIX)):
        if not policy.keeps(day_of(each.key), today, grace=GRACE):
            try:
                content = store.get(each.key, limit=core.MOST_PACKED)
            except MissingObjectError:
                continue  # another publisher was faster
            store.put(ARCHIVE + each.key, content, absent=True)
            store.delete(each.key)
            moved += 1
    return moved


def _restore(store: Store, policy: Policy, today: date) -> int:
    """Move back what is kept again, since the policy has become a longer one."""
    kept = [
        each.key.removeprefix(ARCHIVE)
        for each in list(store.list(ARCHIVE + core.PREFIX))
        if policy.keeps(day_of(each.key.removeprefix(ARCHIVE)), today)
    ]
    if kept:
        void_catalog(store)  # it does not name them
    for key in kept:
        try:
            content = store.get(ARCHIVE + key, limit=core.MOST_PACKED)
        except MissingObjectError:
            continue
        store.put(key, content, absent=True)
        store.delete(ARCHIVE + key)
    if kept:
        void_catalog(store)  # one that was made in between may lack some
    return len(kept)


def _delete(store: Store, policy: Policy, today: date) -> int:
    """Remove what has been in the archive for a time of grace."""
    old = [
        each.key
        for each in list(store.list(ARCHIVE + core.PREFIX))
        if not policy.keeps(day_of(each.key.removeprefix(ARCHIVE)), today, grace=2 * GRACE)
    ]
    for key in old:
        store.delete(key)
    return len(old)
