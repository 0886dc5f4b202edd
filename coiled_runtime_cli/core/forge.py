"""Where commits can be looked at: the web addresses of what lies between two states of a package.

The address comes from where the package was installed from, if that says so, else from what is known of the projects that a
Dask distribution is made of. Only plain ``https`` addresses come out, whatever an environment claims of itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.core.record import Package

#: Projects by the name of their package: where they live, and how they spell the tag of a version.
_KNOWN = {
    "dask": ("https://github.com/dask/dask", "{version}"),
    "distributed": ("https://github.com/dask/distributed", "{version}"),
    "dask-expr": ("https://github.com/dask/dask-expr", "v{version}"),
    "numpy": ("https://github.com/numpy/numpy", "v{version}"),
    "pandas": ("https://github.com/pandas-dev/pandas", "v{version}"),
    "pyarrow": ("https://github.com/apache/arrow", "apache-arrow-{version}"),
    "xarray": ("https://github.com/pydata/xarray", "v{version}"),
    "zarr": ("https://github.com/zarr-developers/zarr-python", "v{version}"),
    "fsspec": ("https://github.com/fsspec/filesystem_spec", "{version}"),
    "s3fs": ("https://github.com/fsspec/s3fs", "{version}"),
    "cloudpickle": ("https://github.com/cloudpipe/cloudpickle", "v{version}"),
    "msgpack": ("https://github.com/msgpack/msgpack-python", "v{version}"),
    "tornado": ("https://github.com/tornadoweb/tornado", "v{version}"),
    "toolz": ("https://github.com/pytoolz/toolz", "{version}"),
    "zict": ("https://github.com/dask/zict", "{version}"),
    "partd": ("https://github.com/dask/partd", "{version}"),
    "scipy": ("https://github.com/scipy/scipy", "v{version}"),
    "xgboost": ("https://github.com/dmlc/xgboost", "v{version}"),
    "polars": ("https://github.com/pola-rs/polars", "py-{version}"),
    "duckdb": ("https://github.com/duckdb/duckdb-python", "v{version}"),
}

#: Packages that are named first: what is measured, then what it stands on.
NAMED_FIRST = ("dask", "distributed", "dask-expr", "numpy", "pandas", "pyarrow")

#: Forges whose compare view is known, by host: GitHub's form unless another is named.
_GITLAB = "gitlab"
_HOSTS = re.compile(r"^(github\.com|gitlab\.com|codeberg\.org|bitbucket\.org|gitlab\.[a-z0-9.-]+)$")
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")
_RELEASE = re.compile(r"^[0-9][0-9A-Za-z.!_-]*$")
_SSH = re.compile(r"^(?:git\+)?(?:ssh://)?git@([A-Za-z0-9.-]+)[:/](?:\d+/)?(.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """A package that two environments do not have alike. ``before`` or ``after`` is None where it was not there."""

    name: str
    before: Package | None
    after: Package | None
    url: str | None  # the forge's view of what lies between


def package_changes(before: Sequence[Package], after: Sequence[Package]) -> tuple[PackageChange, ...]:
    """What differs between two environments, by name: packages added, removed, or of another version or commit."""
    olds = {each.name: each for each in before}
    news = {each.name: each for each in after}
    changes = []
    for name in sorted(olds.keys() | news.keys()):
        old, new = olds.get(name), news.get(name)
        if old is None or new is None or (old.version, old.commit, old.dirty) != (new.version, new.commit, new.dirty):
            url = None if old is None or new is None else compare_url(old, new)
            changes.append(PackageChange(name=name, before=old, after=new, url=url))
    return tuple(changes)


def version_text(package: Package | None) -> str | None:
    """What of a package a person reads: its version, the commit where that does not say it, and whether it was changed."""
    if package is None:
        return None
    version = package.version or "of no version"
    if package.commit and package.commit[:7] not in version:
        version = f"{version} ({package.commit[:8]})"
    return f"{version}, changed" if package.dirty else version


def compare_url(before: Package, after: Package) -> str | None:
    """The forge's page of the commits between two states of one package; None where nothing is known of them."""
    home = _home(after) or _home(before)
    old, new = _reference(before), _reference(after)
    if home is None or old is None or new is None or old == new:
        return None
    return _template(home).format(before=quote(old, safe=""), after=quote(new, safe=""))


def commit_url(package: Package) -> str | None:
    """The forge's page of the commit that a package was built from."""
    home = _home(package)
    if home is None or package.commit is None or not _COMMIT.match(package.commit):
        return None
    return f"{home}/{_commits(home)}/{package.commit}"


def templates() -> Mapping[str, dict[str, str]]:
    """The known projects for code that makes addresses itself: ``compare`` and ``commit`` with fields, ``tag`` of a version."""
    return {
        name: {"compare": _template(home), "commit": f"{home}/{_commits(home)}/{{commit}}", "tag": tag}
        for name, (home, tag) in _KNOWN.items()
    }


def _template(home: str) -> str:
    host = urlsplit(home).hostname or ""
    if host.startswith(_GITLAB):
        return f"{home}/-/compare/{{before}}...{{after}}"
    if host == "bitbucket.org":
        return f"{home}/branches/compare/{{after}}..{{before}}"
    return f"{home}/compare/{{before}}...{{after}}"


def _commits(home: str) -> str:
    host = urlsplit(home).hostname or ""
    return "-/commit" if host.startswith(_GITLAB) else "commits" if host == "bitbucket.org" else "commit"


def _reference(package: Package) -> str | None:
    """What the forge calls this state: its commit, else the tag of its version."""
    if package.commit is not None and _COMMIT.match(package.commit):
        return package.commit
    version = package.version or ""
    # 2024.2.1+17.gabc1234 is the 17th commit after the tag 2024.2.1
    release, _, local = version.partition("+")
    described = re.search(r"(?:^|\.)g([0-9a-f]{7,40})(?:\.|$)", local)
    if described is not None:
        return described.group(1)
    if local or not _RELEASE.match(release) or package.name not in _KNOWN:
        return None
    return _KNOWN[package.name][1].format(version=release)


def _home(package: Package) -> str | None:
    """The project's page: from its address if it has one of a forge, else as it is known."""
    found = _address(package.url or "")
    if found is not None:
        return found
    return _KNOWN[package.name][0] if package.name in _KNOWN else None


def _address(url: str) -> str | None:
    ssh = _SSH.match(url)
    try:
        parts = urlsplit(url.removeprefix("git+")) if ssh is None else None
        host, path = (ssh.group(1), ssh.group(2)) if ssh else (parts.hostname or "", parts.path) if parts else ("", "")
    except ValueError:
        return None
    if parts is not None and parts.scheme not in {"http", "https", "git", "ssh"}:
        return None
    names = [each for each in path.partition("@")[0].removesuffix("/").removesuffix(".git").split("/") if each]
    if not _HOSTS.match(host.lower()) or len(names) < 2 or any(each in {".", ".."} for each in names):
        return None
    return f"https://{host.lower()}/{'/'.join(quote(each, safe='') for each in names)}"
