"""What is drawn again and again in one place of a terminal; where there is none, a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from coiled_runtime_cli.console import streams
from coiled_runtime_cli.console.messages import note
from coiled_runtime_cli.core.quantity import clock_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from rich.console import Console, ConsoleOptions
    from rich.live import Live
    from rich.text import Text

#: Without a terminal a line of progress comes at most this often.
LINE_INTERVAL = 5.0  # s

_clock = time.monotonic


class _InPlace:
    """What is drawn again and again in one place of a terminal; a context manager."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._shown = streams.shows_progress()

    def _begin(self) -> None:
        if self._shown and streams.is_terminal(sys.stderr):
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
    """Lines that are replaced as a whole; made by :func:`console.display`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def __enter__(self) -> Display:  # noqa: PYI034  Self came with Python 3.11
        self._begin()
        return self

    @property
    def width(self) -> int:
        return streams.width(sys.stderr) or 80

    @property
    def unicode(self) -> bool:
        return streams.is_unicode(sys.stderr)

    def update(self, lines: Sequence[str]) -> None:
        self._lines = [streams.printable(each) for each in lines]

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


class Progress(_InPlace):
    """Where a step is; made by :func:`console.progress`."""

    def __init__(self, total: float | None, title: str) -> None:
        super().__init__()
        self._total, self._title = total, streams.printable(title)
        self._done, self._text = 0.0, ""
        self._started = self._written = _clock()

    def __enter__(self) -> Progress:  # noqa: PYI034  Self came with Python 3.11
        self._started = _clock()
        self._written = self._started - LINE_INTERVAL
        self._begin()
        return self

    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        """``done`` of ``total`` units are finished; ``text`` names the current one. Without ``total`` it stays."""
        self._done, self._text = done, streams.printable(text)
        if total is not None:
            self._total = total
        now = _clock()
        due = now - self._written >= LINE_INTERVAL or (self._total is not None and done >= self._total)
        if self._shown and self._live is None and due:
            self._written = now
            streams.write(sys.stderr, self._line())

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

    screen = Console(file=sys.stderr, force_terminal=True, no_color=not streams.has_color(sys.stderr), highlight=False)
    if screen.is_dumb_terminal:
        return None
    # transient: what stays on the screen is what was logged. stdout is left alone: it may be a pipe.
    live = Live(drawn, console=screen, refresh_per_second=4, transient=True, redirect_stdout=False)
    live.start()
    return live
