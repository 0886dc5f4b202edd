"""What the environment says of the terminal: colours and width."""

from __future__ import annotations

import os


def no_color() -> bool:
    """https://no-color.org: set to anything but nothing. A dumb terminal has no colours either."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def force_color() -> bool:
    return os.environ.get("FORCE_COLOR", "").lower() not in {"", "0", "false", "no"}


def terminal_columns() -> int | None:
    """The width that the user asks for, rather than the terminal's."""
    for name in ("TERMINAL_WIDTH", "COLUMNS"):
        text = os.environ.get(name, "")
        if text.isascii() and text.isdigit() and int(text) > 0:
            return int(text)
    return None
