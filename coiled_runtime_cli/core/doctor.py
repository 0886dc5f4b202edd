"""What was found out about a machine, judged: is it as crt needs it, and what mends it if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from coiled_runtime_cli.core.quantity import bytes_text, seconds_text
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from coiled_runtime_cli.core.quietness import Remark

State = Literal["ok", "note", "warning", "problem"]
STATES: tuple[State, ...] = ("ok", "note", "warning", "problem")

#: Exit codes of problems, as everywhere in crt.
CONFIGURATION, MACHINE, REMOTE = 2, 3, 4

_GIB = 2**30
#: Free bytes: too few to write a journal, and too few for environments and data.
_FULL, _TIGHT = 256 * 2**20, 5 * _GIB
#: Memory below which tests at laptop scale spill or die, and the least for a scheduler, a client and one worker.
_SMALL, _TOO_SMALL = 2 * _GIB, 512 * 2**20
#: What containers have for shared memory, unless told otherwise, is less.
_SHARED = 256 * 2**20
_SHM = "/dev/shm"  # noqa: S108  a name, and nothing is written there
#: Open files that a scheduler with some workers needs.
_FILES = 1024
#: Of a clock: what an answer's whole seconds and its way may amount to (s), and from where on AWS refuses signatures.
_SKEWED, _REFUSED = 5.0, 900.0
#: By how much the wall clock may be set while it is watched (s).
_STEPPED = 0.05
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Finding:
    """``mend`` is a command; "" where there is nothing to mend. ``code`` is the exit code of a problem."""

    check: str
    state: State
    seen: str
    mend: str = ""
    code: int = 0

    def __post_init__(self) -> None:
        if (self.state == "problem") != bool(self.code):
            raise ValueError(f"{self.check}: a problem has an exit code, and nothing else has: {self.code}")


@dataclass(frozen=True, slots=True)
class Place:
    """One file system that crt writes to: what for, where, and how many bytes are free."""

    what: tuple[str, ...]
    folder: str
    free: int


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without a problem; of several the lowest: what is wrong in the configuration comes before what follows from it."""
    return min((each.code for each in findings if each.state == "problem"), default=0)


def packages(requirements: Iterable[str], installed: Mapping[str, str], install: Callable[[str], str]) -> list[Finding]:
    """What crt needs here beside what there is (versions by normalised name; a package that is missing is not in it).

    ``install`` makes a command of a requirement.
    """
    wanted = [Requirement(each) for each in requirements]
    findings = []
    for each in wanted:
        version = installed.get(canonicalize_name(each.name))
        if version is None or not each.specifier.contains(version, prereleases=True):
            extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
            seen = f"{each.name} is missing" if version is None else f"{each.name} {version} is not {each.specifier}"
            findings.append(
                Finding("package", "problem", seen, install(f"{each.name}{extras}{each.specifier}"), MACHINE)
            )
    there = len(wanted) - len(findings)
    return [*findings, Finding("packages", "ok", f"{there} of {len(wanted)} are as crt needs them")]


def disk(place: Place) -> Finding:
    what = f"disk: {', '.join(place.what)}"
    seen = f"{bytes_text(place.free)} free at {place.folder}"
    if place.free < _FULL:
        return Finding(what, "problem", seen, "crt data prune", MACHINE)
    if place.free < _TIGHT:
        return Finding(what, "warning", f"{seen}: environments and data take some GiB", "crt data prune --dry-run")
    return Finding(what, "ok", seen)


def memory(physical: int | None, usable: int) -> Finding:
    """``usable`` is what is left of the machine's memory within the limits of a container (bytes)."""
    limited = physical is not None and usable < 0.95 * physical
    seen = bytes_text(usable)
    if limited and physical is not None:
        seen += f" of {bytes_text(physical)}: a control group limits it, and clusters are sized to that"
    if usable < _TOO_SMALL:
        smaller = "a cluster elsewhere: crt bench --suite parquet --cluster coiled"
        return Finding("memory", "problem", f"{seen}: too little for a scheduler and a worker", smaller, MACHINE)
    if usable < _SMALL:
        return Finding(
            "memory", "warning", f"{seen}: little for laptop scale", "crt bench --suite parquet --scale smoke"
        )
    return Finding("memory", "note" if limited else "ok", seen)


def shared_memory(size: int | None) -> Finding:
    """Of ``/dev/shm`` (bytes); None: there is none."""
    if size is None:
        return Finding(_SHM, "note", "not there: only Linux has it")
    if size < _SHARED:
        seen = f"{bytes_text(size)}: PyTorch's loaders and multiprocessing fail with that little"
        return Finding(_SHM, "warning", seen, f"sudo mount -o remount,size=1G {_SHM}")
    return Finding(_SHM, "ok", bytes_text(size))


def open_files(soft: int, hard: int) -> Finding:
    """How many files a process may open, and how many it may allow itself; -1: any number."""
    if 0 <= soft < _FILES:
        most = hard if 0 <= hard < _FILES else 4 * _FILES if hard < 0 else min(hard, 4 * _FILES)
        seen = f"{soft}: a cluster needs {_FILES}" + ("" if most > soft else ", and this user may not have more")
        return Finding("ulimit -n", "warning", seen, f"ulimit -n {most}" if most > soft else "")
    return Finding("ulimit -n", "ok", "unlimited" if soft < 0 else f"{soft:,}")


def clock(*, stepped: float, elapsed: float, behind: float, set_clock: str) -> Finding:
    """``stepped`` is by how much the wall clock moved against the steady one (s) in ``elapsed`` seconds.

    ``behind`` is by how much it is before the day on which this crt was installed (s).
    """
    if behind > _DAY:
        seen = f"it is {behind / _DAY:.0f} days before the day on which crt was installed: runs would sort wrongly"
        return Finding("clock", "warning", seen, set_clock)
    if abs(stepped) > _STEPPED:
        seen = f"it was set by {seconds_text(stepped)} within {seconds_text(elapsed)}: the times of runs will not fit"
        return Finding("clock", "warning", seen, set_clock)
    return Finding("clock", "ok", f"steady: {seconds_text(abs(stepped))} off within {seconds_text(elapsed)}")


def skew(ahead: float, *, set_clock: str) -> Finding:
    """By how much this clock is ahead of the remote's (s)."""
    seen = f"{seconds_text(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the remote's"
    if abs(ahead) > _REFUSED:
        return Finding("clock of the remote", "problem", f"{seen}: AWS refuses what is signed", set_clock, MACHINE)
    if abs(ahead) > _SKEWED:
        return Finding("clock of the remote", "warning", seen, set_clock)
    return Finding("clock of the remote", "ok", f"agrees to {seconds_text(max(1.0, abs(ahead)))}")


def quiet(remarks: Sequence[Remark]) -> list[Finding]:
    """What a brief look said of the machine's noise: each disturbance, or that there is none."""
    found = []
    for each in remarks:
        if not each.advice:
            continue
        fixed = each.what in {"governor", "clock"}  # how it is set, and not what happens on it now
        mend = "sudo cpupower frequency-set -g performance" if each.what == "governor" else "crt noise"
        found.append(
            Finding(f"noise: {each.what}", "note" if fixed else "warning", f"{each.value}: {each.advice}", mend)
        )
    if found:
        return found
    values = {each.what: each.value for each in remarks}
    return [Finding("noise", "ok", f"quiet: load {values['load']}" if "load" in values else "quiet")]


def table(findings: Sequence[Finding], *, mends: bool) -> Table:
    """All findings; with ``mends`` also the commands, which a terminal has below, whole."""
    colour = {"ok": "good", "note": "dim", "warning": "strong", "problem": "bad"}
    columns = (Column("check"), Column("state"), Column("seen"), *([Column("to mend")] if mends else []))
    rows = tuple((each.check, each.state, each.seen, *([each.mend] if mends else [])) for each in findings)
    styles = tuple((None, colour[each.state], None, *([None] if mends else [])) for each in findings)
    return Table(columns, rows, styles, caption=summary(findings))


def summary(findings: Sequence[Finding]) -> str:
    counts = {state: sum(each.state == state for each in findings) for state in STATES}
    return ", ".join(
        f"{counts[state]} {state}{'s' if counts[state] != 1 and state != 'ok' else ''}" for state in reversed(STATES)
    )
