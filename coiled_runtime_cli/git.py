"""What git says of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import process
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


#: Everything here but bytecode: that a package was imported is no change of it, where nobody told git to ignore that.
_BUT_BYTECODE = (".", ":(exclude,glob)**/__pycache__/**")


@dataclass(frozen=True, slots=True)
class Checkout:
    commit: str
    dirty: bool
    url: str | None = None  # of the remote "origin"


def repository_root(folder: Path) -> Path | None:
    """The nearest folder upwards that holds ``.git``, without starting git."""
    for each in (folder, *folder.parents):
        if (each / ".git").exists():
            return each
    return None


def checkout(folder: Path) -> Checkout | None:
    """Commit and dirtiness (of tracked and untracked files below ``folder``, but bytecode); None if it is in no repository."""
    if repository_root(folder) is None:
        return None
    try:
        # --no-optional-locks: a measurement must not take the index lock of a repository that somebody works in
        head = process.run(["git", "--no-optional-locks", "rev-parse", "HEAD"], folder=folder)
        if head.returncode != 0:
            return None
        status = process.run(
            ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=normal", "--", *_BUT_BYTECODE],
            folder=folder,
        )
        origin = process.run(["git", "config", "--get", "remote.origin.url"], folder=folder)
    except ToolError:
        return None
    return Checkout(head.stdout.strip(), bool(status.stdout.strip()), origin.stdout.strip() or None)


def last_change(file: Path) -> int | None:
    """When the commit was made that changed a file last (s since 1970); None if it is changed since, or in no repository."""
    folder = file.absolute().parent
    if repository_root(folder) is None:
        return None
    try:
        status = process.run(["git", "--no-optional-locks", "status", "--porcelain", "--", file.name], folder=folder)
        found = process.run(["git", "--no-optional-locks", "log", "-1", "--format=%ct", "--", file.name], folder=folder)
    except ToolError:
        return None
    clean = status.returncode == 0 and not status.stdout.strip()
    return int(found.stdout) if clean and found.stdout.strip().isdecimal() else None


def references(folder: Path, *, longest: float) -> list[str]:
    """Branches and tags that a folder's repository has, the newest first; none where git takes ``longest`` seconds."""
    return _listed(folder, longest, "for-each-ref", "--sort=-creatordate", "--format=%(refname:short)", "refs")


def remotes(folder: Path, *, longest: float) -> list[str]:
    """The names of its remotes; none as above."""
    return _listed(folder, longest, "remote")


def _listed(folder: Path, longest: float, *arguments: str) -> list[str]:
    try:
        done = process.run(["git", "-C", folder, *arguments], timeout=longest)
    except ToolError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def tip(url: str) -> str:
    """The commit that a repository, near or far, has as its HEAD. Raises RemoteError where it does not answer."""
    asked = ["git", "ls-remote", "--end-of-options", url, "HEAD"]
    done = process.run(asked, environment={"GIT_TERMINAL_PROMPT": "0"}, timeout=120)
    words = done.stdout.split()
    if done.returncode != 0 or not words:
        said = done.stderr.strip().splitlines()
        raise RemoteError(f"{url} does not answer: {said[-1] if said else 'it has no HEAD'}")
    return words[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """``date`` is the author's, ``committed`` the committer's: both in seconds since the epoch (UTC)."""

    hash: str
    subject: str
    author: str
    date: float
    committed: float
    parents: tuple[str, ...] = ()


class Repository:
    """A clone that somebody else works in: it is read, and gets worktrees elsewhere; its own files are never touched."""

    _FORMAT = "--format=%H%x00%P%x00%an%x00%at%x00%ct%x00%s"

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where ``folder`` is in no repository, ToolError without git."""
        asked = process.run(["git", "--no-optional-locks", "rev-parse", "--git-common-dir"], folder=self._there(folder))
        if asked.returncode != 0:
            raise UsageError(f"{folder} is not in a git repository", hint="name a clone: --repo ../dask")
        self.folder = folder.absolute()

    @staticmethod
    def _there(folder: Path) -> Path:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}", hint="name a clone: --repo ../dask")
        return folder

    def _git(self, *arguments: str) -> process.Completed:
        return process.run(["git", "--no-optional-locks", *arguments], folder=self.folder, timeout=300)

    def _told(self, *arguments: str) -> str:
        done = self._git(*arguments)
        if done.returncode != 0:
            raise ToolError(f"git {arguments[0]} in {self.folder}: {done.stderr.strip() or 'failed'}")
        return done.stdout

    @property
    def url(self) -> str | None:
        """Of the remote "origin"."""
        return self._git("config", "--get", "remote.origin.url").stdout.strip() or None

    @property
    def shallow(self) -> bool:
        return self._told("rev-parse", "--is-shallow-repository").strip() == "true"

    def tags(self, *, of: str | None = None) -> list[str]:
        """By the date of what they name, the oldest first; ``of``: those that a commit has behind it."""
        return self._told("tag", "--sort=creatordate", *(["--merged", of] if of else [])).split()

    def branches(self) -> list[str]:
        """Local ones, and those of remotes as origin/main."""
        return self._told("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes").split()

    def resolve(self, ref: str) -> str:
        """The commit that a tag, branch, hash or relative name means. Raises UsageError, with the nearest tag, where none is."""
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.strip()
        told = unknown("commit, tag or branch", ref, [*reversed(self.tags()), *self.branches()])
        hint = "git fetch --unshallow --tags" if self.shallow else "git fetch --tags may know it"
        raise UsageError(f"{self.folder}: {told}", hint=hint)

    def trunk(self) -> str:
        """What the project is developed on: the remote's default branch, else main or master, else where this clone is."""
        for name in ("refs/remotes/origin/HEAD", "refs/remotes/upstream/HEAD", "refs/heads/main", "refs/heads/master"):
            if self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0:
                return name
        return "HEAD"

    def before(self, moment: float, *, on: str = "HEAD") -> str | None:
        """The last commit of a line (first parents) that was committed at or before a moment; None if there is none."""
        text = self._told("rev-list", "-n", "1", "--first-parent", f"--until={moment:.0f}", self.resolve(on))
        return text.strip() or None

    def is_ancestor(self, first: str, second: str) -> bool:
        return self._git("merge-base", "--is-ancestor", first, second).returncode == 0

    def related(self, first: str, second: str) -> bool:
        return self._git("merge-base", first, second).returncode == 0

    def commit(self, ref: str) -> Commit:
        return self._commits("log", "-n", "1", self._FORMAT, self.resolve(ref))[0]

    def line(self, good: str, bad: str, *, first_parent: bool = True) -> list[Commit]:
        """The commits from ``good`` (the first) to ``bad`` (the last): along first parents, or all that are between.

        Raises UsageError where there is no way from one to the other, saying what is wrong.
        """
        first, last = self.resolve(good), self.resolve(bad)
        if first == last:
            raise UsageError(f"{good} and {bad} are one commit: {first[:12]}", hint="name two")
        if not self.is_ancestor(first, last):
            self._refuse(good, bad, first, last)
        chosen = ["--first-parent"] if first_parent else ["--topo-order"]
        between = self._commits("log", "--reverse", *chosen, self._FORMAT, f"{first}..{last}")
        return [self.commit(first), *between]

    def _refuse(self, good: str, bad: str, first: str, last: str) -> None:
        if self.is_ancestor(last, first):
            raise UsageError(
                f"{bad} comes before {good}", hint=f"--good {bad} --bad {good}, or --find-fix for what mended it"
            )
        if self.shallow:
            raise UsageError(
                f"{self.folder} is a shallow clone: it does not reach from {good} to {bad}",
                hint="git fetch --unshallow",
            )
        if self.related(first, last):
            raise UsageError(
                f"{good} is on another branch than {bad}",
                hint=f"begin where they part: --good $(git merge-base {good} {bad})",
            )
        raise UsageError(f"{good} and {bad} have no history in common")

    def touching(self, commits: Sequence[str], paths: Sequence[str]) -> set[str]:
        """Those of the commits (neighbours in one line, the oldest first) that changed a file below one of the paths."""
        if len(commits) < 2:
            return set()
        told = self._told("log", "--first-parent", "-m", "--format=%H", f"{commits[0]}..{commits[-1]}", "--", *paths)
        return set(told.split()) & set(commits)

    def share(self, folder: Path) -> None:
        """Make a bare clone that borrows the objects of this one: it takes no time and no room. Raises ToolError."""
        # what a shallow clone has cannot be borrowed
        how = ["--no-local"] if self.shallow else ["--shared"]
        self._told("clone", "--quiet", "--bare", *how, str(self.folder), str(folder))

    def follow(self, origin: Path) -> None:
        """Take over the branches and tags of another clone. What has gone wrong is of no matter."""
        self._git("fetch", "--quiet", "--force", str(origin), "+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/heads/*")

    def add_worktree(self, folder: Path, commit: str) -> None:
        """Check a commit out into a folder of its own. Raises ToolError."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._told("worktree", "add", "--detach", "--force", str(folder), commit)

    def remove_worktree(self, folder: Path) -> None:
        self._git("worktree", "remove", "--force", str(folder))
        self._git("worktree", "prune")

    def _commits(self, *arguments: str) -> list[Commit]:
        found = []
        # of everything that can stand in a subject only NUL ends one: no carriage return, no separator of Unicode
        words = self._told(arguments[0], "-z", *arguments[1:]).split("\0")
        for at in range(0, len(words) - 5, 6):
            name, parents, author, date, committed, subject = words[at : at + 6]
            found.append(
                Commit(
                    hash=name,
                    subject=subject,
                    author=author,
                    date=float(date),
                    committed=float(committed),
                    parents=tuple(parents.split()),
                )
            )
        return found


def switch(worktree: Path, commit: str) -> None:
    """Have a worktree be at a commit, without what was left there. Raises ToolError."""
    for arguments in (["checkout", "--quiet", "--force", "--detach", commit], ["clean", "-ffdxq", "-e", "*.so"]):
        done = process.run(["git", *arguments], folder=worktree, timeout=300)
        if done.returncode != 0:
            raise ToolError(f"cannot switch {worktree} to {commit[:12]}: {done.stderr.strip()}")


class Clone(Repository):
    """A clone that is worked in because its user said so: tags, branches, commits, and pushes where they are asked for."""

    def head(self) -> str:
        return self._told("rev-parse", "HEAD").strip()

    def changed(self) -> list[str]:
        """What is not committed, tracked or not, as git's short status has it."""
        return [each for each in self._told("status", "--porcelain", "--untracked-files=normal").splitlines() if each]

    def tag_commit(self, name: str) -> str | None:
        """What a tag is of; None where there is no such tag."""
        done = self._git("rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
        return done.stdout.strip() or None

    def add_tag(self, name: str, message: str) -> None:
        """An annotated tag of HEAD. Raises ToolError."""
        self._told("tag", "--annotate", name, "--message", message)

    def branch_commit(self, name: str) -> str | None:
        """What a branch of this clone is at; None where there is no such branch."""
        return self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{name}").stdout.strip() or None

    def trunk_commit(self) -> str:
        """What a new branch begins at: the trunk, or the local branch of its name where that is further."""
        trunk = self.trunk()
        local = "refs/heads/" + self._told("rev-parse", "--abbrev-ref", trunk).strip().partition("/")[2]
        further = trunk.startswith("refs/remotes/") and self.is_ancestor(trunk, local)
        return self.resolve(local if further else trunk)

    def take_branch(self, name: str, commit: str) -> None:
        """Check a branch out; one that is not there yet is made at a commit. Raises ToolError."""
        new = ["--no-track", "-b", name, commit]
        self._told("checkout", "--quiet", *(new if self.branch_commit(name) is None else [name]))

    def text_at(self, commit: str, path: str) -> str | None:
        """A file as a commit has it; ``path`` is from this folder. None where there is no such file."""
        done = self._git("show", f"{commit}:./{path}")
        return done.stdout if done.returncode == 0 else None

    def commit_file(self, file: Path, message: str) -> bool:
        """Commit one file alone; False where nothing in it has changed. Raises ToolError."""
        self._told("add", "--", str(file))
        if self._git("diff", "--cached", "--quiet", "--", str(file)).returncode == 0:
            return False
        self._told("commit", "--quiet", "--message", message, "--", str(file))
        return True

    def push(self, remote: str, ref: str) -> None:
        """Raises RemoteError."""
        done = self._git("push", "--quiet", remote, ref)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise RemoteError(f"git push {remote} {ref}: {said[-1] if said else 'refused'}")

    def remote_url(self, remote: str) -> str | None:
        return self._git("config", "--get", f"remote.{remote}.url").stdout.strip() or None
