"""Which of the changes that a search finds were told of before: more runs move a change by a few, and it is the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Runs by which a change may move as more of them come, and still be the one that was told of before.
NEAR = 8


def matched(found: Sequence[int], known: Sequence[int], *, sure: Mapping[int, int] | None = None) -> dict[int, int]:
    """Which change of ``known`` each of ``found`` is, both as numbers in their sequence: one to one, the nearest pair first.

    Both sequences hold indexes of runs. ``sure`` are pairs that are known by more than their place; they come first.
    """
    pairs = dict(sure or {})
    taken = set(pairs.values())
    near = sorted(
        (abs(index - place), number, other)
        for number, index in enumerate(found)
        for other, place in enumerate(known)
        if abs(index - place) <= NEAR
    )
    for _, number, other in near:
        if number not in pairs and other not in taken:
            pairs[number] = other
            taken.add(other)
    return pairs
