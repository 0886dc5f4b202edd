"""How many runs a bisection still takes: from what is not known yet, and how much a run tells of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.information import information
from coiled_runtime_cli.core.search import APART, FEWEST
from coiled_runtime_cli.core.verification import PAIRS

if TYPE_CHECKING:
    from coiled_runtime_cli.core.search import Search

#: Runs that a bit takes, over what a single run of an even question tells; and the shares of the mean that 90 % lie between,
#: the upper one for a clear change, and what is added to it as the change drowns in noise. From simulated bisections.
_OVERHEAD, _LOW, _HIGH, _DROWNING = 1.45, 0.2, 1.8, 8.0

#: What is taken for the noise and the effect before anything has been measured.
NOISE, EFFECT = 0.05, 0.2


@dataclass(frozen=True, slots=True)
class Forecast:
    """Runs: a mean, and the range in which nine of ten bisections end."""

    mean: float
    low: float
    high: float


def runs_left(search: Search) -> Forecast | None:
    """From a search as it stands; None as long as the ends do not differ, and there may be nothing to search for."""
    belief = search.belief
    counts = belief.count(0), belief.count(search.last)
    if min(counts) < FEWEST:
        return runs_needed(search.last, done=sum(counts))
    if search.apart() < APART:
        return None
    posterior = belief.posterior()
    known = posterior[posterior > 0]
    entropy = float(-(known * np.log2(known)).sum())
    shift = abs(belief.levels[1] - belief.levels[0]) / belief.noise
    return _of(entropy, max(shift, 0.3))


def runs_needed(last: int, *, noise: float = NOISE, effect: float = EFFECT, done: int = 0) -> Forecast:
    """Before anything was measured: for a change of ``effect`` (0.2 is 20 %) under a noise (of a logarithm)."""
    shift = max(math.log1p(effect) / noise, 0.3)
    ends = 2 * max(FEWEST, (APART / shift) ** 2 * 2)
    found = _of(math.log2(max(last, 1)), shift)
    begun = max(0.0, ends - done)
    return Forecast(found.mean + begun, found.low + begun, found.high + begun)


def _of(entropy: float, shift: float) -> Forecast:
    bits = float(information(np.array([0.5]), shift)[0])
    search = _OVERHEAD * entropy / max(bits, 1e-3)
    pairs = max(PAIRS, 2.0 * math.log(99) * 4 / shift**2 / 2)
    mean = search + 2 * pairs
    return Forecast(mean, max(1.0, _LOW * mean), (_HIGH + _DROWNING / shift**2) * mean)
