"""What a check of a package found, in three words that are never mixed up: verified, failed, not verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Word = Literal["verified", "failed", "not verified"]

VERIFIED: Word = "verified"
FAILED: Word = "failed"
NOT_VERIFIED: Word = "not verified"


@dataclass(frozen=True, slots=True)
class Check:
    """``what`` was looked at: "contents", "solve", "imports", "commands". ``why`` says more, always where it is not verified."""

    what: str
    word: Word
    why: str = ""
    platform: str = ""
    python: str = ""


def overall(checks: Iterable[Check]) -> Word:
    """One word for all: failed if anything did, verified if everything is, and something was looked at."""
    words = [each.word for each in checks]
    if FAILED in words:
        return FAILED
    return VERIFIED if words and set(words) == {VERIFIED} else NOT_VERIFIED
