"""Requests to GitHub's API about one repository: asked again where that is safe; a refusal says what it means and what to do."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.github.rate_limits import asked_wait, wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

URL = "https://api.github.com"

#: For one answer (s).
_PATIENCE = 30.0

#: Of a request that did not get through.
_ATTEMPTS = 4

#: Of one answer: GitHub's largest is a page of a hundred issues of 64 KiB.
_LARGEST = 32 * 1024 * 1024

#: Issues on a page, and pages that are read at most.
_PAGE, _PAGES = 100, 100

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class UncertainError(RemoteError):
    """Something was asked to be made, and no whole answer came: it may be there or not."""


class MissingError(RemoteError):
    """404: it is not there, or not for this token."""


class InvalidError(RemoteError):
    """422: what was to be made is wrong in itself, or is there already."""


class Connection:
    """``token`` goes to ``url`` alone. Raises RemoteError, with what GitHub said."""

    def __init__(self, name: str, *, token: str | None, url: str) -> None:
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

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The objects of a list, page by page."""
        for page in range(1, _PAGES + 1):
            asked = urllib.parse.urlencode({**query, "per_page": _PAGE, "page": page})
            found = self.ask("GET", f"{path}?{asked}")
            if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
                raise RemoteError(f"{self._url}: the answer to {path} is no list")
            yield from found
            if len(found) < _PAGE:
                return
        raise RemoteError(f"{self.name} has more than {_PAGE * _PAGES:,} of {path}: crt reads no further")

    def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """The answer as JSON. What may be asked twice is asked again when it does not get through; else UncertainError."""
        safe = method != "POST"
        problem = ""
        for attempt in range(_ATTEMPTS):
            try:
                return self._once(method, path, content)
            except urllib.error.HTTPError as error:
                said = _said(error)
                seconds = asked_wait(error.code, error.headers, said)
                if seconds is not None:
                    problem = wait(seconds, f"{self._url}: {said or 'too many requests'}")
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
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked when the connection is made
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
            return MissingError(
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
        kind = InvalidError if error.code == 422 else RemoteError
        return kind(f"GitHub refuses what was asked of {self.name}: {error.code} {said}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _rest(attempt: int) -> None:
    if attempt + 1 < _ATTEMPTS:
        time.sleep(0.2 * 4**attempt)


def _said(error: urllib.error.HTTPError) -> str:
    """The message of a refusal, on one line."""
    try:
        found = json.loads(error.read(10_000))
        text = str(found.get("message", ""))
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        text = ""
    return " ".join((text or str(error.reason)).split())[:300]
