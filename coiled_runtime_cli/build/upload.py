"""A package put into a channel elsewhere: on anaconda.org, or in a bucket that is a channel.

A bucket's index is changed by compare and swap, so that two uploads at once lose nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, Protocol

from coiled_runtime_cli.build import archive
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from coiled_runtime_cli.build.artifact import Artifact

#: More swaps that fail than this is no coincidence.
_ATTEMPTS = 50

#: A channel's index: that of conda-forge has 300 MB.
_LARGEST = 2**30

_REPODATA = "repodata.json"


class Head(Protocol):
    @property
    def etag(self) -> str: ...


class Store(Protocol):
    """What an upload needs of a bucket: a part of what the shared history needs of its own."""

    @property
    def name(self) -> str: ...

    def head(self, key: str) -> Any: ...

    def get(self, key: str, *, limit: int) -> bytes: ...

    def put(self, key: str, content: bytes, *, absent: bool = False, match: str | None = None) -> bool: ...

    def is_conditional(self) -> bool: ...


def to_bucket(store: Store, made: Artifact) -> Literal["done", "already"]:
    """Add a package to a channel in a bucket, then to its index. Raises UsageError where its name is taken, RemoteError."""
    if not store.is_conditional():
        raise UsageError(
            f"{store.name} writes without conditions: two uploads at once could lose one",
            hint="upload to a folder, and synchronise that",
        )
    content = made.path.read_bytes()
    key = f"{made.subdir}/{made.path.name}"
    new = store.put(key, content, absent=True)
    if not new and store.get(key, limit=_LARGEST) != content:
        raise UsageError(f"{store.name} has another package {key}", hint="raise the version or the build number")
    if made.subdir != "noarch" and store.head(f"noarch/{_REPODATA}") is None:
        store.put(f"noarch/{_REPODATA}", _dumped({}, "noarch"), absent=True)  # or it would be no channel
    record = _record(made, content)
    changed = _into_index(store, f"{made.subdir}/{_REPODATA}", made, record)
    return "done" if new or changed else "already"


def _record(made: Artifact, content: bytes) -> dict[str, Any]:
    return {
        **archive.read(made.path).json("index.json"),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": made.sha256,
        "size": made.size,
    }


def _into_index(store: Store, key: str, made: Artifact, record: dict[str, Any]) -> bool:
    section = "packages.conda" if made.path.name.endswith(".conda") else "packages"
    for _ in range(_ATTEMPTS):
        head = store.head(key)
        document = _read(store, key) if head is not None else {}
        if document.get(section, {}).get(made.path.name) == record:
            return False
        document.setdefault(section, {})[made.path.name] = record
        content = _dumped(document, made.subdir)
        if store.put(key, content, absent=True) if head is None else store.put(key, content, match=head.etag):
            return True
    raise RemoteError(f"{store.name}: somebody else changes {key} all the time: try again")


def _read(store: Store, key: str) -> dict[str, Any]:
    try:
        document = json.loads(store.get(key, limit=_LARGEST))
    except ValueError as error:
        raise ToolError(f"{store.name}: {key} is no index of a channel: {error}") from error
    if not isinstance(document, dict):
        raise ToolError(f"{store.name}: {key} is no index of a channel")
    return document


def _dumped(document: dict[str, Any], subdir: str) -> bytes:
    whole = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "repodata_version": 1, **document}
    return json.dumps(whole, sort_keys=True).encode()


def to_anaconda(made: Artifact, *, owner: str, label: str | None, token: str | None, url: str | None) -> None:
    """Add a package to an account of anaconda.org, under a label (None: main). Raises UsageError, RemoteError, ToolError."""
    from coiled_runtime_cli.build.channel import EXTRA

    try:
        import rattler_build
    except ImportError as error:
        raise ToolError("rattler-build, which uploads, is not installed here", hint=EXTRA) from error
    if not token:
        raise UsageError(
            "anaconda.org wants a token", hint="set ANACONDA_API_KEY; anaconda.org/OWNER/settings/access makes one"
        )
    try:
        rattler_build.upload_package_to_anaconda(
            [str(made.path)], owner, channel=[label] if label is not None else None, api_key=token, url=url
        )
    except rattler_build.RattlerBuildError as error:
        raise RemoteError(f"anaconda.org did not take {made.path.name}: {error}") from error
