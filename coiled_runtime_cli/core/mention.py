"""Text from outside in GitHub's Markdown: as it is, and never more than text.

Names of tests, labels, versions and packages come from whoever wrote them: none may mention a team, close an issue, open a tag,
load an image or leave its cell. In ``code`` GitHub looks for no mentions, references or addresses.
"""

from __future__ import annotations

import re
import unicodedata

#: What is the same in a span of code and outside of it, and closes neither it nor the cell of a table.
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;/\[\]()=+*#@%!?'\"{}~^-]+")

_SAFE = re.compile(r"[A-Za-z0-9 ]")

_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9/._~%!$&*+,;=:@?#-]*)?")

#: What an address may have elsewhere, and a span of code or a name is cut to (characters).
_LONGEST = 200


def code(text: str) -> str:
    """A name as code, on one line."""
    shown = bare(text)
    if not shown:
        return "(empty)"
    if _PLAIN.fullmatch(shown):
        return f"`{shown}`"
    # GitHub's Markdown takes no reference to a character for a mark, and looks for no mention within the element
    return f"<code>{entities(shown)}</code>"


def entities(text: str) -> str:
    """Every character that could mean something as a reference to it."""
    return "".join(each if _SAFE.match(each) else f"&#{ord(each)};" for each in text)


def link(text: str, address: str | None) -> str:
    """A link with words of ours; only the words where the address is none that is plainly safe."""
    return f"[{text}]({address})" if address and is_address(address) else text


def is_address(text: str) -> bool:
    """Whether it is an address of the web that nothing can hide in."""
    return _ADDRESS.fullmatch(text) is not None


def title(text: str, *, longest: int = _LONGEST) -> str:
    """For a title, where GitHub knows nothing but code: on one line, without backticks, cut."""
    return bare(text, longest=longest).replace("`", "'")


def bare(text: str, *, longest: int = _LONGEST) -> str:
    """On one line, without what is not seen (controls, marks of direction, joiners), and cut."""
    seen = "".join(
        " " if each.isspace() else each
        for each in text.encode("utf-8", "replace").decode()
        if each.isspace() or unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(seen.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
