"""From changes in many series to what a person is told: how sure, in what state, and which belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Runs after a change from which on it is no surprise any more.
CONFIRMED = 8

#: Runs that a change needs to be told of: five may be a burst, which is over before anybody has looked.
HELD = 6

#: How far (seconds) from its true place noise may move a change to either side: a run or two of a nightly history.
BLUR = 36 * 3600

#: The smallest change of a level that counts, as a fraction, where no other one is asked for.
MIN_EFFECT = 0.05

#: How a change stands that somebody should look at: neither accepted, nor fixed, nor a mere suspicion.
OPEN = frozenset({"new", "confirmed"})

#: The p-value that a change needs to be told of. Searches find more (1e-5): of a hundred tests that are searched every night
#: for a year, that would tell of 14 changes that are none, this one of 8 (tests/core/test_detection_simulations.py).
ALERT = 1e-7


def q_values(p_values: Sequence[float], tested: int) -> list[float]:
    """The false discovery rate at which each p-value is still a finding, among ``tested`` tests (Benjamini, Hochberg 1995).

    Tests whose p-values are not given count as 1. Raises ValueError where more are given than were tested.
    """
    if len(p_values) > tested:
        raise ValueError(f"{len(p_values)} p-values of {tested} tests")
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    found = [1.0] * len(p_values)
    least = 1.0
    for place, index in enumerate(order):
        least = min(least, p_values[index] * tested / (len(p_values) - place))
        found[index] = least
    return found


def state(
    before: float,
    later: Sequence[float],
    held: int,
    *,
    p_value: float = 0.0,
    min_effect: float = 0.03,
    threshold: float = ALERT,
) -> str:
    """How a change stands.

    "fixed" where a later level is back at ``before``; else "suspect" where it rests on fewer than HELD runs or is less sure
    than ``threshold``; else "new", and "confirmed" after CONFIRMED runs. ``later`` are the levels that came after the change's
    own, ``held`` the runs from the change to the next one.
    """
    if before > 0 and any(max(level / before, before / level) <= 1 + min_effect for level in later if level > 0):
        return "fixed"
    if p_value > threshold or (held < HELD and not later):
        return "suspect"
    return "confirmed" if held >= CONFIRMED or later else "new"


def kind_of(ratio: float, better: str) -> str:
    """Whether a level that went to ``ratio`` times what it was is a regression or an improvement."""
    return "regression" if (ratio > 1) == (better != "higher") else "improvement"


def ranges(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Group changes by cause: for each (last good, first bad) the number of its group.

    Changes of one group share a stretch of time in which all of them can have happened. Groups are made greedily, the
    narrowest change first, so that one wide range does not tie together what is apart.
    """
    groups: list[tuple[int, int]] = []
    number = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda each: (spans[each][1] - spans[each][0], spans[each])):
        good, bad = spans[index]
        for place, (start, stop) in enumerate(groups):
            if max(good, start) < min(bad, stop):
                groups[place] = (max(good, start), min(bad, stop))
                number[index] = place
                break
        else:
            number[index] = len(groups)
            groups.append((good, bad))
    return number
