from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from jinja2 import UndefinedError

from coiled_runtime_cli.report import render
from coiled_runtime_cli.report.views import SparkView


def filtered(name: str, *values: Any) -> str:
    return str(render._environment().filters[name](*values))


def test_a_name_that_a_page_was_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render.render("index.html")


def test_text_is_escaped_wherever_it_stands() -> None:
    template = render._environment().from_string('<a title="{{ text }}">{{ text }}</a>')
    page = template.render(text='"><script>')
    assert "<script>" not in page
    assert '""' not in page


def test_json_cannot_end_its_script() -> None:
    assert filtered("json", {"b": "</script>", "a": 1}) == '{"a":1,"b":"\\u003c/script>"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_of_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        filtered("json", {"value": value})


def test_moments_are_shown_in_utc() -> None:
    moment = datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert [filtered(each, moment) for each in ("iso", "day", "minute")] == [
        "2026-11-22T23:30:00Z",
        "2026-11-22",
        "2026-11-22 23:30",
    ]


def test_counts_have_their_plural_and_thousands_apart() -> None:
    assert [filtered("count", each, "run") for each in (0, 1, 12_345)] == ["0 runs", "1 run", "12,345 runs"]


def test_long_text_is_cut_to_one_line() -> None:
    assert filtered("clip", "a\nb\tc", 10) == "a b c"
    assert filtered("clip", "x" * 10_000, 80) == "x" * 79 + "…"


@pytest.mark.parametrize(
    ("points", "drawn"),
    [((), "<svg"), (((0, 50),), "<circle"), (((0, 0), (100, 100)), 'points="0,0 100,100 "')],
)
def test_a_sparkline_is_drawn_from_any_number_of_points(points: Any, drawn: str) -> None:
    source = '{% from "_parts.html" import spark %}{{ spark(view, "regression") }}'
    view = SparkView(points=points, at=40 if points else None, label='"quoted" <label>')
    page = render._environment().from_string(source).render(view=view)
    assert drawn in page
    assert "<label>" not in page
