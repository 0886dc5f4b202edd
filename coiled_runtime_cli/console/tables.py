"""Tables and facts as text for eyes, drawn to the width of the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from coiled_runtime_cli.console import streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.table import Table

_GAP = 2  # spaces between columns
_NARROWEST = 24  # characters that a text column is squeezed to before the table is stacked
_CODES = {"good": "32", "bad": "1;31", "dim": "2", "strong": "1"}


def drawn(table: Table) -> tuple[str, list[str]]:
    """The table as text, and the titles of the columns that had to go."""
    from rich.cells import cell_len

    from coiled_runtime_cli.core.table import fitting

    rows = [[streams.printable(cell) for cell in row] for row in table.rows]
    titles = [column.title for column in table.columns]
    cells = [max((cell_len(row[index]) for row in rows), default=0) for index in range(len(titles))]
    whole = [max(cell, cell_len(title)) for cell, title in zip(cells, titles, strict=True)]
    width = streams.width()
    if width is None or sum(whole) + _GAP * (len(whole) - 1) <= width:
        return _grid(table, rows, list(range(len(titles))), whole), []
    # titles may take two lines, and text columns may be folded, before a column goes
    natural = [
        max(cell, *(cell_len(word) for word in title.split() or [""]))
        for cell, title in zip(cells, titles, strict=True)
    ]
    least = [
        min(size, _NARROWEST) if column.align == "left" else size
        for size, column in zip(natural, table.columns, strict=True)
    ]
    shown = fitting([size + _GAP for size in least], [column.drop for column in table.columns], width + _GAP)
    if sum(least[index] + _GAP for index in shown) > width + _GAP:
        return _stacked(table, rows, width), []
    widths = _squeezed(natural, least, shown, width - _GAP * (len(shown) - 1))
    hidden = [title for index, title in enumerate(titles) if index not in shown]
    return _grid(table, rows, shown, widths), hidden


def _squeezed(natural: list[int], least: list[int], shown: list[int], room: int) -> list[int]:
    widths = list(natural)
    while sum(widths[index] for index in shown) > room:
        widest = max((index for index in shown if widths[index] > least[index]), key=lambda index: widths[index])
        widths[widest] -= 1
    return widths


def _grid(table: Table, rows: list[list[str]], shown: list[int], widths: list[int]) -> str:
    line = "\u2500" if streams.is_unicode(sys.stdout) else "-"
    titles = [column.title for column in table.columns]
    lines = _grid_lines(table, titles, ["strong"] * len(titles), shown, widths)
    lines.append(line * (sum(widths[index] + _GAP for index in shown) - _GAP))
    for number, row in enumerate(rows):
        lines += _grid_lines(table, row, table.styles[number] if table.styles else (), shown, widths)
    return "\n".join(lines + _caption(table))


def _grid_lines(
    table: Table, cells: list[str], styles: Sequence[str | None], shown: list[int], widths: list[int]
) -> list[str]:
    """One row, of as many lines as its highest cell."""
    from rich.cells import cell_len

    from coiled_runtime_cli.core.table import folded

    parts = {index: folded(cells[index], widths[index]).split("\n") for index in shown}
    lines = []
    for depth in range(max(len(part) for part in parts.values())):
        line = ""
        for place, index in enumerate(shown):
            text = parts[index][depth] if depth < len(parts[index]) else ""
            space = " " * (widths[index] - cell_len(text))
            text = _styled(text, styles[index] if styles else None)
            text = space + text if table.columns[index].align == "right" else text + space
            line += text + " " * (_GAP if place < len(shown) - 1 else 0)
        lines.append(line.rstrip())
    return lines


def _stacked(table: Table, rows: list[list[str]], width: int) -> str:
    """One line a cell, for windows that no table fits into."""
    from coiled_runtime_cli.core.table import folded

    size = max(len(column.title) for column in table.columns)
    lines: list[str] = []
    for number, row in enumerate(rows):
        lines += [""] if number else []
        for index, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
            title = f"{column.title:{size}}"
            for part in folded(cell, max(8, width - size - _GAP)).split("\n") if cell else ():
                lines.append(_styled(title, "strong") + " " * _GAP + _styled(part, table.style(number, index)))
                title = " " * size
    return "\n".join(lines + _caption(table))


def _caption(table: Table) -> list[str]:
    return [_styled(streams.printable(table.caption), "dim")] if table.caption else []


def drawn_facts(pairs: Sequence[tuple[str, str]]) -> str:
    """One pair a line; on a terminal long texts go on below where they began."""
    size = max((len(name) for name, _ in pairs), default=0)
    width = streams.width()
    lines = []
    for name, text in pairs:
        parts = [streams.printable(text)]
        if width is not None and len(parts[0]) > width - size - _GAP:
            import textwrap

            room = max(20, width - size - _GAP)
            parts = textwrap.wrap(parts[0], room, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(_styled(f"{name:{size}}", "strong") + " " * _GAP + parts[0])
        lines += [" " * (size + _GAP) + each for each in parts[1:]]
    return "\n".join(lines)


def _styled(text: str, style: str | None) -> str:
    code = _CODES.get(style or "")
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and streams.has_color(sys.stdout) else text
