"""`crt release check`: everything that has to hold before a release, in three words."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import Databases  # noqa: TC001  typer reads it

if TYPE_CHECKING:
    from coiled_runtime_cli.commands.build_job import Job
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.recipe import Recipe
    from coiled_runtime_cli.core.verdict import Check


def check(
    *,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="PATH", help="Folder with a meta.yaml. Default: recipe/.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="NAME", help="Whose runs are looked at. Default: the configured one."),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option("--channel", "-c", metavar="NAME|URL|DIR", help="Where packages are. Repeatable."),
    ] = None,
    override_channels: Annotated[
        bool, typer.Option("--override-channels", help="Only the channels that -c names, without conda-forge.")
    ] = False,
    platform: Annotated[
        list[str] | None, typer.Option("--platform", metavar="NAME", help="Solve only for this one. Repeatable.")
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option("--python", metavar="3.X", help="Solve only for this one. Repeatable.")
    ] = None,
    db: Databases = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Check everything that a release asks for.

    Pins solvable, suites green with these pins, no unaccepted regression for the label, a clean tree, a changelog entry, a
    version that comes next. Exit codes: 0 verified, 1 failed, 5 not verified.

    \b
    crt release check --label upstream
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, git
    from coiled_runtime_cli.commands.build import check_table
    from coiled_runtime_cli.commands.build_job import chosen_recipe, read_job
    from coiled_runtime_cli.core.verdict import FAILED, overall
    from coiled_runtime_cli.release import changelog, readiness, versions

    job = read_job(
        chosen_recipe(recipe, write=True),
        given=tuple(channels or ()),
        override=override_channels,
        platforms=tuple(platform or ()),
        pythons=tuple(python or ()),
        format_=format_,
    )
    file, read = job.rendered.file, job.rendered.recipe
    assert read is not None
    version = versions.of_recipe(file)
    folder = file.absolute().parent
    clone = git.Clone(folder) if git.repository_root(folder) is not None else None
    checks = [
        readiness.check_version(clone, version),
        readiness.check_tree(clone),
        readiness.check_changelog(changelog.of_recipe(file), version),
        *_solvable(read, job),
        *_measured(read, label, db),
    ]
    word = overall(checks)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "version": version,
                "recipe": str(file),
                "check": word,
                "checks": [
                    {
                        "what": each.what,
                        "word": each.word,
                        "why": each.why,
                        "platform": each.platform,
                        "python": each.python,
                    }
                    for each in checks
                ],
            }
        )
    else:
        console.show_table(check_table(checks), format_)
        ready = {"failed": "is not ready", "not verified": "cannot be said to be ready"}.get(
            word, "is ready: crt release tag"
        )
        console.result(f"\n{read.name} {version} {ready}")
    if word != "verified":
        raise typer.Exit(1 if word == FAILED else 5)


def _solvable(recipe: Recipe, job: Job) -> list[Check]:
    """The pins, solved for each platform and Python; a channel that does not answer leaves them not verified."""
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build import check as checking
    from coiled_runtime_cli.build.channel import Channels
    from coiled_runtime_cli.core.verdict import NOT_VERIFIED, Check
    from coiled_runtime_cli.errors import RemoteError

    found = checking.Found()
    try:
        with console.progress(None, "solving") as bar, Channels(job.channels, cache=config.conda_cache()) as opened:
            checking.solve(
                None,
                recipe,
                opened,
                platforms=job.platforms,
                pythons=job.pythons,
                newest=False,
                into=found,
                tell=lambda text: bar.update(0, text=text),
            )
    except RemoteError as error:
        found.checks.append(Check("solve", NOT_VERIFIED, error.message))
    for each in found.reasons[:1]:
        console.note(each.text([each.place]))
    return found.checks


def _measured(recipe: Recipe, label: str | None, db: list[str] | None) -> list[Check]:
    """Suites and regressions of a label; not verified without a database."""
    from coiled_runtime_cli import config, histories
    from coiled_runtime_cli.core import readiness
    from coiled_runtime_cli.core.findings import find
    from coiled_runtime_cli.core.verdict import NOT_VERIFIED, Check
    from coiled_runtime_cli.db import findings as kept

    settings = config.load({"db": db[0] if db else None})
    file = config.sqlite_file(settings.db)
    if not db and file is not None and not file.exists():
        why = f"no database {settings.db}: crt bench, or crt sync pull"
        return [Check("suites", NOT_VERIFIED, why), Check("regressions", NOT_VERIFIED, why)]
    chosen = label or settings.label
    with histories.opened(db, labels=[label] if label is not None else []) as opened:
        history: History = opened.history
        known = kept.known_findings(opened.engines[0])
        found = find(history, list(history.metrics), known=known)
        searched = found.searched if any(each.label == chosen for each in history.sessions) else 0
        return [
            readiness.suites_green(history, chosen, recipe.depends),
            readiness.nothing_slower(found.findings, searched, chosen),
        ]
