"""`crt release pins`: how old the recipe's pins are, what speaks against them, and the recipe with newer ones."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import Databases  # noqa: TC001  typer reads it

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from coiled_runtime_cli.core.freshness import PinState, Release
    from coiled_runtime_cli.core.pins import Pin
    from coiled_runtime_cli.core.recipe import Recipe


def pins(
    *,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="PATH", help="Folder with a meta.yaml. Default: recipe/.")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Write the newest releases into the recipe.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VERSION", help="Write this version, or constraint, into the recipe. Repeatable."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit 1 if a pin is behind, withdrawn, has an advisory or brought a regression."),
    ] = False,
    index: Annotated[Literal["pypi", "conda"], typer.Option("--index", help="Where releases are looked up.")] = "pypi",
    index_url: Annotated[
        str | None, typer.Option("--index-url", metavar="URL", help="A mirror of PyPI. Default: https://pypi.org.")
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option("--channel", "-c", metavar="NAME", help="Of --index conda. Default: conda-forge."),
    ] = None,
    db: Databases = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Show every pin with the newest release, its age, and what is known against it; or edit them.

    The recipe is edited in place, and keeps its layout and comments.

    \b
    crt release pins                        what is behind, withdrawn, vulnerable
    crt release pins --latest --dry-run     what would change
    crt release pins --set dask=2026.8.1
    crt release pins --check                for CI
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from datetime import datetime, timezone

    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build.render import given_settings, render
    from coiled_runtime_cli.commands.build_job import chosen_recipe
    from coiled_runtime_cli.core import freshness
    from coiled_runtime_cli.errors import UsageError

    if latest and set_:
        raise UsageError(
            "--latest and --set contradict each other",
            hint="give one of them: --set what --latest gets wrong, after it",
        )
    if dry_run and not (latest or set_):
        raise UsageError("--dry-run is of --latest and --set")
    if channels and index != "conda":
        raise UsageError("-c is of --index conda")
    if index_url is not None and index != "pypi":
        raise UsageError("--index-url is of --index pypi")
    file = chosen_recipe(recipe, write=bool(latest or set_) and not dry_run)
    settings = given_settings(set_ or [])
    # what the recipe itself says: variables of the environment are for builds
    environ = {
        name: each for name, each in config.environment().items() if not name.endswith(("_VERSION", "VERSION_SUFFIX"))
    }
    read = render(file, environ).recipe
    assert read is not None
    if set_:
        _edit(file, settings, environ, read, dry_run=dry_run, format_=format_)
        return
    states = _states(read, index, index_url, channels or ["conda-forge"], _regressions(db))
    if latest:
        _edit(file, freshness.updates(states), environ, read, dry_run=dry_run, format_=format_)
        return
    now = datetime.now(timezone.utc)
    if format_ == "json":
        document = [freshness.document(each, now) for each in states]
        console.show_json({"schema": 1, "recipe": str(file), "index": index, "pins": document})
    else:
        console.show_table(freshness.pins_table(states, now), format_)
    if check and any(each.behind or each.objections for each in states):
        raise typer.Exit(1)


def _states(
    recipe: Recipe,
    index: str,
    index_url: str | None,
    channels: Sequence[str],
    regressions: Mapping[tuple[str, str], tuple[str, ...]],
) -> list[PinState]:
    """What is known of every pin, in the recipe's order. Raises RemoteError where the index does not answer."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli import index as indexes
    from coiled_runtime_cli.core import freshness
    from coiled_runtime_cli.core.pins import minors
    from coiled_runtime_cli.errors import RemoteError

    python = next((each.constraint for each in recipe.depends if each.name == "python"), None)
    pythons = minors(python) if python else []
    asked = {each.name: name for each in recipe.depends if (name := freshness.on_pypi(each)) is not None}
    questions = [(asked[each.name], each.exact) for each in recipe.depends if each.name in asked]
    url = index_url or indexes.URL
    with console.progress(None, "asking the index"):
        try:
            answers = dict(indexes.ask(questions, url=url))
        except RemoteError:
            if index == "pypi":
                raise
            answers = {}  # advisories are not known then, and the channel is asked all the same
    found = []
    conda = _on_channels(recipe.depends, channels) if index == "conda" else {}
    for pin in recipe.depends:
        releases, advisories = answers.get(asked.get(pin.name, ""), ("only conda has it", None))
        if index == "conda":
            releases = conda[pin.name] or "no channel has it"
        against = _against(regressions, pin, asked.get(pin.name))
        if isinstance(releases, str):
            found.append(freshness.PinState(pin=pin, regressions=against, why=releases))
            continue
        found.append(
            freshness.state_of(
                pin, releases, [] if index == "conda" else pythons, advisories=advisories, regressions=against
            )
        )
    return found


def _against(regressions: Mapping[tuple[str, str], tuple[str, ...]], pin: Pin, name: str | None) -> tuple[str, ...]:
    if pin.exact is None:
        return ()
    return regressions.get((name or pin.name, pin.exact), ())


def _on_channels(pins_: Sequence[Pin], channels: Sequence[str]) -> dict[str, list[Release]]:
    from datetime import datetime, timezone

    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build.channel import Channels, this_platform
    from coiled_runtime_cli.core.freshness import Release

    def moment(timestamp: float | None) -> datetime | None:
        return datetime.fromtimestamp(timestamp, timezone.utc) if timestamp is not None else None

    found: dict[str, list[Release]] = {}
    with console.progress(None, "asking the channels"), Channels(channels, cache=config.conda_cache()) as opened:
        for pin in pins_:
            first: dict[str, float | None] = {}
            for each in opened.packages(pin.name, this_platform()):
                known = first.get(each.version)
                first[each.version] = min(filter(None, [known, each.timestamp]), default=None)
            found[pin.name] = [Release(version, moment(at)) for version, at in first.items()]
    return found


def _regressions(db: list[str] | None) -> dict[tuple[str, str], tuple[str, ...]]:
    """What was measured against versions, in the database there is; {} without one."""
    from coiled_runtime_cli import config, histories
    from coiled_runtime_cli.core.findings import find
    from coiled_runtime_cli.core.freshness import regressions_of
    from coiled_runtime_cli.db import findings as kept

    file = config.sqlite_file(config.load({"db": db[0] if db else None}).db)
    if not db and file is not None and not file.exists():
        return {}
    with histories.opened(db) as opened:
        known = kept.known_findings(opened.engines[0])
        return regressions_of(find(opened.history, list(opened.history.metrics), known=known).findings)


def _edit(
    file: Path,
    versions: Mapping[str, str],
    environ: Mapping[str, str],
    before: Recipe,
    *,
    dry_run: bool,
    format_: str,
) -> None:
    """Write versions into the recipe, and say what changed; the same again changes nothing."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli.build.render import render
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.release.files import write

    rendered = render(file, environ, settings=versions)  # refuses what is no pin, before anything is written
    assert rendered.recipe is not None
    pairs = [
        (old.name, old.constraint, new.constraint)
        for old, new in zip(before.depends, rendered.recipe.depends, strict=True)
        if old != new
    ]
    if pairs and not dry_run:
        write(file, rendered.source)
    if format_ == "json":
        changed = [{"name": name, "before": old, "after": new} for name, old, new in pairs]
        console.show_json({"schema": 1, "recipe": str(file), "changed": changed, "dry_run": dry_run})
        return
    if not pairs:
        console.result(f"{file} has them already")
        return
    columns = (Column("package"), Column("before"), Column("after"))
    console.show_table(Table(columns, tuple((name, old or "any", new) for name, old, new in pairs)), format_)
    console.note(f"{file} {'would be' if dry_run else 'is'} changed")
    if not dry_run:
        console.hint("crt build --check says whether they can be had together")
