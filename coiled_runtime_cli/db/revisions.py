"""Which schema revisions this crt knows, read from the migrations as text: importing Alembic for it takes 0.4 s."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.locations import migrations_folder

if TYPE_CHECKING:
    from pathlib import Path

_ASSIGNMENT = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Revisions:
    known: frozenset[str]
    heads: frozenset[str]


def read_revisions(folder: Path | None = None) -> Revisions:
    """Read the revisions in ``folder`` (default: those that crt ships). Raises OSError or ValueError if damaged."""
    known: set[str] = set()
    parents: set[str] = set()
    for path in (folder or migrations_folder() / "versions").glob("*.py"):
        values = {
            name: ast.literal_eval(value) for name, value in _ASSIGNMENT.findall(path.read_text(encoding="utf-8"))
        }
        known.add(values["revision"])
        down = values["down_revision"]
        parents.update(() if down is None else (down,) if isinstance(down, str) else down)
    return Revisions(frozenset(known), frozenset(known - parents))
