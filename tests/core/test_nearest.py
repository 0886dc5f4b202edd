from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.nearest import LISTED, nearest, unknown

SUITES = ["parquet", "dataframe", "array", "join", "stability", "spill"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("parqet", "parquet"),
        ("PARQUET", "parquet"),
        ("daatframe", "dataframe"),
        ("stab", "stability"),
        ("zzz", None),
        ("", None),
        ("a", None),
    ],
)
def test_the_nearest_name_is_found_or_none_is(word: str, expected: str | None) -> None:
    assert nearest(word, SUITES) == expected


def test_a_part_of_several_names_is_no_match() -> None:
    assert nearest("wide", ["test_write_wide_data_to_disk", "test_read_wide_data_from_disk"]) is None


@given(st.lists(st.text(min_size=1)), st.text())
def test_a_match_is_always_one_of_the_known_names(known: list[str], word: str) -> None:
    match = nearest(word, known)
    assert match is None or match in known


def test_the_message_names_the_match_and_what_is_known() -> None:
    assert unknown("suite", "parqet", ["array", "parquet"]) == (
        "unknown suite 'parqet': did you mean 'parquet'? (known: array, parquet)"
    )


def test_the_message_without_a_match_lists_what_is_known() -> None:
    assert unknown("suite", "zzz", ["array"]) == "unknown suite 'zzz' (known: array)"
    assert unknown("suite", "zzz", []) == "unknown suite 'zzz' (none is known)"


def test_a_long_list_is_cut_and_counted() -> None:
    message = unknown("test", "zzz", [f"name{number}" for number in range(LISTED + 5)])
    assert message.endswith(" and 5 more)")
