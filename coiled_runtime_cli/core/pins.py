"""Pins: what they ask for, which versions they let pass, and what they are for pip.

A pin is a match specification of conda with at most one version constraint: ``dask ==2026.8.0``, ``openssl >3.0``, ``pip``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: A name as conda writes it, then the constraint, then perhaps a build string.
_SPECIFICATION = re.compile(r"^(?P<name>[A-Za-z0-9_][\w.-]*)(?:\s*(?P<version>[^\s]+))?(?:\s+(?P<build>[^\s]+))?$")

_TERM = r"(?:==|>=|<=|!=|~=|=|>|<)?[\d*][\w.*+!-]*"
#: What a constraint looks like: terms, of which all (",") or one ("|") have to hold.
CONSTRAINT = re.compile(rf"^{_TERM}(?:[,|]{_TERM})*$")

#: What a version looks like; a series of them (``1.2.*``) does not.
VERSION = re.compile(r"^\d[\w.!+-]*$")

#: Names that differ between the two worlds. What is only in conda has no wheel.
TO_PYPI = {
    "python-blosc": "blosc",
    "msgpack-python": "msgpack",
    "pytorch": "torch",
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
}
CONDA_ONLY = frozenset({"openssl", "python", "pip", "libarrow", "nodejs"})

#: A Python 3 that a constraint lets pass only if it has no upper bound.
_NO_SUCH_MINOR = 99


class PinError(ValueError):
    """Something that is no pin, or a pin that is not there."""


@dataclass(frozen=True, slots=True)
class Pin:
    """``constraint`` is as conda's solver reads it: ``==2026.8.0``, ``>=1.0,<2``; "" is any version."""

    name: str
    constraint: str = ""
    build: str = ""

    @property
    def exact(self) -> str | None:
        """The one version that fits; None where several do."""
        bare = self.constraint.removeprefix("==")
        return bare if self.constraint.startswith("==") and VERSION.match(bare) and "*" not in bare else None

    def __str__(self) -> str:
        return " ".join(filter(None, [self.name, self.constraint, self.build]))


def parse(text: str) -> Pin:
    """A pin from a line of a recipe or of a package's metadata. Raises PinError.

    ``dask 2026.8.0`` of conda-build and ``dask ==2026.8.0`` of rattler-build are one and the same pin.
    """
    match = _SPECIFICATION.match(text.strip())
    if match is None:
        raise PinError(f"{text.strip()!r} is no pin: expected a name and a version, as dask ==2026.8.0")
    constraint = match["version"] or ""
    if constraint in {"", "*"}:
        return Pin(match["name"].lower(), "", match["build"] or "")
    if not CONSTRAINT.match(constraint):
        raise PinError(f"{text.strip()!r} is no pin: {constraint!r} is no version constraint")
    return Pin(match["name"].lower(), re.sub(r"[^,|]+", _one_way, constraint), match["build"] or "")


def _one_way(term: re.Match[str]) -> str:
    """``==1.2`` of 1.2, and ``1.2.*`` of =1.2, =1.2.* and ==1.2.*: builders take each for the other."""
    text = term[0]
    series = re.match(r"(?:=(?!=)(\d[\w.!+-]*?)(?:\.\*|\*)?|==?(\d[\w.!+-]*?)\.\*)$", text)
    if series is not None:
        return f"{series[1] or series[2]}.*"
    return f"=={text}" if VERSION.match(text) and "*" not in text else text


def allows(constraint: str, version: str) -> bool:
    """Whether a constraint of conda lets a version pass; yes where either cannot be read as PEP 440 has versions."""
    try:
        found = Version(version)
        return any(
            all(_holds(term.strip(), found) for term in part.split(",") if term.strip())
            for part in constraint.split("|")
        )
    except ValueError:  # an InvalidVersion is one, and a number of thousands of digits
        return True


def _holds(term: str, version: Version) -> bool:
    match = re.match(r"(?P<sign>==|>=|<=|!=|~=|=|>|<)?\s*(?P<asked>.+)$", term)
    if match is None or match["asked"] == "*":
        return True
    sign, asked = match["sign"] or "==", match["asked"]
    wild = asked.endswith("*") or sign == "="
    asked = asked.rstrip("*").rstrip(".")
    if sign in {"=", "=="} or (sign == "!=" and wild):
        same = _begins(version, asked) if wild else version == Version(asked)
        return not same if sign == "!=" else same
    other = Version(asked)
    if sign == "~=":
        return version >= other and _begins(version, ".".join(asked.split(".")[:-1]))
    return {
        ">=": version >= other,
        "<=": version <= other,
        ">": version > other,
        "<": version < other,
        "!=": version != other,
    }[sign]


def _begins(version: Version, asked: str) -> bool:
    """Whether a version is of a series: 1.2.3 is of 1.2."""
    series = Version(asked).release
    padded = (*version.release, *(0,) * len(series))
    return padded[: len(series)] == series


def minors(constraint: str, offered: Iterable[str] = ()) -> list[str]:
    """The minor versions of Python 3 that a constraint allows, as "3.12". With no upper bound, those of ``offered``."""

    def allowed(minor: int) -> bool:
        return any(allows(constraint, f"3.{minor}.{patch}") for patch in range(40))

    if allowed(_NO_SUCH_MINOR):
        known = {each for each in offered if allowed(int(each.split(".")[1]))}
        return sorted(known, key=lambda each: int(each.split(".")[1]))
    return [f"3.{minor}" for minor in range(_NO_SUCH_MINOR) if allowed(minor)]


def same(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two lists of dependencies ask for the same, whoever wrote them."""
    return sorted(map(str, map(parse, first))) == sorted(map(str, map(parse, second)))


def differences(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """What one list asks for and the other does not, in words: ``dask ==2026.7.1 is ==2026.8.0``."""
    old, new = ({each.name: each for each in map(parse, lines)} for lines in (before, after))
    found = []
    for name in sorted({*old, *new}):
        if name not in new:
            found.append(f"{old[name]} is missing")
        elif name not in old:
            found.append(f"{new[name]} is not in the recipe")
        elif old[name] != new[name]:
            found.append(f"{old[name]} is {new[name].constraint or 'any version'}")
    return found


def to_pypi(pins: Sequence[Pin]) -> tuple[list[str], list[Pin]]:
    """Requirements of pip for those that PyPI has, and the pins that are conda's own: by their name, build or constraint."""
    requirements, left = [], []
    for each in pins:
        constraint = to_pep440(each.constraint)
        if each.name in CONDA_ONLY or each.build or constraint is None:
            left.append(each)
        else:
            requirements.append(TO_PYPI.get(each.name, each.name) + constraint)
    return requirements, left


def to_pep440(constraint: str) -> str | None:
    """As pip writes it: conda's ``1.2.*`` is ``==1.2.*`` there. None where pip has no such thing: it knows no ``>=1|<0.5``."""
    text = re.sub(r"(^|,)(?=\d)", r"\1==", constraint)
    try:
        SpecifierSet(text)
    except ValueError:  # an InvalidSpecifier is one, and a number of thousands of digits
        return None
    return text
