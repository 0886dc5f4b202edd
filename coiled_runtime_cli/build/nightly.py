"""The newest pre-releases of Dask and Distributed, and the suffix that tells one night's metapackage from the next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from coiled_runtime_cli import git, process
from coiled_runtime_cli.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from coiled_runtime_cli.build.channel import Channels

#: Where the Dask organisation puts a package for every commit: https://docs.dask.org/en/stable/develop.html
CHANNEL = "dask/label/dev"

REPOSITORIES = {"dask": "https://github.com/dask/dask", "distributed": "https://github.com/dask/distributed"}


def suffix(moment: datetime) -> str:
    """``aYYMMDDHHMM``, in UTC: a pre-release of the version that it is put behind."""
    return moment.strftime("a%y%m%d%H%M")


def newest(channels: Channels, platform: str) -> dict[str, str]:
    """The newest version of each on a channel. Raises RemoteError where there is none."""
    return {
        name: _newest(name, [each.version for each in channels.packages(name, platform)], ", ".join(channels.names))
        for name in REPOSITORIES
    }


def newest_by_conda(conda: Path, channel: str) -> dict[str, str]:
    """The same, asked of conda: for where there is conda, and no py-rattler. Raises RemoteError."""
    found = {}
    for name in REPOSITORIES:
        done = process.run([conda, "search", "--override-channels", "-c", channel, "--json", name], timeout=600)
        try:
            told = json.loads(done.stdout)
        except ValueError:
            told = {"error": done.stderr.strip()[-500:] or "no answer"}
        if "error" in told and name not in told and "PackagesNotFound" not in str(told.get("exception_name")):
            raise RemoteError(f"conda cannot say what {channel} has: {str(told['error']).strip().splitlines()[0]}")
        found[name] = _newest(name, [str(each["version"]) for each in told.get(name, ())], channel)
    return found


def _newest(name: str, versions: Iterable[str], where: str) -> str:
    known = []
    for each in versions:
        try:
            known.append(Version(each))
        except InvalidVersion:
            continue
    if not known:
        raise RemoteError(f"{where} has no {name}", hint="--nightly-channel names another one")
    return str(max(known))


@dataclass(frozen=True, slots=True)
class Tip:
    url: str
    commit: str


def tips(repositories: Mapping[str, str]) -> dict[str, Tip]:
    """The commits that the projects stand at. Raises RemoteError."""
    return {name: Tip(url, git.tip(url)) for name, url in repositories.items()}
