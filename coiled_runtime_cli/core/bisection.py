"""What a bisection knows: its candidates in order, every probe, and the answer. The form in which it is stored and shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

#: How a bisection can stand. "running" has no answer yet; "no-change": the ends do not differ by more than the noise.
STATUSES = ("running", "found", "no-change", "inconclusive", "interrupted")

#: How a probe can end. Only "measured" has a value that decides anything; "unbuildable" candidates are stepped over.
PROBE_OUTCOMES = ("measured", "unbuildable", "failed", "timeout", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One state that could have brought the change: a commit, a release, a set of packages."""

    name: str  # commit hash, version, or the package that moved
    subject: str | None = None
    date: float | None = None  # s since the epoch (UTC)
    url: str | None = None
    author: str | None = None
    repository: str | None = None  # whose commit it is, where several go along with each other
    merge: bool = False  # a commit with several parents
    probability: float | None = None  # posterior that the change came with it, given all probes
    others: tuple[tuple[str, str], ...] = ()  # what goes along: every other repository, and its commit
    requirements: tuple[str, ...] = ()  # of its environment, where a candidate is a set of packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One measurement of one candidate."""

    candidate: int  # index into the candidates
    outcome: str  # one of PROBE_OUTCOMES
    value: float | None = None  # in the metric's unit
    at: float | None = None  # s since the epoch (UTC)
    run: str | None = None  # uuid of the stored run
    purpose: str = "search"  # calibrate, search, verify
    search: int = 0  # of the searches of one bisection, the one that it was made for
    build: int = 0  # 0: the one at hand; others were made afresh
    took: float | None = None  # s, its build included
    message: str | None = None  # why it has no value
    log: str | None = None  # file with what was printed
    session: str | None = None  # that its run is stored under
    reused: bool = False  # measured before this bisection


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Level after the change over level before, with its 95 % interval."""

    ratio: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A change within a range of the candidates, ``first`` to ``last``: what a search of it has answered."""

    first: int
    last: int
    status: str  # one of STATUSES
    culprits: tuple[int, ...] = ()  # indices: the answer holds one of them
    confidence: float | None = None
    effect: Effect | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """``candidates`` run from the known good one to the known bad one; ``culprit`` is an index into them."""

    id: str
    started: float  # s since the epoch (UTC)
    ended: float | None = None
    status: str = "running"  # one of STATUSES
    repository: str | None = None  # name of the project or package that was searched
    benchmark: str | None = None  # id of the benchmark; None for a command
    command: tuple[str, ...] = ()  # what was measured instead
    metric: str = "duration"
    unit: str = "s"
    candidates: tuple[Candidate, ...] = ()
    probes: tuple[Probe, ...] = ()
    begun: tuple[Probe, ...] = ()  # that have not ended, or were cut short; their values may be found by their session
    culprit: int | None = None
    confidence: float | None = None  # posterior probability of the answer, 0 to 1
    effect: Effect | None = None
    builds: int = 0
    definition: dict[str, Any] = dataclasses.field(default_factory=dict)  # what was asked for, to go on with it
    verdicts: tuple[Verdict, ...] = ()  # of each search of the range, in their order
    spent: float = 0.0  # s, of all attempts
    message: str | None = None  # what a person should know of the answer: a budget that ended, a step that was skipped


def to_document(bisection: Bisection) -> dict[str, Any]:
    """A JSON object; :func:`from_document` reads it back equal."""
    return dataclasses.asdict(bisection)


def from_document(document: dict[str, Any]) -> Bisection:
    """Fields that this crt does not know are passed over. Raises ValueError on what is no bisection."""
    try:
        fields = _known(Bisection, document)
        fields["command"] = tuple(fields.get("command") or ())
        fields["candidates"] = tuple(_candidate(each) for each in fields.get("candidates") or ())
        fields["verdicts"] = tuple(_verdict(each) for each in fields.get("verdicts") or ())
        fields["begun"] = tuple(Probe(**_known(Probe, each)) for each in fields.get("begun") or ())
        fields["probes"] = tuple(Probe(**_known(Probe, each)) for each in fields.get("probes") or ())
        if fields.get("effect") is not None:
            fields["effect"] = Effect(**_known(Effect, fields["effect"]))
        return Bisection(**fields)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a bisection: {str(document)[:80]}") from error


def _candidate(value: dict[str, Any]) -> Candidate:
    fields = _known(Candidate, value)
    fields["others"] = tuple((str(name), str(commit)) for name, commit in fields.get("others") or ())
    fields["requirements"] = tuple(fields.get("requirements") or ())
    return Candidate(**fields)


def _verdict(value: dict[str, Any]) -> Verdict:
    fields = _known(Verdict, value)
    fields["culprits"] = tuple(fields.get("culprits") or ())
    if fields.get("effect") is not None:
        fields["effect"] = Effect(**_known(Effect, fields["effect"]))
    return Verdict(**fields)


def _known(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: each for name, each in value.items() if name in names}
