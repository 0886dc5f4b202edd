"""Which of many demands contradict each other: the smallest set that cannot be met, found with few questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Demand = TypeVar("Demand")


def smallest_conflict(demands: Sequence[Demand], possible: Callable[[Sequence[Demand]], bool]) -> list[Demand]:
    """A set of demands that cannot be met together, while any part of it can; empty if all can be met.

    ``possible`` says whether these can be met together; it must not become true by demanding more. Where there is a
    choice, what comes first in ``demands`` is in the set. QuickXplain (Junker, AAAI 2004): for k of n demands it
    asks about 2 k log2(n / k) + 2 k times.
    """
    if possible(demands):
        return []
    return _conflict([], list(demands), possible, grown=False)


def _conflict(
    given: list[Demand], demands: list[Demand], possible: Callable[[Sequence[Demand]], bool], *, grown: bool
) -> list[Demand]:
    """What of ``demands`` it takes to contradict, beside all that is ``given``; ``grown``: more is given than when last asked."""
    if grown and not possible(given):
        return []
    if len(demands) == 1:
        return demands
    half = len(demands) // 2
    first, second = demands[:half], demands[half:]
    of_second = _conflict([*given, *first], second, possible, grown=bool(first))
    of_first = _conflict([*given, *of_second], first, possible, grown=bool(of_second))
    return [*of_first, *of_second]
