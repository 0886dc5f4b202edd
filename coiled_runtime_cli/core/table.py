"""A table as a value, and its plain forms. How it looks in a terminal is the console's business."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

#: Styles that a cell may have. They carry no meaning that the text does not: colour is often off.
STYLES = ("good", "bad", "dim", "strong")

_BREAKABLE = re.compile(r"[^\s/:_\-\[\],.=]*(?:::|[\s/:_\-\[\],.=])|[^\s/:_\-\[\],.=]+")


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    align: str = "left"  # or "right"
    key: str = ""  # name in CSV and JSON; empty: the title
    drop: int = 0  # in a narrow terminal columns with the highest number go first; 0 stays

    @property
    def name(self) -> str:
        return self.key or self.title


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text. ``styles`` is empty, or has for each row the style of each cell (one of STYLES, or None)."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    styles: tuple[tuple[str | None, ...], ...] = ()
    caption: str | None = None

    def __post_init__(self) -> None:
        width = len(self.columns)
        for row in (*self.rows, *self.styles):
            if len(row) != width:
                raise ValueError(f"{width} columns, but a row of {len(row)}: {row!r}")
        if self.styles and len(self.styles) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows, but styles for {len(self.styles)}")

    def style(self, row: int, column: int) -> str | None:
        return self.styles[row][column] if self.styles else None


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown: one line a row, cells escaped so that none opens a column, a tag or a link."""
    lines = [
        "| " + " | ".join(_markdown_cell(column.title) for column in table.columns) + " |",
        "| " + " | ".join("---:" if column.align == "right" else "---" for column in table.columns) + " |",
    ]
    lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.rows]
    if table.caption:
        lines += ["", _markdown_cell(table.caption)]
    return "\n".join(lines) + "\n"


def _markdown_cell(text: str) -> str:
    escaped = (
        re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
    return " ".join(escaped.splitlines())


def csv_text(table: Table) -> str:
    """The table as CSV (RFC 4180, but lines end in a newline alone), headed by the columns' names."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows(table.rows)
    return stream.getvalue()


def records(table: Table) -> list[dict[str, str]]:
    """The rows as JSON objects, by the columns' names."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def folded(text: str, width: int) -> str:
    """Break a text into lines of at most ``width`` characters: between words, or in a longer word after a separator."""
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        pieces = [word] if len(word.rstrip()) <= width else _BREAKABLE.findall(word)
        for piece in pieces:
            rest = piece
            if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
                lines.append("")
            while len(rest.rstrip()) > width:
                lines[-1] += rest[:width]
                lines.append("")
                rest = rest[width:]
            lines[-1] += rest
    return "\n".join(line.rstrip() for line in lines)


def fitting(widths: list[int], drops: list[int], width: int) -> list[int]:
    """Which columns to show in ``width`` characters: indices, in order. ``widths`` include the space between columns.

    The column with the highest ``drop`` goes first, of equals the last one; columns with drop 0
    stay even if they do not fit.
    """
    shown = list(range(len(widths)))
    while sum(widths[index] for index in shown) > width:
        candidates = [index for index in shown if drops[index] > 0]
        if not candidates:
            break
        shown.remove(max(candidates, key=lambda index: (drops[index], index)))
    return shown
