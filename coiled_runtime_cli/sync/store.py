"""Where the shared history lies: one interface to a bucket and to a folder, and nothing that knows what is in it.

Keys are relative to the remote's prefix and have ``/`` between their parts.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing; ``size`` in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of an object without reading it. ``etag`` changes whenever the content does."""

    size: int
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """What a store was asked for so far: requests, and bytes of content either way."""

    requests: int = 0
    sent: int = 0
    received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, requests: int = 0, sent: int = 0, received: int = 0) -> None:
        """Of several threads at once nothing is left out."""
        with self._lock:
            self.requests += requests
            self.sent += sent
            self.received += received


class MissingObjectError(RemoteError):
    """There is no object of this key (any more)."""


class OversizedObjectError(RemoteError):
    """An object is larger than any that was to be read; nothing of it was kept."""


class Store(Protocol):
    """Every method raises RemoteError where the remote cannot be reached, or refuses."""

    usage: Usage

    @property
    def name(self) -> str:
        """The remote as a user writes it; without credentials."""

    @property
    def identity(self) -> str:
        """The remote as it is told from all others; without credentials."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """The objects whose keys start with ``prefix`` and come after ``after``, by key.

        An object that is being written is not among them.
        """

    def head(self, key: str) -> Head | None:
        """What is known of an object; None where there is none."""

    def get(self, key: str, *, limit: int) -> bytes:
        """The content of an object. Raises MissingObjectError, or OversizedObjectError beyond ``limit`` bytes."""

    def download(self, key: str, target: Path) -> Head:
        """Write the content of an object to a file. Raises MissingObjectError; then and on failure there is no file."""

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        absent: bool = False,
        match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        """Store an object, whole or not at all; False where it was not since the condition did not hold.

        ``absent``: only where there is none of this key; ``match``: only in place of the one with this etag.
        """

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def is_conditional(self) -> bool:
        """Whether the store keeps to the conditions of :meth:`put`, found out by trying."""

    def stop(self) -> None:
        """Nobody waits for answers any more: whatever is under way is not tried again."""


#: Requests that are made at once.
AT_ONCE = 16


@contextlib.contextmanager
def at_once(store: Store) -> Iterator[ThreadPoolExecutor]:
    """Threads for requests; when what they work for fails or is interrupted, they are not waited for."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield pool
    except BaseException:
        store.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


#: A part of a key: no separator of any system, nothing hidden, nothing that leads elsewhere.
_PART = re.compile(r"[A-Za-z0-9_=+@][A-Za-z0-9._=+@-]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")

#: Under which a bucket has the history where no other prefix is named: the predecessor's.
PREFIX = "benchmarks"

#: Where the probes for conditional writes are put.
_PROBE = "probe/conditional-writes"


def is_safe(key: str) -> bool:
    """Whether a key may become a path: each part plain, none of them leading upwards or hidden."""
    return len(key) <= 900 and all(_PART.fullmatch(part) for part in key.split("/"))


def keeps_conditions(store: Store) -> bool:
    """Whether a store refuses to put what must be absent and is there, found out by trying."""
    # a key of its own for each try: of two that ask at once neither takes the other for itself
    key = f"{_PROBE}-{secrets.token_hex(8)}"
    try:
        # the first one may be refused too, where its own answer was lost and it was asked for again
        return not all(store.put(key, b"crt", absent=True) for _ in range(2))
    finally:
        with contextlib.suppress(RemoteError):  # one that stays hurts nobody, and what failed before says more
            store.delete(key)


def open_store(
    remote: str, *, endpoint_url: str | None = None, profile: str | None = None, region: str | None = None
) -> Store:
    """The store of ``s3://bucket/prefix``, ``file:///folder`` or the path of a folder.

    Raises UsageError on anything else. Nothing is asked of it yet.
    """
    scheme, separator, rest = remote.partition("://")
    if separator and scheme.lower() == "s3":
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/") or PREFIX
        if "@" in rest:
            raise UsageError(
                "the remote has credentials in it",
                hint="leave them to the usual places: a profile, or AWS_ACCESS_KEY_ID",
            )
        if not _BUCKET.fullmatch(bucket) or not is_safe(prefix):
            raise UsageError(f"{remote} names no bucket and prefix", hint="write s3://bucket/prefix")
        if endpoint_url is not None and "@" in urlsplit(endpoint_url).netloc:
            raise UsageError("the endpoint has credentials in it", hint="leave them to AWS_ACCESS_KEY_ID, or a profile")
        from coiled_runtime_cli.sync.s3 import S3Store

        return S3Store(bucket, prefix, endpoint_url=endpoint_url, profile=profile, region=region)
    if separator and scheme.lower() != "file":
        raise UsageError(
            f"{remote}: unknown kind of remote {scheme}://", hint="write s3://bucket/prefix, or a folder's path"
        )
    for flag, value in (("--endpoint-url", endpoint_url), ("--profile", profile), ("--region", region)):
        if value is not None:
            raise UsageError(f"{flag} is of buckets, and {remote} is a folder", hint=f"leave {flag} out")
    from coiled_runtime_cli.sync.folder import FolderStore

    if not separator:
        return FolderStore(expanded(remote))
    parts = urlsplit(remote)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise UsageError(f"{remote} names another machine", hint="write file:///folder, with three slashes")
    return FolderStore(Path(unquote(parts.path)))
