"""Time series of a benchmark function, one figure per metric, and where the time went by run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.detect import kind_of
from coiled_runtime_cli.report.figures.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.report.digest import MarkDigest, MetricDigest, SeriesDigest
    from coiled_runtime_cli.report.views import MetricView

#: Colours of the palette; series beyond them take the next symbol.
COLOURS = 8

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "pentagon", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

#: Points of one runtime up to which each is drawn large, beyond which they hide one another, and beyond which a browser draws
#: them faster with WebGL.
_FEW, _CROWDED, _MANY = 40, 3_000, 8_000

#: Thread-seconds that add up to a run's work, by metric.
PHASES = {
    "compute_time": "compute",
    "transfer_time": "transfer",
    "disk_spill_time": "spill",
    "serializing_time": "deserialise",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series as it is drawn: ``unit`` is its data file, ``index`` its place in it, ``colour`` and ``dash`` count up."""

    unit: str
    index: int
    runtime: str  # id
    name: str  # what the legend says
    colour: int
    dash: int
    epoch: int
    digest: SeriesDigest


def time_series(metric: MetricView, lines: Sequence[Line], *, title: str) -> dict[str, Any]:
    """Every run a point, failures as crosses, the level between changes with its interval, changes shaded.

    The strip below the chart (``y2``) is for the traces of :func:`environment_changes`, which all metrics share.
    """
    drawn = [each for each in lines if metric.key in each.digest.metrics]
    busiest: dict[str, int] = {}
    for each in drawn:
        busiest[each.runtime] = busiest.get(each.runtime, 0) + each.digest.metrics[metric.key].n
    count = max(busiest.values(), default=0)
    traces = [trace for each in drawn for trace in _traces(metric, each, count)]
    return {
        "data": traces,
        "layout": {
            "meta": {"label": plain(f"{metric.label} of {title}, run by run"), "metric": metric.key},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": "zoom",
            "margin": {"l": 56, "r": 16, "t": 16, "b": 40},
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {
                "title": {"text": plain(_axis(metric))},
                "domain": [0.08, 1],
                "automargin": True,
                "tickformat": "~g",
            },
            "yaxis2": {"domain": [0, 0.05], "visible": False, "fixedrange": True, "range": [-1, 1]},
            "shapes": [shape for each in drawn for shape in _shapes(metric, each)],
        },
    }


def environment_changes(marks: Sequence[tuple[str, Sequence[MarkDigest]]]) -> list[dict[str, Any]]:
    """For each runtime a trace of marks where its Python, host or key packages changed."""
    return [_strip(runtime, each) for runtime, each in marks if each]


def phases(line: Line, metrics: Sequence[MetricView], *, title: str) -> dict[str, Any]:
    """Thread-seconds by phase, stacked: an area over the runs; of one run alone, which has no area, a bar that lies."""
    known = [each for each in metrics if each.key in PHASES and each.key in line.digest.metrics]
    alone = max((each.n for each in line.digest.metrics.values()), default=0) == 1
    seconds = {"title": {"text": "thread-seconds"}, "rangemode": "tozero", "automargin": True}
    return {
        "data": [(_bar if alone else _area)(line, each, position) for position, each in enumerate(known)],
        "layout": {
            "meta": {
                "label": plain(f"Thread-seconds of {title} by phase" + ("" if alone else ", run by run")),
                "metric": "phases",
                "series": plain(line.name),
            },
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.12, "x": 0, "traceorder": "normal" if alone else "reversed"},
            "hovermode": "closest" if alone else "x unified",
            "margin": {"l": 56, "r": 16, "t": 32, "b": 40},
            "barmode": "stack",
            "xaxis": seconds if alone else {"type": "date"},
            "yaxis": {"visible": False} if alone else seconds,
        },
    }


def _area(line: Line, metric: MetricView, position: int) -> dict[str, Any]:
    return {
        **_phase(line, metric),
        "type": "scatter",
        "mode": "lines" if line.digest.metrics[metric.key].n > 1 else "markers",
        "stackgroup": "phases",
        "x": _ref(line, "passed", "time"),
        "y": _ref(line, "passed", metric.key),
        "line": {"width": 0.5, "color": f"series-{position}"},
        "fillcolor": f"series-{position}/0.6",
        "hovertemplate": f"%{{y:.3~s}} {plain(metric.unit)}",
    }


def _bar(line: Line, metric: MetricView, position: int) -> dict[str, Any]:
    return {
        **_phase(line, metric),
        "type": "bar",
        "orientation": "h",
        "x": _ref(line, "passed", metric.key),
        "y": ["the run"],
        "width": 0.5,
        "marker": {"color": f"series-{position}/0.6"},
        "hovertemplate": f"%{{x:.3~s}} {plain(metric.unit)}",
    }


def _phase(line: Line, metric: MetricView) -> dict[str, Any]:
    return {
        "name": PHASES[metric.key],
        "customdata": _ref(line, "passed", "row"),
        "meta": {"runtime": line.runtime, "series": line.index, "kind": "phase"},
    }


def _axis(metric: MetricView) -> str:
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _ref(line: Line, kind: str, column: str) -> dict[str, Any]:
    return {"ref": [line.unit, line.index, kind, column]}


def _traces(metric: MetricView, line: Line, count: int) -> Iterator[dict[str, Any]]:
    kind = "scattergl" if count > _MANY else "scatter"
    digest = line.digest.metrics[metric.key]
    colour = f"series-{line.colour % COLOURS}"
    symbol = _SYMBOLS[line.colour // COLOURS % len(_SYMBOLS)]

    def trace(part: str, **rest: Any) -> dict[str, Any]:
        return {
            "type": "scatter",
            "name": plain(line.name),
            "meta": {"runtime": line.runtime, "series": line.index, "kind": part},
            **rest,
        }

    def runs(part: str, marker: dict[str, Any], drawing: str = kind) -> dict[str, Any]:
        return trace(
            "points" if part == "passed" else part,
            type=drawing,
            mode="markers",
            x=_ref(line, part, "time"),
            y=_ref(line, part, metric.key),
            customdata=_ref(line, part, "row"),
            marker=marker,
            hoverinfo="none",
        )

    yield from _level(trace, metric, digest, colour, _DASHES[line.dash % len(_DASHES)])
    size, opacity = 8 if count <= _FEW else 5, 0.75 if count <= _CROWDED else 0.4
    yield runs("passed", {"color": colour, "symbol": symbol, "size": size, "opacity": opacity})
    if line.digest.profiled:
        yield runs("profiled", {"color": colour, "symbol": "circle-open", "size": size + 1}, "scatter")
    if line.digest.failures:
        yield runs("failed", {"color": "failed", "symbol": "x", "size": 8}, "scatter")


def _level(trace: Any, metric: MetricView, digest: MetricDigest, colour: str, dash: str) -> Iterator[dict[str, Any]]:
    """Lines and bands as one trace each: a None parts the levels."""
    x: list[int | None] = []
    y: list[float | None] = []
    corners: list[int | None] = []
    heights: list[float | None] = []
    for each in digest.levels:
        x += [each.start, each.stop, None]
        y += [each.median / metric.scale, each.median / metric.scale, None]
        if each.low is not None and each.high is not None:
            low, high = each.low / metric.scale, each.high / metric.scale
            corners += [each.start, each.stop, each.stop, each.start, each.start, None]
            heights += [low, low, high, high, low, None]
    if corners:
        yield trace(
            "band",
            mode="lines",
            x=corners[:-1],
            y=heights[:-1],
            fill="toself",
            fillcolor=f"{colour}/0.18",
            line={"width": 0},
            hoverinfo="skip",
        )
    yield trace(
        "level",
        mode="lines",
        x=x[:-1],
        y=y[:-1],
        line={"color": colour, "width": 2, "dash": dash},
        hoverinfo="skip",
    )


def _shapes(metric: MetricView, line: Line) -> Iterator[dict[str, Any]]:
    name = f"{line.unit}/{line.index}"
    for change in line.digest.metrics[metric.key].changes:
        colour = kind_of(change.ratio, metric.better)
        yield {
            "type": "rect",
            "name": name,
            "layer": "below",
            "xref": "x",
            "yref": "y domain",
            "x0": change.good,
            "x1": change.bad,
            "y0": 0,
            "y1": 1,
            "fillcolor": f"{colour}/0.16",
            "line": {"color": f"{colour}/0.5", "width": 1},
        }
    levels = line.digest.metrics[metric.key].levels
    if line.epoch > 1 and levels:
        yield {
            "type": "line",
            "name": name,
            "xref": "x",
            "yref": "y domain",
            "x0": levels[0].start,
            "x1": levels[0].start,
            "y0": 0,
            "y1": 1,
            "line": {"color": "muted", "width": 1, "dash": "dot"},
            "label": {"text": f"epoch {line.epoch}", "textposition": "end", "font": {"size": 11}},
        }


def _strip(runtime: str, marks: Sequence[MarkDigest]) -> dict[str, Any]:
    def text(mark: MarkDigest) -> str:
        moved = [f"{name} {before or 'none'} → {after or 'none'}" for name, before, after in mark.moved]
        return "<br>".join(plain(each) for each in moved)

    return {
        "type": "scatter",
        "mode": "markers",
        "name": "environment",
        "meta": {"runtime": runtime, "series": None, "kind": "environment"},
        "x": [mark.at for mark in marks],
        "y": [0] * len(marks),
        "yaxis": "y2",
        "text": [text(mark) for mark in marks],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "triangle-up", "size": 9, "color": "muted"},
    }
