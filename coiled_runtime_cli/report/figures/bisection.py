"""What a bisection measured, candidate by candidate, and where it believes the change to be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.bisection_table import short_name
from coiled_runtime_cli.report.figures.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.core.bisection import Bisection, Candidate

#: Why a probe was made -> what the legend says, colour and symbol.
_PURPOSES = {
    "calibrate": ("calibrating the ends", "series-0", "circle-open"),
    "search": ("searching", "series-0", "circle"),
    "verify": ("verifying", "series-2", "star"),
}

#: Names below the axis, at most: more would overlap.
_TICKS = 8


def short(candidate: Candidate) -> str:
    """A commit by its first digits, anything else by what fits below an axis."""
    line = " ".join(short_name(candidate).split())
    return line if len(line) <= 24 else f"{line[:23]}…"


def culprit_of(bisection: Bisection) -> int | None:
    """The index of the culprit, None where none was found or the index leads nowhere."""
    index = bisection.culprit
    return index if index is not None and 0 <= index < len(bisection.candidates) else None


def values(bisection: Bisection, *, label: str, unit: str, scale: float) -> dict[str, Any]:
    """Each measured value over its candidate; what could not be measured is marked below the axis."""
    culprit = culprit_of(bisection)
    measured = [
        each
        for each in bisection.probes
        if each.outcome == "measured"
        and each.value is not None
        and math.isfinite(each.value)
        and 0 <= each.candidate < len(bisection.candidates)
    ]
    traces: list[dict[str, Any]] = []
    for purpose in dict.fromkeys(each.purpose for each in measured):
        name, colour, symbol = _PURPOSES.get(purpose, (plain(purpose), "series-3", "square"))
        mine = [each for each in measured if each.purpose == purpose]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [each.candidate for each in mine],
                "y": [each.value / scale for each in mine if each.value is not None],
                "text": [_hover(bisection.candidates[each.candidate]) for each in mine],
                "hovertemplate": f"%{{text}}<br>%{{y:.4g}} {plain(unit)}<extra>{name}</extra>",
                "marker": {"color": colour, "symbol": symbol, "size": 8, "opacity": 0.8},
                "meta": {"kind": "points"},
            }
        )
    traces += _levels(bisection, culprit, [(each.candidate, each.value / scale) for each in measured if each.value])
    traces += _unmeasured(bisection)
    return {
        "data": traces,
        "layout": {
            "meta": {"label": f"{plain(label)} of each candidate that was measured", "metric": plain(bisection.metric)},
            "height": 400,
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hovermode": "closest",
            "margin": {"l": 56, "r": 40, "t": 40, "b": 56},
            "xaxis": {**_axis(bisection.candidates, culprit), "anchor": "y2"},
            "yaxis": {
                "title": {"text": plain(f"{label} ({unit})" if unit else label)},
                "domain": [0.1, 1],
                "automargin": True,
                "tickformat": "~g",
            },
            "yaxis2": {"domain": [0, 0.06], "visible": False, "fixedrange": True, "range": [-1, 1]},
            "shapes": _culprit_line(culprit),
        },
    }


def posterior(bisection: Bisection) -> dict[str, Any]:
    """The probability that the change came with each candidate. No traces where none is known."""
    culprit = culprit_of(bisection)
    known = [
        (index, each, each.probability)
        for index, each in enumerate(bisection.candidates)
        if each.probability is not None and math.isfinite(each.probability)
    ]
    sides = [
        ("series-0", [each for each in known if each[0] != culprit]),
        ("regression", [each for each in known if each[0] == culprit]),
    ]
    return {
        "data": [
            {
                "type": "bar",
                "x": [index for index, *_ in mine],
                "y": [100 * probability for *_, probability in mine],
                "text": [_hover(candidate) for _, candidate, _ in mine],
                "textposition": "none",
                "hovertemplate": "%{text}<br>%{y:.3~g} %<extra></extra>",
                "marker": {"color": colour},
                "meta": {"kind": "posterior"},
            }
            for colour, mine in sides
            if mine
        ],
        "layout": {
            "meta": {
                "label": "Probability that the change came with each candidate",
                "metric": plain(bisection.metric),
            },
            "height": 260,
            "showlegend": False,
            "barmode": "overlay",
            "bargap": 0.15,
            "margin": {"l": 56, "r": 40, "t": 16, "b": 56},
            "xaxis": _axis(bisection.candidates, culprit),
            "yaxis": {
                "title": {"text": "probability (%)"},
                "range": [0, 102],
                "automargin": True,
            },
        },
    }


def _hover(candidate: Candidate) -> str:
    name = f"<b>{plain(short(candidate))}</b>"
    return f"{name}<br>{plain(candidate.subject)}" if candidate.subject else name


def _axis(candidates: Sequence[Candidate], culprit: int | None) -> dict[str, Any]:
    """Candidates in their order; the ends and the culprit are always named."""
    last = len(candidates) - 1
    if last < 0:
        return {"visible": False}
    step = max(1, math.ceil(last / (_TICKS - 1)))
    ticks = {*range(0, last + 1, step)}
    for wanted in (last, culprit):
        if wanted is not None:  # takes the place of neighbours that its name would cover
            ticks = {each for each in ticks if abs(each - wanted) > step / 2} | {wanted}
    shown = sorted(ticks | {0})
    return {
        "title": {"text": "good → bad"},
        "range": [-0.6, last + 0.6],
        "tickvals": shown,
        "ticktext": [plain(short(candidates[each])) for each in shown],
        "automargin": True,
        "ticklabeloverflow": "allow",
        "zeroline": False,
        "showgrid": False,
    }


def _levels(bisection: Bisection, culprit: int | None, points: Sequence[tuple[int, float]]) -> Iterator[dict[str, Any]]:
    """The median on each side of the culprit."""
    if culprit is None:
        return
    last = len(bisection.candidates) - 1
    for name, start, stop in (("level before", 0, culprit - 1), ("level after", culprit, last)):
        side = sorted(value for index, value in points if start <= index <= stop)
        if not side:
            continue
        median = (side[(len(side) - 1) // 2] + side[len(side) // 2]) / 2
        yield {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": [start - 0.4, stop + 0.4],
            "y": [median, median],
            "hoverinfo": "skip",
            "showlegend": False,
            "line": {"color": "regression" if name == "level after" else "muted", "width": 2},
            "meta": {"kind": "level"},
        }


def _unmeasured(bisection: Bisection) -> Iterator[dict[str, Any]]:
    """Candidates that did not build, and probes that failed, in a strip below the values."""
    for name, outcomes, symbol, colour in (
        ("did not build", {"unbuildable"}, "line-ns-open", "muted"),
        ("failed to measure", {"failed", "timeout", "error"}, "x", "failed"),
    ):
        mine = [
            each
            for each in bisection.probes
            if each.outcome in outcomes and 0 <= each.candidate < len(bisection.candidates)
        ]
        if mine:
            yield {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [each.candidate for each in mine],
                "y": [0] * len(mine),
                "yaxis": "y2",
                "text": [f"{_hover(bisection.candidates[each.candidate])}<br>{plain(each.outcome)}" for each in mine],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"color": colour, "symbol": symbol, "size": 9, "line": {"width": 2, "color": colour}},
                "meta": {"kind": "failed"},
            }


def _culprit_line(culprit: int | None) -> list[dict[str, Any]]:
    if culprit is None:
        return []
    return [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": culprit - 0.5,
            "x1": culprit - 0.5,
            "y0": 0,
            "y1": 1,
            "line": {"color": "regression", "width": 2, "dash": "dot"},
        }
    ]
