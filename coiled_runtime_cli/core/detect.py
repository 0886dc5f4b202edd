"""From changes in many series to what a person is told: how sure, in what state, and which belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Runs after a change from which on it is no surprise any more.
CONFIRMED = 8


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


def state(before: float, later: Sequence[float], held: int, *, min_effect: float = 0.03) -> str:
    """How a change stands: "fixed" where a later level is back at ``before``, "confirmed" after 8 runs, else "new".

    ``later`` are the levels that came after the change's own, ``held`` the runs from the change to the next one.
    """
    if before > 0 and any(max(level / before, before / level) <= 1 + min_effect for level in later if level > 0):
        return "fixed"
    return "confirmed" if held >= CONFIRMED or later else "new"


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
