"""`crt release bump`, `check` and `tag`: each in a real repository, each taken twice."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "build"))
from channels import HERE, metadata_channel, subdir_here
from measured import put_sessions
from recipes import put_recipe
from repositories import commit, git, repository

from coiled_runtime_cli.release import changelog

LOG = """\
# Changelog

## 1.0.10 (soon)

- later

## 1.0.0

- Dask 2026.8.0.
- More.

### Notes

- kept

## 0.9.0

- old
"""


@pytest.fixture
def released(inside, tmp_path):
    """A repository with a recipe, a changelog, runs that speak for it, and a channel that has its pins."""
    put_recipe(inside)
    (inside.folder / "CHANGELOG.md").write_text(LOG)
    (inside.folder / ".gitignore").write_text("benchmark.db*\n/suites/\n")
    inside.origin = repository(inside.folder)
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", ["dask ==2026.8.0"])]
    native = [("python", f"{HERE}.9", []), ("openssl", "3.5.0", [])]
    inside.channel = metadata_channel(tmp_path / "channel", {"noarch": rows, subdir_here(): native})
    return inside


def check(crt, *arguments):
    return crt.run("release", "check", "-c", crt.channel, "--override-channels", "--label", "upstream", *arguments)


def words(crt, *arguments):
    return {
        each["what"]: each["word"] for each in json.loads(check(crt, "--format", "json", *arguments).stdout)["checks"]
    }


ALL = ("version", "tree", "changelog", "solve", "suites", "regressions")


def test_with_everything_in_order_a_release_is_ready(released):
    put_sessions(released)
    done = check(released)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coiled-runtime 1.0.0 is ready: crt release tag" in done.stdout
    assert words(released) == dict.fromkeys(ALL, "verified")


@pytest.mark.parametrize(
    ("break_", "what", "word", "expected"),
    [
        (lambda crt: (crt.folder / "new").write_text("x"), "tree", "failed", "not committed: new"),
        (lambda crt: git(crt.folder, "tag", "1.0.1"), "version", "failed", "1.0.1 is released already"),
        (
            lambda crt: (git(crt.folder, "tag", "1.0.0"), commit(crt.folder)),
            "version",
            "failed",
            "1.0.0 is the tag of another commit",
        ),
        (
            lambda crt: (
                (crt.folder / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0\n\n## 0.9\n\n- old\n"),
                commit(crt.folder),
            ),
            "changelog",
            "failed",
            "an empty entry for 1.0.0",
        ),
        (
            lambda crt: (
                (crt.folder / "CHANGELOG.md").write_text("# Changelog\n\n## 11.0.0\n\n- other\n"),
                commit(crt.folder),
            ),
            "changelog",
            "failed",
            "no entry for 1.0.0",
        ),
        (
            lambda crt: (
                crt.run("release", "pins", "--set", "distributed=2026.9.9"),
                commit(crt.folder),
            ),
            "solve",
            "failed",
            "no channel has distributed ==2026.9.9",
        ),
    ],
)
def test_what_is_not_in_order_is_said(released, break_, what, word, expected):
    put_sessions(released)
    break_(released)
    done = check(released)
    assert done.returncode == 1
    assert expected in done.stdout
    assert words(released)[what] == word


def test_a_failing_suite_is_a_failure(released):
    put_sessions(released, failing=["read"])
    done = check(released)
    assert done.returncode == 1
    assert "1 of 2 failed: test_read" in done.stdout


def test_suites_that_ran_with_other_pins_verify_nothing(released):
    put_sessions(released, before="2026.7.0", after="2026.7.1")
    done = check(released)
    assert done.returncode == 5
    assert "dask 2026.7.1, not 2026.8.0" in done.stdout


def test_an_open_regression_is_a_failure_until_it_is_accepted(released):
    put_sessions(released, slower_by=1.2)
    done = check(released)
    assert done.returncode == 1
    assert "1 open: test_write duration x1.2" in done.stdout
    (found,) = json.loads(released.run("detect", "--format", "json").stdout)["regressions"]
    released.run("detect", "accept", found["id"], "--reason", "it checks its answer now")
    assert words(released)["regressions"] == "verified"


def test_without_runs_and_without_a_channel_nothing_is_verified(released):
    done = released.run("release", "check", "-c", "http://127.0.0.1:9/none", "--override-channels")
    assert done.returncode == 5
    assert "no database" in done.stdout
    assert "does not answer" in done.stdout


def test_bump_sets_version_and_build_number_and_never_goes_back(inside):
    folder = put_recipe(inside, **{"  number: 0": "  number: 3"})
    before = (folder / "meta.yaml").read_text()
    would = inside.run("release", "bump", "1.1.0", "--dry-run")
    assert "would become 1.1.0" in would.stdout
    assert (folder / "meta.yaml").read_text() == before
    assert inside.run("release", "bump", "1.1.0").returncode == 0
    after = (folder / "meta.yaml").read_text()
    assert after == before.replace('version = "1.0.0"', 'version = "1.1.0"').replace("number: 3", "number: 0")
    assert "has 1.1.0 already" in inside.run("release", "bump", "1.1.0").stdout
    for version, expected in (("1.0.9", "comes before"), ("one", "X.Y.Z"), ("1.2.0rc1", "X.Y.Z")):
        done = inside.run("release", "bump", version)
        assert done.returncode == 2
        assert expected in done.stderr
    assert (folder / "meta.yaml").read_text() == after


def test_a_tag_is_annotated_with_the_changelog_and_pushed_only_when_asked(released):
    head = git(released.folder, "rev-parse", "HEAD")
    assert "would be tagged" in released.run("release", "tag", "--dry-run").stdout
    assert git(released.folder, "tag") == ""
    done = released.run("release", "tag")
    assert done.returncode == 0, done.stderr
    assert git(released.folder, "rev-parse", "1.0.0^{commit}") == head
    assert git(released.folder, "cat-file", "-t", "1.0.0") == "tag"
    assert git(released.folder, "tag", "-l", "--format=%(contents)", "1.0.0").startswith("1.0.0\n\n- Dask 2026.8.0.")
    assert git(released.origin, "tag") == ""
    again = released.run("release", "tag", "--push")
    assert again.returncode == 0, again.stderr
    assert "is 1.0.0 already" in again.stdout
    assert git(released.origin, "tag") == "1.0.0"
    assert released.run("release", "tag", "--push").returncode == 0
    commit(released.folder)
    done = released.run("release", "tag")
    assert done.returncode == 2
    assert "of another commit" in done.stderr


def test_a_tag_of_what_is_not_committed_is_refused(released):
    (released.folder / "recipe" / "notes").write_text("x")
    done = released.run("release", "tag")
    assert done.returncode == 2
    assert "recipe/" in done.stderr
    assert git(released.folder, "tag") == ""


def test_a_remote_that_is_gone_is_4_and_one_that_is_not_there_2(released):
    (released.origin / "HEAD").unlink()
    done = released.run("release", "tag", "--push")
    assert done.returncode == 4
    assert git(released.folder, "tag") == "1.0.0"  # here it is; the same command goes on
    assert released.run("release", "tag", "--push", "--remote", "upstream").returncode == 2


def test_an_entry_of_a_changelog_ends_at_the_next_heading_of_its_level():
    assert changelog.entry(LOG, "1.0.0") == "- Dask 2026.8.0.\n- More.\n\n### Notes\n\n- kept"
    assert changelog.entry(LOG, "1.0.1") is None
    assert changelog.entry(LOG, "0.9.0") == "- old"
