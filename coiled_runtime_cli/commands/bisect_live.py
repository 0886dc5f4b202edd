"""The search of `crt bisect` as it goes: some lines that stay in place on a terminal, a line for each run elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coiled_runtime_cli import console
from coiled_runtime_cli.core import bisection_table as text
from coiled_runtime_cli.core import forecast
from coiled_runtime_cli.core.quantity import clock_text, counted, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.bisect.loop import Step
    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.core.bisection import Probe
    from coiled_runtime_cli.core.search import Search

#: Values that the live view remembers.
_REMEMBERED = 5

#: The metric "failure" is 1 for what passes and 2 for what fails; the search knows their logarithms.
_BETWEEN = 2**0.5


@contextmanager
def watching(kept: Record, plan: Plan) -> Iterator[View]:
    with console.display() as display:
        yield View(kept, plan, display)


class View:
    def __init__(self, kept: Record, plan: Plan, display: console.Display) -> None:
        self._kept = kept
        self._plan = plan
        self._display = display
        self._last: list[Probe] = []
        self._now: dict[int, str] = {}
        self._took: list[float] = []
        self._began = time.monotonic()

    @staticmethod
    def now() -> float:
        return time.time()

    def preparing(self, what: str) -> None:
        self._display.update([f"preparing: {what}"])

    def step(self, step: Step, search: Search, first: int) -> None:
        probe = step.probe
        candidate = self._kept.bisection.candidates[first + step.ask.candidate]
        name = text.short_name(candidate)
        if probe is None:
            self._now[step.slot] = f"{name} {candidate.subject or ''}".strip()
        else:
            self._now.pop(step.slot, None)
            self._last = [*self._last, probe][-_REMEMBERED:]
            if probe.took is not None:
                self._took.append(probe.took)
            self._display.log(self._line(probe, search), always=probe.outcome != "measured")
        self._display.update(self._lines(search, first))

    def _line(self, probe: Probe, search: Search) -> str:
        """A run that has ended, in a line."""
        name = text.short_name(self._kept.bisection.candidates[probe.candidate])
        if probe.outcome == "measured" and probe.value is not None:
            what = self._value(probe.value)
        else:
            what = f"{probe.outcome}: {probe.message or ''}"
        return f"[{len(self._kept.bisection.probes)}] {name} {probe.purpose} {what}  {self._left(search)}".rstrip()

    def _value(self, value: float) -> str:
        """What was measured; of a run that could only pass or fail, which it was."""
        if self._kept.bisection.metric == "failure":
            return "passes" if value < _BETWEEN else "fails"
        return value_text(value, self._kept.bisection.unit, 1.0)

    def _left(self, search: Search) -> str:
        found = forecast.runs_left(search)
        if found is None:
            return f"the ends do not differ yet; {search.until_none} runs more at most will say"
        told = f"about {found.mean:.0f} runs left ({found.low:.0f} to {found.high:.0f})"
        if self._took:
            middle = sorted(self._took)[len(self._took) // 2]
            told += f", {clock_text(found.mean * middle / self._plan.jobs)}"
        return told

    def _lines(self, search: Search, first: int) -> list[str]:
        bisection = self._kept.bisection
        width = self._display.width
        of = f" in {bisection.repository}" if bisection.repository else ""
        lines = [f"bisect {bisection.metric} of {text.what_of(bisection)}{of}"]
        counts = search.belief.count(0), search.belief.count(search.last)
        if min(counts):
            import math

            posterior = search.belief.posterior().tolist()
            levels = [self._value(math.exp(each)) for each in search.belief.levels]
            names = ("bad", "good") if self._plan.find_fix else ("good", "bad")
            lines.append(
                f"  ends   {names[0]} {levels[0]}, {names[1]} {levels[1]}, "
                f"noise {search.belief.noise:.1%}, {counts[0]} and {counts[1]} runs"
            )
            lines.append(f"  range  {text.strip(posterior, max(10, width - 12), unicode=self._display.unicode)}|")
            best = max(range(len(posterior)), key=posterior.__getitem__)
            likely = bisection.candidates[first + best + 1]
            alive = sum(each > 1e-3 * posterior[best] for each in posterior)
            lines.append(
                f"  likely {text.percent(posterior[best])} {text.short_name(likely)} {likely.subject or ''}; "
                f"{alive} of {search.last} left"
            )
        if self._last:
            told = [
                f"{text.short_name(bisection.candidates[each.candidate])} "
                + (self._value(each.value) if each.value is not None else each.outcome)
                for each in self._last
            ]
            lines.append(f"  last   {', '.join(reversed(told))}")
        lines += [f"  now    {each}" for each in self._now.values()]
        lines.append(
            f"  {counted(text.runs_of(bisection), 'run')} in {clock_text(time.monotonic() - self._began)}, {self._left(search)}"
        )
        return lines
