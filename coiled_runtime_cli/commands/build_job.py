"""What `crt build` was asked for, with the settings' and the environment's say in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from coiled_runtime_cli.build.render import Rendered
    from coiled_runtime_cli.config import BuildSettings

#: The channel that is asked where none is named.
CHANNEL = "conda-forge"


@dataclass(frozen=True, slots=True)
class Job:
    """``channels`` are those to solve with, ``given_channels`` those that were named. ``folder`` is for files, and None
    unless it was named; ``channel_folder`` for packages. ``instead`` are requirements of pip by name.
    """

    rendered: Rendered
    channels: tuple[str, ...]
    given_channels: tuple[str, ...]
    override_channels: bool
    folder: Path | None
    channel_folder: Path
    moment: int
    platforms: tuple[str, ...]
    pythons: tuple[str, ...]
    instead: Mapping[str, str]
    format: str


def read_job(
    recipe: Path | None,
    *,
    given: tuple[str, ...] = (),
    override: bool = False,
    nightly: bool = False,
    nightly_channel: str | None = None,
    suffix: str | None = None,
    settings: Sequence[str] = (),
    folder: Path | None = None,
    platforms: tuple[str, ...] = (),
    pythons: tuple[str, ...] = (),
    pip: bool = False,
    conda: bool = False,
    format_: str = "table",
) -> Job:
    """Read what was asked for, and render the recipe. Raises UsageError; RemoteError for nightly versions.

    ``pip``: for pip alone. ``conda``: conda-build may read the recipe instead, where nothing else can.
    """
    from datetime import datetime, timezone

    from coiled_runtime_cli import config, console, locations
    from coiled_runtime_cli.build import make
    from coiled_runtime_cli.build import nightly as nights
    from coiled_runtime_cli.build.render import given_settings, recipe_file
    from coiled_runtime_cli.errors import UsageError

    configured = config.build_settings(config.load())
    environ = config.environment()
    file = recipe_file(_recipe(recipe, configured, locations.recipe_folder()))
    if recipe is None:
        console.verbose(f"the recipe is {file}")
    named = given or (configured.channels or ())
    if override and not named:
        raise UsageError("--override-channels leaves no channel", hint="-c names one")
    channels = named if override or CHANNEL in named else (*named, CHANNEL)
    moment = make.moment_of(file, environ)
    versions = given_settings(settings)
    instead: dict[str, str] = {}
    if nightly:
        now = datetime.fromtimestamp(moment, timezone.utc) if environ.get("SOURCE_DATE_EPOCH") else _now()
        moment = int(now.timestamp())
        suffix = nights.suffix(now)
        if pip:
            instead = _tips({**nights.REPOSITORIES, **configured.repositories})
        else:
            where = nightly_channel or configured.nightly_channel or nights.CHANNEL
            versions = {**_nightly_versions(where), **versions}
            channels, named = (where, *channels), (where, *named)
    rendered = _rendered(file, environ, suffix, versions, conda=conda)
    for name in ("platform", "python"):
        _check_names(name, platforms if name == "platform" else pythons)
    return Job(
        rendered,
        channels,
        named,
        override,
        folder,
        folder or configured.output_folder or Path("dist", "conda"),
        moment,
        platforms,
        pythons,
        instead,
        format_,
    )


def _now() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


def chosen_recipe(given: Path | None, *, write: bool = False) -> Path:
    """The recipe that a command is about; ``write``: it will be edited or tagged, which the shipped one cannot be."""
    from coiled_runtime_cli import config, locations
    from coiled_runtime_cli.build.render import recipe_file
    from coiled_runtime_cli.errors import UsageError

    shipped = locations.recipe_folder()
    chosen = _recipe(given, config.build_settings(config.load()), shipped)
    if write and given is None and chosen == shipped:
        raise UsageError(
            "there is no recipe here", hint="go to the folder that has recipe/meta.yaml, or name it: --recipe PATH"
        )
    return recipe_file(chosen)


def _recipe(given: Path | None, configured: BuildSettings, shipped: Path) -> Path:
    if given is not None:
        return given
    if configured.recipe is not None:
        return configured.recipe
    return Path("recipe") if Path("recipe", "meta.yaml").is_file() else shipped


def _check_names(kind: str, names: Sequence[str]) -> None:
    import re

    from coiled_runtime_cli.build.channel import PLATFORMS
    from coiled_runtime_cli.core.nearest import nearest
    from coiled_runtime_cli.errors import UsageError

    pattern, expected = (r"[a-z]+-[a-z0-9]+", "linux-64") if kind == "platform" else (r"3\.\d{1,2}", "3.12")
    for each in names:
        if not re.fullmatch(pattern, each):
            match = nearest(each, PLATFORMS) if kind == "platform" else None
            told = f": did you mean {match}?" if match else ""
            raise UsageError(f"--{kind} {each}: expected a name as {expected}{told}")


def _rendered(
    file: Path, environ: Mapping[str, str], suffix: str | None, versions: Mapping[str, str], *, conda: bool
) -> Rendered:
    """The recipe, read; where only conda-build can, and is there, as it stands. Raises UsageError."""
    from coiled_runtime_cli.build import conda_build
    from coiled_runtime_cli.build.render import NeedsCondaBuildError, render, unread

    try:
        return render(file, environ, suffix=suffix, settings=versions)
    except NeedsCondaBuildError:
        if not conda or conda_build.program(environ) is None:
            raise
        return unread(file, suffix=suffix, settings=versions)


def _nightly_versions(where: str) -> dict[str, str]:
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build import conda_build
    from coiled_runtime_cli.build import nightly as nights
    from coiled_runtime_cli.build.channel import Channels, installed, this_platform

    conda = conda_build.program(config.environment(), "conda") if not installed() else None
    with console.progress(None, f"the newest on {where}"):
        if conda is not None:
            found = nights.newest_by_conda(conda, where)
        else:
            with Channels([where], cache=config.conda_cache()) as opened:
                found = nights.newest(opened, this_platform())
    console.note("nightly: " + ", ".join(f"{name} {each}" for name, each in found.items()))
    return found


def _tips(repositories: Mapping[str, str]) -> dict[str, str]:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.build import nightly as nights

    with console.progress(None, "asking for the newest commits"):
        found = nights.tips(repositories)
    console.note("nightly: " + ", ".join(f"{name} {each.commit[:9]}" for name, each in found.items()))
    return {name: f"{name} @ git+{each.url}@{each.commit}" for name, each in found.items()}
