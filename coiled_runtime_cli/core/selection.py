"""Which runs of a history are meant by a word: a label, a version, a commit, a session, days, or an environment.

    upstream              runs of the label
    dask==2026.8.0        runs with this version of a package
    3f2a9c1               runs with a package of this commit
    0199f0c4              the session whose id begins so
    2026-11-01..2026-11-07   sessions of these days (UTC), both included; either may be left out
    upstream,2026-11-01.. what all parts say

``label:``, ``session:``, ``commit:`` and ``date:`` before a word say which it is where it could be several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.record import Package

#: Fewest characters of a session's id or of a commit that may stand for it.
_SHORTEST = 7

_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*(?P<version>\S+)")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_DAYS = re.compile(r"(?P<first>\d{4}-\d{2}-\d{2})?(?P<to>\.\.)?(?P<last>\d{4}-\d{2}-\d{2})?")
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[^\s;#]+)|@\s*(?P<url>\S+))"
)


class SelectionError(ValueError):
    """The word means nothing, or nothing in this history."""


@dataclass(frozen=True, slots=True)
class Selection:
    """``mask`` is by run; ``text`` says what was selected."""

    text: str
    mask: NDArray[np.bool_]


def select(history: History, text: str) -> Selection:
    """The runs that a word means. Raises SelectionError where it means none."""
    mask = np.ones(len(history.runs), np.bool_)
    for part in text.split(",") if text not in _labels(history) else [text]:
        mask &= _part(history, part.strip())
    if not mask.any():
        raise SelectionError(f"no run fits {text!r}")
    return Selection(text, mask)


def select_environment(history: History, name: str, content: str) -> Selection:
    """The runs in environments that have all that a requirements file pins (``name==version``, ``name @ git+url@commit``)."""
    pins = {found["name"].lower(): found for line in content.splitlines() if (found := _PINNED.match(line.strip()))}
    if not pins:
        raise SelectionError(f"{name} pins nothing: lines such as dask==2026.8.0 are expected")

    def fits(packages: Sequence[Package]) -> bool:
        there = {_normal(each.name): each for each in packages}
        return all(_is_pinned(there.get(_normal(key)), found["version"], found["url"]) for key, found in pins.items())

    mask = _of_environments(history, fits)
    if not mask.any():
        raise SelectionError(f"no run was measured in an environment with all that {name} pins")
    return Selection(f"env:{name}", mask)


def _is_pinned(package: Package | None, version: str | None, url: str | None) -> bool:
    if package is None:
        return False
    if version is not None:
        return package.version == version
    commit = (url or "").rpartition("@")[2]
    return bool(_COMMIT.fullmatch(commit)) and _has_commit(package, commit)


def _part(history: History, word: str) -> NDArray[np.bool_]:
    kind, separator, rest = word.partition(":")
    readers: Mapping[str, Callable[[History, str], NDArray[np.bool_] | None]] = {
        "label": _by_label,
        "session": _by_session,
        "date": _by_days,
        "commit": _by_commit,
    }
    if separator and kind in readers:
        found = readers[kind](history, rest)
        if found is None:
            raise SelectionError(_nothing(history, word, rest))
        return found
    for read in (_by_label, _by_package, _by_days, _by_session, _by_commit):
        found = read(history, word)
        if found is not None:
            return found
    raise SelectionError(_nothing(history, word, word))


def _nothing(history: History, word: str, name: str) -> str:
    labels = _labels(history)
    match = nearest(name, labels)
    known = f"did you mean {match!r}?" if match else f"labels: {', '.join(labels[:12]) or 'none'}"
    return f"{word!r} is no label, version, commit, session or date of this history ({known})"


def _labels(history: History) -> list[str]:
    return sorted({each.label for each in history.sessions if each.label is not None})


def _by_label(history: History, word: str) -> NDArray[np.bool_] | None:
    fit = np.array([*(each.label == word for each in history.sessions), False], np.bool_)
    return fit[history.runs.session] if fit.any() else None


def _by_session(history: History, word: str) -> NDArray[np.bool_] | None:
    fitting = [each.id == word for each in history.sessions]
    if not any(fitting) and len(word) >= _SHORTEST:
        fitting = [each.id.startswith(word) for each in history.sessions]
        if sum(fitting) > 1:
            raise SelectionError(f"{sum(fitting)} sessions begin with {word!r}: write more of it")
    return np.array([*fitting, False], np.bool_)[history.runs.session] if any(fitting) else None


def _by_days(history: History, word: str) -> NDArray[np.bool_] | None:
    found = _DAYS.fullmatch(word)
    if found is None or not (found["first"] or found["last"]):
        return None
    try:
        first = date.fromisoformat(found["first"]) if found["first"] else date.min
        last = date.fromisoformat(found["last"]) if found["last"] else date.max if found["to"] else first
    except ValueError as error:
        raise SelectionError(f"{word!r}: {error}") from error
    if first > last:
        raise SelectionError(f"{word!r} ends before it begins")
    fit = [each.started is not None and first <= each.started.date() <= last for each in history.sessions]
    return np.array([*fit, False], np.bool_)[history.runs.session]


def _by_package(history: History, word: str) -> NDArray[np.bool_] | None:
    found = _PACKAGE.fullmatch(word)
    if found is None:
        return None
    name, version = _normal(found["name"]), found["version"]
    versions = sorted(
        {
            each.version
            for one in history.environments
            for each in one.packages
            if _normal(each.name) == name and each.version
        }
    )
    if version not in versions:
        known = f"versions: {', '.join(versions[-8:])}" if versions else f"no environment has {found['name']}"
        raise SelectionError(f"no run was measured with {word} ({known})")
    return _of_environments(
        history, lambda packages: any(_normal(each.name) == name and each.version == version for each in packages)
    )


def _by_commit(history: History, word: str) -> NDArray[np.bool_] | None:
    if not _COMMIT.fullmatch(word.lower()):
        return None
    mask = _of_environments(history, lambda packages: any(_has_commit(each, word.lower()) for each in packages))
    return mask if mask.any() else None


def _has_commit(package: Package, commit: str) -> bool:
    """By what was recorded of it, else by what its version says: 2024.2.1+17.gabc1234."""
    if package.commit is not None:
        return package.commit.startswith(commit)
    told = re.search(r"[+.]g([0-9a-f]{7,40})(?:\.|$)", package.version or "")
    return told is not None and (told[1].startswith(commit) or commit.startswith(told[1]))


def _of_environments(history: History, fits: Callable[[Sequence[Package]], bool]) -> NDArray[np.bool_]:
    table = np.array([*(fits(each.packages) for each in history.environments), False], np.bool_)
    found: NDArray[np.bool_] = table[history.runs.environment]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
