"""Why pins cannot be had together, in the words of who pinned them: which ones, what asks for what, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from coiled_runtime_cli.build.channel import UnsatisfiableError
from coiled_runtime_cli.core.conflict import smallest_conflict
from coiled_runtime_cli.core.pins import Pin, PinError, allows, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coiled_runtime_cli.build.channel import Channels, Package
    from coiled_runtime_cli.core.recipe import Recipe


#: Platforms and Pythons that are named one by one.
_PLACES = 3

#: Of the solver's own words.
_LINES = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One pin that could be changed, and the version that the rest leaves room for."""

    pin: Pin
    version: str

    def __str__(self) -> str:
        return f"{self.pin.name} to {self.version}"


@dataclass(frozen=True, slots=True)
class Reason:
    """``pins`` contradict each other, or are not there at all. ``because`` are lines that say how.

    Each of ``changes`` mends it alone; where pins are ``missing``, they are what comes nearest to each.
    """

    platform: str
    python: str
    pins: tuple[Pin, ...]
    because: tuple[str, ...]
    changes: tuple[Change, ...]
    missing: bool
    solver: str  # its own words

    @property
    def short(self) -> str:
        if self.missing:
            more = len(self.because) - 1
            return self.because[0] + (f", and {more} more such" if more else "")
        if not self.pins:
            return "no set of packages fits"
        return "these cannot go together: " + ", ".join(map(str, self.pins))

    @property
    def advice(self) -> str:
        if self.missing:
            return "change " + ", and ".join(map(str, self.changes)) if self.changes else ""
        if not self.changes:
            return "changing one of them is not enough: others contradict each other, too" if self.pins else ""
        enough = {1: "", 2: ": either is enough"}.get(len(self.changes), ": any one is enough")
        return "change " + ", or ".join(map(str, self.changes)) + enough

    @property
    def place(self) -> str:
        return f"{self.platform} with Python {self.python}" if self.python else self.platform

    def text(self, places: Sequence[str]) -> str:
        """For eyes: what is wrong where, why, and what to change."""
        where = ", ".join(places[:_PLACES]) + (f" and {len(places) - _PLACES} more" if len(places) > _PLACES else "")
        lines = []
        if self.missing:
            lines += [*self.because, *([f"({where})"] if len(places) > 1 else [])]
        elif self.pins:
            lines.append(f"these pins cannot be had together ({where}):")
            lines += [f"  {each}" for each in self.pins]
            lines += list(self.because)
        else:
            lines += [f"nothing fits ({where}):", self.solver]
        return "\n".join([*lines, *([self.advice] if self.advice else [])])

    def as_json(self) -> dict[str, Any]:
        return {
            "platform": self.platform,
            "python": self.python,
            "pins": list(map(str, self.pins)),
            "because": list(self.because),
            "changes": [{"name": each.pin.name, "version": each.version} for each in self.changes],
            "solver": self.solver,
        }

    def same_as(self, other: Reason) -> bool:
        return (self.pins, self.because, self.changes) == (other.pins, other.because, other.changes)


def explain(recipe: Recipe, channels: Channels, platform: str, python: str, solver: str) -> Reason:
    """The smallest set of pins that cannot be met, and what would do. Raises RemoteError."""
    pins = [each for each in recipe.depends if each.name != "python"]
    fixed = [f"python {python}.*"] if python else []
    absent = list(_absent(pins, channels, platform))
    if absent:
        because = tuple(line for _, line, _ in absent)
        changes = tuple(Change(pin, version) for pin, _, version in absent if version is not None)
        return Reason(platform, python, tuple(pin for pin, *_ in absent), because, changes, missing=True, solver=solver)

    def possible(chosen: Sequence[Pin]) -> bool:
        return _solution(channels, [*fixed, *map(str, chosen)], platform) is not None

    # with one version each first: they are what somebody chose, and what can be changed
    conflict = smallest_conflict(sorted(pins, key=lambda each: each.exact is None), possible)
    inside = [each for each in pins if each in conflict]
    said = _because(inside, channels, platform, python) or _said(channels, [*fixed, *map(str, inside)], platform)
    return Reason(
        platform,
        python,
        tuple(inside),
        tuple(said),
        tuple(_changes(pins, inside, fixed, channels, platform)),
        missing=False,
        solver=solver,
    )


def _solution(channels: Channels, demands: Sequence[str], platform: str) -> list[Package] | None:
    try:
        return channels.solve(demands, platform)
    except UnsatisfiableError:
        return None


def _said(channels: Channels, demands: Sequence[str], platform: str) -> list[str]:
    """What the solver says of the conflict alone: a few lines, where of all pins they would be pages."""
    try:
        channels.solve(demands, platform)
    except UnsatisfiableError as error:
        return [each.rstrip() for each in str(error).splitlines() if each.strip()][:_LINES]
    return []


def _absent(pins: Iterable[Pin], channels: Channels, platform: str) -> Iterator[tuple[Pin, str, str | None]]:
    """Each pin that no channel can meet whatever the others are, why, and the version that comes nearest."""
    for pin in pins:
        if pin.name.startswith("__") or channels.fitting(str(pin), platform):
            continue
        there = channels.packages(pin.name, platform)
        if not there:
            yield pin, f"no channel has a package {pin.name} for {platform}", None
            continue
        known = _sorted({each.version for each in there})
        newest = known[-1]
        nearest = _nearest(pin, known) or newest
        also = f", the one before is {nearest}" if nearest != newest else ""
        yield pin, f"no channel has {pin} for {platform}: the newest is {newest}{also}", nearest


def _sorted(versions: Iterable[str]) -> list[str]:
    def order(text: str) -> tuple[int, Version | str]:
        try:
            return 1, Version(text)
        except InvalidVersion:
            return 0, text

    return sorted(versions, key=lambda each: (order(each)[0], order(each)[1]))


def _nearest(pin: Pin, known: Sequence[str]) -> str | None:
    """The newest version before the one that was asked for."""
    if pin.exact is None:
        return None
    try:
        asked = Version(pin.exact)
        before = [each for each in known if Version(each) < asked]
    except InvalidVersion:
        return None
    return before[-1] if before else None


def _because(pins: Sequence[Pin], channels: Channels, platform: str, python: str) -> list[str]:
    """Lines as "dask 2026.8.0 needs distributed >=2026.8.0": what pins of the conflict ask of each other, and of Python."""
    names = {each.name for each in pins} | {"python"}
    lines = []
    for pin in pins:
        if pin.exact is None:
            continue
        for package in channels.fitting(str(pin), platform):
            for need in package.depends:
                try:
                    asked = parse(" ".join(need.split()[:2]))
                except PinError:
                    continue
                if asked.name in names and asked.name != pin.name and _contradicts(asked, pins, python):
                    lines.append(f"{pin.name} {pin.exact} needs {need}")
    return list(dict.fromkeys(lines))


def _contradicts(need: Pin, pins: Sequence[Pin], python: str) -> bool:
    """Whether a need leaves out what another pin says; where that cannot be told, it is shown."""
    if need.name == "python":
        return bool(python) and not any(allows(need.constraint, f"{python}.{patch}") for patch in (0, 1, 5, 20, 99))
    exact = next((each.exact for each in pins if each.name == need.name), None)
    return exact is None or not allows(need.constraint, exact)


def _changes(
    pins: Sequence[Pin], conflict: Sequence[Pin], fixed: Sequence[str], channels: Channels, platform: str
) -> list[Change]:
    """For each pin of the conflict: the version that the solver takes when that one is left open, and all others stay."""
    found = []
    for pin in conflict:
        demands = [*fixed, *(each.name if each == pin else str(each) for each in pins)]
        solution = _solution(channels, demands, platform)
        taken = next((each.version for each in solution or () if each.name == pin.name), None)
        if taken is not None:
            found.append(Change(pin, taken))
    return found
