"""Text for Plotly, which reads a little HTML in every label."""

from __future__ import annotations

#: Characters of one label; a name of ten thousand would be the whole chart.
_LONGEST = 120


def plain(text: str) -> str:
    """``text`` as Plotly shows it letter by letter, on one line, cut to what fits a label."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
