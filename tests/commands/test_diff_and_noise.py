"""`crt diff` and `crt noise` as a user types them."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories

from coiled_runtime_cli.core.record import Host
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


@pytest.fixture
def measured(inside):
    engine = open_database(str(inside.folder / "benchmark.db"))
    for number in range(12):
        host = Host(cores=2 if number < 6 else 4, memory=2**30, governor="performance")
        noise = {"steady": 0.02, "wild": 0.3}
        lines = histories.session(
            "upstream", number, {"steady": 1.0, "wild": 1.0}, version=f"2026.{number}.0", host=host, noise=noise
        )
        ingest(engine, lines)
    engine.dispose()
    return inside


def uuids(crt):
    return [uuid for (uuid,) in crt.rows("select uuid from test_run where name = 'test_steady' order by start")]


def test_what_sets_two_runs_apart_is_named_by_section(measured):
    first, *_, last = uuids(measured)
    done = measured.run("diff", first, last[:13], "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["uuid"] for each in found["runs"]] == [first, last]
    told = {(each["section"], each["name"]): (each["first"], each["second"]) for each in found["differences"]}
    assert told["host", "cores"] == ("2", "4")
    assert ("host", "memory") not in told
    before, after = told["environment", "dask"]
    assert before.startswith("2026.0.0 (")
    assert after.startswith("2026.11.0 (")
    (dask,) = (each for each in found["differences"] if each["name"] == "dask")
    assert dask["commits_url"].startswith("https://github.com/dask/dask/compare/")
    assert "%" in told["measured", "duration"][1]
    assert [each["section"] for each in found["differences"]] == sorted(
        (each["section"] for each in found["differences"]),
        key=["run", "environment", "host", "cluster", "configuration", "suites", "measured"].index,
    )


def test_words_mean_their_newest_run_of_the_same_test(measured):
    first = uuids(measured)[0]
    found = json.loads(measured.run("diff", first, "upstream", "--format", "json").stdout)
    assert [each["benchmark"] for each in found["runs"]] == ["benchmarks/test_x.py::test_steady"] * 2
    assert found["runs"][1]["uuid"] == uuids(measured)[-1]
    table = measured.run("diff", "dask==2026.3.0", "dask==2026.9.0")
    assert "environment" in table.stdout
    assert "2026.9.0" in table.stdout
    assert "/compare/" in table.stderr


def test_a_run_does_not_differ_from_itself(measured):
    first = uuids(measured)[0]
    done = measured.run("diff", first, first)
    assert done.returncode == 0
    assert "they are one run" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("upstraem", "upstream"), "did you mean 'upstream'"),
        (("fffffff", "upstream"), "'fffffff'"),
        (("dask==1.0", "upstream"), "no run was measured with dask==1.0"),
    ],
)
def test_a_run_that_is_not_there_is_told(measured, words, told):
    done = measured.run("diff", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_changed_test_is_shown_line_by_line(inside):
    for answer in (1, 2):
        inside.suite("test_a.py", f"def test_a():\n    x = 3\n    assert {answer}\n")
        assert inside.run("bench", "--suite", "a").returncode == 0
    first, second = (uuid for (uuid,) in inside.rows("select uuid from test_run order by start"))
    done = inside.run("diff", first, second)
    assert "-    assert 1" in done.stderr
    assert "+    assert 2" in done.stderr
    assert "source of the test" in done.stdout


def test_the_noise_of_tests_says_how_many_runs_an_effect_takes(measured):
    done = measured.run("noise", "--format", "json", "--effect", "10%")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["what"] for each in found["remarks"]][-3:] == ["timer", "computing", "disk"]
    tests = found["tests"]  # two hosts: two series of each test
    assert [each["benchmark"].rpartition("_")[2] for each in tests] == ["wild", "wild", "steady", "steady"]
    assert all(0.1 < each["noise"] < 0.6 for each in tests[:2])
    assert all(each["noise"] < 0.05 and each["needed"] < 20 for each in tests[2:])
    assert all(each["needed"] > 20 for each in tests[:2])
    assert all(each["planned_seconds"] == 2 * each["needed"] * each["seconds"] for each in tests)


def test_the_machine_is_looked_at_without_a_database(inside):
    done = inside.run("noise")
    assert done.returncode == 0, done.stderr
    assert "computing" in done.stdout
    assert "crt bench" in done.stderr
    assert not (inside.folder / "benchmark.db").exists()
    assert [each.name for each in inside.folder.iterdir()] == ["suites"]


def test_one_test_is_planned_for(measured):
    engine = open_database(str(measured.folder / "one.db"))
    for number in range(9):
        ingest(engine, histories.session("upstream", number, {"steady": 1.0}, version="1"))
    engine.dispose()
    done = measured.run("noise", "steady", "--db", "one.db")
    assert "to see 5 % on test_steady:" in done.stderr
    assert "runs per arm, about" in done.stderr
    wrong = measured.run("noise", "stedy")
    assert wrong.returncode == 2
    assert "did you mean" in wrong.stderr


def test_two_runs_are_too_few_to_know_the_noise(inside):
    engine = open_database(str(inside.folder / "benchmark.db"))
    for number in range(2):
        ingest(engine, histories.session("upstream", number, {"steady": 1.0}, version="1"))
    engine.dispose()
    done = inside.run("noise", "steady")
    assert done.returncode == 5
    assert "--repeat 5" in done.stderr
