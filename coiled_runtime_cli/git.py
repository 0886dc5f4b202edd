"""What git says of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import process
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checkout:
    commit: str
    dirty: bool
    url: str | None = None  # of the remote "origin"


def repository_root(folder: Path) -> Path | None:
    """The nearest folder upwards that holds ``.git``, without starting git."""
    for each in (folder, *folder.parents):
        if (each / ".git").exists():
            return each
    return None


def checkout(folder: Path) -> Checkout | None:
    """Commit and dirtiness (of tracked and untracked files below ``folder``); None if it is in no repository."""
    if repository_root(folder) is None:
        return None
    try:
        # --no-optional-locks: a measurement must not take the index lock of a repository that somebody works in
        head = process.run(["git", "--no-optional-locks", "rev-parse", "HEAD"], folder=folder)
        if head.returncode != 0:
            return None
        status = process.run(
            ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=normal", "--", "."],
            folder=folder,
        )
        origin = process.run(["git", "config", "--get", "remote.origin.url"], folder=folder)
    except ToolError:
        return None
    return Checkout(head.stdout.strip(), bool(status.stdout.strip()), origin.stdout.strip() or None)
