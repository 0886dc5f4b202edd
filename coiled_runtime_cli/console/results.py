"""What a command was asked for, on stdout: text, JSON, CSV, tables and facts."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.console import streams
from coiled_runtime_cli.console.messages import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from coiled_runtime_cli.core.table import Table


def result(text: str) -> None:
    """Write a command's result to stdout, and end it with a newline."""
    streams.write(sys.stdout, streams.printable(text, layout=True) if streams.is_terminal(sys.stdout) else text)


def show_json(value: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout, the schema version first. Missing is None: NaN raises ValueError."""
    document = {"schema": value.get("schema", 1), **value}
    text = json.dumps(document, indent=2, ensure_ascii=not streams.is_unicode(sys.stdout), allow_nan=False)
    if streams.is_terminal(sys.stdout):
        text = streams.CONTROL_BUT_LAYOUT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    streams.write(sys.stdout, text)


def show_table(table: Table, format: str = "table") -> None:  # noqa: A002  named as the flag
    """Write a table to stdout as ``table`` (for eyes), ``markdown``, ``github`` (Markdown too) or ``csv``.

    On a terminal it fits the width: long names are folded, then columns dropped (which a hint says), then rows
    stacked. Into a pipe or a file it is never cut.
    """
    from coiled_runtime_cli.core.table import csv_text, markdown

    if format == "csv":
        result(csv_text(table))
    elif format in {"markdown", "github"}:
        result(markdown(table))
    else:
        from coiled_runtime_cli.console import tables

        text, hidden = tables.drawn(table)
        streams.write(sys.stdout, text)
        if hidden:
            hint(f"the window is too narrow for {', '.join(hidden)}: widen it, or use --format json")


def show_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to stdout as CSV, as they come: there may be more of them than fit into memory."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if not number % 1000:
            result(text.getvalue())
            text.seek(0)
            text.truncate()
    if text.tell():
        result(text.getvalue())


def show_facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and texts to stdout, one pair a line; on a terminal long texts go on below where they began."""
    from coiled_runtime_cli.console import tables

    streams.write(sys.stdout, tables.drawn_facts(pairs))
