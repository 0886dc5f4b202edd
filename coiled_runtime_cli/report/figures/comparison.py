"""Two arms side by side: effects with their intervals, and how sure each of many sizes of effect is.

The browser computes the arrays, since it chooses the arms; ``{"each": name, "of": trace}`` stands for one trace for each item.
"""

from __future__ import annotations

from typing import Any

#: Sizes of effect that the heat map asks about, in percent: 80 % better than the baseline to 80 % worse.
THRESHOLDS = tuple(range(-80, 85, 5))

#: How sure (0: the contender is surely better by more, 1: surely worse by more) -> colour. Below 60 % there is nothing to see.
#: No colour is so strong that the text in its cell could not be read in either theme.
_SURE = (
    (0.0, "improvement/0.62"),
    (0.025, "improvement/0.5"),
    (0.1, "improvement/0.26"),
    (0.2, "improvement/0.1"),
    (0.3, "improvement/0"),
    (0.7, "regression/0"),
    (0.8, "regression/0.1"),
    (0.9, "regression/0.26"),
    (0.975, "regression/0.5"),
    (1.0, "regression/0.62"),
)


def forest() -> dict[str, Any]:
    """Each test's ratio as a mark with its interval; the band is what counts as no change."""
    return {
        "data": [
            {
                "each": "verdicts",
                "of": {
                    "type": "scatter",
                    "mode": "markers",
                    "name": _computed("name"),
                    "x": _computed("ratio"),
                    "y": _computed("row"),
                    "customdata": _computed("href"),
                    "text": _computed("hover"),
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"color": _computed("colour"), "symbol": _computed("symbol"), "size": 9},
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": _computed("above"),
                        "arrayminus": _computed("below"),
                        "color": _computed("colour"),
                        "thickness": 1.5,
                        "width": 0,
                    },
                    "meta": {"kind": "points"},
                },
            }
        ],
        "layout": {
            "meta": {"label": "Ratio of B to A for each test, with its interval", "metric": _computed("metric")},
            "height": _computed("height"),
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            "dragmode": False,
            "margin": {"l": 8, "r": 16, "t": 36, "b": 44},
            "xaxis": {
                "type": "log",
                "range": _computed("range"),
                "tickvals": _computed("ticks"),
                "ticktext": _computed("tick_texts"),
                "title": {"text": _computed("axis")},
                "zeroline": False,
            },
            "yaxis": _rows(),
            "shapes": [
                {
                    "type": "rect",
                    "layer": "below",
                    "xref": "x",
                    "yref": "paper",
                    "x0": _computed("same_low"),
                    "x1": _computed("same_high"),
                    "y0": 0,
                    "y1": 1,
                    "fillcolor": "muted/0.14",
                    "line": {"width": 0},
                },
                {
                    "type": "line",
                    "xref": "x",
                    "yref": "paper",
                    "x0": 1,
                    "x1": 1,
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": "muted", "width": 1},
                },
            ],
        },
    }


def heat_map() -> dict[str, Any]:
    """For each test and each size of effect: how sure it is that the effect is beyond that size, as colour and as number."""
    return {
        "data": [
            {
                "type": "heatmap",
                "x": _computed("columns"),
                "y": _computed("row"),
                "z": _computed("signed"),
                "text": _computed("shown"),
                "texttemplate": "%{text}",
                "textfont": {"size": 11, "color": "text"},
                "customdata": _computed("hover"),
                "hovertemplate": "%{customdata}<extra></extra>",
                "zmin": -1,
                "zmax": 1,
                "colorscale": [list(each) for each in _SURE],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "meta": {"kind": "confidence"},
            }
        ],
        "layout": {
            "meta": {
                "label": "Confidence that B differs from A by more than each threshold, for each test",
                "metric": _computed("metric"),
            },
            "height": _computed("height"),
            "dragmode": False,
            "margin": {"l": 8, "r": 16, "t": 44, "b": 16},
            "xaxis": {
                "side": "top",
                "tickvals": _computed("ticks"),
                "ticktext": _computed("tick_texts"),
                "tickangle": 0,
                "ticks": "",
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": _rows(),
        },
    }


def _rows() -> dict[str, Any]:
    """One row for each test, the first on top, named beside the chart."""
    return {
        "tickvals": _computed("row"),
        "ticktext": _computed("names"),
        "range": _computed("rows_range"),
        "ticks": "",
        "automargin": True,
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
    }


def _computed(name: str) -> dict[str, str]:
    return {"computed": name}
