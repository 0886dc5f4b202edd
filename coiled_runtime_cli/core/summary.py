"""What a session measured, benchmark by benchmark, and how that compares with what is stored."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.artifacts import COLUMNS
from coiled_runtime_cli.core.quantity import bytes_text, seconds_text
from coiled_runtime_cli.core.record import MEASURES, Run
from coiled_runtime_cli.core.stats import Interval, ratio_of_means, relative_half_width
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: From harmless to harmful: of several outcomes of one benchmark the last in this order is the one to show.
_SEVERITY = ("passed", "skipped", "failed", "error", "timeout", "crashed")
BAD = ("failed", "error", "timeout", "crashed")
#: Values on each side before an automatic repeat trusts an interval.
_LEAST = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """One benchmark of one session. ``measures``: medians over the passed runs, in SI base units."""

    benchmark: str
    outcomes: tuple[str, ...]
    measures: dict[str, float]
    change: Interval | None  # of the duration, against stored comparable runs; None: there are none
    profiled: bool = False  # all that passed were: they compare with nothing

    @property
    def name(self) -> str:
        return self.benchmark.partition("::")[2]

    @property
    def worst(self) -> str:
        return max(self.outcomes, key=_SEVERITY.index)


def durations(runs: Sequence[Run]) -> dict[str, list[float]]:
    """The durations (s) of the passed and unprofiled runs by benchmark, in the order in which they were measured."""
    found: dict[str, list[float]] = {}
    for run in runs:
        values = found.setdefault(run.benchmark, [])
        fit = run.outcome == "passed" and not run.profiled
        if fit and run.duration is not None and run.duration > 0:
            values.append(run.duration)
    return found


def summarise(runs: Sequence[Run], earlier: Mapping[str, Sequence[float]]) -> tuple[Summary, ...]:
    """One summary for each benchmark, in the order of their first runs. ``earlier``: durations (s) of comparable runs."""
    timings = durations(runs)
    found = []
    for benchmark in dict.fromkeys(run.benchmark for run in runs):
        mine = [run for run in runs if run.benchmark == benchmark]
        passed = [run for run in mine if run.outcome == "passed"]
        measures = {}
        for name in MEASURES:
            values = [value for run in passed if (value := getattr(run, name)) is not None]
            if values:
                measures[name] = float(statistics.median(values))
        before = [value for value in earlier.get(benchmark, ()) if value > 0]
        change = ratio_of_means(before, timings[benchmark]) if before and timings[benchmark] else None
        profiled = bool(passed) and all(run.profiled for run in passed)
        found.append(Summary(benchmark, tuple(run.outcome for run in mine), measures, change, profiled))
    return tuple(found)


def undecided(runs: Sequence[Run], precision: float) -> tuple[str, ...]:
    """The benchmarks whose mean duration is not yet known to ``precision`` (relative half-width of the 95 % interval).

    A benchmark that ended badly or was skipped in its last run is not repeated: more runs would say the same.
    """
    last = {run.benchmark: run.outcome for run in runs}
    return tuple(
        benchmark
        for benchmark, values in durations(runs).items()
        if last[benchmark] == "passed" and (len(values) < _LEAST or relative_half_width(values) > precision)
    )


def change_text(change: Interval | None) -> str:
    """Say "new", "1.04x [0.99, 1.10]", or "1.04x" while there are too few values for an interval."""
    if change is None:
        return "new"
    if change.low is None or change.high is None:
        return f"{change.value:.2f}x"
    return f"{change.value:.2f}x [{change.low:.2f}, {change.high:.2f}]"


def table(summaries: Sequence[Summary], *, sparse: bool = False) -> Table:
    """The table that `crt bench` prints; ``sparse``: without the columns in which nothing was measured."""
    columns = (
        Column("test", key="name"),
        Column("outcome"),
        Column("wall time", "right", key="duration"),
        Column("avg memory", "right", key="average_memory", drop=3),
        Column("peak memory", "right", key="peak_memory", drop=1),
        Column("compute", "right", key="compute_time", drop=4),
        Column("transfer", "right", key="transfer_time", drop=5),
        Column("spill", "right", key="disk_spill_time", drop=6),
        Column("change", "right"),
    )
    rows, styles = [], []
    for each in summaries:
        good = each.worst == "passed"
        rows.append(
            (
                each.name,
                _outcome_text(each.outcomes),
                *(_time(each.measures.get("duration")),),
                *(_memory(each.measures.get(name)) for name in ("average_memory", "peak_memory")),
                *(_time(each.measures.get(name)) for name in ("compute_time", "transfer_time", "disk_spill_time")),
                _change(each),
            )
        )
        outcome_style = "good" if good else ("bad" if each.worst in BAD else "dim")
        styles.append((None, outcome_style, *(None,) * 6, _change_style(each.change)))
    shown = [index for index in range(len(columns)) if not sparse or index < 3 or any(row[index] for row in rows)]
    return Table(
        tuple(columns[index] for index in shown),
        tuple(tuple(row[index] for index in shown) for row in rows),
        tuple(tuple(style[index] for index in shown) for style in styles),
    )


def _change(each: Summary) -> str:
    if each.measures.get("duration") is None:
        return ""
    return "profiled" if each.profiled else change_text(each.change)


def _outcome_text(outcomes: tuple[str, ...]) -> str:
    if len(outcomes) == 1:
        return outcomes[0]
    counts = {name: outcomes.count(name) for name in _SEVERITY if name in outcomes}
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _time(value: float | None) -> str:
    return "" if value is None else seconds_text(value)


def _memory(value: float | None) -> str:
    return "" if value is None else bytes_text(value)


def _change_style(change: Interval | None) -> str | None:
    if change is None or change.low is None or change.high is None:
        return "dim"
    if change.low > 1:
        return "bad"
    return "good" if change.high < 1 else None


def run_json(run: Run) -> dict[str, Any]:
    """A run as `crt bench --format json` shows it. Units as in :class:`Run`."""
    return {
        "uuid": run.uuid,
        "benchmark": run.benchmark,
        "name": run.benchmark.partition("::")[2],
        "outcome": run.outcome,
        "setup_outcome": run.setup_outcome,
        "call_outcome": run.call_outcome,
        "teardown_outcome": run.teardown_outcome,
        "failure": run.failure,
        "repeat": run.repeat,
        "profiled": run.profiled,
        **{name: getattr(run, name) for name in (*MEASURES, *COLUMNS)},
        "metrics": [asdict(each) for each in run.metrics],
    }


def change_json(summary: Summary) -> dict[str, Any]:
    change = summary.change
    return {
        "benchmark": summary.benchmark,
        "n": len(summary.outcomes),
        "ratio": change.value if change else None,
        "low": change.low if change else None,
        "high": change.high if change else None,
    }
