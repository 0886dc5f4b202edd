"""The catalog of a shared history: the segments of the days that are over, so that who looks for new ones need not list them.

Segments of the days up to ``through`` are those that the catalog names; younger ones are listed. A session that is pushed so
late that a catalog may have left it out makes the catalog void (:func:`void`), and all is listed until there is another one.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.retention import Policy, day_of
from coiled_runtime_cli.core.segment import PREFIX, parse_key

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where it is.
KEY = "catalog/v1.json.gz"

#: Days that are left to listing, and after how many a push is late: the days between them are for clocks that are wrong.
YOUNG, LATE = 14, 7

#: Bytes that a catalog may have, packed and not: a hundred thousand segments are 8 MB.
MOST_PACKED, MOST = 32 * 2**20, 256 * 2**20

_FORMAT, _VERSION = "crt-catalog", 1


@dataclass(frozen=True, slots=True)
class Catalog:
    """``sizes`` are those of the segments' objects (bytes) by their keys."""

    through: date
    sizes: Mapping[str, int]

    @property
    def after(self) -> str:
        """The key after which those begin that are to be listed."""
        return after(self.through)

    @classmethod
    def of(cls, sizes: Mapping[str, int], today: date, policy: Policy) -> Catalog:
        """The catalog of a listing that was begun today."""
        through = today - timedelta(days=YOUNG)
        days = {key: day_of(key) for key in sizes}
        over = [key for key, day in days.items() if day is not None and day <= through and policy.keeps(day, today)]
        return cls(through, {key: sizes[key] for key in over})

    def to_bytes(self) -> bytes:
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "through": self.through.isoformat(),
            "segments": {key.removeprefix(PREFIX): size for key, size in sorted(self.sizes.items())},
        }
        return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=6, mtime=0)


def after(through: date) -> str:
    return f"{PREFIX}{through.isoformat()}0"  # "0" follows "/": nothing of that day comes after it


def is_late(day: date | None, today: date) -> bool:
    """Whether a catalog that is being made may leave out a session of this day that is pushed now."""
    return day is not None and day < today - timedelta(days=LATE)


def void(token: str) -> bytes:
    """What stands in place of a catalog that may have left out a segment; ``token`` makes it unlike any other."""
    document = {"format": _FORMAT, "version": _VERSION, "void": token}
    return gzip.compress(json.dumps(document).encode(), mtime=0)


def read(raw: bytes) -> Catalog | None:
    """None for what is void, and for what is no catalog that this crt can read: then everything is listed."""
    reader = zlib.decompressobj(wbits=31)
    try:
        document = json.loads(reader.decompress(raw, MOST))
        if not reader.eof or document["format"] != _FORMAT or document["version"] != _VERSION:
            return None
        through = date.fromisoformat(document["through"])
        sizes = {f"{PREFIX}{key}": size for key, size in document["segments"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
        return None
    fit = all(parse_key(key) is not None and isinstance(size, int) and size >= 0 for key, size in sizes.items())
    return Catalog(through, sizes) if fit else None
