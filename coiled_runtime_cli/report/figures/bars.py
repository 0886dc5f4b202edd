"""Medians of late by test and by runtime. The browser computes the arrays, since it chooses window, suite and metric."""

from __future__ import annotations

from typing import Any


def medians() -> dict[str, Any]:
    """A bar for each test in each runtime, with the interval of its median; single runs where there are too few for one."""
    return {
        "data": [
            {
                "each": "runtimes",
                "of": {
                    "type": "bar",
                    "orientation": "h",
                    "name": _computed("name"),
                    "legendgroup": _computed("group"),
                    "x": _computed("median"),
                    "y": _computed("place"),
                    "width": 0.8,
                    "text": _computed("hover"),
                    "textposition": "none",
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"color": _computed("fill"), "line": {"color": _computed("colour"), "width": 1}},
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": _computed("above"),
                        "arrayminus": _computed("below"),
                        "color": "text",
                        "thickness": 1.5,
                        "width": 3,
                    },
                    "meta": {"kind": "bars"},
                },
            },
            {
                "each": "runtimes",
                "of": {
                    "type": "scatter",
                    "mode": "markers",
                    "name": _computed("name"),
                    "legendgroup": _computed("group"),
                    "showlegend": False,
                    "x": _computed("points"),
                    "y": _computed("points_place"),
                    "text": _computed("points_text"),
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"color": "text", "symbol": "circle-open", "size": 6, "line": {"width": 1.5}},
                    "meta": {"kind": "points"},
                },
            },
        ],
        "layout": {
            "meta": {"label": _computed("label"), "metric": _computed("metric")},
            "height": _computed("height"),
            "barmode": "overlay",
            "showlegend": _computed("legend"),
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemclick": False},
            "hovermode": "closest",
            "dragmode": False,
            "margin": {"l": 8, "r": 16, "t": 36, "b": 44},
            "xaxis": {
                "type": _computed("axis_type"),
                "title": {"text": _computed("axis")},
                "rangemode": "tozero",
                "tickformat": "~g",
                "zeroline": False,
            },
            "yaxis": {
                "tickvals": _computed("ticks"),
                "ticktext": _computed("tick_texts"),
                "range": _computed("rows_range"),
                "automargin": True,
                "fixedrange": True,
                "showgrid": False,
                "zeroline": False,
            },
            "annotations": _computed("headings"),
        },
    }


def _computed(name: str) -> dict[str, str]:
    return {"computed": name}
