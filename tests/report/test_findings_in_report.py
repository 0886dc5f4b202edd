"""The report and `crt detect` tell the same of one history."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core import findings
from coiled_runtime_cli.core.detect import MIN_EFFECT
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.report.build import Options, look

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli.report.pages import Pages


def detected(crt: Any, *arguments: str) -> dict[str, Any]:
    done = crt.run("detect", "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reported(database: str) -> Pages:
    engine = open_database(database)
    try:
        return look(read_history([engine]), Options())
    finally:
        engine.dispose()


def headline(crt: Any, *arguments: str) -> str:
    """What stands on top of the index, and what the summary says, without its last words."""
    assert crt.run("report", *arguments).returncode == 0
    shown = re.search(r"<h1>(.*?)<small>", (crt.folder / "site" / "index.html").read_text(), re.DOTALL)
    assert shown is not None
    text = re.sub("<[^>]*>", "", shown[1]).strip()
    summary = crt.run("report", "--summary", "markdown", *arguments).stdout.splitlines()[2]
    return f"{text} / {summary.partition(' in the last')[0]}"


def daily(story: Any, days: int, levels: dict[str, Any], **fields: Any) -> None:
    """A session a day: each test has a function of the day for its level."""
    for day in range(days):
        story.session(day, {name: story.noisy(level(day)) for name, level in levels.items()}, **fields)


def test_an_accepted_change_is_shown_as_accepted_and_counted_no_more(inside: Any, regression: Any) -> None:
    regression().database(inside.folder / "benchmark.db")
    site = inside.folder / "site"
    (found,) = detected(inside)["regressions"]
    assert headline(inside) == "1 regression / **1 regression**"
    suite = next((site / "suite").iterdir())
    row = r'<td class="number" data-value="(\d+)">'
    assert "1" in re.findall(row, suite.read_text())
    before = {file: file.stat().st_mtime_ns for file in (site / "data").rglob("*.js")}
    assert inside.run("detect", "accept", found["id"], "--reason", "checks its answer now").returncode == 0
    # nothing was measured since: what the build remembers of the runs is as it was, and the pages are not
    assert headline(inside) == "No open change / 1 accepted"
    assert before == {file: file.stat().st_mtime_ns for file in (site / "data").rglob("*.js")}
    page = site / "benchmark" / "benchmarks.test_parquet.test_read.html"
    for file in (site / "index.html", page):
        assert re.findall(r'data-state="(\w+)"', file.read_text()) == ["accepted"]
    assert "State: accepted." in (site / "feed.atom").read_text()
    assert inside.run("report", "--single", "r.html").returncode == 0
    assert "No open change" in (inside.folder / "r.html").read_text()


def test_a_change_that_moved_by_a_run_is_still_the_one_that_was_accepted(
    inside: Any, regression: Any, new_story: Any
) -> None:
    story = regression()
    story.database(inside.folder / "benchmark.db")
    (found,) = detected(inside)["regressions"]
    assert inside.run("detect", "accept", found["id"], "--reason", "wanted").returncode == 0
    more = new_story(7)
    more.session(24.5, {"test_read[p2p]": 1.5})  # measured late: the first slow run is an earlier one now
    more.database(inside.folder / "benchmark.db")
    assert detected(inside, "--all")["regressions"][0]["first_bad"] != found["first_bad"]
    assert headline(inside) == "No open change / 1 accepted"


def test_an_open_change_is_not_hidden_behind_an_accepted_one_of_its_cause(inside: Any, new_story: Any) -> None:
    story = new_story()
    levels = {"test_more": lambda day: 2.0 if day >= 25 else 1.0, "test_less": lambda day: 1.3 if day >= 25 else 1.0}
    daily(story, 40, levels)
    story.database(inside.folder / "benchmark.db")
    found = {each["benchmark"].rpartition("::")[2]: each for each in detected(inside)["regressions"]}
    assert len({each["cause"] for each in found.values()}) == 1
    assert inside.run("detect", "accept", found["test_more"]["id"], "--reason", "wanted").returncode == 0
    assert headline(inside) == "1 regression / **1 regression**"
    assert [each["benchmark"].rpartition("::")[2] for each in detected(inside)["regressions"]] == ["test_less"]


def test_a_suspect_is_shown_and_not_counted(inside: Any, new_story: Any) -> None:
    story = new_story()
    daily(story, 40, {"test_a": lambda day: 1.5 if day >= 35 else 1.0, "test_b": lambda _: 1.0})
    story.database(inside.folder / "benchmark.db")
    found = detected(inside)
    assert (found["regressions"], found["improvements"]) == ([], [])
    assert headline(inside) == "No open change / 1 suspect"
    index = (inside.folder / "site" / "index.html").read_text()
    assert re.findall(r'data-state="(\w+)"', index) == ["suspect"]


@pytest.mark.parametrize("label", ["AB_baseline", "bisect-1"])
def test_runs_of_an_experiment_make_no_finding_unless_they_are_asked_for(
    label: str, inside: Any, new_story: Any
) -> None:
    story = new_story()
    daily(story, 40, {"test_a": lambda day: 1.5 if day >= 25 else 1.0}, label=label)
    daily(story, 40, {"test_a": lambda _: 1.0}, label="nightly")
    story.database(inside.folder / "benchmark.db")
    assert detected(inside)["regressions"] == []
    assert headline(inside) == "Nothing changed / No change"
    assert 'data-state="' not in (inside.folder / "site" / "index.html").read_text()
    # those of a label that is asked for are findings, as detect has it
    assert len(detected(inside, "--label", label)["regressions"]) == 1
    assert headline(inside, "--label", label) == "1 regression / **1 regression**"


@pytest.mark.parametrize(("label", "slow"), [("nightly", 1), ("bisect-1", 0)])
def test_the_last_session_of_an_experiment_is_not_slower_than_usual(
    label: str, slow: int, new_story: Any, tmp_path: Path
) -> None:
    story = new_story()
    daily(story, 12, {"test_a": lambda day: 2.0 if day == 11 else 1.0}, label=label)
    (health,) = reported(story.database(tmp_path / "a.db")).index().health
    assert len(health.slow) == slow


def test_the_report_and_detect_have_the_same_smallest_change(inside: Any, new_story: Any) -> None:
    for function in (findings.find, findings.search, findings.search_values):
        assert inspect.signature(function).parameters["min_effect"].default == MIN_EFFECT
    story = new_story()
    for day in range(60):
        story.session(
            day, {"test_a": story.noisy(1.04 if day >= 30 else 1.0, 0.005), "test_b": story.noisy(1.0, 0.005)}
        )
    story.database(inside.folder / "benchmark.db")
    assert len(detected(inside, "--min-effect", "3%")["regressions"]) == 1
    assert detected(inside)["regressions"] == []
    assert headline(inside) == "Nothing changed / No change"


def test_the_report_is_as_sure_of_a_change_as_detect(inside: Any, new_story: Any) -> None:
    story = new_story()
    levels = {f"test_{number}": lambda _: 1.0 for number in range(20)}
    daily(story, 40, {**levels, "test_a": lambda day: 1.5 if day >= 25 else 1.0})
    # too few runs to be searched, and zeros, which are not searched either: they are no tests
    daily(story, 5, {f"test_new_{number}": lambda _: 1.0 for number in range(20)})
    for day in range(40):
        story.session(day + 0.5, {"test_idle": {"duration": story.noisy(1.0), "disk_spill_time": 0.0}})
    pages = reported(story.database(inside.folder / "benchmark.db"))
    found = detected(inside)
    assert found["shapes"] == []
    (mine,), (theirs,) = pages.changes.all, found["regressions"]
    assert mine.q == pytest.approx(theirs["q"], rel=1e-9)
    assert (mine.ratio, mine.state) == (pytest.approx(theirs["ratio"]), theirs["state"])
    assert pages.index().searched == found["searched"] == 22


def test_serve_builds_again_when_a_change_is_accepted(crt: Any, regression: Any) -> None:
    regression().database(crt.folder / "benchmark.db")
    (found,) = crt.json("detect", "--format", "json")["regressions"]
    index = crt.folder / "site" / "index.html"
    process = crt.start("report", "--serve", "--port", "0", "--no-progress", start_new_session=True)
    try:
        process.stdout.readline()  # what was written
        process.stdout.readline()  # the address
        assert "1 regression" in index.read_text()
        assert crt.run("detect", "accept", found["id"], "--reason", "wanted").returncode == 0
        until = time.monotonic() + 60
        while "No open change" not in index.read_text() and time.monotonic() < until:
            time.sleep(0.1)
        assert "No open change" in index.read_text()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
