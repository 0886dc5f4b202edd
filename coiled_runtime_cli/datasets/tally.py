"""How far the making of data sets is, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets.files import Failure, StoredFile
    from coiled_runtime_cli.datasets.recipe import PlannedFile


class Tally:
    """How many bytes are written, as planned. What a worker says may come after its file is finished."""

    def __init__(self, total: float) -> None:
        self.total = float(max(1, total))
        self._finished = 0
        self._over: set[tuple[int, int]] = set()
        self._open: dict[tuple[int, int], float] = {}  # of files that are not finished

    def count(self, job: int, file: PlannedFile, news: float | StoredFile | Failure) -> float:
        """Take note, and return how many bytes are written now."""
        place = job, file.index
        if isinstance(news, float):
            if place not in self._over:
                self._open[place] = min(float(file.bytes), self._open.get(place, 0.0) + news)
        elif place not in self._over:
            self._over.add(place)
            self._finished += file.bytes
            self._open.pop(place, None)
        return min(self.total, self._finished + sum(self._open.values()))
