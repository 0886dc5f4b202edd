"""The values of a JSON document that a stranger may have written: each is what it has to be, or the document is refused.

What reads a value raises DocumentError; ``place`` says to a person which value it was.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class DocumentError(ValueError):
    """It is no such document; says where."""


def mapping(value: object, place: str) -> Mapping[str, Any]:
    """An object of JSON."""
    if not isinstance(value, dict):
        raise DocumentError(f"{place}: expected an object")
    return value


def sequence(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DocumentError(f"{place}: expected a list")
    return value


def text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise DocumentError(f"{place}: expected a text")
    return value


def count(value: object, place: str) -> int:
    """A number of things: whole, and none that could be no number of anything."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1_000_000_000:
        raise DocumentError(f"{place}: expected a number of things")
    return value


def number(value: object, place: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DocumentError(f"{place}: expected a number")
    try:
        found = float(value)
    except OverflowError as error:
        raise DocumentError(f"{place}: expected a number that is not that large") from error
    if not math.isfinite(found):
        raise DocumentError(f"{place}: expected a number that is finite")
    return found


def number_or_none(value: object, place: str) -> float | None:
    """A finite number, or None where there is none."""
    return None if value is None else number(value, place)
