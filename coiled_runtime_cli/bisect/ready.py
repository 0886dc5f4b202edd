"""A candidate that can be measured, and the error that says why one cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class BuildError(Exception):
    """A candidate that cannot be built: ``log`` is what was said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.message = message
        self.log = log


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that can be measured. ``path``: folders for the path of Python. ``python``: the interpreter, if it has its own.

    ``imports``: where each module must be imported from, and of which commit (None: of a release).
    """

    path: tuple[Path, ...] = ()
    python: Path | None = None
    imports: tuple[tuple[str, Path, str | None], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()  # of packages that must be there
