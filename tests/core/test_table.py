from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.table import Column, Table, csv_text, fitting, folded, markdown, records

COLUMNS = (Column("test", key="name"), Column("wall time", align="right", key="duration"))
CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\x00"))


def test_markdown_aligns_numbers_to_the_right() -> None:
    table = Table(COLUMNS, (("test_read", "1.20 s"),), caption="3 runs")
    assert markdown(table) == "| test | wall time |\n| --- | ---: |\n| test_read | 1.20 s |\n\n3 runs\n"


def test_markdown_cells_cannot_break_out_of_their_cell() -> None:
    text = markdown(Table((Column("a"),), (("x|y\nz <b> [link](u) `code` _i_",),)))
    assert text.splitlines()[2] == r"| x\|y z &lt;b&gt; \[link\](u) \`code\` \_i\_ |"


def test_an_empty_table_keeps_its_head() -> None:
    assert markdown(Table(COLUMNS)).count("\n") == 2
    assert csv_text(Table(COLUMNS)) == "name,duration\n"
    assert records(Table(COLUMNS)) == []


@given(st.lists(st.tuples(CELL, CELL)))
def test_csv_reads_back_as_written(rows: list[tuple[str, str]]) -> None:
    text = csv_text(Table(COLUMNS, tuple(rows)))
    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""))] == [("name", "duration"), *rows]


def test_records_are_named_by_key_and_else_by_title() -> None:
    table = Table((Column("test"), Column("time", key="duration")), (("a", "1"),))
    assert records(table) == [{"test": "a", "duration": "1"}]


@pytest.mark.parametrize(
    ("rows", "styles"),
    [((("a",),), ()), ((("a", "b"),), (("good",),)), ((("a", "b"),), ((None, None), (None, None)))],
)
def test_a_table_refuses_rows_of_another_width(
    rows: tuple[tuple[str, ...], ...], styles: tuple[tuple[str | None, ...], ...]
) -> None:
    with pytest.raises(ValueError, match=r"columns|rows"):
        Table(COLUMNS, rows, styles)


def test_a_long_name_breaks_after_a_separator() -> None:
    assert folded("test_parquet.py::test_write_wide_data[tasks-1]", 24).splitlines() == [
        "test_parquet.py::test_",
        "write_wide_data[tasks-1]",
    ]


@given(st.text(alphabet="ab_/:[]-. "), st.integers(1, 30))
def test_folding_keeps_every_character_within_the_width(text: str, width: int) -> None:
    lines = folded(text, width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_the_columns_with_the_highest_drop_go_first() -> None:
    assert fitting([10, 10, 10, 10], [0, 2, 1, 2], 40) == [0, 1, 2, 3]
    assert fitting([10, 10, 10, 10], [0, 2, 1, 2], 39) == [0, 1, 2]
    assert fitting([10, 10, 10, 10], [0, 2, 1, 2], 20) == [0, 2]
    assert fitting([10, 10, 10, 10], [0, 0, 1, 2], 5) == [0, 1]
