"""What the pages of documentation promise: their commands, the files that they have a reader write, their links and headings.

A command stands alone on a line of an indented block, with or without a comment behind it, or behind ``$`` in a fenced block of
``console``. What else a fenced block holds is output, or a file.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (\S.*?)(?:\s{2,}#.*|\s+# .*)?$", flags=re.MULTILINE)
_LINK = re.compile(r"(?<!`)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"]+)\"")


def pages():
    """Every page that a reader may open, as paths below the root."""
    folders = (ROOT, ROOT / "docs", ROOT / "suites", ROOT / "recipe", ROOT / ".github")
    return sorted(path.relative_to(ROOT) for folder in folders for path in folder.glob("*.md"))


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page):
    """The lines that the indented blocks of a page have a reader type, without their comments."""
    return [match[1].rstrip() for match in _INDENTED.finditer(_FENCE.sub("", read(page)))]


def fenced(page, *kinds):
    """The fenced blocks of these kinds, in order: (kind, text)."""
    return [(match[1], match[2]) for match in _FENCE.finditer(read(page)) if match[1] in kinds]


def typed(block):
    """Of a block of a console: each command with the output that the page shows of it."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def spoken(page):
    """Every command line of crt on a page: those that a reader types as they are, and those that its prose names."""
    lines = [command for _, block in fenced(page, "console", "bash", "sh") for command, _ in typed(block)]
    lines += [each.removeprefix("$ ") for each in commands(page)]
    named = re.findall(r"`(crt [^`\n]+)`", _FENCE.sub("", read(page)))
    return _of_crt(lines), _of_crt(named)


def _of_crt(lines):
    return [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("crt ")]


def links(page):
    """Where a page points, as it is written: addresses, files, anchors."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", read(page)))
    return [first or second.split()[0] for first, second in _LINK.findall(text)]


def anchors(page):
    """The names by which headings can be pointed at, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", read(page)), flags=re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "", heading)
        name = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        known = sum(each == name or re.fullmatch(rf"{re.escape(name)}-\d+", each) is not None for each in found)
        found.append(f"{name}-{known}" if known else name)
    return found
