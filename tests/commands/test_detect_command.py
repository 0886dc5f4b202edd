"""`crt detect` as a user types it, on a history whose truth is known, and as it grows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

STEP = 24


def grow(crt: Any, first: int, last: int, *, step: int = STEP, label: str = "upstream", fixed: int = 999) -> None:
    """Daily sessions: at ``step`` one test gets 20 % slower and one faster, one halves its throughput; dask moves each day."""
    engine = open_database(str(Path(crt.folder) / "benchmark.db"))
    for number in range(first, last):
        after = step <= number < fixed
        effects = {"same": 1.0, "slower": 1.2 if after else 1.0, "faster": 0.8 if after else 1.0, "rate": 1.0}
        throughput = {"rate": 0.5 if after else 1.0}
        ingest(engine, histories.session(label, number, effects, version=f"2026.{number}.0", throughput=throughput))
    engine.dispose()


def detect(crt: Any, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = crt.run("detect", "--format", "json", *arguments)
    assert done.returncode == code, done.stderr
    import json

    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(findings: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(each["benchmark"].rpartition("_")[2], each["metric"]) for each in findings}


def test_what_changed_is_found_with_its_direction_and_cause(inside: Any) -> None:
    grow(inside, 0, 40)
    told = detect(inside)
    assert told["schema"] == 1
    assert names(told["regressions"]) == {("slower", "duration"), ("rate", "throughput")}
    assert names(told["improvements"]) == {("faster", "duration")}
    slower = next(each for each in told["regressions"] if each["metric"] == "duration")
    assert slower["low"] < 1.2 < slower["high"]
    assert slower["q"] < 0.001
    assert (slower["label"], slower["state"], slower["runs_since"]) == ("upstream", "confirmed", 16)
    assert slower["last_good"]["start"] < slower["first_bad"]["start"] == slower["since"]
    assert inside.rows(f"select session_id from test_run where uuid = '{slower['first_bad']['uuid']}'") == [
        ("upstream-24-3.11",)
    ]
    assert inside.rows(f"select session_id from test_run where uuid = '{slower['last_good']['uuid']}'") == [
        ("upstream-23-3.11",)
    ]
    (moved,) = slower["changes"]
    assert (moved["package"], moved["before"], moved["after"]) == (
        "dask",
        "2026.23.0 (0000017a)",
        "2026.24.0 (0000018a)",
    )
    assert moved["commits_url"].startswith("https://github.com/dask/dask/compare/0000017abcdef")
    # what happened in one stretch of time, in one direction, has one cause
    assert len({each["cause"] for each in told["regressions"]}) == 1
    assert told["improvements"][0]["cause"] != slower["cause"]


def test_a_gate_fails_for_what_it_was_asked_for_alone(inside: Any) -> None:
    grow(inside, 0, 40)
    for arguments, code in (
        (["--fail-on", "regression"], 1),
        (["--fail-on", "improvement"], 1),
        (["--fail-on", "never"], 0),
        (["--fail-on", "improvement", "--metric", "throughput"], 0),
        (["--fail-on", "regression", "--metric", "peak_memory"], 0),
        (["--fail-on", "regression", "--min-effect", "60%", "--metric", "duration"], 0),
        (["--fail-on", "regression", "--since", "2026-11-30"], 0),
        (["--fail-on", "regression", "--since", "2026-10-10"], 1),
        (["--fail-on", "regression", "--suite", "x", "--label", "upstream"], 1),
    ):
        for form in ("table", "json", "github"):
            assert inside.run("detect", *arguments, "--format", form).returncode == code, arguments


def test_an_accepted_change_is_reported_no_more_and_a_new_one_is(inside: Any) -> None:
    grow(inside, 0, 40)
    told = detect(inside, "--fail-on", "regression", code=1)
    ids = [each["id"] for each in told["regressions"]]
    done = inside.run("detect", "accept", *ids, "--reason", "checks its answer now")
    assert (done.returncode, "2 findings accepted" in done.stderr) == (0, True), done.stderr
    assert detect(inside, "--fail-on", "regression")["regressions"] == []
    everything = detect(inside, "--all", "--fail-on", "regression")
    assert {each["state"] for each in everything["regressions"]} == {"accepted"}
    # the accepted level is the baseline: from there on a further step is a finding of its own
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    for number in range(40, 60):
        effects = {"same": 1.0, "slower": 1.5, "faster": 0.8, "rate": 1.0}
        ingest(engine, histories.session("upstream", number, effects, version="2026.40.0", throughput={"rate": 0.5}))
    engine.dispose()
    (again,) = detect(inside, "--fail-on", "regression", code=1)["regressions"]
    assert again["benchmark"].endswith("slower")
    assert again["low"] < 1.25 < again["high"]
    assert again["id"] not in ids
    assert inside.rows("select reason from finding where accepted is not null") == [("checks its answer now",)] * 2


def test_a_second_step_within_days_of_an_accepted_one_is_a_suspect_and_then_a_regression(inside: Any) -> None:
    grow(inside, 0, STEP + 7)
    (first,) = detect(inside, "--metric", "duration", "--fail-on", "regression", code=1)["regressions"]
    assert inside.run("detect", "accept", first["id"], "--reason", "checks its answer now").returncode == 0
    assert detect(inside, "--metric", "duration", "--fail-on", "regression")["regressions"] == []

    def step_again(first: int, last: int) -> None:
        engine = open_database(str(Path(inside.folder) / "benchmark.db"))
        for number in range(first, last):
            effects = {"same": 1.0, "slower": 1.5, "faster": 0.8, "rate": 1.0}
            ingest(engine, histories.session("upstream", number, effects, version=f"2026.{number}.0"))
        engine.dispose()

    step_again(STEP + 7, STEP + 10)
    told = detect(inside, "--metric", "duration", "--fail-on", "regression")
    (suspect,) = [each for each in told["suspects"] if each["benchmark"].endswith("slower")]
    assert suspect["id"] != first["id"]
    step_again(STEP + 10, STEP + 17)
    (second,) = detect(inside, "--metric", "duration", "--fail-on", "regression", code=1)["regressions"]
    assert second["id"] != first["id"]
    states = {each["id"]: each["state"] for each in detect(inside, "--metric", "duration", "--all")["regressions"]}
    assert states == {first["id"]: "accepted", second["id"]: "confirmed"}


def test_a_finding_keeps_its_id_as_the_history_grows(inside: Any) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for last in (30, 33, 36, 45, 60):
        grow(inside, 0 if last == 30 else last - 15, last)
        told = detect(inside)
        for each in (*told["regressions"], *told["improvements"]):
            seen.setdefault((each["benchmark"], each["metric"]), set()).add(each["id"])
    assert len(seen) == 3
    assert all(len(ids) == 1 for ids in seen.values()), seen
    assert len(inside.rows("select id from finding")) == 3


def test_what_was_taken_back_is_fixed(inside: Any) -> None:
    grow(inside, 0, 60, fixed=42)
    told = detect(inside, "--metric", "duration", "--all")
    states = {(each["benchmark"].rpartition("_")[2], each["since"][:10]): each["state"] for each in told["regressions"]}
    assert states["slower", "2026-10-15"] == "fixed"


def test_nothing_found_too_little_and_nothing_measured_are_three_answers(inside: Any) -> None:
    grow(inside, 0, 20, step=99)
    done = inside.run("detect", "--fail-on", "regression")
    assert (done.returncode, done.stdout.startswith("no change in")) == (0, True), done.stderr
    assert detect(inside)["regressions"] == []
    few = Path(inside.folder) / "benchmark.db"
    few.unlink()
    grow(inside, 0, 5)
    done = inside.run("detect", "--fail-on", "regression")
    assert (done.returncode, "too few" in done.stderr) == (5, True), done.stderr
    few.unlink()
    engine = open_database(str(few))
    ingest(engine, histories.session("upstream", 0, {"broken": 1.0}, version="1", failing={"broken"}))
    engine.dispose()
    done = inside.run("detect", "--fail-on", "regression")
    assert (done.returncode, "nothing was measured" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--metric", "durations"], "did you mean 'duration'"),
        (["--suite", "y"], "unknown suite"),
        (["--label", "upstram"], "did you mean 'upstream'"),
        (["--since", "yesterday"], "expected a date"),
        (["--min-effect", "0"], "expected a share"),
        (["--fdr", "2"], "expected a share"),
        (["--fail-on", "anything"], "anything"),
        (["--db", "nowhere.db"], "no database at"),
        (["accept", "nosuch", "--reason", "x"], "unknown finding"),
        (["accept", "nosuch"], "--reason"),
        (["accept", "nosuch", "--reason", " "], "--reason is empty"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_two(inside: Any, arguments: list[str], says: str) -> None:
    grow(inside, 0, 3)
    done = inside.run("detect", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_table_says_what_moved(inside: Any) -> None:
    grow(inside, 0, 40)
    done = inside.run("detect", "--metric", "duration")
    assert "not seen before" not in done.stdout  # eight runs later it is confirmed
    assert "dask 2026.23.0 (0000017a) to 2026.24.0 (0000018a) https://github.com/dask/dask/compare/" in done.stderr
    done = inside.run("detect", "--metric", "duration", "--format", "github")
    assert done.stdout.count("\n| ") == 3
    assert "- cause 1: dask" in done.stdout


def test_a_workflow_gets_an_annotation_of_each_finding_on_one_line_whatever_it_is_called(inside: Any) -> None:
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    name = "a[100%,x:y]\n::error::b"
    for number in range(40):
        effects = {name: 1.2 if number >= STEP else 1.0, "faster": 0.8 if number >= STEP else 1.0}
        ingest(engine, histories.session("upstream", number, effects, version="1"))
    engine.dispose()
    done = inside.run("detect", "--metric", "duration", "--format", "github")
    told = [each for each in done.stderr.splitlines() if each.startswith("::")]
    assert {each.partition(" ")[0] for each in told} == {"::warning", "::notice"}
    (warning,) = [each for each in told if each.startswith("::warning")]
    assert "test_a[100%25%2Cx%3Ay]" in warning
    assert "crt bisect --regression " in warning
    assert inside.run("detect", "--metric", "duration").stderr.count("::warning") == 0


def test_constant_values_a_clock_that_goes_back_and_rows_that_come_twice_are_no_change(inside: Any) -> None:
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    nights = [*range(30), *range(12, 18), *range(30, 40)]  # the clock was set back for a week, and sessions came again
    for number in nights:
        noise = {"constant": 0.0, "noisy": 0.02}
        ingest(engine, histories.session("upstream", number, {"constant": 1.0, "noisy": 1.0}, version="1", noise=noise))
    for number in range(40, 45):
        ingest(engine, histories.session("upstream", number - 30, {"missing": 1.0}, version="1"))
    engine.dispose()
    told = detect(inside)
    assert told["regressions"] == told["improvements"] == told["shapes"] == []
    assert inside.rows("select count(*) from test_run where name = 'test_noisy'") == [(40,)]


def test_a_test_that_gets_noisier_is_named_as_such_and_fails_no_gate(inside: Any) -> None:
    engine = open_database(str(Path(inside.folder) / "benchmark.db"))
    for number in range(120):
        noise = {"wild": 0.02 if number < 60 else 0.08}
        ingest(engine, histories.session("upstream", number, {"wild": 1.0}, version="1", noise=noise))
    engine.dispose()
    told = detect(inside, "--metric", "duration", "--fail-on", "regression")
    (shape,) = told["shapes"]
    assert (shape["kind"], shape["state"]) == ("variance", "new")
    assert shape["before"] < 0.04 < shape["after"]
    assert told["regressions"] == []
    assert "noisier" in inside.run("detect", "--metric", "duration").stdout
    assert inside.run("detect", "accept", shape["id"], "--reason", "a new machine").returncode == 0
    assert detect(inside, "--metric", "duration")["shapes"] == []


def test_a_change_that_has_not_held_is_a_suspect_and_fails_no_gate(inside: Any) -> None:
    grow(inside, 0, STEP + 3)
    told = detect(inside, "--fail-on", "regression", "--metric", "duration")
    assert told["regressions"] == []
    assert names(told["suspects"]) >= {("slower", "duration")}
    told = inside.run("detect", "--metric", "duration")
    assert "beside: off in the newest runs" in told.stderr
    assert "suspect" in inside.run("detect", "--metric", "duration", "--all").stdout
    grow(inside, STEP + 3, STEP + 7)
    assert names(detect(inside, "--fail-on", "regression", code=1)["regressions"]) >= {("slower", "duration")}
