"""From a plan to its answers: one search, and with ``every`` one more of each side of what was found."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coiled_runtime_cli.bisect import loop
from coiled_runtime_cli.bisect.packages import border
from coiled_runtime_cli.bisect.plan import PACKAGES
from coiled_runtime_cli.core.search import MOST, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coiled_runtime_cli.bisect.loop import Step
    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.bisect.rig import Rig
    from coiled_runtime_cli.core.bisection import Probe, Verdict
    from coiled_runtime_cli.core.search import Ask

#: A build in units of a run, where nothing is known of either.
BUILD_COST = 3.0

#: Runs of either end after which a tag is as bad as what came after it.
_TRIED = 12


def search_of(
    plan: Plan, rig: Rig, first: int, last: int, prior: Sequence[float] | None, between: int | None = None
) -> Search:
    """The search of a range of candidates; ``between`` is the candidate that is measured first after the ends."""
    mine = prior[first:last] if prior is not None else None
    return Search(
        last - first,
        confidence=plan.confidence,
        build_cost=BUILD_COST if rig.bench.compiles else 0.0,
        max_runs=plan.max_runs,
        prior=mine,
        built=[each for each in range(last - first + 1) if rig.bench.is_built(first + each)],
        jobs=plan.jobs,
        min_effect=math.log1p(plan.min_effect),
        verify=plan.verify,
        most=_TRIED if plan.starts else MOST,
        first=between - first if between is not None and first < between < last else None,
    )


def direction_of(plan: Plan, better: str | None) -> int:
    """Which way a value goes that the search is for: 1 up, -1 down."""
    worse = -1 if (plan.better or better) == "higher" else 1
    return -worse if plan.find_fix else worse


def run(
    plan: Plan,
    record: Record,
    rig: Rig,
    *,
    prior: Sequence[float] | None,
    tell: Callable[[Step, Search, int], None],
) -> Verdict:
    """Search the whole line, then (``plan.every``) what is left of it on both sides of each change; gives the first answer.

    What the record has measured and answered already is not measured again. ``tell`` hears of each run, with the search and the
    number of its first candidate. Raises CrtErrors, KeyboardInterrupt; the record is up to date then.
    """
    deadline = None if plan.max_time is None else time.monotonic() + plan.max_time - record.bisection.spent
    end = len(record.bisection.candidates) - 1
    ranges = [(0, end)] if not plan.starts else [(plan.starts[0], end)]
    further = [(each, end) for each in plan.starts[1:]]
    answers: dict[tuple[int, int], Verdict] = {(each.first, each.last): each for each in record.bisection.verdicts}
    answer: Verdict | None = None
    while ranges:
        first, last = ranges.pop(0)
        verdict = answers.get((first, last))
        if verdict is None:
            verdict = _search(plan, record, rig, first, last, prior, deadline, tell)
            answers[first, last] = verdict
        if answer is None and verdict.status == "no-change" and further:
            ranges.append(further.pop(0))  # no good end yet: further back
            continue
        answer = answer or verdict
        if plan.every and verdict.status == "found":
            # the line before the change, and the line from it on: either may hold another
            sides = (first, verdict.culprits[0] - 1), (verdict.culprits[-1], last)
            ranges += [(start, end) for start, end in sides if end > start]
    assert answer is not None
    return answer


def _search(
    plan: Plan,
    record: Record,
    rig: Rig,
    first: int,
    last: int,
    prior: Sequence[float] | None,
    deadline: float | None,
    tell: Callable[[Step, Search, int], None],
) -> Verdict:
    where = border(record.bisection.candidates) if plan.kind == PACKAGES else None
    search = search_of(plan, rig, first, last, prior, where)
    is_side = any(each.status == "found" for each in record.bisection.verdicts)  # what is left may go either way
    search.direction = 0 if is_side else direction_of(plan, rig.measure.better)
    loop.replay(search, record.between(first, last))

    def follow(step: Step) -> None:
        if rig.measure.better is not None and search.direction:
            search.direction = direction_of(plan, rig.measure.better)
        if step.probe is not None:
            _note(record, rig, search, first)
        tell(step, search, first)

    measure = _Shifted(rig.measure, first)
    ahead = rig.ahead
    answer = loop.bisect(
        search,
        measure,
        jobs=plan.jobs,
        deadline=deadline,
        tell=follow,
        stop=rig.stop,
        prefetch=None if ahead is None else lambda soon: ahead([first + each for each in soon]),
        ends=plan.ends,
    )
    _note(record, rig, search, first)
    return record.conclude(first, last, answer)


def _note(record: Record, rig: Rig, search: Search, first: int) -> None:
    """Keep what is believed now."""
    if rig.measure.unit is not None and record.bisection.unit != rig.measure.unit:
        record.update(unit=rig.measure.unit)
    if search.runs and min(search.belief.count(0), search.belief.count(search.last)):
        record.believe(first, search.belief.posterior().tolist())


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Measures candidates of the whole line for the search of a part of it."""

    measure: loop.Measure
    first: int

    def __call__(self, ask: Ask, slot: int) -> Probe:
        return self.measure(replace(ask, candidate=ask.candidate + self.first), slot)
