"""Repositories as a bisection reads them: real git, in a folder with a space."""

import os
import subprocess

import pytest

from coiled_runtime_cli import git
from coiled_runtime_cli.errors import UsageError


class Clone:
    def __init__(self, folder):
        self.folder = folder
        self.moment = 1_700_000_000
        folder.mkdir()
        self("init", "-q", "-b", "main")

    def __call__(self, *arguments):
        when = f"{self.moment} +0000"
        environment = {
            **os.environ,
            **{
                f"GIT_{role}_{key}": value
                for role in ("AUTHOR", "COMMITTER")
                for key, value in (("NAME", "x"), ("EMAIL", "x@localhost"), ("DATE", when))
            },
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, name, content="", subject=None):
        self.moment += 3600
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(content or str(self.moment))
        self("add", ".")
        self("commit", "-q", "-m", subject or name)
        return self("rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path):
    made = Clone(tmp_path / "a clone")
    made.commits = [made.commit(f"file{number}", subject=f"commit {number}") for number in range(5)]
    made("tag", "v1.0", made.commits[0])
    made("tag", "v1.1", made.commits[4])
    return made


def test_a_line_runs_from_the_good_commit_to_the_bad_one(clone):
    found = git.Repository(clone.folder).line("v1.0", "v1.1")
    assert [each.hash for each in found] == clone.commits
    assert [each.subject for each in found] == [f"commit {number}" for number in range(5)]
    assert found[1].committed - found[0].committed == 3600
    assert found[1].parents == (clone.commits[0],)


def test_branches_that_were_merged_are_one_step_unless_all_are_asked_for(clone):
    clone("checkout", "-q", "-b", "work")
    aside = [clone.commit(f"aside{number}") for number in range(2)]
    clone("checkout", "-q", "main")
    clone.commit("ahead")
    clone("merge", "-q", "--no-ff", "-m", "merge", "work")
    repository = git.Repository(clone.folder)
    line = [each.hash for each in repository.line("v1.1", "main")]
    assert len(line) == 3
    assert not set(aside) & set(line)
    every = [each.hash for each in repository.line("v1.1", "main", first_parent=False)]
    assert set(aside) < set(every)
    assert every.index(aside[0]) < every.index(aside[1])


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("v1.1", "v1.0", "comes before"),
        ("v1.0", "v1.0", "are one commit"),
        ("v1", "v1.1", "did you mean 'v1.1'|did you mean 'v1.0'"),
        ("--version", "v1.1", "unknown commit"),
        ("other", "main", "on another branch"),
        ("lonely", "main", "no history in common"),
    ],
)
def test_ranges_that_are_none_are_refused_with_the_reason(clone, good, bad, told):
    clone("checkout", "-q", "-b", "other", clone.commits[1])
    clone.commit("other")
    clone("checkout", "-q", "--orphan", "lonely")
    clone.commit("alone")
    with pytest.raises(UsageError, match=told):
        git.Repository(clone.folder).line(good, bad)


def test_a_shallow_clone_says_what_to_fetch(clone, tmp_path):
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "2", f"file://{clone.folder}", str(shallow)], check=True)
    repository = git.Repository(shallow)
    assert repository.shallow
    with pytest.raises(UsageError) as caught:
        repository.resolve("v1.0")
    assert "--unshallow" in caught.value.hint


def test_a_folder_that_is_no_clone_is_told(tmp_path):
    with pytest.raises(UsageError, match="not in a git repository"):
        git.Repository(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        git.Repository(tmp_path / "nowhere")


def test_the_commit_of_a_moment_is_the_last_one_before_it(clone):
    repository = git.Repository(clone.folder)
    third = repository.commit(clone.commits[2])
    assert repository.before(third.committed) == clone.commits[2]
    assert repository.before(third.committed + 1800) == clone.commits[2]
    assert repository.before(third.committed - 1) == clone.commits[1]
    assert repository.before(1_700_000_000) is None


def test_commits_that_touch_a_path_are_known(clone):
    touched = clone.commit("package/core.py")
    clone.commit("docs.txt")
    line = [each.hash for each in git.Repository(clone.folder).line("v1.0", "main")]
    assert git.Repository(clone.folder).touching(line, ["package"]) == {touched}


def test_a_worktree_is_elsewhere_and_the_clone_stays_as_it_is(clone, tmp_path):
    (clone.folder / "file0").write_text("work that is not committed")
    repository, place = git.Repository(clone.folder), tmp_path / "cache" / "tree"
    repository.add_worktree(place, clone.commits[1])
    assert sorted(each.name for each in place.iterdir() if each.name != ".git") == ["file0", "file1"]
    (place / "left.pyc").write_text("")
    git.switch(place, clone.commits[3])
    assert sorted(each.name for each in place.iterdir() if each.name != ".git") == [
        f"file{number}" for number in range(4)
    ]
    repository.remove_worktree(place)
    assert not place.exists()
    assert (clone.folder / "file0").read_text() == "work that is not committed"
    assert clone("status", "--porcelain") == "M file0"
    assert clone("worktree", "list").count("\n") == 0


def test_bytecode_is_no_change_of_a_checkout_whether_or_not_git_was_told_to_ignore_it(tmp_path):
    clone = Clone(tmp_path / "a clone")
    commit = clone.commit("package/module.py")
    bytecode = clone.folder / "package" / "__pycache__" / "module.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"")
    found = git.checkout(clone.folder)
    assert (found.commit, found.dirty) == (commit, False)
    (clone.folder / "package" / "new.py").write_text("")
    assert git.checkout(clone.folder).dirty
