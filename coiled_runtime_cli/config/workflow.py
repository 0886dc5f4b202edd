"""What a workflow of GitHub Actions is told of where it runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class GitHub:
    """What a workflow is told of where it runs. The token is in no representation, and so in no message."""

    token: str | None = field(repr=False)
    api_url: str | None
    repository: str | None  # OWNER/NAME


def github(environ: Mapping[str, str] | None = None) -> GitHub:
    """``GH_TOKEN`` or ``GITHUB_TOKEN``, ``GITHUB_API_URL`` and ``GITHUB_REPOSITORY``; what is empty is not set.

    Raises UsageError for a token that is none, without showing it.
    """
    given = os.environ if environ is None else environ
    name = next((each for each in ("GH_TOKEN", "GITHUB_TOKEN") if given.get(each)), None)
    token = given[name].strip() if name is not None else None
    if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UsageError(f"{name} is no token: it has spaces, or characters that are not ASCII")
    return GitHub(token, given.get("GITHUB_API_URL") or None, given.get("GITHUB_REPOSITORY") or None)


def github_run(environ: Mapping[str, str]) -> str | None:
    """The address of the run that this is; None outside of a workflow."""
    server, repository, run = (environ.get(f"GITHUB_{part}") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None
