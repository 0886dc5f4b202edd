"""How old the pins of a recipe are, and what speaks against them: newer releases, advisories, regressions that were measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from coiled_runtime_cli.core import detect
from coiled_runtime_cli.core.pins import CONDA_ONLY, TO_PYPI
from coiled_runtime_cli.core.series import short_name
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.pins import Pin

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Release:
    """``released`` is None where the index does not say it; ``requires_python`` is a specifier, as ">=3.11"."""

    version: str
    released: datetime | None = None
    requires_python: str | None = None
    yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PinState:
    """``newest`` is the newest release for all Pythons of the recipe, ``newest_of_all`` for any.

    ``advisories`` is None where nobody could be asked. ``why`` says why nothing is known of the package.
    """

    pin: Pin
    newest: str | None = None
    newest_of_all: str | None = None
    newest_released: datetime | None = None
    released: datetime | None = None
    yanked: bool = False
    advisories: tuple[str, ...] | None = None
    regressions: tuple[str, ...] = ()
    why: str = ""

    @property
    def behind(self) -> bool:
        """Whether there is a newer release than the one that is pinned."""
        return self.pin.exact is not None and self.newest is not None and _is_newer(self.newest, self.pin.exact)

    @property
    def objections(self) -> tuple[str, ...]:
        """What speaks against the version itself, newer ones aside."""
        return (*(["yanked"] if self.yanked else []), *(self.advisories or ()), *self.regressions)


def _is_newer(first: str, second: str) -> bool:
    try:
        return Version(first) > Version(second)
    except InvalidVersion:
        return False


def on_pypi(pin: Pin) -> str | None:
    """The name of the package there; None for what only conda has."""
    return None if pin.name in CONDA_ONLY else TO_PYPI.get(pin.name, pin.name)


def newest(releases: Iterable[Release], pythons: Sequence[str] = (), *, early: bool = False) -> Release | None:
    """The newest that was not withdrawn and takes all these Pythons; pre-releases only where they are asked for."""
    found: list[tuple[Version, Release]] = []
    for each in releases:
        try:
            version = Version(each.version)
        except InvalidVersion:
            continue
        if not each.yanked and (early or not version.is_prerelease) and takes(each.requires_python, pythons):
            found.append((version, each))
    return max(found, key=lambda each: each[0])[1] if found else None


def takes(requires_python: str | None, pythons: Sequence[str]) -> bool:
    """Whether a release can be had for each of these Pythons, in any of their patch releases."""
    if not requires_python:
        return True
    try:
        wanted = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True
    return all(any(wanted.contains(f"{each}.{patch}") for patch in range(40)) for each in pythons)


def state_of(
    pin: Pin,
    releases: Sequence[Release],
    pythons: Sequence[str],
    *,
    advisories: tuple[str, ...] | None,
    regressions: tuple[str, ...],
) -> PinState:
    """What an index knows of one pin."""
    fitting, of_all = newest(releases, pythons), newest(releases)
    pinned = next((each for each in releases if _same(each.version, pin.exact)), None)
    return PinState(
        pin=pin,
        newest=fitting.version if fitting is not None else None,
        newest_of_all=of_all.version if of_all is not None else None,
        newest_released=fitting.released if fitting is not None else None,
        released=pinned.released if pinned is not None else None,
        yanked=pinned.yanked if pinned is not None else False,
        advisories=advisories,
        regressions=regressions,
        why="" if releases and (pinned is not None or pin.exact is None) else "the index has no such version",
    )


def _same(first: str, second: str | None) -> bool:
    try:
        return second is not None and Version(first) == Version(second)
    except InvalidVersion:
        return first == second


def regressions_of(findings: Iterable[Finding]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What open regressions began with, by package and version: "test_write_wide_data duration x1.21".

    A regression that several packages moved with counts for each of them: which one it was, crt bisect says.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for each in findings:
        if each.kind != "regression" or each.state not in detect.OPEN:
            continue
        name = short_name(each.key.benchmark)
        for moved in each.moved:
            if moved.after is not None:
                found.setdefault((moved.name.lower(), moved.after), []).append(
                    f"{name} {each.metric.key} x{each.ratio:.3g}"
                )
    return {key: tuple(dict.fromkeys(texts)) for key, texts in found.items()}


def pins_table(states: Sequence[PinState], now: datetime) -> Table:
    columns = (
        Column("package"),
        Column("pin"),
        Column("newest"),
        Column("age", align="right", drop=2),
        Column("said against it", key="objections", drop=1),
    )
    rows, styles = [], []
    for each in states:
        rows.append(
            (
                each.pin.name,
                each.pin.constraint or "any",
                _newest_text(each),
                age_text(each.released, now),
                _against(each),
            )
        )
        styles.append((None, None, "strong" if each.behind else "dim", "dim", "bad" if each.objections else "dim"))
    return Table(columns, tuple(rows), tuple(styles), _caption(states))


def _newest_text(state: PinState) -> str:
    if state.newest is None:
        return f"{state.newest_of_all} (for newer Pythons)" if state.newest_of_all is not None else ""
    if state.newest_of_all is not None and _is_newer(state.newest_of_all, state.newest):
        return f"{state.newest} ({state.newest_of_all} for newer Pythons)"
    return state.newest


def age_text(released: datetime | None, now: datetime) -> str:
    """Days, or years from two on."""
    if released is None:
        return ""
    days = max(0, int((now - released).total_seconds() // _DAY))
    return f"{days} d" if days < 730 else f"{days / 365.25:.1f} y"


def _against(state: PinState) -> str:
    if state.objections:
        return "; ".join(state.objections)
    return state.why


def _caption(states: Sequence[PinState]) -> str:
    exact = [each for each in states if each.pin.exact is not None]
    behind = sum(each.behind for each in exact)
    text = f"{behind} of {len(exact)} exact pins are behind"
    unasked = sum(
        each.advisories is None for each in exact if on_pypi(each.pin) is not None and each.newest is not None
    )
    return text + (f"; advisories of {unasked} are not known" if unasked else "")


def document(state: PinState, now: datetime) -> dict[str, Any]:
    """One pin for JSON. ``age`` is that of the pinned release, in days."""
    return {
        "name": state.pin.name,
        "constraint": state.pin.constraint,
        "version": state.pin.exact,
        "newest": state.newest,
        "newest_of_all": state.newest_of_all,
        "behind": state.behind,
        "released": state.released.isoformat() if state.released is not None else None,
        "age": int((now - state.released).total_seconds() // _DAY) if state.released is not None else None,
        "yanked": state.yanked,
        "advisories": list(state.advisories) if state.advisories is not None else None,
        "regressions": list(state.regressions),
        "why": state.why,
    }


def updates(states: Iterable[PinState]) -> Mapping[str, str]:
    """For every exact pin that is behind, the version that it would get."""
    return {each.pin.name: each.newest for each in states if each.behind and each.newest is not None}
