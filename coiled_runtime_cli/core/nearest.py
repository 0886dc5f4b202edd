"""What did the user mean? The nearest known name, and the message that says so."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: More known names than this are counted, not listed: a message is read at a glance.
LISTED = 12


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like ``word``, or None. Case does not count; a part that only one name has is enough."""
    by_folded = {name.casefold(): name for name in known}
    folded = word.casefold()
    if close := get_close_matches(folded, by_folded, n=1, cutoff=0.6):
        return by_folded[close[0]]
    containing = [name for each, name in by_folded.items() if len(folded) > 2 and folded in each]
    return containing[0] if len(containing) == 1 else None


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Say that no ``kind`` is called ``word``: "unknown suite 'parqet': did you mean 'parquet'? (known: ...)"."""
    names = list(dict.fromkeys(known))
    if not names:
        return f"unknown {kind} {word!r} (none is known)"
    listed = ", ".join(names[:LISTED])
    if len(names) > LISTED:
        listed += f" and {len(names) - LISTED} more"
    match = nearest(word, names)
    return (
        f"unknown {kind} {word!r}" + (f": did you mean {match!r}?" if match is not None else "") + f" (known: {listed})"
    )
