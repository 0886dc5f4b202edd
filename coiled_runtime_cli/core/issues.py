"""What is to be done with the issues of a repository so that each cause of a change has one: decided, and written.

An issue is about one cause: the findings (``findings.py``) that share a stretch of time. It is found again by what stands unseen
in its body: the id of the finding that it was opened for, and all findings that it ever told of, with their series, metric and
moment. So an issue is also the memory of a history that is read anew each night: from it a finding keeps its id while more runs
move the place of the change by a few, and one that a person closed as not planned is accepted.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.findings import Known
from coiled_runtime_cli.core.findings_table import change_text, change_with_interval, is_open
from coiled_runtime_cli.core.mention import bare, code, link, title
from coiled_runtime_cli.core.quantity import counted, value_text
from coiled_runtime_cli.core.series import SeriesKey, short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from coiled_runtime_cli.core.findings import Finding

#: Rows of a table, and packages that are named: a body has at most 65,536 characters, and is read in a minute or not at all.
_ROWS, _MOVED, _NAMED = 20, 15, 10

#: Findings that one issue remembers.
_MEMBERS = 300

#: Characters of a memory, packed and not: what is longer is not ours.
_PACKED, _UNPACKED = 60_000, 1_000_000

#: Runs after which a change that is still there opens an issue again that a person closed as completed: a fix has to be released
#: and measured before the history has it.
PATIENCE = 7

#: How far apart two jobs may have seen the same change, which had one run more or less.
_APART = timedelta(days=3)

_FOOTER = (
    "Written by `crt detect issues`, which keeps this text up to date, and closes the issue when the level is back. Close it as "
    "not planned to say that the change is as it should be. What is added here by hand is replaced; comments stay."
)

_MARK = re.compile(r"<!-- crt:finding ([0-9a-f]{4,64}) -->")
_MEMORY = re.compile(r"<!-- crt:memory ([A-Za-z0-9_=-]+) -->")
_ID = re.compile(r"[0-9a-f]{4,64}")
_CLOSED = ("fixed", "accepted", "noise")


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
    """An issue as it is there. ``closed``: why, where it is closed."""

    number: int
    title: str
    body: str
    open: bool
    reason: str | None
    url: str
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is to be done with one issue. ``number`` None: it is to be opened.

    ``what`` is opened, updated, reopened, closed, or kept (nothing is to be done). ``title`` and ``body`` are None where they are
    to stay. ``comments`` each begin with a mark, by which one is not written twice.
    """

    what: str
    number: int | None
    memory: Memory
    why: str
    title: str | None = None
    body: str | None = None
    reason: str | None = None  # of closing, as GitHub names it
    comments: tuple[str, ...] = ()
    url: str | None = None


# --- memory


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
        "members": [asdict(each) for each in memory.members[:_MEMBERS]],
    }
    text = base64.urlsafe_b64encode(zlib.compress(json.dumps(content, sort_keys=True).encode(), 9)).decode()
    return f"<!-- crt:finding {memory.id} -->\n<!-- crt:memory {text} -->"


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


# --- deciding


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the words of an issue need beside its findings. ``page`` gives a finding's page of the site; None: there is none."""

    page: Callable[[Finding], str | None]


def plan(
    findings: Sequence[Finding],
    issues: Sequence[Tracked],
    words: Words,
    *,
    kinds: Sequence[str] = ("regression",),
    partial: bool = False,
) -> list[Action]:
    """What is to be done: first the duplicates, then each issue, then what is to be opened, the largest effect first.

    ``findings`` are all that were found, whatever their state. ``partial``: only a part of the history was searched, and what is
    not among them says nothing.
    """
    actions = []
    standing: list[Tracked] = []
    owner: dict[str, Tracked] = {}
    for issue in sorted(issues, key=lambda each: each.number):
        first = next((each for each in standing if each.memory.shares(issue.memory)), None)
        if first is None and issue.memory.state != "duplicate":
            standing.append(issue)
        elif first is not None and issue.open and issue.memory.state != "duplicate":
            actions.append(duplicate(issue, first.number))
        # what a duplicate told of belongs to the issue that stays, or it would be opened anew each night
        home = first or (issue if issue.memory.state != "duplicate" else None)
        if home is not None:
            for told in issue.memory.members:
                owner.setdefault(told.id, home)
    mine = [each for each in findings if each.kind in kinds]
    joins: dict[int, list[Finding]] = {each.number: [] for each in standing}
    new: dict[int, list[Finding]] = {}
    homes = {each.cause: owner[each.id] for each in reversed(mine) if each.id in owner and is_open(each)}
    for each in mine:
        home = owner.get(each.id) or (homes.get(each.cause) if is_open(each) else None)
        if home is not None:
            joins[home.number].append(each)
        elif is_open(each):
            new.setdefault(each.cause, []).append(each)
    actions += [_of_issue(each, joins[each.number], words, partial=partial) for each in standing]
    actions += [_opened(members, words) for members in new.values()]
    return actions


def duplicate(issue: Tracked, first: int) -> Action:
    memory = replace(issue.memory, state="duplicate")
    return Action(
        what="closed",
        number=issue.number,
        memory=memory,
        why=f"duplicate of #{first}",
        body=_with_memory(issue.body, memory),
        reason="not_planned",
        comments=(
            f"<!-- crt:duplicate {first} -->\nThe same change as #{first}: closed, so that there is one issue of it.",
        ),
        url=issue.url,
    )


def _opened(members: Sequence[Finding], words: Words) -> Action:
    text = _title(members)
    memory = Memory(id=members[0].id, state="open", title=text, members=tuple(map(_told, members[:_MEMBERS])))
    return Action(what="opened", number=None, memory=memory, why="", title=text, body=_body(members, memory, words))


def _of_issue(issue: Tracked, members: Sequence[Finding], words: Words, *, partial: bool) -> Action:
    """What is to be done with an issue, given those of its findings that were found, and those that join."""
    memory = issue.memory
    told = {each.id: each for each in memory.members}
    current = [each for each in members if is_open(each)]
    gone = [each for each in told if each not in {one.id for one in members}]
    kept = Action(what="kept", number=issue.number, memory=memory, why="", url=issue.url)
    if not current:
        states = {each.state for each in members}
        if not members or not states <= set(_CLOSED) or (partial and gone):
            why = "" if memory.state != "open" or not issue.open else "not among what was found: nothing is said of it"
            return replace(kept, why=why)
        return _closing(issue, members)
    if is_declined(issue):
        return replace(kept, why="closed as not planned")
    held = max(each.held for each in current)
    if not issue.open and memory.state == "open":
        if memory.held is None:
            memory = replace(memory, held=held)
            return replace(
                kept,
                what="updated",
                memory=memory,
                body=_with_memory(issue.body, memory),
                why=f"a person closed it: watched for {counted(PATIENCE, 'more run')}",
            )
        if held - memory.held < PATIENCE:
            return replace(kept, why="a person closed it, and it is watched")
    comments = []
    if not issue.open:
        still = f"The change is still there, {counted(held, 'run')} after it began: opened again."
        comments.append(f"<!-- crt:reopened {memory.id} {held} -->\n{still}")
    joined = [each for each in members if each.id not in told and is_open(each)]
    if joined:
        comments.append(_joined(joined))
    sure = [each for each in current if each.state == "confirmed" and each.id in told]
    if sure and not any(each.state == "confirmed" for each in memory.members):
        comments.append(
            f"<!-- crt:confirmed {memory.id} -->\nConfirmed: {_name(sure[0])} is at {change_text(sure[0])} "
            f"after {counted(sure[0].held, 'run')}."
        )
    everyone = {**told, **{each.id: _told(each) for each in members}}
    ordered = sorted(current, key=lambda each: each.id != memory.id)
    text = _title(ordered)
    memory = Memory(id=memory.id, state="open", title=text, members=tuple(everyone.values())[:_MEMBERS])
    body = _body(members, memory, words)
    own_title = issue.title == issue.memory.title
    changed = body != issue.body.replace("\r\n", "\n")
    if not changed and issue.open and not comments:
        return replace(kept, why="as it was")
    return Action(
        what="updated" if issue.open else "reopened",
        number=issue.number,
        memory=memory,
        why=_why(joined, bool(sure) and len(comments) > bool(joined) + (not issue.open)),
        title=text if own_title and text != issue.title else None,
        body=body if changed else None,
        comments=tuple(comments),
        url=issue.url,
    )


def _why(joined: Sequence[Finding], confirmed: bool) -> str:
    said = [*(["confirmed"] if confirmed else []), *([f"{counted(len(joined), 'finding')} joined"] if joined else [])]
    return ", ".join(said)


def _closing(issue: Tracked, members: Sequence[Finding]) -> Action:
    """None of its findings is open any more: closed, by what most of the truth is."""
    states = {each.state for each in members}
    state = next(each for each in _CLOSED if each in states)
    told = {each.id: each for each in issue.memory.members}
    everyone = {**told, **{each.id: _told(each) for each in members}}
    memory = replace(issue.memory, state=state, members=tuple(everyone.values()), held=None)
    known_so = issue.memory.state == state
    if not issue.open and (known_so or is_declined(issue)):
        return Action(what="kept", number=issue.number, memory=issue.memory, why=f"closed, {state}", url=issue.url)
    if issue.open and known_so:
        return Action(
            what="kept",
            number=issue.number,
            memory=issue.memory,
            why=f"{state}; a person opened it again",
            url=issue.url,
        )
    why = {
        "fixed": "the level is back to where it was",
        "accepted": "accepted: the level after the change is the baseline from now on",
        "noise": "fresh runs say that it was noise",
    }[state]
    closed = Action(
        what="closed",
        number=issue.number,
        memory=memory,
        why=state,
        body=_with_memory(issue.body, memory),
        reason="completed" if state == "fixed" else "not_planned",
        comments=(f"<!-- crt:{state} {memory.id} {len(_dates(members))} {_dates(members)[-1]} -->\nClosed: {why}.",),
        url=issue.url,
    )
    return closed if issue.open else replace(closed, what="updated", comments=())


def _dates(members: Sequence[Finding]) -> list[str]:
    return sorted({f"{each.first_bad.start:%Y-%m-%d}" for each in members})


def _told(each: Finding) -> Told:
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


def _with_memory(body: str, memory: Memory) -> str:
    """The body as it is, remembering something else."""
    rest = _MEMORY.sub("", _MARK.sub("", body)).rstrip()
    return f"{rest}\n\n{packed(memory)}\n"


# --- words


def _name(each: Finding) -> str:
    return code(short_name(each.key.benchmark))


def _title(members: Sequence[Finding]) -> str:
    first = members[0]
    name = title(short_name(first.key.benchmark), longest=120)
    rest = f", and {counted(len(members) - 1, 'finding')} more" if len(members) > 1 else ""
    return f"{name}: {title(first.metric.key, longest=40)} {change_text(first)} since {first.first_bad.start:%Y-%m-%d}{rest}"


def _body(members: Sequence[Finding], memory: Memory, words: Words) -> str:
    """The whole text of an issue. Nothing in it changes unless what was found does."""
    shown = sorted(
        (each for each in members if is_open(each)),
        key=lambda each: (each.id != memory.id, -abs(each.ratio - 1), each.id),
    )
    first = shown[0]
    direction = "got worse" if first.kind == "regression" else "got better"
    begins = min(each.last_good.start for each in shown)
    ends = max(each.first_bad.start for each in shown)
    what = _name(first) + (f" and {counted(len(shown) - 1, 'more finding')}" if len(shown) > 1 else "")
    parts = [
        f"{what} {direction} between {begins:%Y-%m-%d %H:%M} and {ends:%Y-%m-%d %H:%M} UTC.",
        _table(shown, words),
        _moved(shown),
        "\n".join(_bisect(first)),
        _FOOTER,
        packed(memory),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(shown: Sequence[Finding], words: Words) -> str:
    lines = [
        "| test | where | metric | before | after | change (95 %) | since | state |",
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for each in shown[:_ROWS]:
        unit, scale = each.metric.display_unit, each.metric.display_scale
        cells = (
            link(_name(each), words.page(each)),
            _where(each),
            code(each.metric.key),
            _value(each.before, unit, scale),
            _value(each.after, unit, scale),
            change_with_interval(each),
            f"{each.first_bad.start:%Y-%m-%d}",
            each.state,
        )
        lines.append("| " + " | ".join(cells) + " |")
    if len(shown) > _ROWS:
        lines += ["", f"and {len(shown) - _ROWS:,} more: `crt detect` lists them."]
    return "\n".join(lines)


def _value(value: float, unit: str, scale: float) -> str:
    text = value_text(value, unit, scale)
    return text if re.fullmatch(r"[-+0-9.,e]+ ?[A-Za-z/%]*", text) else code(text)


def _where(each: Finding) -> str:
    key = each.key
    named = (key.label, key.scale, f"Python {key.python}" if key.python else None)
    return code(", ".join(bare(one, longest=60) for one in named if one))


def _moved(shown: Sequence[Finding]) -> str:
    """What moved between the last good and the first bad run, in all that are shown."""
    everywhere = set(shown[0].moved).intersection(*(one.moved for one in shown))
    common = [each for each in shown[0].moved if each in everywhere]
    whole = common or list(shown[0].moved)
    if not whole:
        return "Nothing that is recorded moved in between: no package, no Python, not the host."
    lead = "What moved in between:" if common else f"What moved in between, for {_name(shown[0])}:"
    # what has commits to look at comes first
    ordered = sorted(whole, key=lambda each: (each.url is None, each.name))
    lines = [
        f"- {code(each.name)} {code(each.before or 'absent')} to {code(each.after or 'absent')}"
        + (f", {link('commits', each.url)}" if each.url else "")
        for each in ordered[:_MOVED]
    ]
    if len(ordered) > _MOVED:
        lines.append(f"- and {len(ordered) - _MOVED:,} more")
    return "\n".join([lead, "", *lines])


def _bisect(first: Finding) -> Iterator[str]:
    yield (
        "Which commit or package it was, on a machine that has the history (`crt sync pull`; `crt detect` lists it, should it "
        "have another id there):"
    )
    yield ""
    yield f"    crt bisect --regression {first.id}"


def _joined(joined: Sequence[Finding]) -> str:
    mark = " ".join(sorted(each.id for each in joined)[:_NAMED])
    lines = [f"- {_name(each)} {code(each.metric.key)} {change_text(each)}" for each in joined[:_NAMED]]
    if len(joined) > _NAMED:
        lines.append(f"- and {len(joined) - _NAMED:,} more")
    return "\n".join([f"<!-- crt:joined {mark} -->", "The same change in:", "", *lines])


def document(action: Action) -> Mapping[str, Any]:
    """One issue as JSON has it."""
    return {
        "action": action.what,
        "number": action.number,
        "url": action.url,
        "id": action.memory.id,
        "title": action.title or action.memory.title,
        "findings": [each.id for each in action.memory.members],
        "state": action.memory.state,
        "body": action.body,
        "comments": list(action.comments),
        "why": action.why,
    }
