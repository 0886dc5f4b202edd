from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.report.figures import bars, comparison, tpch

if TYPE_CHECKING:
    from collections.abc import Iterator

FIGURES = {
    "forest": comparison.forest(),
    "confidence": comparison.heat_map(),
    "bars": bars.medians(),
    "absolute": tpch.absolute(),
    "relative": tpch.relative(),
}


def walk(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in children:
        yield from walk(each)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_json_and_says_what_it_shows(name: str) -> None:
    figure = FIGURES[name]
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure
    assert figure["layout"]["meta"]["label"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_reference_names_one_computed_array_and_nothing_else(name: str) -> None:
    for value in walk(FIGURES[name]):
        if isinstance(value, dict) and "computed" in value:
            assert list(value) == ["computed"]
        if isinstance(value, dict) and "each" in value:
            assert set(value) == {"each", "of"}


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_fixes_a_colour_that_a_theme_could_not_change(name: str) -> None:
    assert not any(isinstance(value, str) and value.startswith(("#", "rgb")) for value in walk(FIGURES[name]))


def test_thresholds_go_from_80_percent_better_to_80_percent_worse() -> None:
    assert comparison.THRESHOLDS[0] == -80
    assert comparison.THRESHOLDS[-1] == 80
    assert {b - a for a, b in zip(comparison.THRESHOLDS, comparison.THRESHOLDS[1:], strict=False)} == {5}


def test_colours_of_confidence_are_the_same_for_better_and_worse() -> None:
    scale = comparison.heat_map()["data"][0]["colorscale"]
    mirrored = [(round(1 - place, 9), colour.partition("/")[2]) for place, colour in reversed(scale)]
    assert mirrored == [(place, colour.partition("/")[2]) for place, colour in scale]
