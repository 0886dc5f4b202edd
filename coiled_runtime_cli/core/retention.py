"""How long a shared history keeps its sessions: a predicate on the day of a session's start that all apply alike."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta

from coiled_runtime_cli.core.segment import parse_key

#: Days that any history keeps: what is younger may still be on its way.
SHORTEST = 14

#: Days after which it is everything that is kept: there are dates for no more.
LONGEST = 1000 * 365

#: Days that a segment stays where it was after it is not kept any more: who is behind may be reading it.
GRACE = 7

_KEEP = re.compile(r"(\d{1,5})\s*(d|days?|w|weeks?|y|years?)?")
_UNITS = {"d": 1, "w": 7, "y": 365}


class PolicyError(ValueError):
    """The text is no policy."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``days`` of None keeps everything."""

    days: int | None = None

    def keeps(self, day: date | None, today: date, *, grace: int = 0) -> bool:
        """Whether sessions that started on this day (UTC) are kept. One whose day nobody knows always is."""
        return self.days is None or day is None or day >= today - timedelta(days=self.days + grace)

    def first(self, today: date) -> date | None:
        """The first day that is kept; None: every day is."""
        return None if self.days is None else today - timedelta(days=self.days)

    def to_bytes(self) -> bytes:
        return json.dumps({"schema": 1, "keep_days": self.days}).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Policy:
        """Raises PolicyError."""
        try:
            document = json.loads(raw)
            days = document["keep_days"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise PolicyError(str(error)) from error
        if days is not None and (
            not isinstance(days, int) or isinstance(days, bool) or not SHORTEST <= days <= LONGEST
        ):
            raise PolicyError(f"{str(days)[:80]} is no number of days from {SHORTEST} to {LONGEST}")
        return cls(days)

    @classmethod
    def parse(cls, text: str) -> Policy:
        """``90d``, ``12 weeks``, ``2y`` or ``all``. Raises PolicyError."""
        if text.strip().lower() in {"all", "everything", "forever"}:
            return cls()
        found = _KEEP.fullmatch(text.strip().lower())
        if found is None:
            raise PolicyError(f"{text!r} is no time to keep: 90d, 12 weeks, 2y, or all")
        days = int(found[1]) * _UNITS[(found[2] or "d")[0]]
        if days < SHORTEST:
            raise PolicyError(f"{text!r}: {SHORTEST} days are the least that is kept")
        if days > LONGEST:
            raise PolicyError(f"{text!r}: that is longer than anything is kept: all keeps everything")
        return cls(days)

    def __str__(self) -> str:
        return "everything" if self.days is None else f"{self.days} days"


def day_of(key: str) -> date | None:
    """The day (UTC) on which a segment's session started."""
    name = parse_key(key)
    if name is None or name.day == "unknown":
        return None
    try:
        return date.fromisoformat(name.day)
    except ValueError:
        return None
