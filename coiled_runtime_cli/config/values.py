"""One value: as it was written, and as its key reads it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations
from coiled_runtime_cli.config.database import sqlite_file
from coiled_runtime_cli.config.passwords import masked
from coiled_runtime_cli.config.settings import TABLES
from coiled_runtime_cli.core.quantity import parse_fraction, parse_seconds
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was written: ``base`` is the folder that a relative path starts from; None keeps it as it is."""

    value: object
    origin: str
    place: str  # where it is written, for messages: "PATH: key", "CRT_KEY" or "--key"
    base: Path | None


def _refuse(given: Given, expected: str) -> UsageError:
    return UsageError(f"{given.place}: expected {expected}, not {masked(repr(given.value))}")


def _text(given: Given) -> str:
    value = given.value
    if not isinstance(value, str) or not value.strip():
        raise _refuse(given, "a text that is not empty")
    if not value.isprintable():
        raise _refuse(given, "a text without control characters")
    return value


def _path(given: Given) -> Path:
    if not isinstance(given.value, str | Path) or not str(given.value).strip() or "\0" in str(given.value):
        raise _refuse(given, "a path")
    path = locations.expanded(given.value)
    return path if given.base is None else given.base / path


def _database(given: Given) -> str:
    value = str(given.value) if isinstance(given.value, Path) else given.value
    if isinstance(value, str) and "://" in value:
        file = sqlite_file(value)
        if file is None or file.is_absolute() or given.base is None:
            return _text(given)
        scheme, _, query = value.partition("?")
        return f"{scheme.partition('://')[0]}:///{given.base / file}" + (f"?{query}" if query else "")
    return str(_path(given))


def _artifacts(given: Given) -> str:
    """A folder, or a URL without the password that would be in every row."""
    from urllib.parse import unquote, urlsplit

    value = str(given.value) if isinstance(given.value, Path) else given.value
    if not isinstance(value, str) or "://" not in value:
        return str(_path(given))
    _text(given)
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise _refuse(given, "a folder or a URL") from error
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return unquote(parts.path)
    if (
        not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", parts.scheme)
        or "@" in parts.netloc
        or "?" in value
        or "#" in value
    ):
        raise _refuse(given, "a folder, or a URL as s3://bucket/prefix, without credentials")
    return value


def _scale(given: Given) -> str:
    number = isinstance(given.value, int | float) and not isinstance(given.value, bool)
    try:
        return Scale.parse(str(given.value) if number else _text(given)).name
    except ValueError as error:
        raise UsageError(f"{given.place}: {error}") from error


def _number(expected: str, read: Callable[[str], float], limit: float) -> Callable[[Given], float]:
    def reader(given: Given) -> float:
        value = given.value
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise _refuse(given, expected)
        try:
            number = read(str(value))
        except ValueError as error:
            raise _refuse(given, expected) from error
        if not 0 < number < limit:
            raise _refuse(given, expected)
        return number

    return reader


def _table(given: Given) -> dict[str, Any]:
    if not isinstance(given.value, dict):
        raise _refuse(given, "a table")
    return given.value


_duration = _number('seconds above 0, as 90, "10m" or "1h30m"', parse_seconds, math.inf)
READERS: dict[str, Callable[[Given], Any]] = {
    "db": _database,
    "suites": _path,
    "data": _path,
    "history": _path,
    "environments": _path,
    "cluster": _text,
    "cluster_override": _path,
    "scale": _scale,
    "label": _text,
    "timeout": _duration,
    "precision": _number('a share between 0 and 1, as "5%" or 0.05', parse_fraction, 1.0),
    "max_time": _duration,
    "software": _text,
    "ci_url": _text,
    "scratch": _text,
    "artifacts": _artifacts,
    "runs": _path,
    **dict.fromkeys(TABLES, _table),
}
