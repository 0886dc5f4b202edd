"""Which candidates hold the change, as far as is known: the likeliest that can be told from others, and the fewest that suffice.

``posterior`` holds the probabilities that the change came with candidate 1 to N, as an array of length N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def likeliest(posterior: Floats, broken: Collection[int]) -> tuple[tuple[int, ...], float]:
    """The candidate, or the set of them, that most probably holds the change; and how probably."""
    best = int(posterior.argmax()) + 1
    if best - 1 not in broken and best not in broken:
        return (best,), float(posterior[best - 1])
    members = max(_classes(len(posterior), broken), key=lambda each: float(posterior[each[0] - 1 : each[-1]].sum()))
    return members, float(posterior[members[0] - 1 : members[-1]].sum())


def fewest(posterior: Floats, confidence: float) -> tuple[tuple[int, ...], float]:
    """The fewest candidates that hold the change with so much confidence; and how probably they do."""
    order = np.argsort(-posterior, kind="stable")
    count = int(np.searchsorted(np.cumsum(posterior[order]), confidence)) + 1
    chosen = order[:count]
    return tuple(sorted(int(each) + 1 for each in chosen)), float(posterior[chosen].sum())


def _classes(last: int, broken: Collection[int]) -> list[tuple[int, ...]]:
    """Sets of c that nothing measurable tells apart: k and k + 1 are told apart by measuring k."""
    found: list[list[int]] = [[1]]
    for c in range(2, last + 1):
        if c - 1 in broken:
            found[-1].append(c)
        else:
            found.append([c])
    return [tuple(each) for each in found]
