"""`crt release upload` and `crt release software`: what leaves the machine, and only with --upload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from coiled_runtime_cli.build.artifact import Artifact
    from coiled_runtime_cli.build.upload import Store

Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")]
Upload = Annotated[bool, typer.Option("--upload", help="Really do it: without this it is only said.")]

#: How an account of anaconda.org is written.
_ANACONDA = "anaconda.org/"


def upload(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[PACKAGE...]", help="Packages. Default: those in dist/conda.")
    ] = None,
    *,
    to: Annotated[str, typer.Option("--to", metavar="DIR|s3://BUCKET/PREFIX|anaconda.org/OWNER", help="The channel.")],
    label: Annotated[
        str | None, typer.Option("--label", metavar="NAME", help="Of anaconda.org, as dev. Default: main.")
    ] = None,
    endpoint_url: Annotated[
        str | None, typer.Option("--endpoint-url", metavar="URL", help="Of a store other than AWS's.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="AWS profile to log in with.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="NAME", help="AWS region of the bucket.")] = None,
    upload_: Upload = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    format_: Format = "table",
) -> None:
    """Put packages into a channel: a folder, a bucket, or an account of anaconda.org under a label.

    Twice is once: a package that is there is left, another one of its name is refused. ANACONDA_API_KEY holds the token
    for anaconda.org; credentials of a bucket come from where AWS's tools find them.

    \b
    crt release upload --to /mnt/channel --upload
    crt release upload --to s3://bucket/channel --upload
    crt release upload --to anaconda.org/coiled --label dev --upload
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console
    from coiled_runtime_cli.build import artifact
    from coiled_runtime_cli.errors import UsageError

    if upload_ and dry_run:
        raise UsageError("--upload and --dry-run contradict each other", hint="give one of them")
    if label is not None and not to.startswith(_ANACONDA):
        raise UsageError("--label is of anaconda.org", hint=f"--to {_ANACONDA}OWNER")
    chosen = [artifact.opened(each) for each in files or _built()]
    store = _store(to, endpoint_url, profile, region)
    done = []
    for each in chosen:
        state = _put(each, to, label, store) if upload_ else "would"
        done.append({"path": str(each.path), "name": each.name, "version": each.version, "to": to, "state": state})
        if format_ != "json":
            words = {"done": "uploaded to", "already": "is there already:"}
            console.result(
                f"{each.path.name} {words.get(state, 'would be uploaded to')} {to}"
                + (f", label {label}" if label else "")
            )
    if format_ == "json":
        console.show_json({"schema": 1, "uploads": done, "dry_run": not upload_})
    elif not upload_ and not dry_run:
        console.hint("nothing was sent: add --upload")


def _built() -> list[Path]:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.build.archive import SUFFIXES
    from coiled_runtime_cli.errors import UsageError

    folder = config.build_settings(config.load()).output_folder or Path("dist", "conda")
    found = sorted(each for suffix in SUFFIXES for each in folder.glob(f"*/*{suffix}"))
    if not found:
        raise UsageError(f"{folder} has no packages", hint="crt build makes one; or name a file")
    return found


def _store(to: str, endpoint_url: str | None, profile: str | None, region: str | None) -> Store | None:
    """The bucket of an address; None for what is none. Raises UsageError."""
    from coiled_runtime_cli.errors import UsageError
    from coiled_runtime_cli.sync.store import open_store

    if not to.lower().startswith("s3://"):
        for flag, value in (("--endpoint-url", endpoint_url), ("--profile", profile), ("--region", region)):
            if value is not None and not to.startswith(_ANACONDA):
                raise UsageError(f"{flag} is of buckets, and {to} is a folder", hint=f"leave {flag} out")
        return None
    if not to.rstrip("/").partition("://")[2].partition("/")[2]:
        raise UsageError(f"{to} names a bucket alone: a channel is a prefix in it", hint="--to s3://bucket/channel")
    return open_store(to, endpoint_url=endpoint_url, profile=profile, region=region)


def _put(made: Artifact, to: str, label: str | None, store: Store | None) -> str:
    from coiled_runtime_cli import config, locations
    from coiled_runtime_cli.build import artifact, channel
    from coiled_runtime_cli.build import upload as uploads
    from coiled_runtime_cli.errors import UsageError

    if store is not None:
        return uploads.to_bucket(store, made)
    if to.startswith(_ANACONDA):
        owner = to.removeprefix(_ANACONDA).strip("/")
        if not owner or "/" in owner:
            raise UsageError(
                f"--to {to}: expected an account, as {_ANACONDA}coiled", hint="--label names a label of it"
            )
        environ = config.environment()
        uploads.to_anaconda(
            made,
            owner=owner,
            label=label,
            token=environ.get("ANACONDA_API_KEY"),
            url=environ.get("ANACONDA_SERVER_URL"),
        )
        return "done"
    if "://" in to:
        raise UsageError(f"{to}: unknown kind of channel", hint="a folder, s3://bucket/prefix, or anaconda.org/OWNER")
    folder = locations.expanded(to)
    target = folder / made.subdir / made.path.name
    word = artifact.place(made.path, target, replace=False)
    channel.index(folder, {target: made.sha256})
    return "already" if word == "unchanged" else "done"


def software(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Default: coiled-runtime-X-Y-Z.")] = None,
    *,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="PATH", help="Folder with a meta.yaml. Default: recipe/.")
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel", "-c", metavar="NAME|URL", help="Where the package is. Repeatable. Default: conda-forge."
        ),
    ] = None,
    python: Annotated[str | None, typer.Option("--python", metavar="3.X", help="Of the environment.")] = None,
    workspace: Annotated[str | None, typer.Option("--workspace", metavar="NAME", help="Coiled workspace.")] = None,
    upload_: Upload = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for, and stop.")] = False,
    format_: Format = "table",
) -> None:
    """Create a software environment on Coiled that has the metapackage in it.

    \b
    crt release software                           what would be asked for
    crt release software --python 3.12 --upload
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import re
    import shlex
    import sys

    from coiled_runtime_cli import config, console, process, temporary
    from coiled_runtime_cli.build.render import render
    from coiled_runtime_cli.commands.build_job import CHANNEL, chosen_recipe
    from coiled_runtime_cli.core.environment_files import conda_environment
    from coiled_runtime_cli.core.pins import parse
    from coiled_runtime_cli.core.recipe import Recipe
    from coiled_runtime_cli.errors import RemoteError, UsageError

    if upload_ and dry_run:
        raise UsageError("--upload and --dry-run contradict each other", hint="give one of them")
    if python is not None and not re.fullmatch(r"3\.\d{1,2}", python):
        raise UsageError(f"--python {python}: expected a version as 3.12")
    read = render(chosen_recipe(recipe), config.environment()).recipe
    assert read is not None
    chosen = name or f"{read.name}-{re.sub(r'[^a-z0-9]+', '-', read.version.lower())}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", chosen):
        raise UsageError(f"{chosen} is no name of a software environment: expected lower case, digits, - and _")
    wanted = [parse(f"{read.name} =={read.version}"), *([parse(f"python {python}.*")] if python else [])]
    content = conda_environment(
        Recipe(read.name, read.version, 0, None, tuple(wanted)),
        [*(channels or []), *([] if CHANNEL in (channels or []) else [CHANNEL])],
    )
    arguments = ["env", "create", "--name", chosen, *(["--workspace", workspace] if workspace else []), "--conda"]
    state = "would"
    if upload_:
        with temporary.folder("crt-software-") as scratch:
            file = Path(scratch, "environment.yml")
            file.write_text(content)
            done = process.run([sys.executable, "-m", "coiled", *arguments, file], timeout=3600)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise RemoteError(
                f"Coiled did not make {chosen}: {said[-1] if said else 'no reason given'}", hint="coiled login"
            )
        state = "done"
    if format_ == "json":
        console.show_json({"schema": 1, "name": chosen, "environment": content, "state": state})
        return
    console.result(content.rstrip("\n"))
    if state == "done":
        console.note(f"{chosen} is made")
    else:
        console.note(f"would be: {shlex.join(['coiled', *arguments, 'environment.yml'])}")
        console.hint("nothing was sent: add --upload")
