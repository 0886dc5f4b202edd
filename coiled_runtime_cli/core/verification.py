"""Does a difference hold between a culprit and its parent? Both are built afresh and measured in turn, until that is sure.

It is Wald's sequential test: how much likelier the pairs are with a difference than with none, and the same odds for and against.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.belief import Belief

    Floats = NDArray[np.float64]

#: Pairs that it takes, and after which it is left.
PAIRS, _MOST_PAIRS = 2, 100

#: A build is made for each of so many pairs, and used again up to so many; then more are made.
_FRESH_PAIRS, _PAIRS_OF_THEM = 2, 4

#: Odds for and against, as logarithms.
_ODDS = math.log(99)

#: The differences that are tried, as shares of what was seen.
_PARTS = (0.55, 0.7, 0.85, 1.0, 1.15)

#: Share of pairs with an outlier in one of the two.
_OUTLIERS = 0.14


class Verification:
    """The runs of one pair, until another is told of. Levels and noise are those of a belief about all runs."""

    def __init__(self) -> None:
        self._told: dict[int, list[tuple[int, float]]] = {}  # builds and logarithms by candidate

    def tell(self, candidate: int, logs: Sequence[float], build: int) -> None:
        self._told.setdefault(candidate, []).extend((build, log) for log in logs)
        if len(self._told) > 2:  # another pair than before
            self._told = {candidate: [(build, log) for log in logs]}

    def tell_broken(self, candidate: int) -> None:
        if candidate in self._told:
            self.forget()

    def forget(self) -> None:
        self._told = {}

    def logs(self, candidate: int) -> list[float]:
        """What was measured of one of the pair."""
        return [log for _, log in self._told[candidate]]

    def holds(self, parent: int, culprit: int, belief: Belief) -> bool:
        counts = self._counts(parent, culprit)
        return counts[0] == counts[1] >= PAIRS and self._odds(parent, culprit, belief) >= _ODDS

    def refused(self, belief: Belief) -> tuple[int, int] | None:
        """Parent and culprit, where no difference holds between them."""
        if len(self._told) != 2:
            return None
        parent, culprit = sorted(self._told)
        return (parent, culprit) if self._odds(parent, culprit, belief) <= -_ODDS else None

    def next(
        self, parent: int, culprit: int, *, jobs: int, unused: Mapping[int, int], fresh: bool
    ) -> list[tuple[int, int]] | None:
        """Candidates and their builds to measure once each, at most one a job; None where more would not tell.

        ``unused`` is the first number of either that no build has. ``fresh``: no build is measured twice.
        """
        counts = self._counts(parent, culprit)
        if min(counts) >= _MOST_PAIRS:
            return None
        found = [
            (each, self._build(each, pair, unused[each], fresh=fresh))
            for pair in range(min(counts), min(counts) + max(1, jobs // 2))
            # who begins changes from pair to pair, so that what moves with time meets both alike
            for each in ((parent, culprit) if pair % 2 == 0 else (culprit, parent))
            if len(self._told.get(each, ())) <= pair
        ]
        return found[:jobs]

    def _counts(self, parent: int, culprit: int) -> list[int]:
        return [len(self._told.get(each, ())) for each in (parent, culprit)]

    def _build(self, candidate: int, pair: int, unused: int, *, fresh: bool) -> int:
        mine = list(dict.fromkeys(build for build, _ in self._told.get(candidate, ())))
        # many jobs ask for such a pair before any build is known
        if mine and _FRESH_PAIRS <= pair < _PAIRS_OF_THEM and not fresh:
            return mine[pair % len(mine)]
        return unused + pair - len(self._told.get(candidate, ()))

    def _odds(self, parent: int, culprit: int, belief: Belief) -> float:
        """Logarithm of how much likelier the verifying pairs are with a difference between them than with none.

        The difference that was seen so far may be larger than it is: it had to be large to be seen. So it is taken for anything
        from about half of it on.
        """
        pairs = zip(self._told.get(parent, ()), self._told.get(culprit, ()), strict=False)
        gaps = np.array([after - before for (_, before), (_, after) in pairs])
        shift = belief.levels[1] - belief.levels[0]
        noise = belief.noise * math.sqrt(2)
        with_it = [_log_likelihood(gaps - part * shift, noise).sum() for part in _PARTS]
        return float(np.logaddexp.reduce(with_it) - math.log(len(_PARTS)) - _log_likelihood(gaps, noise).sum())


def _log_likelihood(gaps: Floats, noise: float) -> Floats:
    """Of differences of two runs around 0: as of single runs, one of the two may be an outlier."""
    wide = max(0.6, 8 * noise)
    inside = math.log(1 - _OUTLIERS) - math.log(noise) - 0.5 * (gaps / noise) ** 2
    outside = math.log(_OUTLIERS) - math.log(wide) - 0.5 * (gaps / wide) ** 2
    found: Floats = np.logaddexp(inside, outside)
    return found
