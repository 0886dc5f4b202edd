"""What is to be done with the issues of a repository so that each cause of a change has one.

An issue is about one cause: the findings (``findings.py``) that share a stretch of time. It is found again by what it remembers
(``issue_memory.py``), and says what ``issue_text.py`` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.findings_table import is_open
from coiled_runtime_cli.core.issue_memory import MEMBERS, Memory, is_declined, told_of, with_memory
from coiled_runtime_cli.core.issue_text import (
    body_of,
    closed_comment,
    confirmed_comment,
    duplicate_comment,
    joined_comment,
    reopened_comment,
    title_of,
)
from coiled_runtime_cli.core.quantity import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.issue_memory import Tracked
    from coiled_runtime_cli.core.issue_text import Words

#: Runs after which a change that is still there opens an issue again that a person closed as completed: a fix has to be released
#: and measured before the history has it.
PATIENCE = 7

#: What a finding is that is not open any more, in the order in which it counts.
_CLOSED = ("fixed", "accepted", "noise")


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
        body=with_memory(issue.body, memory),
        reason="not_planned",
        comments=(duplicate_comment(first),),
        url=issue.url,
    )


def _opened(members: Sequence[Finding], words: Words) -> Action:
    text = title_of(members)
    memory = Memory(id=members[0].id, state="open", title=text, members=tuple(map(told_of, members[:MEMBERS])))
    return Action(what="opened", number=None, memory=memory, why="", title=text, body=body_of(members, memory, words))


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
                body=with_memory(issue.body, memory),
                why=f"a person closed it: watched for {counted(PATIENCE, 'more run')}",
            )
        if held - memory.held < PATIENCE:
            return replace(kept, why="a person closed it, and it is watched")
    comments = []
    if not issue.open:
        comments.append(reopened_comment(memory, held))
    joined = [each for each in members if each.id not in told and is_open(each)]
    if joined:
        comments.append(joined_comment(joined))
    sure = [each for each in current if each.state == "confirmed" and each.id in told]
    if sure and not any(each.state == "confirmed" for each in memory.members):
        comments.append(confirmed_comment(memory, sure[0]))
    everyone = {**told, **{each.id: told_of(each) for each in members}}
    ordered = sorted(current, key=lambda each: each.id != memory.id)
    text = title_of(ordered)
    memory = Memory(id=memory.id, state="open", title=text, members=tuple(everyone.values())[:MEMBERS])
    body = body_of(members, memory, words)
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
    everyone = {**told, **{each.id: told_of(each) for each in members}}
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
    closed = Action(
        what="closed",
        number=issue.number,
        memory=memory,
        why=state,
        body=with_memory(issue.body, memory),
        reason="completed" if state == "fixed" else "not_planned",
        comments=(closed_comment(memory, members),),
        url=issue.url,
    )
    return closed if issue.open else replace(closed, what="updated", comments=())


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
