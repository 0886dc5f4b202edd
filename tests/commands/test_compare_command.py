"""`crt compare` as a user types it, on a history whose truth is known."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

#: What the second label does to each test: nothing, 20 % slower, 20 % faster, twice the throughput, failing, noise that hides it.
TESTS = {"same": 1.0, "slower": 1.2, "faster": 0.8, "throughput": 1.0, "broken": 1.0, "noisy": 1.05}


def session(label: str, number: int, *, version: str, python: str = "3.11.7.final.0", only: Any = TESTS) -> list[Any]:
    branch = label == "branch"
    return histories.session(
        label,
        number,
        {name: effect if branch else 1.0 for name, effect in TESTS.items() if name in only},
        version=version,
        python=python,
        noise={"noisy": 0.4},
        throughput={"throughput": 2.0 if branch else 1.0},
        failing={"broken"} if branch else (),
    )


@pytest.fixture
def history(inside: Any) -> Any:
    """Ten sessions of ``main`` with dask 2026.8.0, ten of ``branch`` with 2026.9.0, the days one to ten."""
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    for number in range(10):
        ingest(engine, session("main", number, version="2026.8.0"))
        ingest(engine, session("branch", number, version="2026.9.0"))
    engine.dispose()
    return inside


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    return {each["benchmark"].rpartition("_")[2]: each["verdict"] for each in told["comparisons"]}


def test_two_labels_are_compared_test_by_test(history: Any) -> None:
    told = history.json("compare", "main", "branch", "--format", "json")
    assert told["schema"] == 1
    assert verdicts(told) == {
        "slower": "worse",
        "faster": "better",
        "same": "same",
        "throughput": "same",
        "noisy": "inconclusive",
    }
    slower = told["comparisons"][0]
    assert slower["benchmark"] == "benchmarks/test_x.py::test_slower"
    assert slower["low"] < 1.2 < slower["high"]
    assert slower["n"] == [10, 10]
    assert 0 < slower["detectable"] < 0.05
    noisy = next(each for each in told["comparisons"] if each["benchmark"].endswith("noisy"))
    assert noisy["detectable"] > 0.3  # what so few runs of it could not have shown
    assert told["overall"]["tests"] == 5
    assert told["overall"]["low"] < 1 < told["overall"]["high"]
    (failure,) = told["failures"]
    assert (failure["finding"], failure["contender"]) == ("broken", {"runs": 10, "failed": 10})


def test_the_direction_of_a_metric_decides_what_is_worse(history: Any) -> None:
    told = history.json(
        "compare", "main", "branch", "--metric", "throughput", "--metric", "peak_memory", "--format", "json"
    )
    words = {(each["metric"], each["benchmark"].rpartition("_")[2]): each["verdict"] for each in told["comparisons"]}
    assert words["throughput", "throughput"] == "better"
    assert words["peak_memory", "slower"] == "same"
    assert set(told["overall_by_metric"]) == {"throughput", "peak_memory"}


@pytest.mark.parametrize(
    ("baseline", "contender"),
    [
        ("dask==2026.8.0", "dask==2026.9.0"),
        ("label:main", "label:branch"),
        ("main,2026-09-01..", "branch,..2026-12-31"),
        ("main-0-3.11", "branch-0-3.11"),
        ("env:old.txt", "dask==2026.9.0"),
    ],
)
def test_sides_are_named_in_many_ways(history: Any, baseline: str, contender: str) -> None:
    (Path(history.folder) / "old.txt").write_text("# made by pip freeze\ndask==2026.8.0\n")
    told = history.json("compare", baseline, contender, "--format", "json")
    assert len(told["comparisons"]) == 5
    before = {each["benchmark"]: each["ratio"] for each in told["comparisons"]}
    assert before["benchmarks/test_x.py::test_slower"] == pytest.approx(1.2, rel=0.05)


def test_commits_and_days_name_sides_too(history: Any) -> None:
    told = history.json("compare", "0000001abcdef", "0000002", "--format", "json")
    assert told["comparisons"][0]["n"] == [2, 2]
    told = history.json("compare", "main,2026-09-21..2026-09-25", "main,date:2026-09-26..", "--format", "json")
    assert set(verdicts(told).values()) <= {"same", "inconclusive"}
    assert told["comparisons"][0]["n"] == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--fail-on", "10%"], 1),
        (["--fail-on", "50%", "--metric", "peak_memory"], 1),  # a broken test is worse than any number
        (["--fail-on", "0.1", "--suite", "x"], 1),
    ],
)
def test_a_gate_fails_where_it_was_asked_for(history: Any, arguments: list[str], code: int) -> None:
    for form in ("table", "json", "markdown"):
        assert history.run("compare", "main", "branch", *arguments, "--format", form).returncode == code
    assert history.run("compare", "branch", "branch,2026-09-21", "--fail-on", "1%").returncode == 2


def test_a_gate_lets_pass_what_is_not_surely_worse(history: Any) -> None:
    engine = open_database(str(Path(history.folder) / "other.db"))
    for number in range(8):
        for label in ("main", "branch"):
            ingest(engine, session(label, number, version="1", only={"same", "noisy", "faster"}))
    engine.dispose()
    assert history.run("compare", "main", "branch", "--fail-on", "2%", "--db", "other.db").returncode == 0
    assert history.run("compare", "main", "branch", "--fail-on", "30%", "--db", "other.db").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["mian", "branch"], 2, "did you mean 'main'"),
        (["main", "dask==1.0"], 2, "versions: 2026.8.0, 2026.9.0"),
        (["main", "nosuch==1.0"], 2, "no environment has nosuch"),
        (["main", "2026-02-31"], 2, "day"),
        (["main", "2026-10-01..2026-09-01"], 2, "ends before it begins"),
        (["main", "2020-01-01"], 2, "no run fits"),
        (["main", "session:branch-"], 2, "sessions begin with"),
        (["main", "commit:fffffff"], 2, "commit:fffffff"),
        (["main", "env:missing.txt"], 2, "cannot be read"),
        (["main", "env:benchmark.db"], 2, "cannot be read"),
        (["main", "main"], 2, "the same runs"),
        (["main", "branch", "--metric", "durations"], 2, "did you mean 'duration'"),
        (["main", "branch", "--suite", "y"], 2, "unknown suite"),
        (["main", "branch", "--fail-on", "lots"], 2, "expected a share"),
        (["main", "branch", "--min-effect", "500%"], 2, "expected a share"),
        (["main"], 2, "CONTENDER"),
        (["main", "branch", "--db", "nowhere.db"], 2, "no database at"),
    ],
)
def test_a_mistake_is_one_message_and_its_exit_code(history: Any, arguments: list[str], code: int, says: str) -> None:
    done = history.run("compare", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_cannot_be_compared_is_said(inside: Any) -> None:
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    ingest(engine, session("main", 0, version="1", only={"same"}))
    ingest(engine, session("branch", 0, version="1", only={"slower"}))
    ingest(engine, session("new", 0, version="1", python="3.12.1.final.0", only={"same"}))
    engine.dispose()
    done = inside.run("compare", "main", "branch")
    assert (done.returncode, "no test in common" in done.stderr) == (3, True), done.stderr
    done = inside.run("compare", "main", "new")
    assert (done.returncode, "same circumstances" in done.stderr) == (3, True), done.stderr
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    ingest(engine, session("branch", 1, version="1", only={"same"}))
    engine.dispose()
    done = inside.run("compare", "main", "branch")
    assert (done.returncode, "too few runs" in done.stdout) == (5, True), done.stderr
    assert "only branch has" in done.stderr
    assert "main is one session: what slowed the machine in it is part of every change" in done.stderr
    assert "branch is one session" not in done.stderr


def test_a_test_without_values_above_zero_on_one_side_is_named_and_not_compared(inside: Any) -> None:
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    for number in range(3):
        for label, rates in (("main", {"zero": 0.0, "some": 2.0}), ("branch", {"zero": 2.0, "some": 2.0})):
            ingest(engine, histories.session(label, number, dict.fromkeys(rates, 1.0), version="1", throughput=rates))
    engine.dispose()
    for form in ("table", "json", "markdown", "csv", "github"):
        done = inside.run("compare", "main", "branch", "--metric", "throughput", "--format", form)
        assert done.returncode == 0, done.stderr
        assert "test_some" in done.stdout
        assert ("test_zero (throughput)" in done.stderr) == (form != "json")
    told = inside.json("compare", "main", "branch", "--metric", "throughput", "--format", "json")
    assert verdicts(told) == {"some": "same"}
    assert told["not_comparable"] == ["benchmarks/test_x.py::test_zero"]
    told = inside.json(
        "compare", "main", "branch", "--metric", "throughput", "--metric", "duration", "--format", "json"
    )
    assert len(told["comparisons"]) == 3
    assert told["not_comparable"] == []  # its duration is


def test_every_form_has_every_row(history: Any) -> None:
    done = history.run("compare", "main", "branch", "--format", "csv")
    cells = list(csv.reader(io.StringIO(done.stdout)))
    assert cells[0] == ["test", "before", "after", "change", "interval", "verdict", "runs", "detectable"]
    assert len(cells) == 6
    done = history.run("compare", "main", "branch", "--format", "github")
    assert done.stdout.count("\n| ") == 6
    assert "geometric mean of 5 tests" in done.stdout
    done = history.run("compare", "main", "branch")
    assert "test_broken: fails now (0 of 10 failed, then 10 of 10" in done.stderr
    assert re.search(r"test_slower .*\+(19|20|21) %", done.stdout)
