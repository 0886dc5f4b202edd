"""How the last session of each runtime went: what failed, what was slow, what was missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.record import OUTCOMES
from coiled_runtime_cli.report.digest import KEY_PACKAGES, PASSED
from coiled_runtime_cli.report.groups import is_experiment, moment
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import HealthView, MetricView, TroubleView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.groups import Groups, Unit

#: A run is slow when it took this much longer than the median of the runs before it, and more than their noise explains.
_SLOW, _NOISE = 1.3, 5.0

#: Earlier runs that say what is usual, and how many are needed.
_USUAL, _ENOUGH = 20, 5

#: Troubles of a kind that are listed; a session in which everything failed is one fact, not a thousand.
_LISTED = 50


class Health:
    """Looks at the last session of each runtime in turn. ``links`` leads from a unit's function to its page."""

    def __init__(self, history: History, groups: Groups, duration: MetricView, links: Mapping[int, str]) -> None:
        self._history = history
        self._groups = groups
        self._duration = duration
        self._links = links
        self._by_runtime: dict[int, list[Unit]] = {}
        for unit in groups.units:
            self._by_runtime.setdefault(unit.runtime, []).append(unit)

    def views(self, limit: int = 8) -> tuple[HealthView, ...]:
        return tuple(self._view(runtime) for runtime in range(len(self._groups.runtimes))[:limit])

    def _view(self, runtime: int) -> HealthView:
        runs, history = self._history.runs, self._history
        rows = np.flatnonzero(self._groups.runtime_of == runtime)
        index = int(runs.session[rows[-1]])
        session = history.sessions[index]
        here = rows[runs.session[rows] == index]
        counts = np.bincount(runs.outcome[here], minlength=len(OUTCOMES))
        troubles = list(self._troubles(runtime, index))
        environment = int(runs.environment[here[-1]])
        packages = history.environments[environment].packages if environment >= 0 else ()
        versions = {each.name: each.version for each in packages if each.name in KEY_PACKAGES and each.version}
        return HealthView(
            runtime=self._groups.runtimes[runtime].text,
            session=session.id,
            started=session.started or moment(int(runs.start[here].min())),
            ended=session.ended,
            interrupted=session.interrupted,
            ci_url=session.ci_url,
            versions=tuple((name, versions[name]) for name in ("dask", "distributed") if name in versions),
            passed=int(counts[PASSED]),
            runs=len(here),
            outcomes=tuple(
                (name, int(count)) for name, count in zip(OUTCOMES, counts, strict=True) if count and name != "passed"
            ),
            failed=tuple(each for kind, each in troubles if kind == "failed")[:_LISTED],
            slow=tuple(each for kind, each in troubles if kind == "slow")[:_LISTED],
            missing=tuple(self._missing(runtime, index))[:_LISTED],
        )

    def _troubles(self, runtime: int, session: int) -> Iterator[tuple[str, TroubleView]]:
        runs = self._history.runs
        for unit in self._by_runtime[runtime]:
            there = runs.session[unit.rows] == session
            if not there.any():
                continue
            for index, series in enumerate(unit.series):
                mine = unit.series_of == index
                rows = unit.rows[mine & there]
                if not len(rows):
                    continue
                failed = rows[(runs.outcome[rows] != PASSED) & (runs.outcome[rows] != OUTCOMES.index("skipped"))]
                if len(failed):
                    yield "failed", self._failed(unit, series.name, len(rows), failed)
                what = self._slow(rows, unit.rows[mine & ~there])
                if what is not None and not is_experiment(self._groups.runtimes[runtime]):
                    yield "slow", self._trouble(unit, series.name, what)

    def _trouble(self, unit: Unit, name: str, what: str, detail: str | None = None) -> TroubleView:
        function = self._groups.functions[unit.function]
        return TroubleView(name=name, suite=function.suite, href=self._links[unit.function], what=what, detail=detail)

    def _failed(self, unit: Unit, name: str, tries: int, failed: NDArray[np.int64]) -> TroubleView:
        runs = self._history.runs
        last = int(failed[-1])
        what = OUTCOMES[runs.outcome[last]]
        note = self._history.notes.get(runs.uuid[last].tobytes())
        lines = [line for line in ((note.failure if note else None) or "").splitlines() if line.strip()]
        return self._trouble(
            unit,
            name,
            what if tries == 1 else f"{what} in {len(failed)} of {tries}",
            lines[-1].strip()[:300] if lines else None,
        )

    def _slow(self, rows: NDArray[np.int64], earlier: NDArray[np.int64]) -> str | None:
        """``1.8x its usual 2.1 s`` where the session's median run was that slow."""
        now, usual = self._values(rows), self._values(earlier)[-_USUAL:]
        if not len(now) or len(usual) < _ENOUGH:
            return None
        logs = np.log(usual)
        center = float(np.median(logs))
        noise = 1.4826 * float(np.median(np.abs(logs - center)))  # a standard deviation that outliers do not reach
        excess = float(np.median(np.log(now))) - center
        if excess < math.log(_SLOW) or excess < _NOISE * noise:
            return None
        return f"{math.exp(excess):.2g}x its usual {value_text(math.exp(center), self._duration)}"

    def _values(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        runs = self._history.runs
        values = runs.values["duration"][rows]
        fit = (runs.outcome[rows] == PASSED) & ~runs.profiled[rows] & (values > 0) & np.isfinite(values)
        found: NDArray[np.float64] = values[fit]
        return found

    def _missing(self, runtime: int, session: int) -> Iterator[TroubleView]:
        """Tests that the same suites had when they last ran here. A suite that ran in part did so on purpose."""
        runs = self._history.runs
        if self._history.sessions[session].interrupted:
            return
        suites: dict[str, list[tuple[Unit, int, NDArray[np.int64]]]] = {}
        for unit in self._by_runtime[runtime]:
            path = self._groups.functions[unit.function].path
            for index in range(len(unit.series)):
                suites.setdefault(path, []).append((unit, index, unit.rows[unit.series_of == index]))
        for series in suites.values():
            if runs.session[max(int(rows[-1]) for *_, rows in series)] != session:
                continue  # the last session did not run this suite
            others = [rows[runs.session[rows] != session] for *_, rows in series]
            last_other = max((int(rows[-1]) for rows in others if len(rows)), default=None)
            if last_other is None:
                continue  # no other did
            before = runs.session[last_other]
            earlier = [each for each in series if (runs.session[each[2]] == before).any()]
            missing = [each for each in earlier if not (runs.session[each[2]] == session).any()]
            if 2 * len(missing) > len(earlier):
                continue
            for unit, index, mine in missing:
                last = moment(int(runs.start[mine[-1]]))
                yield self._trouble(unit, unit.series[index].name, f"last ran {last:%Y-%m-%d}" if last else "not run")
