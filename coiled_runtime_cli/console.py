"""The sole writer to stdout and stderr: results on stdout, all else on stderr.

User strings (test names, labels, paths) are shown as they are: no markup in them is interpreted, and their control
characters are escaped. rich is imported when a table or a live bar is drawn.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from coiled_runtime_cli.core.quantity import clock_text
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from rich.console import Console, ConsoleOptions
    from rich.live import Live
    from rich.text import Text

    from coiled_runtime_cli.core.table import Table
    from coiled_runtime_cli.errors import CrtError

#: Without a terminal a line of progress comes at most this often.
LINE_INTERVAL = 5.0  # s

_GAP = 2  # spaces between columns
_NARROWEST = 24  # characters that a text column is squeezed to before the table is stacked
_CODES = {"good": "32", "bad": "1;31", "dim": "2", "strong": "1"}
# C0 and C1 controls, what reorders or splits lines, and bytes that were no text
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LAYOUT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_clock = time.monotonic


@dataclass(slots=True)
class _Settings:
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    color: str = "auto"
    columns: int | None = None


_settings = _Settings()


def configure(
    *,
    quiet: bool = False,
    verbose: bool = False,
    progress: bool = True,
    color: str = "auto",
    columns: int | None = None,
) -> None:
    """Say once how to write. ``color`` is auto (on a terminal), always or never; ``columns`` overrules the window."""
    global _settings  # noqa: PLW0603  one process has one console
    _settings = _Settings(quiet, verbose, progress, color, columns)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # stderr does so by itself: a name that the encoding lacks must not end a measured session
        sys.stdout.reconfigure(errors="backslashreplace")


def result(text: str) -> None:
    """Write a command's result to stdout, and end it with a newline."""
    _write(sys.stdout, printable(text, layout=True) if _is_terminal(sys.stdout) else text)


def show_json(value: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout, the schema version first. Missing is None: NaN raises ValueError."""
    document = {"schema": value.get("schema", 1), **value}
    text = json.dumps(document, indent=2, ensure_ascii=not _is_unicode(sys.stdout), allow_nan=False)
    if _is_terminal(sys.stdout):
        text = _CONTROL_BUT_LAYOUT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    _write(sys.stdout, text)


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
        text, hidden = _drawn(table)
        _write(sys.stdout, text)
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


def note(text: str) -> None:
    if not _settings.quiet:
        _write(sys.stderr, printable(text, layout=True))


def verbose(text: str) -> None:
    if _settings.verbose and not _settings.quiet:
        _write(sys.stderr, _painted("2", printable(text, layout=True)))


def warning(text: str) -> None:
    """Shown even with ``--quiet``."""
    _say("33", "warning:", text)


def hint(text: str) -> None:
    """What to type next."""
    if not _settings.quiet:
        _say("36", "hint:", text)


def annotation(level: str, title: str, text: str) -> None:
    """What a workflow of GitHub shows beside a run, and not in the log alone: ``level`` is notice, warning or error.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands: read from both streams.
    """
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    of_title = {**escapes, ":": "%3A", ",": "%2C"}
    said = "".join(escapes.get(each, each) for each in printable(text, layout=True))
    named = "".join(of_title.get(each, each) for each in printable(title))
    _write(sys.stderr, f"::{level} title={named}::{said}")


def confirmed(question: str) -> bool:
    """What the user says to a question. Raises UsageError where nobody can be asked."""
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        raise UsageError(question, hint="nobody can be asked here: --yes says it, --dry-run only looks")
    _write(sys.stderr, f"{printable(question)} [y/N] ")
    answer = sys.stdin.readline()
    return answer.strip().lower() in {"y", "yes"}


def read_input() -> str:
    """All of stdin, as text. Raises UsageError where that is none."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as problem:
        raise UsageError(f"stdin is no text: {problem}") from problem


def error(problem: CrtError) -> None:
    _say("1;31", "error:", problem.message)
    if problem.hint:
        _say("36", "hint:", problem.hint)


def _say(code: str, title: str, text: str) -> None:
    """A message under its title; in a terminal its lines are broken between words, but for a line that is laid out."""
    lines = f"{title} {printable(text, layout=True)}".split("\n")
    width = _width(sys.stderr)
    if width is not None:
        lines = [_between_words(line, width) if not line.startswith(" ") else line for line in lines]
    whole = "\n".join(lines)
    _write(sys.stderr, _painted(code, title) + whole[len(title) :])


def _between_words(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    import textwrap

    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) or line


def printable(text: str, *, layout: bool = False) -> str:
    """The text with its control characters written as escapes; with ``layout`` newlines and tabs stay."""
    pattern = _CONTROL_BUT_LAYOUT if layout else _CONTROL
    return pattern.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def is_closed() -> bool:
    """Has the reader of stdout or stderr gone, as ``head`` does?"""
    import select

    poller = select.poll()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            poller.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0))


def flush() -> None:
    """Write what is still held back. Raises BrokenPipeError when the reader has gone."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def silence() -> None:
    """Send what the interpreter still has to say into the void."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show_facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and texts to stdout, one pair a line; on a terminal long texts go on below where they began."""
    size = max((len(name) for name, _ in pairs), default=0)
    width = _width()
    lines = []
    for name, text in pairs:
        parts = [printable(text)]
        if width is not None and len(parts[0]) > width - size - _GAP:
            import textwrap

            room = max(20, width - size - _GAP)
            parts = textwrap.wrap(parts[0], room, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(_styled(f"{name:{size}}", "strong") + " " * _GAP + parts[0])
        lines += [" " * (size + _GAP) + each for each in parts[1:]]
    _write(sys.stdout, "\n".join(lines))


def display() -> Display:
    """A context manager that keeps some lines in place on a terminal; elsewhere lines are logged as they come."""
    return Display()


class _InPlace:
    """What is drawn again and again in one place of a terminal; a context manager."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._shown = _settings.progress and not _settings.quiet

    def _begin(self) -> None:
        if self._shown and _is_terminal(sys.stderr):
            self._live = _live(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        raise NotImplementedError


class Display(_InPlace):
    """Lines that are replaced as a whole; made by :func:`display`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def __enter__(self) -> Display:  # noqa: PYI034  Self came with Python 3.11
        self._begin()
        return self

    @property
    def width(self) -> int:
        return _width(sys.stderr) or 80

    @property
    def unicode(self) -> bool:
        return _is_unicode(sys.stderr)

    def update(self, lines: Sequence[str]) -> None:
        self._lines = [printable(each) for each in lines]

    def log(self, text: str, *, always: bool = False) -> None:
        """A line that stays. On a terminal only what must ``always`` be said: the rest is in the lines that are kept."""
        if self._live is None or always:
            if not (self._shown or always):
                return
            note(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        from rich.text import Text

        width = max(1, options.max_width - 1)
        for number, line in enumerate(self._lines):
            text = Text(line, no_wrap=True, overflow="crop", end="\n" if number + 1 < len(self._lines) else "")
            text.truncate(width, overflow="ellipsis" if not options.ascii_only else "crop")
            yield text


def progress(total: float | None, title: str = "") -> Progress:
    """A context manager that shows how far a long step is: a live bar on a terminal, else a line every few seconds."""
    return Progress(total, title)


class Progress(_InPlace):
    """Where a step is; made by :func:`progress`."""

    def __init__(self, total: float | None, title: str) -> None:
        super().__init__()
        self._total, self._title = total, printable(title)
        self._done, self._text = 0.0, ""
        self._started = self._written = _clock()

    def __enter__(self) -> Progress:  # noqa: PYI034  Self came with Python 3.11
        self._started = _clock()
        self._written = self._started - LINE_INTERVAL
        self._begin()
        return self

    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        """``done`` of ``total`` units are finished; ``text`` names the current one. Without ``total`` it stays."""
        self._done, self._text = done, printable(text)
        if total is not None:
            self._total = total
        now = _clock()
        due = now - self._written >= LINE_INTERVAL or (self._total is not None and done >= self._total)
        if self._shown and self._live is None and due:
            self._written = now
            _write(sys.stderr, self._line())

    def log(self, text: str) -> None:
        """Write a line that stays, above the bar."""
        note(text)

    def _times(self) -> str:
        elapsed = _clock() - self._started
        text = f"elapsed {clock_text(elapsed)}"
        if self._total is not None and 0 < self._done < self._total:
            text += f"  left about {clock_text(elapsed / self._done * (self._total - self._done))}"
        return text

    def _count(self) -> str:
        if self._total is None:
            return ""
        if self._total > 9999 or self._total != round(self._total):  # bytes or seconds: only the share says something
            share = self._done / self._total if self._total else 1.0
            return f"[{min(1.0, share):.0%}]"
        return f"[{self._done:.0f}/{self._total:.0f}]"

    def _line(self) -> str:
        return "  ".join(
            filter(None, (" ".join(filter(None, (self._title, self._count(), self._text))), self._times()))
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        from rich.text import Text

        # one short of the width: a full line would wrap when the window shrinks
        width = max(1, options.max_width - 1)
        parts = [self._title, self._count()]
        if self._total and width >= 60:
            parts.append(
                _bar(min(1.0, self._done / self._total), 20 if width >= 76 else 10, unicode=not options.ascii_only)
            )
        head = " ".join(filter(None, parts))
        line = "  ".join(filter(None, (head, self._times(), self._text)))
        text = Text(line, no_wrap=True, overflow="ellipsis" if not options.ascii_only else "crop", end="")
        text.truncate(width)
        yield text


def _bar(share: float, width: int, *, unicode: bool) -> str:
    filled = int(share * width)
    full, empty = ("\u2588", "\u2591") if unicode else ("#", ".")
    return full * filled + empty * (width - filled)


def _live(drawn: _InPlace) -> Live | None:
    from rich.console import Console
    from rich.live import Live

    screen = Console(file=sys.stderr, force_terminal=True, no_color=not _has_color(sys.stderr), highlight=False)
    if screen.is_dumb_terminal:
        return None
    # transient: what stays on the screen is what was logged. stdout is left alone: it may be a pipe.
    live = Live(drawn, console=screen, refresh_per_second=4, transient=True, redirect_stdout=False)
    live.start()
    return live


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()
    except OSError as problem:
        if stream is sys.stderr:
            return  # nobody reads it, and nothing that is being measured may end for that
        if isinstance(problem, BrokenPipeError):
            raise
        raise ToolError(f"the result cannot be written: {problem.strerror}") from problem


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _is_unicode(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _has_color(stream: TextIO | None) -> bool:
    return _settings.color == "always" or (_settings.color == "auto" and _is_terminal(stream))


def _painted(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _has_color(sys.stderr) else text


def _width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal behind ``stream`` (default: stdout); None: there is none, as many as it takes."""
    stream = stream or sys.stdout
    if not _is_terminal(stream):
        return None
    if _settings.columns is not None:
        return _settings.columns
    import os

    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def _drawn(table: Table) -> tuple[str, list[str]]:
    """The table as text, and the titles of the columns that had to go."""
    from rich.cells import cell_len

    from coiled_runtime_cli.core.table import fitting

    rows = [[printable(cell) for cell in row] for row in table.rows]
    titles = [column.title for column in table.columns]
    cells = [max((cell_len(row[index]) for row in rows), default=0) for index in range(len(titles))]
    whole = [max(cell, cell_len(title)) for cell, title in zip(cells, titles, strict=True)]
    width = _width()
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
    line = "\u2500" if _is_unicode(sys.stdout) else "-"
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
    return [_styled(printable(table.caption), "dim")] if table.caption else []


def _styled(text: str, style: str | None) -> str:
    code = _CODES.get(style or "")
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and _has_color(sys.stdout) else text
