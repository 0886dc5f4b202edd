"""Command lines as a shell has them: which word is being typed, and how a value is written so that the shell reads it back."""

from __future__ import annotations

from dataclasses import dataclass

#: What bash reads as something else unless a backslash stands before it. ":" and "=" mean nothing within a word.
_SPECIAL = frozenset(" \t\"\\'$`&|;<>()*?[]{}!#~^")


@dataclass(frozen=True, slots=True)
class Line:
    """``words`` are those before the one that is being typed; ``word`` is that one, ``typed`` as it stands in the line."""

    words: tuple[str, ...]
    word: str
    typed: str
    quote: str  # the quotation mark that is open, or ""


def split(line: str) -> Line:
    """Read a command line of bash up to the cursor. A quotation that is open ends at the cursor."""
    words: list[str] = []
    word, typed, quote = "", "", ""
    escaped = begun = False
    for letter in line:
        if not quote and not escaped and letter in " \t\n":
            if begun:
                words.append(word)
            word, typed, begun = "", "", False
            continue
        typed, begun = typed + letter, True
        if escaped:
            # within double quotes a backslash stands for itself before most letters
            word += letter if not quote or letter in '"\\$`' else f"\\{letter}"
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            word, quote = (word, "") if letter == quote else (word + letter, quote)
        elif letter in "\"'":
            quote = letter
        else:
            word += letter
    return Line(tuple(words), word, typed, quote)


def for_bash(value: str, line: Line, breaks: str) -> str:
    """The part of a value that bash puts where the word is: it counts from the last of its ``breaks`` (COMP_WORDBREAKS) on."""
    if line.quote:
        return value
    kept = 0
    for place, letter in enumerate(line.typed):
        if letter in breaks and letter not in "\"'" and not line.typed[:place].endswith("\\"):
            kept = place + 1
    return escaped(value[len(split(line.typed[:kept]).word) :])


def escaped(value: str) -> str:
    """The value as an unquoted word of bash."""
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in value)
