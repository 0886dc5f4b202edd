"""The changes of a history as findings: which way, how sure, since when, what moved, and which belong together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from coiled_runtime_cli.core import detect, forge
from coiled_runtime_cli.core.findings import LEVELS, Remembered, decided
from coiled_runtime_cli.core.series import SeriesKey
from coiled_runtime_cli.report.digest import PASSED
from coiled_runtime_cli.report.groups import is_experiment
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import ChangeView, LinkView, MovedView, SparkView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.findings import Known
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.digest import ChangeDigest, MetricDigest, UnitDigest
    from coiled_runtime_cli.report.groups import Groups, Unit
    from coiled_runtime_cli.report.views import MetricView

#: False discovery rate of what is shown, packages that are named beside a change, and findings that are listed as alike.
FALSE_DISCOVERIES, _MOVED, _ALIKE = 0.05, 12, 20

_DAY = 86_400_000

#: How far from its true place a change may seem to be, in milliseconds.
_BLUR = detect.BLUR * 1_000

#: Of findings with one cause the one that people ask about is shown: time, then memory, then what explains them.
_ASKED = {"duration": 0, "peak_memory": 1, "average_memory": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding with what a page needs to draw it. Times are milliseconds since the epoch."""

    view: ChangeView
    function: int
    unit: str
    series: int
    good: int
    bad: int


class Changes:
    """Every finding of a history, the newest first, of each moment the largest first.

    A change that is one of the ``known`` findings has the state that a person, or fresh runs, gave it. Runs of experiments,
    whose environments change on purpose, have findings only where ``experiments`` asks for them. ``searched`` counts the
    series and metrics that had enough runs to have any.
    """

    def __init__(
        self,
        history: History,
        groups: Groups,
        digests: Sequence[UnitDigest],
        metrics: Mapping[str, MetricView],
        hrefs: Mapping[int, str],
        suites: Mapping[str, str],
        *,
        known: Sequence[Known] = (),
        experiments: bool = False,
    ) -> None:
        self._history = history
        self._groups = groups
        self._metrics = metrics
        self._hrefs = hrefs
        self._suites = suites
        self._packages = {each.id: each.packages for each in history.environments}
        self._pythons = {each.id: each.python for each in history.environments}
        self._hosts = {each.id: each.host_fingerprint for each in history.sessions}
        self._diffs: dict[tuple[str, str], tuple[tuple[MovedView, ...], int]] = {}
        self._known = Remembered(known) if known else None
        self._newest = max((each.last for each in digests if each.last is not None), default=0)
        judged = [
            (unit, digest)
            for unit, digest in zip(groups.units, digests, strict=True)
            if experiments or not is_experiment(groups.runtimes[unit.runtime])
        ]
        self.searched = sum(digest.searched for _, digest in judged)
        self._found = self._related(list(self._findings(judged)))
        self._by_function: dict[int, list[Found]] = {}
        for each in self._found:
            self._by_function.setdefault(each.function, []).append(each)

    @property
    def all(self) -> tuple[ChangeView, ...]:
        return tuple(each.view for each in self._found)

    def of_function(self, function: int) -> Sequence[Found]:
        return self._by_function.get(function, [])

    def told_of_function(self, function: int) -> tuple[ChangeView, ...]:
        """The findings of a function, of those with one cause the one that matters most."""
        return self._leading(self._by_function.get(function, []))

    def _leading(self, found: Sequence[Found]) -> tuple[ChangeView, ...]:
        told: set[str] = set()
        leading: list[Found] = []
        # one that is open speaks for its cause, so that none is hidden behind one that was accepted
        for each in sorted(found, key=lambda one: (not one.view.is_open, *_order(one))):
            if each.view.id not in told:
                told.update(self._alike[each.view.id])
                leading.append(each)
        return tuple(each.view for each in sorted(leading, key=_order))

    def recent(self, days: int, limit: int) -> tuple[tuple[ChangeView, ...], int]:
        """The findings of the last days, one of each cause, at most ``limit``; and how many are older."""
        start = self._newest - days * _DAY
        late = [each for each in self._found if each.bad >= start]
        return self._leading(late)[:limit], len(self._found) - len(late)

    def document(self, found: Found) -> dict[str, Any]:
        """A finding for the browser."""
        view = found.view
        return {
            "id": view.id,
            "metric": view.metric.key,
            "unit": found.unit,
            "series": found.series,
            "good": found.good,
            "time": found.bad,
            "kind": view.kind,
            "ratio": view.ratio,
            "low": view.low,
            "high": view.high,
        }

    def _findings(self, judged: Sequence[tuple[Unit, UnitDigest]]) -> Iterator[Found]:
        """All changes that are still findings among all that was tested."""
        changed = [
            (unit, index, self._metrics[key], digest)
            for unit, each in judged
            for index, series in enumerate(each.series)
            for key, digest in series.metrics.items()
            if digest.changes
        ]
        p_values = [change.p_value for *_, digest in changed for change in digest.changes]
        # each change is a test, beside the series that were searched and had none
        sure = iter(detect.q_values(p_values, len(p_values) + self.searched - len(changed)))
        for unit, index, metric, digest in changed:
            known = self._remembered(unit, index, metric, digest)
            for place in range(len(digest.changes)):
                q = next(sure)
                if q <= FALSE_DISCOVERIES:
                    yield self._finding(unit, index, metric, digest, place, q, known.get(place))

    def _finding(
        self,
        unit: Unit,
        index: int,
        metric: MetricView,
        digest: MetricDigest,
        place: int,
        q: float,
        same: Known | None,
    ) -> Found:
        change, series = digest.changes[place], unit.series[index]
        function = self._groups.functions[unit.function]
        runtime = self._groups.runtimes[unit.runtime]
        moved, more = self._moved(change)
        name = f"{unit.name}|{series.benchmark}|{series.epoch}|{metric.key}|{change.bad_uuid}"
        token = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:12]
        address = {
            "metric": metric.key,
            "runtime": runtime.id,
            "run": change.bad_uuid,
            "change": token,
        }
        view = ChangeView(
            id=token,
            kind=detect.kind_of(change.ratio, metric.better),
            state=_state(digest, place, same),
            metric=metric,
            benchmark=series.benchmark,
            name=series.name,
            suite=self._suites[function.path],
            href=f"{self._hrefs[unit.function]}#" + "&".join(f"{key}={quote(text)}" for key, text in address.items()),
            runtime=runtime.text,
            since=_moment(change.bad),
            before=value_text(change.before, metric),
            after=value_text(change.after, metric),
            ratio=change.ratio,
            low=change.low,
            high=change.high,
            q=q,
            last_good=_moment(change.good),
            spark=_spark(change, metric),
            moved=moved,
            more_moved=more,
        )
        return Found(
            view=view,
            function=unit.function,
            unit=f"b/{unit.name}",
            series=index,
            good=change.good,
            bad=change.bad,
        )

    def _remembered(self, unit: Unit, index: int, metric: MetricView, digest: MetricDigest) -> dict[int, Known]:
        """The known finding that each change of a series is, by its place, as ``crt detect`` knows them again."""
        if self._known is None:
            return {}
        series, runtime = unit.series[index], self._groups.runtimes[unit.runtime]
        key = SeriesKey(
            benchmark=series.benchmark,
            epoch=series.epoch,
            label=runtime.label,
            scale=runtime.scale,
            cluster=runtime.cluster,
            python=runtime.python,
            host=runtime.host,
        )
        remembered: dict[int, Known] = {}
        for kind in LEVELS:
            what = (key, metric.key, kind)
            changes = [
                (place, each)
                for place, each in enumerate(digest.changes)
                if detect.kind_of(each.ratio, metric.better) == kind
            ]
            if not changes or what not in self._known:
                continue
            start = self._starts(unit, index, metric.key)
            indexes = np.searchsorted(start, [1000 * each.bad for _, each in changes]).tolist()
            same = self._known.again(what, indexes, [each.bad_uuid for _, each in changes], start)
            remembered.update({changes[number][0]: one for number, one in same.items()})
        return remembered

    def _starts(self, unit: Unit, index: int, metric: str) -> NDArray[np.int64]:
        """When the runs of a series started that are searched for changes of a metric, in microseconds."""
        runs = self._history.runs
        rows = unit.rows[unit.series_of == index]
        fit = (runs.outcome[rows] == PASSED) & ~runs.profiled[rows] & (runs.values[metric][rows] > 0)
        start: NDArray[np.int64] = runs.start[rows[fit]]
        return start

    def _related(self, found: list[Found]) -> list[Found]:
        """Order the findings, and tell each which others have its cause: one direction, one stretch of time."""
        groups: dict[tuple[str, int], list[Found]] = {}
        for kind in ("regression", "improvement"):
            mine = [each for each in found if each.view.kind == kind]
            spans = [(one.good - _BLUR, one.bad + _BLUR) for one in mine]
            for each, number in zip(mine, detect.ranges(spans), strict=True):
                groups.setdefault((kind, number), []).append(each)
        self._alike: dict[str, list[str]] = {}
        related: list[Found] = []
        for members in groups.values():
            members.sort(key=lambda one: _weight(one.view))
            ids = [each.view.id for each in members]
            links = [LinkView(text=_title(each.view), href=each.view.href) for each in members]
            for place, each in enumerate(members):
                others = (*links[:place], *links[place + 1 :])
                self._alike[each.view.id] = ids
                related.append(replace(each, view=replace(each.view, alike=others[:_ALIKE])))
        return sorted(related, key=lambda one: (-one.bad, *_weight(one.view)))

    def _moved(self, change: ChangeDigest) -> tuple[tuple[MovedView, ...], int]:
        host: list[MovedView] = []
        before, after = self._hosts.get(change.good_session), self._hosts.get(change.bad_session)
        if before is not None and after is not None and before != after:
            host = [MovedView(name="host", before=before[:6], after=after[:6])]
        if change.good_environment is None or change.bad_environment is None:
            return tuple(host), 0
        pair = (change.good_environment, change.bad_environment)
        if pair not in self._diffs:
            self._diffs[pair] = self._diff(*pair)
        moved, more = self._diffs[pair]
        return (*host, *moved), more

    def _diff(self, before: str, after: str) -> tuple[tuple[MovedView, ...], int]:
        moved = []
        if self._pythons[before] != self._pythons[after]:
            moved.append(MovedView(name="python", before=self._pythons[before], after=self._pythons[after]))
        changes = forge.package_changes(self._packages[before], self._packages[after])
        rank = {name: place for place, name in enumerate(forge.NAMED_FIRST)}
        moved += [
            MovedView(
                name=each.name,
                before=forge.version_text(each.before),
                after=forge.version_text(each.after),
                url=each.url,
            )
            for each in sorted(changes, key=lambda one: (rank.get(one.name, len(rank)), one.name))
        ]
        return tuple(moved[:_MOVED]), max(0, len(moved) - _MOVED)


def _state(digest: MetricDigest, place: int, same: Known | None) -> str:
    """How a change stands; ``same`` is the known finding that it is."""
    change = digest.changes[place]
    later = [each.after for each in digest.changes[place + 1 :]]
    state = detect.state(change.before, later, change.held, p_value=change.p_value, min_effect=detect.MIN_EFFECT)
    return decided(state, same)


def _title(view: ChangeView) -> str:
    return f"{view.name}, {view.metric.label.lower()}"


def _spark(change: ChangeDigest, metric: MetricView) -> SparkView:
    step = 100 / max(1, len(change.spark) - 1)
    return SparkView(
        points=tuple((round(x * step), 100 - y) for x, y in enumerate(change.spark)),
        at=round((change.spark_at - 0.5) * step),
        label=f"{metric.label} before and after the change",
    )


def _order(found: Found) -> tuple[int, int, float, str]:
    """Sort key: the newest day first, within it what matters most."""
    return -(found.bad // _DAY), *_weight(found.view)


def _weight(view: ChangeView) -> tuple[int, float, str]:
    """Sort key: what matters most first."""
    return _ASKED.get(view.metric.key, 2), -max(view.ratio, 1 / view.ratio), view.id


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
