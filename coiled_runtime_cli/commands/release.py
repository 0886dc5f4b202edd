"""`crt release`: from pins to published, a step at a time; each can be taken again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.release_check import check
from coiled_runtime_cli.commands.release_pins import pins
from coiled_runtime_cli.commands.release_upload import software, upload

if TYPE_CHECKING:
    from coiled_runtime_cli.core.recipe import Recipe

_HELP = """\
Release the metapackage: pins, version, checks, tag, feedstock, upload. Nothing leaves without --push or --upload.

\b
crt release pins --latest --dry-run    what would change
crt release check                      is it ready?
crt release bump 1.1.0
crt release tag --push
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

RecipePath = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="PATH", help="Folder with a meta.yaml. Default: recipe/, or the shipped one."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")]

app.command()(pins)


@app.command()
def bump(
    version: Annotated[str, typer.Argument(metavar="X.Y.Z", help="The next release.")],
    *,
    recipe: RecipePath = None,
    dry_run: DryRun = False,
    format_: Format = "table",
) -> None:
    """Set the version of the recipe, and its build number to 0.

    crt release bump 1.1.0
    """
    from coiled_runtime_cli import console
    from coiled_runtime_cli.commands.build_job import chosen_recipe
    from coiled_runtime_cli.release import files, versions

    file = chosen_recipe(recipe, write=not dry_run)
    before, after = versions.bumped(file, version)
    changed = before != version
    if changed and not dry_run:
        files.write(file, after)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "recipe": str(file),
                "before": before,
                "after": version,
                "changed": changed,
                "dry_run": dry_run,
            }
        )
    elif not changed:
        console.result(f"{file} has {version} already")
    else:
        console.result(f"{file}: {before} {'would become' if dry_run else 'is now'} {version}")


app.command()(check)


@app.command()
def tag(
    *,
    recipe: RecipePath = None,
    push: Annotated[bool, typer.Option("--push", help="Push the tag as well.")] = False,
    remote: Annotated[str, typer.Option("--remote", metavar="NAME", help="Where --push goes.")] = "origin",
    dry_run: DryRun = False,
    format_: Format = "table",
) -> None:
    """Tag the commit that is checked out with the recipe's version, annotated with the changelog's entry.

    \b
    crt release tag --dry-run
    crt release tag --push
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, git
    from coiled_runtime_cli.commands.build_job import chosen_recipe
    from coiled_runtime_cli.release import changelog, files, tagging, versions

    file = chosen_recipe(recipe, write=True)
    version = versions.of_recipe(file)
    log = changelog.of_recipe(file)
    entry = changelog.entry(files.text_of(log), version) if log is not None else None
    message = f"{version}\n\n{entry}" if entry else version
    done = tagging.tag(git.Clone(file.absolute().parent), version, message, push=push, remote=remote, dry_run=dry_run)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "tag": done.name,
                "commit": done.commit,
                "state": done.tag,
                "push": done.push,
                "dry_run": dry_run,
            }
        )
        return
    words = {"done": f"tagged {done.commit[:9]} as {version}", "already": f"{done.commit[:9]} is {version} already"}
    console.result(words.get(done.tag, f"{done.commit[:9]} would be tagged as {version}"))
    if done.push is not None:
        console.result(f"{'would be pushed' if done.push == 'would' else 'pushed'} to {remote}")
    elif not dry_run:
        console.hint("it is on this machine alone: crt release tag --push")


@app.command()
def feedstock(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A clone of your fork of the feedstock.")],
    *,
    recipe: RecipePath = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FILE", help="The source that its sha256 is of, if it is here.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="Of the source, if it is known.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the branch as well.")] = False,
    remote: Annotated[str, typer.Option("--remote", metavar="NAME", help="Where --push goes.")] = "origin",
    dry_run: DryRun = False,
    format_: Format = "table",
) -> None:
    """Bring a clone of the feedstock up to this release, on a branch: version, sha256, build number 0, pins.

    Prints the command that opens the pull request. Both formats of conda-forge's recipes are known.

    \b
    crt release feedstock ../coiled-runtime-feedstock --dry-run
    crt release feedstock ../coiled-runtime-feedstock --push
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import difflib
    import re
    import shlex

    from coiled_runtime_cli import console
    from coiled_runtime_cli.commands.build_job import chosen_recipe
    from coiled_runtime_cli.errors import UsageError
    from coiled_runtime_cli.release import versions
    from coiled_runtime_cli.release.feedstock import feed

    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"--sha256 {sha256}: expected 64 hexadecimal digits", hint="sha256sum FILE says it")
    if sha256 is not None and source is not None:
        raise UsageError("--sha256 and --source contradict each other", hint="give one of them")
    file = chosen_recipe(recipe)
    ours = _read(file)
    done = feed(
        path,
        name=ours.name,
        version=versions.of_recipe(file),
        depends=ours.depends,
        source=source,
        sha256=sha256.lower() if sha256 is not None else None,
        push=push,
        remote=remote,
        dry_run=dry_run,
    )
    command = shlex.join(done.command)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "recipe": str(done.file),
                "branch": done.branch,
                "sha256": done.sha256,
                "commit": done.commit,
                "push": done.push,
                "pull_request": {"command": list(done.command), "body": done.body},
                "dry_run": dry_run,
            }
        )
        return
    lines = difflib.unified_diff(done.before.splitlines(), done.after.splitlines(), "before", "after", lineterm="", n=1)
    text = "\n".join(list(lines)[2:])
    console.result(text or f"{done.file} is as it should be")
    words = {"done": f"committed to the branch {done.branch}", "already": f"the branch {done.branch} has it already"}
    console.note(words.get(done.commit, f"would be committed to a branch {done.branch}"))
    if done.push is not None:
        console.note(f"{'would be pushed' if done.push == 'would' else 'pushed'} to {remote}")
    elif not dry_run:
        console.hint(f"it is on this machine alone: crt release feedstock {path} --push")
    console.result(f"\n{command}")


def _read(file: Path) -> Recipe:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.build.render import render

    recipe = render(file, config.environment()).recipe
    assert recipe is not None
    return recipe


app.command()(upload)
app.command()(software)
