"""Columns with the skew of real ones, made as whole arrays: text is taken from a dictionary, not formatted by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def skewed(random: Any, rows: int, kinds: int, exponent: float) -> Any:
    """``rows`` integers of 0 .. ``kinds`` - 1 by Zipf's law: kind k has a weight of (k + 1) ** -exponent."""
    import numpy as np

    weights = np.arange(1, kinds + 1, dtype="float64") ** -exponent
    return weighted(random, rows, weights)


def weighted(random: Any, rows: int, weights: Any) -> Any:
    """``rows`` integers of 0 .. len(weights) - 1, each as likely as its weight."""
    import numpy as np

    bounds = np.cumsum(np.asarray(weights, dtype="float64"))
    bounds /= bounds[-1]
    bounds[-1] = 1.0  # a sum short of 1 would let the largest draws fall out of range
    return np.searchsorted(bounds, random.random(rows), side="right").astype("int32")


def lognormal(random: Any, rows: int, *, median: float, spread: float) -> Any:
    """``rows`` positive floats around ``median``; ``spread`` is the standard deviation of their logarithm."""
    import math

    return random.lognormal(math.log(median), spread, rows)


def texts(vocabulary: Sequence[str], positions: Any) -> Any:
    """An Arrow string array: the word of ``vocabulary`` at each position."""
    import pyarrow as pa

    return pa.array(vocabulary, type=pa.string()).take(pa.array(positions))


def with_missing(values: Any, missing: Any) -> Any:
    """An Arrow array of ``values`` that is null where ``missing`` is true."""
    import pyarrow as pa

    return pa.array(values, mask=missing)


def lists(lengths: Any, values: Any) -> Any:
    """An Arrow list array: the next ``lengths[i]`` of ``values`` in row i."""
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(lengths) + 1, dtype="int32")
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values)
