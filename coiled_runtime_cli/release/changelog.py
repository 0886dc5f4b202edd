"""Where a changelog is, and what it says of a version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def of_recipe(recipe: Path) -> Path | None:
    """The changelog beside a recipe, or of the repository that it is in."""
    for folder in (recipe.absolute().parent, *recipe.absolute().parents):
        for name in ("CHANGELOG.md", "CHANGELOG.rst", "HISTORY.md", "CHANGES.md"):
            if (folder / name).is_file():
                return folder / name
        if (folder / ".git").exists():
            break
    return None


def entry(text: str, version: str) -> str | None:
    """What a changelog says of a version, below the heading that names it; None where none does."""
    heading = re.search(rf"^#+[^\n]*(?<![\w.]){re.escape(version)}(?![\w.])[^\n]*$", text, re.MULTILINE)
    if heading is None:
        return None
    level = len(heading[0]) - len(heading[0].lstrip("#"))
    end = re.search(rf"^#{{1,{level}}}\s", text[heading.end() :], re.MULTILINE)
    return text[heading.end() : heading.end() + end.start() if end else None].strip()
