"""What an issue remembers of the findings that it has told of, and what a search of the history takes from that.

An issue is found again by what stands unseen in its body: the id of the finding that it was opened for, and all findings that it
ever told of, with their series, metric and moment. So the issues are also the memory of a history that is read anew each night:
from them a finding keeps its id while more runs move the place of the change by a few, and one that a person closed as not
planned is accepted.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.findings import Known
from coiled_runtime_cli.core.series import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.findings import Finding

#: Findings that one issue remembers.
MEMBERS = 300

#: Characters of a memory, packed and not: what is longer is not ours.
_PACKED, _UNPACKED = 60_000, 1_000_000

#: How far apart two jobs may have seen the same change, which had one run more or less.
_APART = timedelta(days=3)

_MARK = re.compile(r"<!-- crt:finding ([0-9a-f]{4,64}) -->")
_MEMORY = re.compile(r"<!-- crt:memory ([A-Za-z0-9_=-]+) -->")
_ID = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Told:
    """A finding that an issue has told of. ``since``: ISO, UTC."""

    id: str
    benchmark: str
    epoch: int
    label: str | None
    scale: str | None
    cluster: str | None
    python: str | None
    host: str | None
    metric: str
    kind: str
    first_bad: str
    since: str
    state: str

    @property
    def series(self) -> SeriesKey:
        return SeriesKey(
            benchmark=self.benchmark,
            epoch=self.epoch,
            label=self.label,
            scale=self.scale,
            cluster=self.cluster,
            python=self.python,
            host=self.host,
        )

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.since)

    def is_same(self, other: Told) -> bool:
        mine, its = (self.series, self.metric, self.kind), (other.series, other.metric, other.kind)
        return self.id == other.id or (mine == its and abs(self.moment - other.moment) <= _APART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What an issue remembers. ``state``: open, or why crt closed it: fixed, accepted, noise, duplicate."""

    id: str
    state: str
    title: str  # as crt wrote it: another one is a person's, and stays
    members: tuple[Told, ...]
    held: int | None = None  # runs since the change when a person had closed it

    def shares(self, other: Memory) -> bool:
        return any(mine.is_same(its) for mine in self.members for its in other.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """An issue as it is there. ``reason``: why, where it is closed."""

    number: int
    title: str
    body: str
    open: bool
    reason: str | None
    url: str
    memory: Memory


def told_of(each: Finding) -> Told:
    """What an issue remembers of a finding."""
    key = asdict(each.key)
    return Told(
        id=each.id,
        **key,
        metric=each.metric.key,
        kind=each.kind,
        first_bad=each.first_bad.uuid,
        since=each.first_bad.start.isoformat(),
        state=each.state,
    )


def remembered(body: str) -> Memory | None:
    """What the body of an issue remembers; None where it is no issue of crt's, or was damaged."""
    marks, memories = _MARK.findall(body), _MEMORY.findall(body)
    if not marks or not memories or len(memories[-1]) > _PACKED:
        return None
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.urlsafe_b64decode(memories[-1]), _UNPACKED)
        found = json.loads(text)
        members = tuple(Told(**each) for each in found["members"])
        memory = Memory(
            id=marks[-1], state=str(found["state"]), title=str(found["title"]), held=found.get("held"), members=members
        )
        fit = all(_ID.fullmatch(each.id) and each.moment.tzinfo for each in members)
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
        return None
    return memory if fit and members and (memory.held is None or isinstance(memory.held, int)) else None


def packed(memory: Memory) -> str:
    """The memory as the last lines of a body: letters and digits alone, which end no comment."""
    content = {
        "state": memory.state,
        "title": memory.title,
        "held": memory.held,
        "members": [asdict(each) for each in memory.members[:MEMBERS]],
    }
    text = base64.urlsafe_b64encode(zlib.compress(json.dumps(content, sort_keys=True).encode(), 9)).decode()
    return f"<!-- crt:finding {memory.id} -->\n<!-- crt:memory {text} -->"


def with_memory(body: str, memory: Memory) -> str:
    """The body as it is, remembering something else."""
    rest = _MEMORY.sub("", _MARK.sub("", body)).rstrip()
    return f"{rest}\n\n{packed(memory)}\n"


def known(issues: Sequence[Tracked]) -> list[Known]:
    """The findings that the issues remember, for the search: so that each keeps its id, and what people have said of it.

    An issue that a person closed as not planned says that the change is as it should be.
    """
    found: dict[str, Known] = {}
    for issue in issues:
        for each in issue.memory.members:
            if issue.memory.state != "duplicate":
                verdict = each.state if each.state in {"confirmed", "noise"} else None
                found.setdefault(
                    each.id,
                    Known(
                        id=each.id,
                        key=each.series,
                        metric=each.metric,
                        kind=each.kind,
                        first_bad=each.first_bad,
                        since=each.moment,
                        accepted=is_declined(issue) or each.state == "accepted",
                        verdict=verdict,
                    ),
                )
    return list(found.values())


def is_declined(issue: Tracked) -> bool:
    """Whether a person has closed it as not planned."""
    return not issue.open and issue.reason == "not_planned" and issue.memory.state == "open"


def merged(stored: Sequence[Known], told: Sequence[Known]) -> list[Known]:
    """What the database knows, and of what the issues know whatever it does not; accepted is who is so in one of them."""
    here = {each.id: each for each in stored}
    for each in told:
        mine = here.get(each.id)
        here[each.id] = (
            each
            if mine is None
            else replace(mine, accepted=mine.accepted or each.accepted, verdict=mine.verdict or each.verdict)
        )
    return list(here.values())
