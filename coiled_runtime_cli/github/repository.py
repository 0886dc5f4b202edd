"""What a repository on GitHub holds, and what may be written into it: issues, comments, and which pull request has a commit."""

from __future__ import annotations

import contextlib
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.github.connection import URL, Connection, InvalidError, MissingError, UncertainError

if TYPE_CHECKING:
    from collections.abc import Callable

_INSIDERS = {"OWNER", "MEMBER", "COLLABORATOR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    number: int
    title: str
    body: str
    state: str  # open or closed
    reason: str | None  # why it is closed: completed, not_planned, duplicate
    labels: tuple[str, ...]
    url: str  # of its page


@dataclass(frozen=True, slots=True)
class Comment:
    id: int
    body: str
    url: str
    trusted: bool  # written by who may write to the repository, or by an app that was let in, as a workflow's is


class Repository:
    """One repository, as a token may see and change it.

    All methods raise RemoteError, with what GitHub said; those that make something UncertainError where it did not say whether
    it has been made.
    """

    def __init__(self, name: str, *, token: str | None, url: str = URL) -> None:
        """Raises UsageError for what is no name of a repository, and for an address that a token must not be sent to."""
        self._connection = Connection(name, token=token, url=url)
        self.name = name

    def issues(self, label: str) -> list[Issue]:
        """All issues with this label, open and closed, the oldest first."""
        query = {"labels": label, "state": "all", "sort": "created", "direction": "asc"}
        return [_issue(each) for each in self._connection.pages("/issues", query) if "pull_request" not in each]

    def create_issue(self, title: str, body: str, label: str) -> Issue:
        return _issue(self._connection.ask("POST", "/issues", {"title": title, "body": body, "labels": [label]}))

    def update_issue(self, number: int, **changes: str) -> None:
        """``title``, ``body``, ``state``, ``state_reason``."""
        self._connection.ask("PATCH", f"/issues/{number}", changes)

    def ensure_label(self, name: str, *, color: str, description: str) -> None:
        place = f"/labels/{urllib.parse.quote(name, safe='')}"
        with contextlib.suppress(MissingError):
            self._connection.ask("GET", place)
            return
        try:
            self._connection.ask("POST", "/labels", {"name": name, "color": color, "description": description})
        except (UncertainError, InvalidError) as error:
            # it may be there: made by this request, or by another job meanwhile
            try:
                self._connection.ask("GET", place)
            except MissingError:
                raise error from None

    def comments(self, number: int) -> list[Comment]:
        """Those of an issue, or of a pull request."""
        return [_comment(each) for each in self._connection.pages(f"/issues/{number}/comments", {})]

    def create_comment(self, number: int, body: str) -> Comment:
        return _comment(self._connection.ask("POST", f"/issues/{number}/comments", {"body": body}))

    def update_comment(self, identity: int, body: str) -> None:
        self._connection.ask("PATCH", f"/issues/comments/{identity}", {"body": body})

    def delete_comment(self, identity: int) -> None:
        self._connection.ask("DELETE", f"/issues/comments/{identity}")

    def pull_request_of(self, head: str) -> int | None:
        """The number of the open pull request whose newest commit this is, also from a fork; None: there is none."""
        for each in self._connection.pages("/pulls", {"state": "open"}):
            newest, number = _made_of(lambda one: (one["head"]["sha"], int(one["number"])), each)
            if newest == head:
                return int(number)
        return None


def _made_of(reader: Callable[[dict[str, Any]], Any], value: Any) -> Any:
    try:
        return reader(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(
            f"GitHub's answer has no {error}", hint="GITHUB_API_URL is the address of another API?"
        ) from error


def _issue(value: Any) -> Issue:
    found: Issue = _made_of(
        lambda each: Issue(
            number=int(each["number"]),
            title=str(each["title"]),
            body=str(each["body"] or ""),
            state=str(each["state"]),
            reason=each.get("state_reason"),
            labels=tuple(one if isinstance(one, str) else str(one["name"]) for one in each["labels"]),
            url=str(each["html_url"]),
        ),
        value,
    )
    return found


def _comment(value: Any) -> Comment:
    found: Comment = _made_of(
        lambda each: Comment(
            int(each["id"]),
            str(each["body"] or ""),
            str(each["html_url"]),
            (each.get("user") or {}).get("type") == "Bot" or each.get("author_association") in _INSIDERS,
        ),
        value,
    )
    return found
