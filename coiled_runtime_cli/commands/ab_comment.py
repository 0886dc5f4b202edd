"""`crt ab comment`: the result of an A/B as the one comment on a pull request that is brought up to date."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import Annotated, Literal

import typer

from coiled_runtime_cli.commands.detect_issues import RepositoryName, open_repository

#: Of a result, in bytes: what is larger is none.
_LARGEST = 20_000_000


def comment(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What crt ab run --format json wrote.")],
    *,
    repo: RepositoryName = None,
    pull_request: Annotated[
        int | None, typer.Option("--pull-request", metavar="N", min=1, help="The pull request.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="COMMIT", help="Or its newest commit, in full: also of a fork.")
    ] = None,
    run_url: Annotated[str | None, typer.Option("--run-url", metavar="URL", help="The job, to link to.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the comment, and stop.")] = False,
    format_: Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")] = "table",
) -> None:
    """Write the result of an A/B to a pull request: one comment, that the next result replaces.

    The file may come from a job that ran the code of a stranger: it is read as text of a stranger. GITHUB_TOKEN or GH_TOKEN holds
    a token that may write to pull requests.

    \b
    crt ab run ab --format json > ab.json
    crt ab comment ab.json --dry-run                         as a job's summary
    crt ab comment ab.json --repo OWNER/NAME --pull-request 12
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import re

    from coiled_runtime_cli import config, console, tracker
    from coiled_runtime_cli.core import contrast_comment, untrusted
    from coiled_runtime_cli.errors import UsageError

    if head is not None and not re.fullmatch(r"[0-9a-f]{40,64}", head):
        raise UsageError(f"--head {head}: expected a whole commit, of 40 hexadecimal digits")
    settings = config.load()
    try:
        text = contrast_comment.comment(_document(file), run=run_url or settings.ci_url, commit=head)
    except untrusted.DocumentError as error:
        raise UsageError(f"{file}: {error}", hint=f"crt ab run DIR --format json > {file}") from error
    if dry_run:
        if format_ == "json":
            console.show_json(
                {"schema": 1, "dry_run": True, "comment": text, "pull_request": pull_request, "action": None}
            )
        else:
            console.result(text.rstrip("\n"))
        return
    if (pull_request is None) == (head is None):
        raise UsageError("which pull request is it of?", hint="--pull-request N, or --head COMMIT")
    repository = open_repository(repo, config.github(), needs_token=True)
    number = pull_request if pull_request is not None else repository.pull_request_of(head or "")
    if number is None:
        # closed, or pushed to again: the next job has the newer result
        if format_ == "json":
            console.show_json({"schema": 1, "dry_run": False, "comment": text, "pull_request": None, "action": "none"})
        else:
            console.result(f"no open pull request of {repository.name} stands at {head}: nothing was written")
        return
    said = tracker.say(repository, number, contrast_comment.MARK, text)
    if format_ == "json":
        told = {
            "schema": 1,
            "dry_run": False,
            "comment": text,
            "pull_request": number,
            "action": said.what,
            "url": said.url,
        }
        console.show_json(told)
    else:
        console.result(f"{said.what} {said.url}")


def _document(file: Path) -> object:
    import json

    from coiled_runtime_cli.errors import UsageError

    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        raise UsageError(f"{file}: is larger than a result can be")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: is no JSON: {error}", hint=f"crt ab run DIR --format json > {file}") from error
