"""What runs of a candidate are worth: the bits that they tell about the change, if it can be built, over what they cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.information import information

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Runs of a candidate that may be asked for at once.
RUNS = (1, 2, 3, 5, 8)

#: How far (in candidates) what breaks a build reaches.
_BROKEN_REACH = 3.0


def best(
    after: Floats, shift: float, *, works: Floats, build_costs: Floats, run_cost: float, counts: Sequence[int] = RUNS
) -> tuple[int, int, float]:
    """The candidate and the runs with most bits for their cost, and how many bits that is.

    The three arrays are of candidates 1 on: how probably each is after the change, how probably it can be built, and what that
    costs. ``shift`` is what the levels differ by, in standard deviations of a run. ``counts`` are the runs to choose from.
    """
    found = (0, 1, 0.0)
    worth = 0.0
    for runs in counts:
        bits = information(after, shift * math.sqrt(runs)) * works
        by_cost = bits / (build_costs + runs * run_cost)
        place = int(by_cost.argmax())
        if by_cost[place] > worth:
            worth, found = float(by_cost[place]), (place + 1, runs, float(bits[place]))
    return found


def breaks(candidates: NDArray[np.int64], broken: Collection[int], built: Collection[int]) -> Floats:
    """How likely each cannot be built: known, or near to one that cannot and far from one that can."""
    if not broken:
        return np.zeros(len(candidates))
    bad, good = np.array(sorted(broken)), np.array(sorted(built))
    to_bad = np.abs(candidates[:, None] - bad[None, :]).min(axis=1)
    to_good = np.abs(candidates[:, None] - good[None, :]).min(axis=1)
    share = len(bad) / (len(bad) + len(good))
    likely = np.maximum(share, 0.9 * np.exp(-to_bad / _BROKEN_REACH) * to_good / (to_good + to_bad))
    likely = np.where(to_bad == 0, 1.0, np.where(to_good == 0, 0.0, likely))
    found: Floats = np.clip(likely, 0.0, 1.0)
    return found
