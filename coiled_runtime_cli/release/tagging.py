"""The tag of a release: annotated, of the commit that is checked out, pushed where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.errors import UsageError
from coiled_runtime_cli.release.versions import RELEASE

if TYPE_CHECKING:
    from coiled_runtime_cli.git import Clone
    from coiled_runtime_cli.release import Done


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
