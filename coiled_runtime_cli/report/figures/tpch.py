"""TPC-H: engines by query, in their unit and relative to one of them. The browser computes the arrays."""

from __future__ import annotations

from typing import Any


def absolute() -> dict[str, Any]:
    """Bars of each engine's median by query; a cross where its last run failed."""
    return {
        "data": [
            {
                "each": "engines",
                "of": {
                    "type": "bar",
                    "name": _computed("name"),
                    "offsetgroup": _computed("name"),
                    "legendgroup": _computed("name"),
                    "x": _computed("query"),
                    "y": _computed("median"),
                    "text": _computed("hover"),
                    "textposition": "none",
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {
                        "color": _computed("colour"),
                        "pattern": {
                            "shape": _computed("pattern"),
                            "fillmode": "overlay",
                            "fgcolor": "background/0.6",
                            "size": 6,
                        },
                    },
                    "meta": {"kind": "bars"},
                },
            },
            {
                "each": "engines",
                "of": {
                    "type": "scatter",
                    "mode": "markers",
                    "name": _computed("failed_name"),
                    "offsetgroup": _computed("name"),
                    "legendgroup": _computed("name"),
                    "showlegend": False,
                    "x": _computed("failed_query"),
                    "y": _computed("failed_place"),
                    "text": _computed("failed_text"),
                    "hovertemplate": "%{text}<extra></extra>",
                    "cliponaxis": False,
                    "marker": {"color": "failed", "symbol": "x", "size": 8},
                    "meta": {"kind": "failed"},
                },
            },
        ],
        "layout": {
            "meta": {"label": _computed("label"), "metric": _computed("metric")},
            "height": 400,
            "barmode": "group",
            "scattermode": "group",
            "bargap": 0.25,
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            "dragmode": False,
            "margin": {"l": 56, "r": 16, "t": 36, "b": 44},
            "xaxis": {**_queries(), "showgrid": False},
            "yaxis": {
                "type": _computed("axis_type"),
                "title": {"text": _computed("axis")},
                "tickformat": "~g",
                "rangemode": "tozero",
                "automargin": True,
            },
        },
    }


def relative() -> dict[str, Any]:
    """How many times as much as one engine each other one takes, by query, on a logarithmic axis: twice and half are as far."""
    return {
        "data": [
            {
                "each": "engines",
                "of": {
                    "type": "scatter",
                    "mode": "markers",
                    "name": _computed("name"),
                    "x": _computed("query"),
                    "y": _computed("ratio"),
                    "text": _computed("ratio_hover"),
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"color": _computed("colour"), "symbol": _computed("symbol"), "size": 10},
                    "meta": {"kind": "points"},
                },
            }
        ],
        "layout": {
            "meta": {"label": _computed("relative_label"), "metric": _computed("metric")},
            "height": 360,
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            "dragmode": False,
            "margin": {"l": 56, "r": 16, "t": 36, "b": 44},
            "xaxis": _queries(),
            "yaxis": {
                "type": "log",
                "tickvals": _computed("ticks"),
                "ticktext": _computed("tick_texts"),
                "range": _computed("range"),
                "title": {"text": _computed("relative_axis")},
                "automargin": True,
            },
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "yref": "y",
                    "x0": 0,
                    "x1": 1,
                    "y0": 1,
                    "y1": 1,
                    "line": {"color": "muted", "width": 1},
                }
            ],
        },
    }


def _queries() -> dict[str, Any]:
    return {"type": "category", "categoryorder": "array", "categoryarray": _computed("queries"), "tickangle": 0}


def _computed(name: str) -> dict[str, str]:
    return {"computed": name}
