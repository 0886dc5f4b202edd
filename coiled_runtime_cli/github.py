"""GitHub's REST API, as far as it is needed: issues with a label, their comments, and the pull request of a commit.

https://docs.github.com/en/rest, version 2022-11-28. It is tested against a server on loopback that keeps a repository's state and
fails in the ways that are documented (``tests/github_server.py``); what GitHub itself does beyond its documentation is not.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message

URL = "https://api.github.com"

#: For one answer (s); for a limit of requests to end (s): what takes longer is told, and left to the next run.
_PATIENCE, _LONGEST_WAIT = 30.0, 60.0

#: Of a request that did not get through.
_ATTEMPTS = 4

#: Of one answer: GitHub's largest is a page of a hundred issues of 64 KiB.
_LARGEST = 32 * 1024 * 1024

#: Issues on a page, and pages that are read at most.
_PAGE, _PAGES = 100, 100

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_INSIDERS = {"OWNER", "MEMBER", "COLLABORATOR"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class UncertainError(RemoteError):
    """Something was asked to be made, and no whole answer came: it may be there or not."""


class _MissingError(RemoteError):
    pass


class _InvalidError(RemoteError):
    """422: what was to be made is wrong in itself, or is there already."""


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
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no repository", hint="OWNER/NAME, as dask/distributed")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise UsageError(
                f"{url} is no address for a token to be sent to", hint="GITHUB_API_URL begins with https://"
            )
        self.name = name
        self._url = url.rstrip("/")
        self._token = token
        # a redirect would take the token along, wherever it leads
        self._opener = urllib.request.build_opener(_NoRedirect)

    # --- issues

    def issues(self, label: str) -> list[Issue]:
        """All issues with this label, open and closed, the oldest first."""
        query = {"labels": label, "state": "all", "sort": "created", "direction": "asc"}
        return [_issue(each) for each in self._pages("/issues", query) if "pull_request" not in each]

    def create_issue(self, title: str, body: str, label: str) -> Issue:
        return _issue(self._ask("POST", "/issues", {"title": title, "body": body, "labels": [label]}))

    def update_issue(self, number: int, **changes: str) -> None:
        """``title``, ``body``, ``state``, ``state_reason``."""
        self._ask("PATCH", f"/issues/{number}", changes)

    def ensure_label(self, name: str, *, color: str, description: str) -> None:
        place = f"/labels/{urllib.parse.quote(name, safe='')}"
        with contextlib.suppress(_MissingError):
            self._ask("GET", place)
            return
        try:
            self._ask("POST", "/labels", {"name": name, "color": color, "description": description})
        except (UncertainError, _InvalidError) as error:
            # it may be there: made by this request, or by another job meanwhile
            try:
                self._ask("GET", place)
            except _MissingError:
                raise error from None

    # --- comments, of issues and pull requests

    def comments(self, number: int) -> list[Comment]:
        return [_comment(each) for each in self._pages(f"/issues/{number}/comments", {})]

    def create_comment(self, number: int, body: str) -> Comment:
        return _comment(self._ask("POST", f"/issues/{number}/comments", {"body": body}))

    def update_comment(self, identity: int, body: str) -> None:
        self._ask("PATCH", f"/issues/comments/{identity}", {"body": body})

    def delete_comment(self, identity: int) -> None:
        self._ask("DELETE", f"/issues/comments/{identity}")

    # --- pull requests

    def pull_request_of(self, head: str) -> int | None:
        """The number of the open pull request whose newest commit this is, also from a fork; None: there is none."""
        for each in self._pages("/pulls", {"state": "open"}):
            if each["head"]["sha"] == head:
                return int(each["number"])
        return None

    # --- requests

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        for page in range(1, _PAGES + 1):
            asked = urllib.parse.urlencode({**query, "per_page": _PAGE, "page": page})
            found = self._ask("GET", f"{path}?{asked}")
            if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
                raise RemoteError(f"{self._url}: the answer to {path} is no list")
            yield from found
            if len(found) < _PAGE:
                return
        raise RemoteError(f"{self.name} has more than {_PAGE * _PAGES:,} of {path}: crt reads no further")

    def _ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """The answer as JSON. What may be asked twice is asked again when it does not get through."""
        safe = method != "POST"
        problem = ""
        for attempt in range(_ATTEMPTS):
            try:
                return self._once(method, path, content)
            except urllib.error.HTTPError as error:
                said = _said(error)
                wait = _limited(error.code, error.headers, said)
                if wait is not None:
                    problem = _wait(wait, f"{self._url}: {said or 'too many requests'}")
                    continue
                if error.code < 500:
                    raise self._refusal(error, said) from error
                problem = f"{error.code} {error.reason}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = getattr(error, "reason", None) or error
                problem = str(reason) or type(error).__name__
                if not safe and isinstance(reason, ConnectionRefusedError):
                    problem += "; nothing was sent"
                    _rest(attempt)
                    continue
            if not safe:
                raise UncertainError(f"{self._url} did not say whether it was done: {problem}", hint="run it again")
            _rest(attempt)
        raise RemoteError(
            f"GitHub does not answer: {self._url}: {problem}", hint="run it again later: nothing comes twice"
        )

    def _once(self, method: str, path: str, content: Mapping[str, Any] | None) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "User-Agent": "crt",
            "X-GitHub-Api-Version": "2022-11-28",
            **({"Content-Type": "application/json"} if content is not None else {}),
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked when the repository is made
            f"{self._url}/repos/{self.name}{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers=headers,
            method=method,
        )
        with self._opener.open(request, timeout=_PATIENCE) as answer:
            text = answer.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError("the answer is too large")
        return json.loads(text) if text else None

    def _refusal(self, error: urllib.error.HTTPError, said: str) -> RemoteError:
        """What a refusal means, and what to do about it."""
        if error.code == 401:
            return RemoteError(f"GitHub refuses the token: {said}", hint="set GITHUB_TOKEN to one that is valid")
        if error.code == 403:
            return RemoteError(
                f"the token may not do this in {self.name}: {said}",
                hint="in a workflow: permissions: issues: write (pull-requests: write for comments)",
            )
        if error.code == 404:
            return _MissingError(
                f"there is no such thing in {self.name}, or the token may not see it", hint="check --repo and the token"
            )
        if error.code == 410:
            return RemoteError(
                f"issues are turned off in {self.name}", hint="Settings, General, Features turns them on"
            )
        if 300 <= error.code < 400:
            return RemoteError(
                f"{self.name} is elsewhere now (GitHub answers {error.code})", hint="--repo with its new name"
            )
        kind = _InvalidError if error.code == 422 else RemoteError
        return kind(f"GitHub refuses what was asked of {self.name}: {error.code} {said}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _rest(attempt: int) -> None:
    if attempt + 1 < _ATTEMPTS:
        time.sleep(0.2 * 4**attempt)


def _wait(seconds: float, problem: str) -> str:
    """Wait until a limit has ended. Raises RemoteError where that takes too long."""
    if seconds > _LONGEST_WAIT:
        until = datetime.fromtimestamp(time.time() + seconds, timezone.utc)
        raise RemoteError(
            f"{problem} (again from {until:%H:%M} UTC on)", hint="run it again then: what is done is not done twice"
        )
    time.sleep(seconds)
    return problem


def _limited(code: int, headers: Message, said: str) -> float | None:
    """How long (s) GitHub asks to wait; None where it is another refusal.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api: 403 or 429, with how long or until when; of
    the secondary limits it may say neither, and then a minute is asked for.
    """
    if code not in {403, 429}:
        return None
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(0.0, float(reset) - time.time())
    return _LONGEST_WAIT if code == 429 or "secondary rate limit" in said.lower() else None


def _said(error: urllib.error.HTTPError) -> str:
    """The message of a refusal, on one line."""
    try:
        found = json.loads(error.read(10_000))
        text = str(found.get("message", ""))
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        text = ""
    return " ".join((text or str(error.reason)).split())[:300]


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
