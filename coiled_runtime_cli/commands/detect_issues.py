"""`crt detect issues`: one issue on GitHub for each cause, opened, kept up to date and closed as the history says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import Databases, Labels, Metrics, MinEffect, Since, Suites, moment, share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.config import GitHub
    from coiled_runtime_cli.core.findings import Detected, Finding, Known
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.issue_memory import Tracked
    from coiled_runtime_cli.core.issues import Action
    from coiled_runtime_cli.github import Repository

#: The label by which issues are found again.
LABEL = "performance-regression"

RepositoryName = Annotated[
    str | None, typer.Option("--repo", metavar="OWNER/NAME", help="On GitHub. Default: GITHUB_REPOSITORY.")
]


def issues(
    *,
    repo: RepositoryName = None,
    db: Databases = None,
    since: Since = None,
    suite: Suites = None,
    metric: Metrics = None,
    label: Labels = None,
    min_effect: MinEffect = "5%",
    improvements: Annotated[bool, typer.Option("--improvements", help="Also issues for what got better.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Open at most so many now; the others come next time.")
    ] = 10,
    site: Annotated[
        str | None, typer.Option("--site", metavar="URL", help="Where crt report's site is, to link to its pages.")
    ] = None,
    issue_label: Annotated[
        str, typer.Option("--issue-label", metavar="NAME", help="The label that these issues have.")
    ] = LABEL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Keep one GitHub issue for each cause: open it, tell what joins, close it when it is fixed, accepted, or noise.

    Run it again, or twice at once: nothing comes twice. An issue that a person closes as not planned accepts the change.
    GITHUB_TOKEN or GH_TOKEN holds a token that may write issues; GITHUB_API_URL is that of GitHub Enterprise.

    \b
    crt detect issues --repo OWNER/NAME --dry-run
    crt detect issues --repo OWNER/NAME --site https://owner.github.io/name
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import config, console, histories, tracker
    from coiled_runtime_cli.core import issue_memory
    from coiled_runtime_cli.core.findings import LEVELS, find
    from coiled_runtime_cli.core.issue_text import Words
    from coiled_runtime_cli.core.issues import plan
    from coiled_runtime_cli.db import findings as kept

    effect = share("--min-effect", min_effect)
    begun = None if since is None else moment("--since", since)
    _check(site, issue_label)
    repository = open_repository(repo, config.github(), needs_token=not dry_run)
    with histories.opened(db, suites=suite or [], labels=label or []) as opened:
        engine = opened.engines[0]
        metrics = [opened.metric(each) for each in metric] if metric else list(opened.history.metrics)
        there = tracker.read(repository, issue_label)
        stored = kept.known_findings(engine)
        found = find(
            opened.history,
            metrics,
            known=issue_memory.merged(stored, issue_memory.known(there)),
            min_effect=effect,
            since=begun,
            experiments=bool(label),
        )
        _say_if_little(opened.history, found)
        actions = plan(
            found.findings,
            there,
            Words(page=_pages(opened.history, site)),
            kinds=LEVELS if improvements else LEVELS[:1],
            partial=bool(since or suite or metric or label),
        )
        actions = _limited(actions, limit)
        if not dry_run:
            _remember(engine, found.findings, there, stored)
    done: list[Action] = []
    try:
        done.extend(actions if dry_run else tracker.carry_out(repository, actions, issue_label))
    finally:
        # what was done before GitHub refused is told all the same
        _show([each for each in done if each.what != "kept" or each.why], repository.name, dry_run, format_)
    if dry_run and format_ != "json":
        console.hint("nothing was sent: leave --dry-run out")


def open_repository(name: str | None, given: GitHub, *, needs_token: bool) -> Repository:
    """The repository of a flag, or of the workflow. Raises UsageError where none is named, RemoteError without a token."""
    from coiled_runtime_cli import github
    from coiled_runtime_cli.errors import RemoteError, UsageError

    chosen = name or given.repository
    if chosen is None:
        raise UsageError("no repository is named", hint="--repo OWNER/NAME")
    if given.token is None and needs_token:
        raise RemoteError(
            "there is no token for GitHub", hint="GITHUB_TOKEN=$(gh auth token), or --dry-run, which only looks"
        )
    return github.Repository(chosen, token=given.token, url=given.api_url or github.URL)


def _check(site: str | None, label: str) -> None:
    from coiled_runtime_cli.core.mention import is_address
    from coiled_runtime_cli.errors import UsageError

    if site and not is_address(site):
        raise UsageError(f"--site {site}: expected an address, as https://owner.github.io/name")
    if not label.strip() or "," in label or len(label) > 50 or not label.isprintable():
        raise UsageError(f"--issue-label {label!r}: expected a text without commas, of at most 50 characters")


def _say_if_little(history: History, found: Detected) -> None:
    """A young history has no issues, and that is no mistake."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.changepoint import FEWEST

    if not len(history.runs):
        console.note("nothing was measured yet: there is no run that passed")
    elif not found.searched:
        console.note(f"no series has {FEWEST} runs yet: too few to tell a change from noise")


def _pages(history: History, site: str | None) -> Callable[[Finding], str | None]:
    from coiled_runtime_cli.report.groups import function_slug

    if not site:  # empty is how CI systems write "not set"
        return lambda _: None
    pages = {each.id: function_slug(each.path, each.originalname) for each in history.benchmarks}

    def page(finding: Finding) -> str | None:
        slug = pages.get(finding.key.benchmark)
        return None if slug is None else f"{site.rstrip('/')}/benchmark/{slug}.html"

    return page


def _limited(actions: Sequence[Action], limit: int) -> list[Action]:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import counted

    new = [each for each in actions if each.what == "opened"]
    if len(new) > limit:
        console.warning(
            f"{counted(len(new) - limit, 'issue')} more would be opened: --limit {limit} leaves them for next time"
        )
    rest = {id(each) for each in new[limit:]}
    return [each for each in actions if id(each) not in rest]


def _remember(engine: Engine, findings: Sequence[Finding], there: Sequence[Tracked], stored: Sequence[Known]) -> None:
    """What is told of is kept as crt detect keeps it, and what an issue that was closed as not planned accepts."""
    from coiled_runtime_cli.core.issue_memory import is_declined
    from coiled_runtime_cli.db import findings as kept

    told = {one.id: issue for issue in there if is_declined(issue) for one in issue.memory.members}
    kept.remember(engine, [each for each in findings if each.state not in {"suspect", "noise"} or each.id in told])
    accepted = {each.id for each in stored if each.accepted}
    for each in findings:
        if each.id in told and each.id not in accepted and each.state == "accepted":
            kept.accept(engine, [each.id], f"closed as not planned: {told[each.id].url}")


def _show(done: Sequence[Action], repository: str, dry_run: bool, format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.issues import document
    from coiled_runtime_cli.core.table import Column, Table

    counts = {what: sum(each.what == what for each in done) for what in ("opened", "updated", "reopened", "closed")}
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "repository": repository,
                "dry_run": dry_run,
                **counts,
                "issues": [dict(document(each)) for each in done],
            }
        )
        return
    if not done:
        console.result(f"nothing to do: {repository} has an issue of each open finding")
        return
    words = {"opened": "open", "updated": "update", "reopened": "reopen", "closed": "close", "kept": "keep"}
    table = Table(
        (Column("issue", align="right"), Column("action"), Column("what"), Column("why"), Column("address", drop=1)),
        tuple(
            (
                f"#{each.number}" if each.number is not None else "new",
                f"would {words[each.what]}" if dry_run else each.what,
                each.title or each.memory.title,
                each.why,
                each.url or "",
            )
            for each in done
        ),
    )
    console.show_table(table, format_)
