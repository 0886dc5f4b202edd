"""What ``--format json`` writes is what the published schemas say, on real output: full, empty, planned."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import live
import schemas

from coiled_runtime_cli import locations

jsonschema = pytest.importorskip("jsonschema")

WITH_JSON = [
    name
    for name, command in live.commands().items()
    for param in command.params
    if "--format" in param.opts and "json" in getattr(param.type, "choices", ())
]

SUITE = "def test_read(benchmark_time):\n    with benchmark_time():\n        pass\ndef test_fails(): assert False\n"


@pytest.mark.parametrize("name", WITH_JSON)
def test_every_command_with_json_has_a_schema_that_is_one_and_prints_it(name: str, inside: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.schema(name))
    done = inside.run("config", "schema", *name.split())
    assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, "", schemas.schema(name))


def test_no_schema_is_of_a_command_that_is_no_more(inside: Any) -> None:
    assert sorted(inside.run("config", "schema").stdout.splitlines()) == sorted(WITH_JSON)


@pytest.fixture
def history(inside: Any, whole_history: Path) -> Any:
    shutil.copy(whole_history, inside.folder)
    shutil.copy(whole_history, inside.folder / "other.db")
    shutil.copytree(locations.recipe_folder(), inside.folder / "recipe")
    inside.suite("benchmarks/test_tables.py", SUITE)
    return inside


FULL = [
    ("bench", "--list", 0),
    ("bench", "--suite tables --dry-run", 0),
    ("build", "", 0),
    ("build", "--env conda --env requirements", 0),
    ("release bump", "9.9.9 --dry-run", 0),
    ("data list", "", 0),
    ("data verify", "", 0),
    ("data prune", "--dry-run", 0),
    ("report", "--out site", 0),
    ("report", "--single one.html", 0),
    ("detect", "--all", 0),
    ("detect", "--fail-on regression", 1),
    ("detect", "--score --replay 10", 0),
    ("compare", "main branch", 0),
    ("compare", "main branch --fail-on 10% --metric peak_memory --metric duration", 1),
    ("diff", "main branch", 0),
    ("diff", "main main", 0),
    ("noise", "", 0),
    ("bisect", "--list", 0),
    ("bisect", "--show 0bead001", 0),
    ("bisect", "--show 0bead002", 0),
    ("sync push", "--remote remote", 0),
    ("sync push", "--remote remote --dry-run", 0),
    ("db current", "", 0),
    ("db query", "{select name, duration, start from test_run}", 0),
    ("db query", "{select name from test_run where 1 = 0}", 0),
    ("db export", "- --table metric", 0),
    ("db merge", "other.db", 0),
    ("db prune", "--session branch-100-3.11 --dry-run", 0),
    ("config show", "", 0),
    ("config show", "--origin", 0),
    ("release software", "", 0),
]  # fmt: skip


def words(text: str) -> list[str]:
    """Split at spaces; what stands in braces is one word."""
    found = []
    for place, part in enumerate(text.replace("}", "{").split("{")):
        found += [part] if place % 2 else part.split()
    return found


@pytest.mark.parametrize(("name", "arguments", "code"), FULL)
def test_what_is_written_of_a_history_is_what_the_schema_says(
    history: Any, name: str, arguments: str, code: int
) -> None:
    (history.folder / "remote").mkdir()
    done = history.run(*name.split(), *words(arguments), "--format", "json")
    assert done.returncode == code, done.stderr
    schemas.check(name, done.stdout)


def test_what_is_written_of_a_shared_history_is_what_the_schemas_say(history: Any) -> None:
    (history.folder / "remote").mkdir()
    for name, arguments in (
        ("sync status", ""),
        ("sync push", ""),
        ("sync push", ""),
        ("sync publish", "--keep 90d"),
        ("sync status", ""),
        ("sync verify", ""),
        ("sync pull", "--db new.db"),
        ("sync pull", "--db new.db"),
    ):
        done = history.run(*name.split(), "--remote", "remote", *arguments.split(), "--format", "json")
        assert done.returncode == 0, done.stderr
        schemas.check(name, done.stdout)


def test_runs_and_none_are_written_as_the_schema_says(crt: Any) -> None:
    crt.suite("benchmarks/test_tables.py", SUITE)
    told = schemas.check("bench", crt.run("bench", "--suite", "tables", "--format", "json").stdout)
    assert {each["outcome"] for each in told["runs"]} == {"passed", "failed"}
    schemas.check(
        "bench", crt.run("bench", "--suite", "tables", "-k", "read", "--repeat", "2", "--format", "json").stdout
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("bench", "--list"),
        ("data list", ""),
        ("data verify", ""),
        ("data prune", ""),
        ("config show", ""),
        ("noise", ""),
    ],
)
def test_where_there_is_nothing_the_document_is_whole(inside: Any, name: str, arguments: str) -> None:
    done = inside.run(*name.split(), *arguments.split(), "--format", "json")
    assert done.returncode == 0, done.stderr
    schemas.check(name, done.stdout)


@pytest.mark.parametrize("name", ["report", "detect", "bisect", "compare", "diff", "sync status", "db current"])
def test_a_mistake_leaves_stdout_empty(inside: Any, name: str) -> None:
    more = {"bisect": ["--list"], "compare": ["a", "b"], "diff": ["a", "b"]}.get(name, [])
    done = inside.run(*name.split(), *more, "--format", "json")
    assert done.returncode in {2, 3}
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
