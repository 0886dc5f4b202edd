"""What a package index says: releases with their dates and Pythons, and advisories against one of them.

Releases are read from the index's simple API in JSON (PEP 691, with the dates of PEP 700), which mirrors have too;
advisories from the JSON API of PyPI (https://docs.pypi.org/api/json), which passes on those of https://osv.dev.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from coiled_runtime_cli.core.freshness import Release
from coiled_runtime_cli.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

URL = "https://pypi.org"

#: For one answer (s).
_PATIENCE = 30.0

#: An index answers many small questions better than one after another.
_AT_ONCE = 8

_ATTEMPTS = 3


class UnknownPackageError(RemoteError):
    """The index answers, and has no such package."""


def releases(name: str, *, url: str = URL) -> list[Release]:
    """All releases of a package, one each. Raises UnknownPackageError, RemoteError."""
    found = _json(f"{url.rstrip('/')}/simple/{urllib.parse.quote(name)}/", accept="application/vnd.pypi.simple.v1+json")
    if found is None:
        raise UnknownPackageError(f"the index has no package {name}")
    by_version: dict[str, Release] = {}
    for file in found.get("files", ()):
        version = _version(str(file.get("filename", "")))
        if version is None:
            continue
        release = Release(
            version, _moment(file.get("upload-time")), file.get("requires-python"), bool(file.get("yanked"))
        )
        known = by_version.get(version)
        by_version[version] = release if known is None else _together(known, release)
    return list(by_version.values())


def _together(first: Release, second: Release) -> Release:
    """Two files of one release: it came with the first, and is withdrawn when all of them are."""
    moments = [each.released for each in (first, second) if each.released is not None]
    return Release(
        first.version,
        min(moments, default=None),
        first.requires_python or second.requires_python,
        first.yanked and second.yanked,
    )


def _version(filename: str) -> str | None:
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None
    except ValueError:
        return None


def advisories(name: str, version: str, *, url: str = URL) -> tuple[str, ...] | None:
    """The advisories against a release, by their CVE or own number; None where the index does not tell. Raises RemoteError."""
    found = _json(f"{url.rstrip('/')}/pypi/{urllib.parse.quote(name)}/{urllib.parse.quote(version)}/json")
    if found is None or not isinstance(found.get("vulnerabilities"), list):
        return None
    told = []
    for each in found["vulnerabilities"]:
        if not each.get("withdrawn"):
            aliases = [str(alias) for alias in each.get("aliases") or ()]
            told.append(next((alias for alias in aliases if alias.startswith("CVE-")), str(each.get("id", "advisory"))))
    return tuple(dict.fromkeys(told))


def ask(
    names: Sequence[tuple[str, str | None]], *, url: str = URL
) -> Mapping[str, tuple[list[Release] | str, tuple[str, ...] | None]]:
    """For packages with the version of interest: their releases (or why there are none), and its advisories.

    Raises RemoteError where the index does not answer at all; of a single package it is told.
    """

    def one(item: tuple[str, str | None]) -> tuple[list[Release] | str, tuple[str, ...] | None]:
        name, version = item
        try:
            found = releases(name, url=url)
        except UnknownPackageError as error:
            return error.message, None
        return found, advisories(name, version, url=url) if version is not None else None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip([name for name, _ in names], pool.map(one, names), strict=True))


def _json(url: str, *, accept: str = "application/json") -> dict[str, Any] | None:
    """An object; None where the index says that there is none. Raises RemoteError."""
    if urllib.parse.urlparse(url).scheme not in {"http", "https"}:
        raise RemoteError(f"{url} is no address of an index", hint="it begins with https://")
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "crt"})  # noqa: S310 - checked above
    for attempt in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
                value = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in {404, 410}:
                return None
            problem = f"{error.code} {error.reason}"
            if error.code < 500 and error.code != 429:
                raise RemoteError(f"{url}: {problem}") from error
        except (OSError, ValueError) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        else:
            if not isinstance(value, dict):
                raise RemoteError(f"{url}: the answer is no object of JSON")
            return value
        if attempt + 1 < _ATTEMPTS:
            time.sleep(0.2 * 4**attempt)
    raise RemoteError(f"the index does not answer: {url}: {problem}", hint="--index-url names another one")
