"""How the commands of `crt data` write a folder of the cache, a size, a number and a time, in tables and in documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets.inventory import Folder

HASH_DIGITS = 12  # of a hash that a table shows


def folder_document(each: Folder) -> dict[str, Any]:
    """What ``--format json`` says of a folder, whichever the command."""
    from coiled_runtime_cli.datasets.inventory import STALE

    return {
        "folder": str(each.path),
        "name": each.name,
        "kind": each.kind.value,
        "scales": list(each.scales),
        "version": None if each.manifest is None else each.manifest.version,
        "files": None if each.manifest is None else len(each.manifest.files),
        "bytes": each.bytes,
        "used": moment_text(each.used),
        "stale": each.kind in STALE,
    }


def kind_text(each: Folder) -> str:
    """The scales that it is for; without one, why it is there."""
    if each.scales:
        return f"scale {' and '.join(each.scales)}"
    version = "" if each.manifest is None else f" {each.manifest.version}"
    return each.kind.value + (version if each.kind.value.endswith("version") else "")


def size_text(size: float) -> str:
    from coiled_runtime_cli.core.quantity import bytes_text

    return bytes_text(size)


def count_text(value: int | None, *, whole: bool) -> str:
    """``whole``: as a program reads it, without separators of thousands."""
    return "" if value is None else str(value) if whole else f"{value:,}"


def moment_text(used: float | None) -> str | None:
    """``used`` (s since 1970) as UTC, to the second."""
    from datetime import datetime, timezone

    return None if used is None else datetime.fromtimestamp(used, timezone.utc).isoformat(timespec="seconds")


def day_text(used: float | None) -> str:
    return (moment_text(used) or "")[:10]
