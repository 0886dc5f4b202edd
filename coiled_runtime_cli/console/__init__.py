"""The sole writer to stdout and stderr: results on stdout, all else on stderr.

User strings (test names, labels, paths) are shown as they are: no markup in them is interpreted, and their control
characters are escaped. What draws tables and live bars is imported when it is needed, and rich only when it draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.console.messages import annotation, confirmed, error, hint, note, read_input, verbose, warning
from coiled_runtime_cli.console.results import result, show_csv, show_facts, show_json, show_table
from coiled_runtime_cli.console.streams import configure, flush, is_closed, printable, silence

if TYPE_CHECKING:  # for annotations: they are made by display() and progress()
    from coiled_runtime_cli.console.live import Display as Display
    from coiled_runtime_cli.console.live import Progress as Progress

__all__ = [
    "annotation",
    "configure",
    "confirmed",
    "display",
    "error",
    "flush",
    "hint",
    "is_closed",
    "note",
    "printable",
    "progress",
    "read_input",
    "result",
    "show_csv",
    "show_facts",
    "show_json",
    "show_table",
    "silence",
    "verbose",
    "warning",
]


def display() -> Display:
    """A context manager that keeps some lines in place on a terminal; elsewhere lines are logged as they come."""
    from coiled_runtime_cli.console import live

    return live.Display()


def progress(total: float | None, title: str = "") -> Progress:
    """A context manager that shows how far a long step is: a live bar on a terminal, else a line every few seconds."""
    from coiled_runtime_cli.console import live

    return live.Progress(total, title)
