"""Whether a repository is ready for a release: a version that comes next, a clean tree, an entry in the changelog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check
from coiled_runtime_cli.release import changelog
from coiled_runtime_cli.release.files import text_of
from coiled_runtime_cli.release.versions import RELEASE, comes_after

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli.git import Clone


def check_version(clone: Clone | None, version: str) -> Check:
    """Whether a version comes after every tag, and is not taken by another commit."""
    if clone is None:
        return Check("version", NOT_VERIFIED, "the recipe is in no git repository")
    if not RELEASE.match(version):
        return Check("version", FAILED, f"{version} is no version of a release: expected X.Y.Z")
    tagged = clone.tag_commit(version)
    if tagged is not None and tagged != clone.head():
        return Check("version", FAILED, f"{version} is the tag of another commit ({tagged[:9]})")
    newer = [each for each in clone.tags() if RELEASE.match(each) and comes_after(each, version)]
    if newer:
        return Check("version", FAILED, f"{newer[-1]} is released already, and comes after {version}")
    return Check("version", VERIFIED, version)


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
    entry = changelog.entry(text_of(file), version)
    if not entry:
        what = "has no entry for" if entry is None else "has an empty entry for"
        return Check("changelog", FAILED, f"{file.name} {what} {version}")
    return Check("changelog", VERIFIED, f"{file.name}: {entry.splitlines()[0].lstrip('-* ')[:60]}")
