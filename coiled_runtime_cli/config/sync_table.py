"""``[tool.crt.sync]``: where the shared history is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.config.home_folders import home
from coiled_runtime_cli.config.passwords import masked
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from coiled_runtime_cli.config.settings import Config

#: Keys of command tables that a variable may hold: ``CRT_SYNC_REMOTE`` is ``remote`` of ``[tool.crt.sync]``.
SYNC_KEYS = ("remote", "endpoint_url", "profile", "region")


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the shared history is; ``origin`` says who named it."""

    remote: str
    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    origin: str = "default"


def remote(settings: Config, **flags: str | None) -> Remote:
    """The remote as ``[tool.crt.sync]``, ``CRT_SYNC_*`` and flags (by the same keys) name it: by default a folder of the user's.

    Where it is a folder, what files and variables say of a bucket is not meant; what flags say is, and whoever opens it
    refuses it.
    Raises UsageError on a key or a value that the table cannot have.
    """
    origin = settings.origin("sync")
    for key, value in settings.sync.items():
        if key not in SYNC_KEYS:
            raise UsageError(f"sync.{key} ({origin}): {unknown('key', key, SYNC_KEYS)}")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"sync.{key} ({origin}): expected a text that is not empty, not {masked(repr(value))}")
    given = {key: value for key, value in flags.items() if value is not None}
    chosen = {**settings.sync, **given}
    if "remote" in chosen and not chosen["remote"].lower().startswith("s3:"):
        chosen = {**given, "remote": chosen["remote"]}
    if "remote" not in chosen:
        folder = home(os.environ, "XDG_DATA_HOME", ".local/share") / "crt" / "remote"
        if set(given) - {"remote"}:
            flag = "--" + min(given).replace("_", "-")
            raise UsageError(f"{flag} is of a bucket, and none is named", hint="--remote s3://bucket/prefix")
        return Remote(str(folder))
    return Remote(**chosen, origin="--remote" if "remote" in given else origin)
