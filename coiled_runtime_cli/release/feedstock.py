"""The clone of a feedstock's fork, brought up to a release on a branch of its own."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import feedstock as recipes
from coiled_runtime_cli.core import pins
from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.git import Clone
from coiled_runtime_cli.release.files import text_of, write
from coiled_runtime_cli.release.versions import comes_after

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.core.pins import Pin
    from coiled_runtime_cli.release import Done

#: Where a feedstock has its recipe.
_FEEDSTOCK_RECIPES = ("recipe/meta.yaml", "recipe/recipe.yaml")

UPSTREAM = "conda-forge"

#: For the answer of a server that has sources (s).
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Fed:
    """``before`` and ``after`` are the recipe's texts; ``sha256`` is None where it has no source."""

    file: Path
    before: str
    after: str
    branch: str
    sha256: str | None
    commit: Done
    push: Done | None
    command: tuple[str, ...]
    body: str


def feed(
    folder: Path,
    *,
    name: str,
    version: str,
    depends: Sequence[Pin],
    source: Path | None,
    sha256: str | None,
    push: bool,
    remote: str,
    dry_run: bool,
) -> Fed:
    """Bring the clone of a feedstock's fork up to a release, on a branch of its own, wherever the clone stands.

    A new branch begins at the trunk. One that is there keeps what else was edited on it.
    Raises UsageError, ToolError, RemoteError.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", hint=f"git clone your fork of {UPSTREAM}/{name}-feedstock there")
    clone = Clone(folder)
    dirty = clone.changed()
    if dirty:
        raise UsageError(f"{folder}: not everything is committed: {dirty[0][3:]}", hint="git stash, or commit it")
    if push and clone.remote_url(remote) is None:
        raise UsageError(f"there is no remote {remote} in {folder}", hint="--remote chooses the one of your fork")
    branch = version
    start = clone.branch_commit(branch) or clone.trunk_commit()
    path, before = _feedstock_recipe(clone, start)
    file = folder / path
    try:
        there = recipes.version_of(before)
        if comes_after(there, version):
            raise UsageError(f"{file} has {there} already, which comes after {version}")
        if sha256 is None and recipes.has_source(before):
            sha256 = _sha256(before, version, source)
        after = recipes.updated(before, version=version, depends=depends, sha256=sha256)
    except (recipes.FeedstockError, pins.PinError) as error:
        raise UsageError(f"{file}: {error}") from error
    url = clone.remote_url(remote) or ""
    command, body = _pull_request(name, version, url, branch)
    commit: Done = "would"
    if not dry_run:
        clone.take_branch(branch, start)
        if text_of(file) != after:
            write(file, after)
        commit = "done" if clone.commit_file(file.absolute(), f"{name} {version}") else "already"
        if push:
            clone.push(remote, f"refs/heads/{branch}")
    pushed: Done | None = ("would" if dry_run else "done") if push else None
    return Fed(file, before, after, branch, sha256, commit, pushed, command, body)


def _feedstock_recipe(clone: Clone, commit: str) -> tuple[str, str]:
    """Where a feedstock has its recipe at a commit, and its text. Raises UsageError."""
    for path in _FEEDSTOCK_RECIPES:
        if (text := clone.text_at(commit, path)) is not None:
            return path, text
    raise UsageError(f"{clone.folder} is no feedstock: it has no {' and no '.join(_FEEDSTOCK_RECIPES)}")


def _sha256(text: str, version: str, source: Path | None) -> str:
    """Of the source that a feedstock's recipe names: a file, or what its address answers. Raises UsageError, RemoteError."""
    if source is not None:
        try:
            return hashlib.sha256(source.read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"{source} cannot be read: {error.strerror or error}") from error
    url = recipes.source_url(text, version=version)
    hint = "--source FILE or --sha256 HEX says it without a network"
    if url is None or not url.startswith(("https://", "http://")):
        raise UsageError("where its source is cannot be told from the recipe", hint=hint)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 - the scheme is checked above
            while chunk := answer.read(2**20):
                digest.update(chunk)
    except urllib.error.HTTPError as error:
        raise RemoteError(f"{url}: {error.code} {error.reason}", hint=f"is {version} released there? {hint}") from error
    except OSError as error:
        raise RemoteError(f"{url}: {getattr(error, 'reason', None) or error}", hint=hint) from error
    return digest.hexdigest()


def _pull_request(name: str, version: str, url: str, branch: str) -> tuple[tuple[str, ...], str]:
    """The command that opens it, and its text."""
    owner = re.search(r"[:/]([^/:]+)/[^/]+?(?:\.git)?$", url)
    body = (
        f"Version {version} of {name}.\n\n"
        "- [x] the version, the hash of the source and the pins are those of the release\n"
        "- [x] the build number is 0\n"
        "- [ ] rerendered with the newest conda-smithy (@conda-forge-admin, please rerender)\n"
    )
    command = (
        *("gh", "pr", "create", "--repo", f"{UPSTREAM}/{name}-feedstock"),
        *("--head", f"{owner[1]}:{branch}" if owner is not None else branch),
        *("--title", f"{name} {version}", "--body", body),
    )
    return command, body
