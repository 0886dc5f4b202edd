"""The steps of a release on this machine: what is checked before, the version, the tag, the feedstock's branch.

Each can be taken again: what is done already is found, and left. Nothing leaves the machine unless a push is asked for.
"""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.version import InvalidVersion, Version

from coiled_runtime_cli import atomic
from coiled_runtime_cli.core import feedstock as recipes
from coiled_runtime_cli.core import pins
from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError
from coiled_runtime_cli.git import Clone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.core.pins import Pin

RELEASE = re.compile(r"^\d+\.\d+\.\d+$")

#: Where a feedstock has its recipe.
_FEEDSTOCK_RECIPES = ("recipe/meta.yaml", "recipe/recipe.yaml")

UPSTREAM = "conda-forge"

#: For the answer of a server that has sources (s).
_PATIENCE = 60.0

Done = Literal["done", "already", "would"]


def write(file: Path, text: str) -> None:
    """Replace a file's text whole or not at all, its line ends as they were. Raises ToolError."""
    try:
        if b"\r\n" in file.read_bytes():
            text = text.replace("\n", "\r\n")
        atomic.write(file, text.encode(), like=file)
    except OSError as error:
        raise ToolError(f"{file} cannot be written: {error.strerror or error}") from error


def text_of(file: Path) -> str:
    """Raises UsageError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def version_of(file: Path) -> str:
    """The version that a recipe says, without any suffix. Raises UsageError."""
    try:
        return pins.package_version(text_of(file))["version"]
    except pins.PinError as error:
        raise UsageError(f"{file}: {error}") from error


def bumped(file: Path, version: str) -> tuple[str, str]:
    """The version that a recipe has, and its text with another one, and build number 0. Raises UsageError."""
    text = text_of(file)
    try:
        before = pins.package_version(text)["version"]
        after = pins.with_package_version(text, version)
    except pins.PinError as error:
        raise UsageError(f"{file}: {error}") from error
    if before != version:
        after = re.sub(r"(?m)^([ \t]+number:[ \t]*)\d+", r"\g<1>0", after, count=1)
    return before, after


# --- what is checked before


def changelog_of(recipe: Path) -> Path | None:
    """The changelog beside a recipe, or of the repository that it is in."""
    for folder in (recipe.absolute().parent, *recipe.absolute().parents):
        for name in ("CHANGELOG.md", "CHANGELOG.rst", "HISTORY.md", "CHANGES.md"):
            if (folder / name).is_file():
                return folder / name
        if (folder / ".git").exists():
            break
    return None


def changelog_entry(text: str, version: str) -> str | None:
    """What a changelog says of a version, below the heading that names it; None where none does."""
    heading = re.search(rf"^#+[^\n]*(?<![\w.]){re.escape(version)}(?![\w.])[^\n]*$", text, re.MULTILINE)
    if heading is None:
        return None
    level = len(heading[0]) - len(heading[0].lstrip("#"))
    end = re.search(rf"^#{{1,{level}}}\s", text[heading.end() :], re.MULTILINE)
    return text[heading.end() : heading.end() + end.start() if end else None].strip()


def check_version(clone: Clone | None, version: str) -> Check:
    """Whether a version comes after every tag, and is not taken by another commit."""
    if clone is None:
        return Check("version", NOT_VERIFIED, "the recipe is in no git repository")
    if not RELEASE.match(version):
        return Check("version", FAILED, f"{version} is no version of a release: expected X.Y.Z")
    tagged = clone.tag_commit(version)
    if tagged is not None and tagged != clone.head():
        return Check("version", FAILED, f"{version} is the tag of another commit ({tagged[:9]})")
    newer = [each for each in clone.tags() if RELEASE.match(each) and _after(each, version)]
    if newer:
        return Check("version", FAILED, f"{newer[-1]} is released already, and comes after {version}")
    return Check("version", VERIFIED, version)


def _after(first: str, second: str) -> bool:
    try:
        return Version(first) > Version(second)
    except InvalidVersion:
        return False


def check_tree(clone: Clone | None) -> Check:
    if clone is None:
        return Check("tree", NOT_VERIFIED, "the recipe is in no git repository")
    changed = clone.changed()
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return Check("tree", FAILED, "not committed: " + ", ".join(each[3:] for each in changed[:3]) + more)
    return Check("tree", VERIFIED, f"clean at {clone.head()[:9]}")


def check_changelog(file: Path | None, version: str) -> Check:
    if file is None:
        return Check("changelog", FAILED, "there is none: CHANGELOG.md beside the recipe or in its repository")
    entry = changelog_entry(text_of(file), version)
    if not entry:
        what = "has no entry for" if entry is None else "has an empty entry for"
        return Check("changelog", FAILED, f"{file.name} {what} {version}")
    return Check("changelog", VERIFIED, f"{file.name}: {entry.splitlines()[0].lstrip('-* ')[:60]}")


# --- the tag


@dataclass(frozen=True, slots=True)
class Tagged:
    name: str
    commit: str
    tag: Done
    push: Done | None  # None: was not asked for


def tag(clone: Clone, version: str, message: str, *, push: bool, remote: str, dry_run: bool) -> Tagged:
    """An annotated tag of HEAD. Raises UsageError where it is another commit's, or something is not committed; RemoteError."""
    if not RELEASE.match(version):
        raise UsageError(f"{version} is no version of a release: expected X.Y.Z", hint="crt release bump X.Y.Z")
    head, there = clone.head(), clone.tag_commit(version)
    if there is not None and there != head:
        raise UsageError(
            f"the tag {version} is of another commit, {there[:9]}", hint="crt release bump names the next one"
        )
    changed = clone.changed()
    if changed:
        raise UsageError(f"not everything is committed: {changed[0][3:]}", hint="git status says what is not")
    if push and clone.remote_url(remote) is None:
        raise UsageError(f"there is no remote {remote}", hint="git remote -v names them; --remote chooses one")
    if dry_run:
        return Tagged(version, head, "already" if there else "would", "would" if push else None)
    if there is None:
        clone.add_tag(version, message)
    if push:
        clone.push(remote, f"refs/tags/{version}")
    return Tagged(version, head, "already" if there else "done", "done" if push else None)


# --- the feedstock


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
        if _after(there, version):
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
