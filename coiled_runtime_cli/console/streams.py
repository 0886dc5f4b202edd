"""The streams of the process, and what is behind them: a terminal or none, its width, its colors, its characters."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TextIO

from coiled_runtime_cli.errors import ToolError

# C0 and C1 controls, what reorders or splits lines, and bytes that were no text
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
CONTROL_BUT_LAYOUT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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


def is_quiet() -> bool:
    return _settings.quiet


def is_verbose() -> bool:
    return _settings.verbose and not _settings.quiet


def shows_progress() -> bool:
    return _settings.progress and not _settings.quiet


def printable(text: str, *, layout: bool = False) -> str:
    """The text with its control characters written as escapes; with ``layout`` newlines and tabs stay."""
    pattern = CONTROL_BUT_LAYOUT if layout else _CONTROL
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


def write(stream: TextIO | None, text: str) -> None:
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


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def is_unicode(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def has_color(stream: TextIO | None) -> bool:
    return _settings.color == "always" or (_settings.color == "auto" and is_terminal(stream))


def width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal behind ``stream`` (default: stdout); None: there is none, as many as it takes."""
    stream = stream or sys.stdout
    if not is_terminal(stream):
        return None
    if _settings.columns is not None:
        return _settings.columns
    import os

    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
