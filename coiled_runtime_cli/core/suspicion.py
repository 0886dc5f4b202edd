"""The newest runs of a series look off, but are too few for a change: worth measuring again now.

A change needs runs that nobody has yet (``changepoint.py`` takes four and asks for a p-value of 1e-5). A suspicion asks for
less, because it accuses nobody: it says which tests are worth fresh runs, and those decide (``confirmation.py``). The last two
to seven runs are held against the current level:

    z = (mean of the last k logarithms - mean of the level before them) / (s sqrt(1 / k + 1 / m) / sqrt(worth))

with s the noise of the level, m its runs, each value clipped to 4 s, so that one outlier is not enough, and worth what a run
tells where runs resemble those before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.changepoint import FEWEST, noise_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.changepoint import Change

    Floats = NDArray[np.float64]

#: Runs that a suspicion may rest on, and the runs of the level before them that are looked at.
SHORTEST, LONGEST, _LEVEL = 2, 7, 60

#: Standard errors from which on runs look off: in a year of nightly runs without a change about once.
_OFF = 3.3

#: Where values are clipped, in standard deviations.
_CLIP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """``before`` is the geometric mean of the level, ``after`` the median of the runs that look off, in the unit of the values.

    ``errors`` is how far off they are, in standard errors.
    """

    index: int  # of the first run that looks off
    previous: int  # of the last one before it
    before: float
    after: float
    errors: float

    @property
    def ratio(self) -> float:
        return self.after / self.before


def suspicion(values: Floats, changes: Sequence[Change], *, min_effect: float = 0.05) -> Suspicion | None:
    """What looks off at the end of a series, or None. ``changes`` are those that were found in it, in order of time.

    What is not finite and positive is left out; indexes refer to the array as it is given.
    """
    start = changes[-1].index if changes else 0
    usable = start + np.flatnonzero(np.isfinite(values[start:]) & (values[start:] > 0))
    logs = np.log(values[usable])
    if len(logs) < FEWEST + SHORTEST:
        return None
    most = min(LONGEST, len(logs) - FEWEST)
    # one noise for all: that of the runs which are surely before
    spread, persistence = noise_of(logs[-most - _LEVEL : -most])
    worth = (1 - persistence) / (1 + persistence)
    best: Suspicion | None = None
    for count in range(SHORTEST, most + 1):
        level, recent = logs[-count - _LEVEL : -count], logs[-count:]
        middle = float(np.median(level))
        clipped = np.clip(recent, middle - _CLIP * spread, middle + _CLIP * spread)
        kept = np.clip(level, middle - _CLIP * spread, middle + _CLIP * spread)
        error = spread * math.sqrt((1 / count + 1 / len(level)) / worth)
        shift = float(np.median(recent)) - float(kept.mean())
        off = (float(clipped.mean()) - float(kept.mean())) / error
        if abs(off) < _OFF or abs(shift) < math.log1p(min_effect) or off * shift < 0:
            continue
        if best is None or abs(off) > abs(best.errors):
            best = Suspicion(
                index=int(usable[-count]),
                previous=int(usable[-count - 1]),
                before=math.exp(float(kept.mean())),
                after=math.exp(float(kept.mean()) + shift),
                errors=off,
            )
    return best
