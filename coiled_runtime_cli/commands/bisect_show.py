"""What `crt bisect` shows: the search as it goes, its answer in every format, the list of bisections, what one would take."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import config, console, session
from coiled_runtime_cli.bisect import prune as pruning
from coiled_runtime_cli.bisect import record, rig
from coiled_runtime_cli.bisect.plan import COMMITS, Plan
from coiled_runtime_cli.commands.bisect_again import reproduction
from coiled_runtime_cli.core import bisection_table as text
from coiled_runtime_cli.core import forecast
from coiled_runtime_cli.core.quantity import bytes_text, clock_text, counted, seconds_text, value_text
from coiled_runtime_cli.db import bisections
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.bisect.loop import Step
    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Bisection, Candidate, Probe
    from coiled_runtime_cli.core.search import Search

#: Values that the live view remembers.
_REMEMBERED = 5

#: The metric "failure" is 1 for what passes and 2 for what fails; the search knows their logarithms.
_BETWEEN = 2**0.5


class Shown:
    """Where and how the answer is written."""

    def __init__(self, format_: str, *, page: str | None = None, replay: str | None = None) -> None:
        self._format = format_
        self._page = page
        self._replay = replay

    # --- what has been

    def list(self, settings: Config) -> None:
        engine = session.open_existing(settings)
        try:
            known = bisections.bisections(engine)
        finally:
            engine.dispose()
        if self._format == "json":
            console.show_json({"schema": 1, "bisections": [text.bisection_document(each) for each in known]})
        elif not known:
            console.result("no bisection yet")
        else:
            console.show_table(text.list_table(known), self._format)

    def show(self, settings: Config, name: str) -> None:
        engine = session.open_existing(settings)
        try:
            found = record.find(engine, name)
        finally:
            engine.dispose()
        self.answer(found, Plan.from_document(found.definition) if found.definition else None, settings)

    def prune(self, settings: Config) -> None:
        """Remove what can be made again, and the logs of bisections that have ended; a database need not be there."""
        known: dict[str, bool] = {}
        file = config.sqlite_file(settings.db)
        if file is None or file.exists():
            engine = session.open_existing(settings)
            try:
                known = {each.id: each.status in record.OPEN_STATUSES for each in bisections.bisections(engine)}
            finally:
                engine.dispose()
        done = pruning.prune(rig.cache_of(settings), known)
        console.result(f"removed {bytes_text(done.size)} in {counted(done.folders, 'folder')}")
        if done.running:
            console.note("a bisection is running: what it may use stays")
        if done.open:
            console.note(f"{counted(done.open, 'log')} of bisections that can go on: crt bisect --resume")

    # --- what it would take

    def plan(self, plan: Plan, candidates: Sequence[Candidate], settings: Config) -> None:
        needed = forecast.runs_needed(len(candidates) - 1)
        length = _length_of_a_run(plan, settings)
        document = {
            "schema": 1,
            "plan": {
                "candidates": len(candidates) - 1,
                "runs": {"mean": needed.mean, "low": needed.low, "high": needed.high},
                "noise": forecast.NOISE,
                "effect": forecast.EFFECT,
                "seconds": None if length is None else needed.mean * length,
                "names": [each.name for each in candidates],
            },
        }
        if self._format == "json":
            console.show_json(document)
            return
        first, last = candidates[0], candidates[-1]
        names = plan.ends
        runs = f"about {needed.mean:.0f} ({needed.low:.0f} to {needed.high:.0f})"
        lines = [
            f"{names[0]:10}  {text.short_name(first)}  {first.subject or ''}".rstrip(),
            f"{names[1]:10}  {text.short_name(last)}  {last.subject or ''}".rstrip(),
            f"candidates  {len(candidates) - 1:,}",
            f"runs        {runs}, if it changes by {forecast.EFFECT:.0%} and the noise is {forecast.NOISE:.0%}",
        ]
        if plan.kind != COMMITS or plan.install_command:
            lines.append(
                f"builds      about {min(len(candidates), needed.mean * 0.6):.0f}, one for each candidate measured"
            )
        if length is None:
            lines.append("time        not known: nothing like it was measured before")
        else:
            lines.append(f"time        about {seconds_text(needed.mean * length)}, and the builds")
        console.result("\n".join(lines))

    # --- the answer

    def answer(self, bisection: Bisection, plan: Plan | None, settings: Config) -> None:
        how = reproduction(bisection, plan, rig.logs_of(settings, bisection.id))
        if self._format == "json":
            console.show_json(text.bisection_document(bisection))
        elif self._format in {"markdown", "github"}:
            console.result(text.issue_text(bisection, how))
        else:
            console.show_facts([*text.facts(bisection)])
            console.result(f"to see it: {how}")  # in one line, to be copied
        if self._page is not None:
            from coiled_runtime_cli.report.single import bisection_page

            _write(Path(self._page), bisection_page(bisection))
        if self._replay is not None:
            _write(Path(self._replay), text.replay_log(bisection).encode())

    @contextmanager
    def watching(self, kept: Record, plan: Plan) -> Iterator[View]:
        with console.display() as display:
            yield View(kept, plan, display)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ToolError(f"cannot write {file}: {error.strerror or error}") from error
    console.note(f"wrote {file}")


def _length_of_a_run(plan: Plan, settings: Config) -> float | None:
    """How long a run took before (s), of the same test at the same scale."""
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.engine import open_database

    file = config.sqlite_file(settings.db)
    if plan.target is None or (file is not None and not file.exists()):
        return None
    settings = rig.settings_of(plan, settings)
    engine = open_database(settings.db)
    try:
        took = queries.last_duration(engine, scale=settings.scale)
        beside = queries.session_overhead(engine, scale=settings.scale) or 0.0
    finally:
        engine.dispose()
    wanted = _test_of(plan.target)
    # a name alone is that of all its parameters
    known = [length for name, length in took.items() if wanted in {_test_of(name), _test_of(name).partition("[")[0]}]
    return known[0] + beside if known else None


def _test_of(benchmark: str) -> str:
    """The name of a test with its parameters, in which there may be anything."""
    path, bracket, parameters = benchmark.partition("[")
    return path.rpartition("::")[2] + bracket + parameters


class View:
    """The search as it goes: some lines that stay in place on a terminal, a line for each run elsewhere."""

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
