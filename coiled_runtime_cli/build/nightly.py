"""The newest pre-releases of Dask and Distributed, and the suffix that tells one night's metapackage from the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from coiled_runtime_cli import git
from coiled_runtime_cli.core.pins import TO_PYPI
from coiled_runtime_cli.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from coiled_runtime_cli.build.channel import Channels
    from coiled_runtime_cli.core.recipe import Recipe

#: Where the Dask organisation puts a package for every commit: https://docs.dask.org/en/stable/develop.html
CHANNEL = "dask/label/dev"

REPOSITORIES = {"dask": "https://github.com/dask/dask", "distributed": "https://github.com/dask/distributed"}


def suffix(moment: datetime) -> str:
    """``aYYMMDDHHMM``, in UTC: a pre-release of the version that it is put behind."""
    return moment.strftime("a%y%m%d%H%M")


def newest(channels: Channels, platform: str) -> dict[str, str]:
    """The newest version of each on a channel. Raises RemoteError where there is none."""
    found = {}
    for name in REPOSITORIES:
        versions = []
        for each in channels.packages(name, platform):
            try:
                versions.append(Version(each.version))
            except InvalidVersion:
                continue
        if not versions:
            raise RemoteError(f"{', '.join(channels.names)} has no {name}", hint="--nightly-channel names another one")
        found[name] = str(max(versions))
    return found


@dataclass(frozen=True, slots=True)
class Tip:
    url: str
    commit: str


def tips(repositories: Mapping[str, str]) -> dict[str, Tip]:
    """The commits that the projects stand at. Raises RemoteError."""
    return {name: Tip(url, git.tip(url)) for name, url in repositories.items()}


def with_tips(recipe: Recipe, found: Mapping[str, Tip]) -> dict[str, str]:
    """Requirements of pip by project, for those that the recipe has: ``dask @ git+URL@COMMIT``."""
    names = {TO_PYPI.get(each.name, each.name) for each in recipe.depends}
    return {name: f"{name} @ git+{each.url}@{each.commit}" for name, each in found.items() if name in names}
