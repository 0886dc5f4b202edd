"""The changes as an Atom feed (RFC 4287), for who would rather be told than look."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.quantity import ratio_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.report.views import ChangeView

_ATOM = "http://www.w3.org/2005/Atom"

#: What XML 1.0 has no place for, whichever way it is written.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Entries of a feed: readers keep the older ones.
_ENTRIES = 50


def atom(changes: Sequence[ChangeView], *, title: str, last: datetime | None) -> bytes:
    """The newest changes first. Links are relative to the feed, wherever the site is."""
    ET.register_namespace("", _ATOM)
    feed = ET.Element(f"{{{_ATOM}}}feed")
    _add(feed, "id", "urn:crt:report:changes")
    _add(feed, "title", f"{title}: changes")
    _add(feed, "updated", _time(last))
    ET.SubElement(feed, f"{{{_ATOM}}}link", href="index.html")
    _add(ET.SubElement(feed, f"{{{_ATOM}}}author"), "name", title)
    for change in changes[:_ENTRIES]:
        entry = ET.SubElement(feed, f"{{{_ATOM}}}entry")
        _add(entry, "id", f"urn:crt:change:{change.id}")
        _add(entry, "title", f"{change.name}: {change.metric.label} {ratio_text(change.ratio)} ({change.kind})")
        _add(entry, "updated", _time(change.since))
        ET.SubElement(entry, f"{{{_ATOM}}}link", href=change.href)
        _add(entry, "summary", _summary(change))
    text: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _summary(change: ChangeView) -> str:
    lines = [
        f"{change.metric.label} of {change.benchmark} went from {change.before} to {change.after} ({change.runtime}).",
        f"State: {change.state}. Last run before: {change.last_good:%Y-%m-%d %H:%M} UTC.",
    ]
    lines += [f"{each.name}: {each.before or 'none'} to {each.after or 'none'}" for each in change.moved]
    return "\n".join(lines)


def _add(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, f"{{{_ATOM}}}{tag}").text = _ILLEGAL.sub("\ufffd", text)


def _time(moment: datetime | None) -> str:
    """RFC 3339; a feed without any run is as old as time."""
    return (moment or datetime(1970, 1, 1, tzinfo=timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ")
