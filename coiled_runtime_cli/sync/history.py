"""What push, pull and publish ask of a database, and what they tell while they work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from coiled_runtime_cli.core.segment import Applied, Segment, SegmentError


class Progress(Protocol):
    """Is told what is done, what there is in all, and the rows and the bytes of it."""

    def __call__(self, done: int, total: int, rows: int, size: int) -> None: ...


class History(Protocol):
    """A database with what it remembers of one remote."""

    def segment(self, session: str) -> Segment:
        """A session with all that belongs to it."""

    def mark_pushed(self, keys: Mapping[str, str]) -> None:
        """Remember that the remote has these sessions under these keys."""

    def applied(self) -> frozenset[str]:
        """Keys of the segments that are in the database, or were."""

    def apply(self, segments: Sequence[tuple[str, Segment]]) -> list[Applied | SegmentError]:
        """Store segments by their keys, each with the mark that it is there: both or neither; or say why not."""

    def catalog(self) -> tuple[str, date] | None:
        """Etag and last day of the remote's catalog of which everything is in the database."""

    def saw_catalog(self, etag: str, through: date) -> None:
        """Remember that all of this catalog is in the database."""


class Mirror(History, Protocol):
    """A database that holds what a remote holds, and nothing else."""

    def snapshot(self, target: Path, first: date | None) -> int:
        """Write what it holds from the first day on as a database of its own; the number of its runs."""

    def runs(self) -> int:
        """How many runs it holds."""
