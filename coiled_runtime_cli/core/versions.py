"""What a version string tells of the commit that was measured.

The forms are those of versioneer (``2024.2.1+17.gabc1234.dirty``, https://github.com/python-versioneer/python-versioneer, its
styles "pep440" and "git-describe") and of setuptools-scm (``2024.2.2.dev17+gabc1234.d20240301``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMIT = "g(?P<commit>[0-9a-f]{4,64})"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"(?P<release>[^+]+)\+(?:untagged\.)?(?P<distance>\d+)\.{_COMMIT}(?P<dirty>\.dirty)?",
        rf"(?P<release>[^+]+)-(?P<distance>\d+)-{_COMMIT}(?P<dirty>-dirty)?",
        rf"(?P<release>[^+]+)\.dev(?P<distance>\d+)\+{_COMMIT}(?P<dirty>\.d\d{{8}})?",
        r"(?P<release>[^+]+)\+(?P<dirty>d\d{8}|dirty)",
    )
)
# https://packaging.python.org/en/latest/specifications/version-specifiers/ without local parts
_RELEASE = re.compile(
    r"v?(?P<release>(?:\d+!)?\d+(?:\.\d+)*(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview|post|rev|r|dev)\d*){0,3})",
    re.ASCII | re.IGNORECASE,
)

#: A number of commits with more digits than this is none.
_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The parts of a version string; those that it does not tell are None.

    ``release`` is the tag that the commit follows by ``distance`` commits; of a setuptools-scm version the one that it leads
    to. ``dirty``: files differed from the commit; None for a plain release, which was built by whoever published it.
    """

    release: str | None = None
    distance: int | None = None
    commit: str | None = None  # lower-case hex digits, most often the first seven
    dirty: bool | None = None


def parse_version(text: str | None) -> Version | None:
    """Read a version string; None for none or a blank one, a Version without parts for what is no version."""
    stripped = (text or "").strip()
    if not stripped:
        return None
    for form in _FORMS:
        match = form.fullmatch(stripped)
        if match is not None:
            return _described(match.groupdict())
    plain = _RELEASE.fullmatch(stripped)
    return Version() if plain is None else Version(release=plain["release"], distance=0)


def _described(parts: dict[str, str | None]) -> Version:
    plain = _RELEASE.fullmatch(parts["release"] or "")
    distance, commit = parts.get("distance") or "0", parts.get("commit")
    return Version(
        release=None if plain is None else plain["release"],
        distance=int(distance) if len(distance) <= _DIGITS else None,
        commit=None if commit is None else commit.lower(),
        dirty=parts["dirty"] is not None,
    )
