"""From digests to what each page shows: one class that knows the whole history, one method per kind of page."""

from __future__ import annotations

import ast
import math
import re
import textwrap
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core import forge
from coiled_runtime_cli.core.detect import kind_of
from coiled_runtime_cli.report import highlight
from coiled_runtime_cli.report.changes import Changes
from coiled_runtime_cli.report.digest import spark_points
from coiled_runtime_cli.report.figures import history as figures
from coiled_runtime_cli.report.figures.text import plain
from coiled_runtime_cli.report.groups import moment, slug
from coiled_runtime_cli.report.health import Health
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import (
    FunctionRow,
    FunctionView,
    IndexView,
    LinkView,
    MetricView,
    SeriesRow,
    SparkView,
    SuiteView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coiled_runtime_cli.core.findings import Known
    from coiled_runtime_cli.core.history import History, HistoryMetric
    from coiled_runtime_cli.report.digest import SeriesDigest, UnitDigest
    from coiled_runtime_cli.report.groups import Function, Groups, Unit
    from coiled_runtime_cli.report.views import ChangeView

#: What a person calls the built-in measures; others are called by their name.
_LABELS = {
    "duration": "Duration",
    "average_memory": "Average memory",
    "peak_memory": "Peak memory",
    "compute_time": "Compute time",
    "disk_spill_time": "Spill time",
    "serializing_time": "Deserialise time",
    "transfer_time": "Transfer time",
    "scheduler_cpu_avg": "Scheduler CPU",
    "scheduler_memory_max": "Scheduler memory",
    "worker_max_tick": "Worker tick, longest",
    "scheduler_max_tick": "Scheduler tick, longest",
}

#: Days before the last run that the index looks back for changes, and the most that it lists.
WINDOW, LISTED = 30, 100

_DAY = 86_400_000


def metric_view(metric: HistoryMetric) -> MetricView:
    label = _LABELS.get(metric.key) if metric.built_in else None
    return MetricView(
        key=metric.key,
        label=label or metric.key.replace("_", " "),
        unit=metric.display_unit,
        scale=metric.display_scale,
        better=metric.better,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A series of a function with its digest."""

    unit: Unit
    index: int
    digest: SeriesDigest


class Pages:
    """``digests`` are those of ``groups.units``, in their order. See :class:`Changes` for ``known`` and ``experiments``."""

    def __init__(
        self,
        history: History,
        groups: Groups,
        digests: Sequence[UnitDigest],
        *,
        known: Sequence[Known] = (),
        experiments: bool = False,
    ) -> None:
        self._history = history
        self._groups = groups
        self._digests = digests
        measured = {key for digest in digests for series in digest.series for key in series.metrics}
        #: The metrics that anything has a value of, the built-in ones first.
        self.metrics = tuple(metric_view(each) for each in history.metrics if each.key in measured)
        self._metric = {each.key: each for each in self.metrics}
        self._units: dict[int, list[int]] = {}
        for number, unit in enumerate(groups.units):
            self._units.setdefault(unit.function, []).append(number)
        self.hrefs = {number: f"benchmark/{groups.functions[number].slug}.html" for number in self._units}
        self._paths: dict[str, list[int]] = {}
        for number in self._units:
            self._paths.setdefault(groups.functions[number].path, []).append(number)
        self._suite_names = _suite_names(groups.functions[members[0]] for members in self._paths.values())
        self.changes = Changes(
            history,
            groups,
            digests,
            self._metric,
            self.hrefs,
            self._suite_names,
            known=known,
            experiments=experiments,
        )
        self._rows = {number: self._row(number) for number in self._units}
        starts = history.runs.start[history.runs.start > 0]
        #: Times of the first and the last run.
        self.first = moment(int(starts.min())) if len(starts) else None
        self.last = moment(int(starts.max())) if len(starts) else None

    @property
    def functions(self) -> Sequence[int]:
        return tuple(self._units)

    def units(self, function: int) -> Sequence[int]:
        """The numbers of a function's units, the last measured runtime first."""
        return self._units[function]

    def suite_links(self) -> tuple[LinkView, ...]:
        return tuple(
            LinkView(text=self._suite_names[path], href=self._suite_href(path))
            for path in sorted(self._paths, key=lambda each: self._suite_names[each])
        )

    def index(self) -> IndexView:
        recent, older = self.changes.recent(WINDOW, LISTED)
        # also where no run has any value: that all of them failed is what a session's health is about
        duration = next(metric_view(each) for each in self._history.metrics if each.key == "duration")
        health = Health(self._history, self._groups, duration, self.hrefs).views()
        return IndexView(
            changes=recent,
            older=older,
            window=WINDOW,
            searched=self.changes.searched,
            health=health,
            suites=self.suites(),
        )

    def suites(self) -> tuple[SuiteView, ...]:
        return tuple(self._suite(path) for path in sorted(self._paths, key=lambda each: self._suite_names[each]))

    def function(self, number: int) -> FunctionView:
        function = self._groups.functions[number]
        versions = [self._history.benchmarks[each] for each in function.benchmarks]
        units = [self._groups.units[each] for each in self._units[number]]
        source = self._newest_source(number)
        members = list(self._members(number))
        measured = {key for each in members for key in each.digest.metrics}
        metrics = tuple(each for each in self.metrics if each.key in measured)
        changes = self.changes.of_function(number)
        busiest = sorted(units, key=lambda each: (-len(each.rows), each.name))
        runtimes = [
            replace(self._groups.runtimes[unit.runtime], runs=len(unit.rows), last=self._last(unit)) for unit in busiest
        ]
        return FunctionView(
            name=function.name,
            path=function.path,
            suite=LinkView(text=self._suite_names[function.path], href=f"../{self._suite_href(function.path)}"),
            summary=_summary(source),
            metrics=metrics,
            runtimes=tuple(runtimes),
            series=tuple(self._series_row(each) for each in members),
            changes=tuple(_here(each) for each in self.changes.told_of_function(number)),
            epochs=self._epochs(members, versions),
            former=tuple(sorted({each.former for each in versions if each.former})),
            source=highlight.python(source) if source else None,
            source_text=source,
            markers=tuple(sorted({marker for each in versions for marker in each.markers})),
            page={
                "slug": function.slug,
                "name": function.name,
                "path": function.path,
                "figures": f"b/{function.slug}/figures",
                "units": [
                    {
                        "name": f"b/{unit.name}",
                        "runtime": runtime.id,
                        "text": runtime.text,
                        "runs": runtime.runs,
                        "last": _stamp(runtime.last),
                    }
                    for unit, runtime in zip(busiest, runtimes, strict=True)
                ],
                "metrics": [metric_document(each) for each in metrics],
                "traces": {
                    each.unit.series[each.index].name: plain(each.unit.series[each.index].trace) for each in members
                },
                "forges": dict(forge.templates()),
                "changes": [self.changes.document(each) for each in changes],
            },
        )

    def figures(self, number: int) -> dict[str, Any]:
        """The payload of a function's figures file: a figure for each metric, and the phases of each series."""
        function = self._groups.functions[number]
        members = list(self._members(number))
        traces = sorted({(each.unit.series[each.index].trace) for each in members}, key=_natural)
        runtimes = [self._groups.units[each].runtime for each in self._units[number]]
        lines = [
            figures.Line(
                unit=f"b/{each.unit.name}",
                index=each.index,
                runtime=self._groups.runtimes[each.unit.runtime].id,
                name=each.unit.series[each.index].trace,
                colour=traces.index(each.unit.series[each.index].trace),
                dash=runtimes.index(each.unit.runtime),
                epoch=each.unit.series[each.index].epoch,
                digest=each.digest,
            )
            for each in members
        ]
        marks = [
            (self._groups.runtimes[self._groups.units[each].runtime].id, self._digests[each].marks)
            for each in self._units[number]
        ]
        measured = {key for each in members for key in each.digest.metrics}
        payload: dict[str, Any] = {
            each.key: figures.time_series(each, lines, title=function.name)
            for each in self.metrics
            if each.key in measured
        }
        payload["environment"] = figures.environment_changes(marks)
        payload["phases"] = {
            f"{line.unit}/{line.index}": figures.phases(line, self.metrics, title=line.name)
            for line in lines
            if figures.PHASES.keys() & line.digest.metrics.keys()
        }
        return payload

    def search(self) -> list[dict[str, str]]:
        """What the search box finds: tests, suites, metrics, versions; ``href`` from the site's folder."""
        entries = [{"kind": "suite", "text": each.text, "href": each.href, "more": ""} for each in self.suite_links()]
        for number in self._units:
            function = self._groups.functions[number]
            suite, href = self._suite_names[function.path], self.hrefs[number]
            entries.append({"kind": "benchmark", "text": function.name, "href": href, "more": suite})
            names = {series.name for unit in self._units[number] for series in self._groups.units[unit].series}
            entries += [
                {"kind": "test", "text": name, "href": f"{href}#only={_quoted(name)}", "more": suite}
                for name in sorted(names - {function.name}, key=_natural)
            ]
        entries += [
            {"kind": "metric", "text": each.label, "href": f"index.html#metric={_quoted(each.key)}", "more": each.unit}
            for each in self.metrics
        ]
        versions = {
            (package.name, package.version)
            for environment in self._history.environments
            for package in environment.packages
            if package.name in {"dask", "distributed"} and package.version
        }
        entries += [
            {
                "kind": "version",
                "text": f"{name} {version}",
                "href": f"compare.html#b={_quoted(f'version:{name}=={version}')}",
                "more": "compare",
            }
            for name, version in sorted(versions, key=lambda each: (each[0], _natural(each[1])), reverse=True)
        ]
        return entries

    def _suite_href(self, path: str) -> str:
        return f"suite/{slug(path.removesuffix('.py').replace('/', '.'))}.html"

    def _members(self, function: int) -> Iterator[_Member]:
        for number in self._units[function]:
            unit = self._groups.units[number]
            order = sorted(range(len(unit.series)), key=lambda each: (_natural(unit.series[each].trace), each))
            for index in order:
                yield _Member(unit=unit, index=index, digest=self._digests[number].series[index])

    def _row(self, number: int) -> FunctionRow:
        function = self._groups.functions[number]
        members = list(self._members(number))
        busiest = max(members, key=lambda each: each.digest.metrics["duration"].n if _timed(each.digest) else 0)
        level = _level(busiest.digest, "duration")
        shifts = [shift for each in members if (shift := self._shift(each.digest)) is not None]
        last = max((each.digest.last for each in members if each.digest.last is not None), default=None)
        kinds = [each.view.kind for each in self.changes.of_function(number) if each.view.is_open]
        metric = self._metric.get("duration")
        return FunctionRow(
            name=function.name,
            path=function.path,
            href=self.hrefs[number],
            series=len(members),
            runs=sum(each.digest.runs for each in members),
            failed=sum(_fails(each.digest) for each in members),
            last=_moment(last),
            value=level,
            value_text=value_text(level, metric) if level is not None and metric else "",
            change=math.exp(sum(map(math.log, shifts)) / len(shifts)) if shifts else None,
            regressions=kinds.count("regression"),
            improvements=kinds.count("improvement"),
            spark=_spark([value for _, value in busiest.digest.recent], "duration of late"),
        )

    def _shift(self, digest: SeriesDigest) -> float | None:
        """The level now over the level a month before the last run."""
        if not _timed(digest) or digest.last is None:
            return None
        levels = digest.metrics["duration"].levels
        then = [each for each in levels if each.start <= digest.last - WINDOW * _DAY]
        if not then or then[-1].median <= 0 or levels[-1].median <= 0:
            return None
        return levels[-1].median / then[-1].median

    def _suite(self, path: str) -> SuiteView:
        numbers = self._paths[path]
        rows = tuple(sorted((self._rows[each] for each in numbers), key=lambda each: _natural(each.name)))
        return SuiteView(
            name=self._suite_names[path],
            path=path,
            href=self._suite_href(path),
            functions=rows,
            tests=len({member.unit.series[member.index].name for each in numbers for member in self._members(each)}),
            runs=sum(each.runs for each in rows),
            failed=sum(each.failed for each in rows),
            last=max((each.last for each in rows if each.last is not None), default=None),
            regressions=sum(each.regressions for each in rows),
            improvements=sum(each.improvements for each in rows),
            spark=_spark(
                _together([member.digest.recent for each in numbers for member in self._members(each)]),
                "durations of late, together",
            ),
        )

    def _series_row(self, member: _Member) -> SeriesRow:
        series, digest = member.unit.series[member.index], member.digest
        levels: dict[str, str] = {}
        intervals: dict[str, str] = {}
        changes: dict[str, tuple[str, float] | None] = {}
        for key, measured in digest.metrics.items():
            metric = self._metric[key]
            if measured.levels:
                now = measured.levels[-1]
                levels[key] = value_text(now.median, metric)
                if now.low is not None and now.high is not None:
                    intervals[key] = f"{value_text(now.low, metric)} to {value_text(now.high, metric)}"
            last = measured.changes[-1] if measured.changes else None
            changes[key] = (kind_of(last.ratio, metric.better), last.ratio) if last else None
        return SeriesRow(
            name=series.name,
            trace=series.trace,
            runtime=self._groups.runtimes[member.unit.runtime].text,
            unit=f"b/{member.unit.name}",
            index=member.index,
            epoch=series.epoch,
            runs=digest.runs,
            failed=digest.failures,
            last=_moment(digest.last),
            last_outcome=digest.last_outcome,
            levels=levels,
            intervals=intervals,
            changes=changes,
        )

    def _epochs(
        self, members: Sequence[_Member], versions: Sequence[Any]
    ) -> tuple[tuple[int, str | None, datetime | None], ...]:
        """Each epoch with its reason and first run; nothing where there was only ever one."""
        runs = self._history.runs
        first: dict[int, int] = {}
        for each in members:
            rows = each.unit.rows[each.unit.series_of == each.index]
            epoch, start = each.unit.series[each.index].epoch, int(runs.start[rows].min())
            first[epoch] = min(first.get(epoch, start), start)
        if len(first) < 2:
            return ()
        reasons = {each.epoch: each.epoch_reason for each in versions if each.epoch_reason}
        return tuple((epoch, reasons.get(epoch), moment(first[epoch])) for epoch in sorted(first))

    def _newest_source(self, function: int) -> str | None:
        """The text of the test as it was run last."""
        runs, best = self._history.runs, (-1, "")
        for number in self._units[function]:
            row = int(self._groups.units[number].rows[-1])
            source = self._history.benchmarks[runs.benchmark[row]].source
            if source and row > best[0]:
                best = (row, source)
        return best[1] or None

    def _last(self, unit: Unit) -> datetime | None:
        return moment(int(self._history.runs.start[unit.rows[-1]]))


def metric_document(metric: MetricView) -> dict[str, Any]:
    """A metric for the browser."""
    return {
        "key": metric.key,
        "label": metric.label,
        "unit": metric.unit,
        "scale": metric.scale,
        "better": metric.better,
    }


def _here(change: ChangeView) -> ChangeView:
    """A change as the page of its own function links to it, and to those that are alike."""
    alike = tuple(replace(each, href=f"../{each.href}") for each in change.alike)
    return replace(change, href=f"#{change.href.partition('#')[2]}", alike=alike)


def _suite_names(functions: Iterable[Function]) -> dict[str, str]:
    """Module path -> the suite's name, with its folder where two modules share a name."""
    suites = {each.path: (each.suite, each.folder) for each in functions}
    taken: dict[str, int] = {}
    for suite, _ in suites.values():
        taken[suite] = taken.get(suite, 0) + 1
    return {path: f"{folder}/{suite}" if taken[suite] > 1 else suite for path, (suite, folder) in suites.items()}


def _timed(digest: SeriesDigest) -> bool:
    return "duration" in digest.metrics


def _level(digest: SeriesDigest, metric: str) -> float | None:
    measured = digest.metrics.get(metric)
    return measured.levels[-1].median if measured and measured.levels else None


def _fails(digest: SeriesDigest) -> bool:
    return digest.last_outcome not in {"passed", "skipped"}


def _spark(values: Sequence[float], label: str) -> SparkView:
    points = spark_points(values)
    step = 100 / max(1, len(points) - 1)
    return SparkView(
        points=tuple((round(x * step), 100 - y) for x, y in enumerate(points)),
        label=f"{label}: {len(values)} points" if values else "no values",
    )


def _together(recents: Sequence[Sequence[tuple[int, float]]]) -> list[float]:
    """The geometric mean of many series by day (by time of day, where all is one day), each relative to its own median."""
    times = [time for recent in recents for time, _ in recent]
    if not times:
        return []
    single = max(times) // _DAY - min(times) // _DAY < 2
    sums: dict[int, list[float]] = {}
    for recent in recents:
        if not recent:
            continue
        center = float(np.median([value for _, value in recent]))
        for place, (time, value) in enumerate(recent):
            sums.setdefault(place if single else time // _DAY, []).append(math.log(value / center))
    return [math.exp(sum(sums[key]) / len(sums[key])) for key in sorted(sums)]


def _summary(source: str | None) -> str | None:
    """The first paragraph of a function's docstring."""
    if source is None:
        return None
    try:
        tree = ast.parse(textwrap.dedent(source))
        function = tree.body[0]
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return None
        text = ast.get_docstring(function)
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return None
    return " ".join(text.split("\n\n")[0].split())[:400] if text else None


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key that puts 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", text)]


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="", errors="replace")


def _stamp(when: datetime | None) -> int | None:
    return None if when is None else round(when.timestamp() * 1000)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
