"""`crt release feedstock`: a branch on a clone of the fork, in both formats of conda-forge's recipes."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "build"))
from recipes import put_recipe
from repositories import commit, git, repository

from coiled_runtime_cli.core import feedstock
from coiled_runtime_cli.core.pins import parse

META = """\
{{% set name = "coiled-runtime" %}}
{{% set version = "0.9.0" %}}

package:
  name: {{{{ name|lower }}}}
  version: {{{{ version }}}}

source:
  url: {url}/source/{{{{ name[0] }}}}/{{{{ name }}}}/coiled_runtime-{{{{ version }}}}.tar.gz
  sha256: 0000000000000000000000000000000000000000000000000000000000000000

build:
  number: 2
  noarch: python

requirements:
  host:
    - python
    - pip
  run:
    - python >=3.10
    # the two that matter
    - dask ==2026.7.1
    - distributed ==2026.7.1  # with dask
    - cachey ==0.2.1

test:
  imports:
    - dask

extra:
  recipe-maintainers:
    - somebody
"""

V1 = """\
context:
  name: coiled-runtime
  version: "0.9.0"

package:
  name: ${{{{ name|lower }}}}
  version: ${{{{ version }}}}

source:
  url: {url}/source/${{{{ name[0] }}}}/${{{{ name }}}}/coiled_runtime-${{{{ version }}}}.tar.gz
  sha256: 0000000000000000000000000000000000000000000000000000000000000000

build:
  number: 2
  noarch: python

requirements:
  run:
    - python >=3.10
    - dask ==2026.7.1
    - cachey ==0.2.1

tests:
  - python:
      imports:
        - dask
"""

SOURCE = b"the sdist of 1.0.0"
SHA256 = hashlib.sha256(SOURCE).hexdigest()
URL_PATH = "/source/c/coiled-runtime/coiled_runtime-1.0.0.tar.gz"


@pytest.fixture(params=[("meta.yaml", META), ("recipe.yaml", V1)], ids=["meta.yaml", "v1"])
def fork(request, inside, tmp_path, index):
    """A clone of a fork of the feedstock, whose source is served on loopback."""
    put_recipe(inside)
    name, template = request.param
    folder = tmp_path / "a clone" / "coiled-runtime-feedstock"
    (folder / "recipe").mkdir(parents=True)
    (folder / "recipe" / name).write_text(template.format(url=index.url))
    inside.origin = repository(folder)
    index.files[URL_PATH] = SOURCE
    inside.fork, inside.file = folder, folder / "recipe" / name
    return inside


def test_a_branch_has_version_hash_number_and_pins_and_nothing_else_changes(fork):
    before = fork.file.read_text()
    done = fork.run("release", "feedstock", fork.fork)
    assert done.returncode == 0, done.stderr
    assert git(fork.fork, "branch", "--show-current") == "1.0.0"
    assert git(fork.fork, "show", "main:recipe/" + fork.file.name) == before.rstrip("\n")
    after = fork.file.read_text()
    assert '"1.0.0"' in after
    assert SHA256 in after
    assert "  number: 0\n" in after
    lines = [each.strip() for each in after.splitlines()]
    for pin in ("- dask ==2026.8.0", "- openssl >3.0"):
        assert pin in lines
    assert any(each.startswith("- distributed ==2026.8.0") for each in lines)
    assert "cachey" not in after
    # what is no pin is as it was
    kept = [
        each
        for each in before.splitlines()
        if not any(word in each for word in ("- ", "version =", "0.9.0", "sha256", "number"))
    ]
    assert [each for each in kept if each not in after.splitlines()] == []
    assert "--head" in done.stdout
    assert "gh pr create --repo conda-forge/coiled-runtime-feedstock" in done.stdout
    assert git(fork.fork, "log", "-1", "--format=%s") == "coiled-runtime 1.0.0"
    assert git(fork.origin, "branch") == ""


def test_twice_is_once_and_a_push_is_asked_for(fork):
    fork.run("release", "feedstock", fork.fork)
    head = git(fork.fork, "rev-parse", "HEAD")
    done = fork.run("release", "feedstock", fork.fork, "--push", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["commit"], told["push"]) == ("already", "done")
    assert git(fork.fork, "rev-parse", "HEAD") == head
    assert git(fork.origin, "rev-parse", "1.0.0") == head
    # from the main branch, too
    git(fork.fork, "checkout", "-q", "main")
    told = json.loads(fork.run("release", "feedstock", fork.fork, "--format", "json").stdout)
    assert told["commit"] == "already"
    assert git(fork.fork, "rev-parse", "HEAD") == head


def test_the_next_release_begins_at_the_trunk_and_not_where_the_clone_was_left(fork, index):
    assert fork.run("release", "feedstock", fork.fork).returncode == 0
    assert git(fork.fork, "branch", "--show-current") == "1.0.0"
    recipe = fork.folder / "recipe" / "meta.yaml"
    recipe.write_text(recipe.read_text().replace('"1.0.0"', '"1.1.0"'))
    index.files[URL_PATH.replace("1.0.0", "1.1.0")] = b"the sdist of 1.1.0"
    planned = fork.run("release", "feedstock", fork.fork, "--dry-run")
    assert '"0.9.0"' in planned.stdout
    assert git(fork.fork, "branch", "--show-current") == "1.0.0"
    done = fork.run("release", "feedstock", fork.fork)
    assert done.returncode == 0, done.stderr
    assert git(fork.fork, "log", "--format=%s", "main..1.1.0") == "coiled-runtime 1.1.0"
    assert '"1.1.0"' in fork.file.read_text()


def test_a_branch_begins_at_what_was_pulled_into_the_trunk_and_is_not_pushed_yet(fork):
    git(fork.fork, "push", "-q", "origin", "main")
    git(fork.fork, "remote", "set-head", "origin", "main")
    (fork.fork / "conda-forge.yml").write_text("provider: {}\n")
    pulled = commit(fork.fork, "from upstream")
    git(fork.fork, "checkout", "-q", "-b", "another", "main~1")
    assert fork.run("release", "feedstock", fork.fork).returncode == 0
    assert git(fork.fork, "rev-parse", "1.0.0~1") == pulled
    git(fork.fork, "checkout", "-q", "main")
    git(fork.fork, "branch", "-qD", "1.0.0")
    git(fork.fork, "reset", "-q", "--hard", "main~1")
    git(fork.fork, "update-ref", "refs/remotes/origin/main", pulled)
    assert fork.run("release", "feedstock", fork.fork).returncode == 0
    assert git(fork.fork, "rev-parse", "1.0.0~1") == pulled


def test_what_was_edited_on_the_branch_by_hand_stays(fork):
    assert fork.run("release", "feedstock", fork.fork).returncode == 0
    fork.file.write_text(fork.file.read_text() + "# by hand\n")
    commit(fork.fork, "a remark")
    git(fork.fork, "checkout", "-q", "main")
    told = json.loads(fork.run("release", "feedstock", fork.fork, "--format", "json").stdout)
    assert told["commit"] == "already"
    assert git(fork.fork, "branch", "--show-current") == "1.0.0"
    assert fork.file.read_text().endswith("# by hand\n")


def test_a_dry_run_shows_the_change_and_makes_none(fork):
    before = fork.file.read_text()
    done = fork.run("release", "feedstock", fork.fork, "--dry-run")
    assert done.returncode == 0
    assert f"+  sha256: {SHA256}" in done.stdout
    assert fork.file.read_text() == before
    assert git(fork.fork, "branch", "--show-current") == "main"


def test_a_source_that_is_not_released_is_4_and_can_be_named(fork, index, tmp_path):
    del index.files[URL_PATH]
    done = fork.run("release", "feedstock", fork.fork)
    assert done.returncode == 4
    assert "404" in done.stderr
    assert "--source FILE" in done.stderr
    assert git(fork.fork, "status", "--porcelain") == ""
    (tmp_path / "sdist").write_bytes(SOURCE)
    assert fork.run("release", "feedstock", fork.fork, "--source", tmp_path / "sdist").returncode == 0
    assert SHA256 in fork.file.read_text()


def test_what_is_not_committed_there_is_never_touched(fork):
    fork.file.write_text(fork.file.read_text() + "# mine\n")
    done = fork.run("release", "feedstock", fork.fork)
    assert done.returncode == 2
    assert fork.file.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "no folder nowhere"),
        (["."], "not in a git repository"),
        ([".", "--sha256", "12"], "64 hexadecimal digits"),
    ],
)
def test_wrong_flags_are_told(inside, arguments, expected):
    put_recipe(inside)
    done = inside.run("release", "feedstock", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_a_repository_that_is_no_feedstock_is_refused(inside, tmp_path):
    put_recipe(inside)
    repository(tmp_path / "other")
    done = inside.run("release", "feedstock", tmp_path / "other")
    assert done.returncode == 2
    assert "is no feedstock" in done.stderr
    (tmp_path / "other" / "recipe").mkdir()
    (tmp_path / "other" / "recipe" / "meta.yaml").write_text(
        '{% set version = "0.1" %}\nrequirements:\n  run:\n    - numpy\n'
    )
    git(tmp_path / "other", "add", "-A")
    git(tmp_path / "other", "commit", "-qm", "another package")
    done = inside.run("release", "feedstock", tmp_path / "other")
    assert done.returncode == 2
    assert "its build number" in done.stderr


def test_a_version_that_goes_backwards_is_refused(fork):
    fork.file.write_text(fork.file.read_text().replace("0.9.0", "1.2.0"))
    git(fork.fork, "commit", "-qam", "newer")
    done = fork.run("release", "feedstock", fork.fork)
    assert done.returncode == 2
    assert "has 1.2.0 already" in done.stderr


def test_a_metapackage_without_a_source_needs_no_hash():
    text = META.format(url="x")
    start, end = text.index("source:"), text.index("build:")
    found = feedstock.updated(text[:start] + text[end:], version="1.0.0", depends=[parse("dask ==1.0")], sha256=None)
    assert "sha256" not in found
    assert "    - dask ==1.0\n" in found
    assert "distributed" not in found
