"""One PostgreSQL for a team: the commands that read and write a history do with it what they do with a file."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from recorded import lines

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


@pytest.fixture
def server(new_postgresql: Any) -> str:
    return str(new_postgresql())


def filled(path: Path, *sessions: int) -> None:
    engine = open_database(str(path))
    for number in sessions:
        ingest(engine, lines(number))
    engine.dispose()


def view(folder: Path, target: str, crt: Any) -> list[Any]:
    """The runs as exported: the same columns and spellings for every kind of database."""
    done = crt.run("db", "export", "-", "--format", "csv", "--db", target)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


@pytest.mark.slow
def test_a_history_goes_through_a_server_and_back(crt: Any, server: str, tmp_path: Path) -> None:
    folder, remote = Path(crt.folder), tmp_path / "remote"
    filled(folder / "mine.db", 1, 2)
    filled(folder / "yours.db", 2, 3)

    def told(*arguments: str) -> Any:
        done = crt.run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert told("db", "merge", "mine.db", "--db", server)["new"] == 8
    assert told("db", "merge", "mine.db", "--db", server)["new"] == 0
    assert view(folder, server, crt) == view(folder, "mine.db", crt)
    assert told("sync", "push", "--db", server, "--remote", str(remote))["pushed"] == 2
    assert told("sync", "push", "--db", "yours.db", "--remote", str(remote))["pushed"] == 1
    assert told("sync", "pull", "--db", server, "--remote", str(remote))["runs"] == 4
    assert told("sync", "publish", "--remote", str(remote))["runs"] == 12
    told("sync", "pull", "--db", "mine.db", "--remote", str(remote))
    assert view(folder, server, crt) == view(folder, "mine.db", crt)
    assert told("db", "merge", server, "--db", "copy.db")["new"] == 12
    assert view(folder, "copy.db", crt) == view(folder, server, crt)
    assert told("db", "query", "select count(*) as n from test_run", "--db", server)["rows"] == [{"n": 12}]
    assert told("report", "--db", server, "--out", "site")["runs"] == 12
    assert told("db", "prune", "--session", "s3", "--yes", "--db", server)["runs"] == 4
    assert told("db", "query", "select count(*) as n from test_run", "--db", server)["rows"] == [{"n": 8}]
    assert told("sync", "pull", "--db", server, "--remote", str(remote))["pulled"] == 0
    with closing(sqlite3.connect(remote / "benchmark.db")) as connection:
        assert connection.execute("select count(*) from test_run").fetchone() == (12,)


def test_an_empty_server_begins_with_what_is_published(crt: Any, server: str, tmp_path: Path) -> None:
    folder, remote = Path(crt.folder), tmp_path / "remote"
    filled(folder / "mine.db", 1, 2)
    for command in (["push", "--db", "mine.db"], ["publish"]):
        assert crt.run("sync", *command, "--remote", remote).returncode == 0
    told = crt.json("sync", "pull", "--db", server, "--remote", remote, "--format", "json")
    assert (told["published_runs"], told["pulled"], told["pending"]) == (8, 0, 0)
    assert view(folder, server, crt) == view(folder, "mine.db", crt)


def test_suites_are_measured_into_a_server(crt: Any, server: str) -> None:
    crt.suite("benchmarks/test_x.py", "def test_a():\n    pass\n")
    done = crt.run("bench", "--suite", "x", "--db", server)
    assert done.returncode == 0, done.stderr
    done = crt.run("db", "query", "select name, call_outcome from test_run", "--db", server, "--format", "csv")
    assert done.stdout == "name,call_outcome\ntest_a,passed\n"


def test_what_a_server_has_is_compared_and_searched_as_a_file_is(inside: Any, server: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "commands"))
    import histories

    for target in (server, str(inside.folder / "benchmark.db")):
        engine = open_database(target)
        for number in range(40):
            for label, effect in (("upstream", 1.3 if number >= 25 else 1.0), ("latest", 1.0)):
                effects = {"slower": effect, "same": 1.0}
                ingest(engine, histories.session(label, number, effects, version=f"2026.{number}.0"))
        engine.dispose()

    def told(*arguments: str, code: int = 0) -> Any:
        documents = []
        for target in (server, "benchmark.db"):
            done = inside.run(*arguments, "--format", "json", "--db", target)
            assert done.returncode == code, done.stderr
            documents.append(json.loads(done.stdout))
        assert documents[0] == documents[1]
        return documents[0]

    found = told("detect", "--fail-on", "regression", code=1)
    (finding,) = found["regressions"]
    assert finding["benchmark"].endswith("test_slower")
    assert inside.run("detect", "accept", finding["id"], "--reason", "meant", "--db", server).returncode == 0
    assert inside.run("detect", "accept", finding["id"], "--reason", "meant").returncode == 0
    assert told("detect", "--fail-on", "regression")["regressions"] == []
    compared = told("compare", "latest,2026-10-20..", "upstream,2026-10-20..", "--fail-on", "10%", code=1)
    assert next(each["verdict"] for each in compared["comparisons"]) == "worse"
    assert told("diff", "latest", "upstream")["differences"]
    assert told("detect", "--score", "--replay", "10")["score"]["series"] == 4
