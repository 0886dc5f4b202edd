"""What is said on stderr, and what is asked there and read from stdin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from coiled_runtime_cli.console import streams
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from coiled_runtime_cli.errors import CrtError


def note(text: str) -> None:
    if not streams.is_quiet():
        streams.write(sys.stderr, streams.printable(text, layout=True))


def verbose(text: str) -> None:
    if streams.is_verbose():
        streams.write(sys.stderr, _painted("2", streams.printable(text, layout=True)))


def warning(text: str) -> None:
    """Shown even with ``--quiet``."""
    _say("33", "warning:", text)


def hint(text: str) -> None:
    """What to type next."""
    if not streams.is_quiet():
        _say("36", "hint:", text)


def annotation(level: str, title: str, text: str) -> None:
    """What a workflow of GitHub shows beside a run, and not in the log alone: ``level`` is notice, warning or error.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands: read from both streams.
    """
    escapes = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    of_title = {**escapes, ":": "%3A", ",": "%2C"}
    said = "".join(escapes.get(each, each) for each in streams.printable(text, layout=True))
    named = "".join(of_title.get(each, each) for each in streams.printable(title))
    streams.write(sys.stderr, f"::{level} title={named}::{said}")


def confirmed(question: str) -> bool:
    """What the user says to a question. Raises UsageError where nobody can be asked."""
    if not (streams.is_terminal(sys.stdin) and streams.is_terminal(sys.stderr)):
        raise UsageError(question, hint="nobody can be asked here: --yes says it, --dry-run only looks")
    streams.write(sys.stderr, f"{streams.printable(question)} [y/N] ")
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
    lines = f"{title} {streams.printable(text, layout=True)}".split("\n")
    width = streams.width(sys.stderr)
    if width is not None:
        lines = [_between_words(line, width) if not line.startswith(" ") else line for line in lines]
    whole = "\n".join(lines)
    streams.write(sys.stderr, _painted(code, title) + whole[len(title) :])


def _between_words(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    import textwrap

    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) or line


def _painted(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if streams.has_color(sys.stderr) else text
