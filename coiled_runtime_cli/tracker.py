"""Issues and comments of a repository as they are there, and as they are to be.

What is asked for twice, or by two jobs at once, is there once: each issue and comment has a mark; before one is written again it
is looked for; and after an issue was opened, the younger of two about the same change is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from coiled_runtime_cli.core.issue_memory import Tracked, remembered
from coiled_runtime_cli.core.issues import duplicate
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.github import UncertainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coiled_runtime_cli.core.issues import Action
    from coiled_runtime_cli.github import Comment, Issue, Repository

Made = TypeVar("Made")

#: How often something is made anew that did not arrive.
_ATTEMPTS = 3

_COLOR, _DESCRIPTION = "b60205", "A change that crt detect found. Kept by crt detect issues."


@dataclass(frozen=True, slots=True)
class Said:
    """A comment: its page, and whether it is created, updated, or unchanged."""

    url: str
    what: str


def read(repository: Repository, label: str) -> list[Tracked]:
    """The issues that crt keeps: with the label, and with what it wrote in them. Raises RemoteError."""
    return [found for each in repository.issues(label) if (found := _tracked(each)) is not None]


def _tracked(issue: Issue) -> Tracked | None:
    memory = remembered(issue.body)
    if memory is None:
        return None
    return Tracked(
        number=issue.number,
        title=issue.title,
        body=issue.body,
        open=issue.state == "open",
        reason=issue.reason,
        url=issue.url,
        memory=memory,
    )


def carry_out(repository: Repository, actions: Sequence[Action], label: str) -> Iterator[Action]:
    """Do it, and yield each as it was done, with its number and address. Raises RemoteError where GitHub refuses."""
    if any(each.what == "opened" for each in actions):
        repository.ensure_label(label, color=_COLOR, description=_DESCRIPTION)
    opened = []
    for each in actions:
        if each.what == "opened":
            opened.append(_open(repository, each, label))
        else:
            _change(repository, each)
            yield each
    if not opened:
        return
    # another job may have seen the same change in the same minute: the older issue stays
    there = read(repository, label)
    for each in opened:
        first = next((one for one in there if one.number < (each.number or 0) and one.memory.shares(each.memory)), None)
        mine = next((one for one in there if one.number == each.number), None)
        if first is None or mine is None:
            yield each
        else:
            closing = duplicate(mine, first.number)
            _change(repository, closing)
            yield replace(closing, why=f"another job had opened #{first.number} of it")


def _open(repository: Repository, action: Action, label: str) -> Action:
    title, body = action.title or "", action.body or ""

    def there() -> Issue | None:
        return next((each for each in repository.issues(label) if each.body.replace("\r\n", "\n") == body), None)

    made = _once(lambda: repository.create_issue(title, body, label), there)
    if label.lower() not in {each.lower() for each in made.labels}:
        # without it the next run would not find this one, and open another
        repository.update_issue(made.number, state="closed", state_reason="not_planned")
        raise RemoteError(
            f"the token may open issues in {repository.name}, and not label them: #{made.number} was closed again",
            hint="give it write access to issues",
        )
    return replace(action, number=made.number, url=made.url)


def _change(repository: Repository, action: Action) -> None:
    assert action.number is not None
    number = action.number
    for text in action.comments:
        mark = text.partition("\n")[0]
        if not _marked(repository, number, mark):
            _comment(repository, number, mark, text)
    changes = {name: value for name, value in (("title", action.title), ("body", action.body)) if value is not None}
    if action.what == "closed":
        changes |= {"state": "closed", "state_reason": action.reason or "completed"}
    elif action.what == "reopened":
        changes |= {"state": "open"}
    if changes and action.what != "kept":
        repository.update_issue(number, **changes)


def say(repository: Repository, number: int, mark: str, text: str) -> Said:
    """The one comment that begins with this mark: written, or brought up to date; others of it are removed."""
    there = _marked(repository, number, mark)
    what = "unchanged"
    if not there:
        what = "created"
        _comment(repository, number, mark, text)
        there = _marked(repository, number, mark)
        if not there:
            raise RemoteError(
                f"the comment was written to #{number}, and is not there", hint="is the token of a member or an app?"
            )
    first, *others = there
    if first.body.replace("\r\n", "\n") != text:
        repository.update_comment(first.id, text)
        what = "updated"
    for each in others:
        repository.delete_comment(each.id)
    return Said(first.url, what)


def _comment(repository: Repository, number: int, mark: str, text: str) -> Comment:
    return _once(
        lambda: repository.create_comment(number, text), lambda: next(iter(_marked(repository, number, mark)), None)
    )


def _marked(repository: Repository, number: int, mark: str) -> list[Comment]:
    """Comments that begin with a mark, the oldest first, of those who may write here: anybody could copy a mark."""
    return [each for each in repository.comments(number) if each.trusted and each.body.startswith(mark)]


def _once(make: Callable[[], Made], there: Callable[[], Made | None]) -> Made:
    """What was made; where GitHub did not say whether it was, it is looked for before it is made again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return make()
        except UncertainError:
            found = there()
            if found is not None:
                return found
    return make()
