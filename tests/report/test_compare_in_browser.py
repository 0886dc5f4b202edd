"""The comparing pages in a headless Chromium, over file://: what a person reads is what the runs say."""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from coiled_runtime_cli.core import stats
from coiled_runtime_cli.core.history import (
    History,
    HistoryBenchmark,
    HistoryEnvironment,
    HistoryMetric,
    HistorySession,
    RunColumns,
)
from coiled_runtime_cli.core.record import OUTCOMES, Package
from coiled_runtime_cli.report import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = '</script><img src=x onerror="document.title=1"> & \u202e' + "x" * 3000
FIRST = datetime(2026, 10, 1, tzinfo=timezone.utc)
SESSIONS = 12
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]


def a_benchmark(path: str, name: str) -> HistoryBenchmark:
    return HistoryBenchmark(
        id=f"{path}::{name}",
        former=None,
        epoch=1,
        epoch_reason=None,
        path=path,
        name=name,
        originalname=name.partition("[")[0],
        suite=path.rpartition("/")[2].removeprefix("test_").removesuffix(".py"),
        params={},
        markers=(),
        source=None,
    )


BENCHMARKS = (
    a_benchmark("benchmarks/test_array.py", "test_slower"),
    a_benchmark("benchmarks/test_array.py", "test_same"),
    a_benchmark("benchmarks/test_array.py", "test_failing"),
    a_benchmark("benchmarks/test_hostile.py", HOSTILE),
    a_benchmark("tpch/test_dask.py", "test_query_1"),
    a_benchmark("tpch/test_duckdb.py", "test_query_1"),
)


def a_history(sessions: int) -> History:
    """Sessions that alternate between the labels "old" and "new"; in "new" one test is 30 % slower and one fails."""
    random = np.random.default_rng(7)
    rows: list[tuple[int, int, int, float]] = []
    for session in range(sessions):
        for benchmark in range(len(BENCHMARKS)):
            new = session % 2 == 1
            failed = new and benchmark == 2
            value = (1.3 if new and benchmark == 0 else 1.0) * random.lognormal(0, 0.01)
            rows.append((session, benchmark, 1 if failed else 0, np.nan if failed else value))
    count = len(rows)
    start = [int((FIRST + timedelta(days=row[0])).timestamp() * 1e6) + place for place, row in enumerate(rows)]
    session_column = np.array([row[0] for row in rows], np.int32)
    return History(
        sessions=tuple(
            HistorySession(
                id=str(uuid.UUID(int=number + 1)),
                started=FIRST + timedelta(days=number),
                ended=None,
                interrupted=False,
                label=("old", "new")[number % 2],
                scale="smoke",
                host_fingerprint="h",
                host={},
                command=(),
                suites_commit=None,
                suites_dirty=None,
                ci_url=None,
                crt_version=None,
            )
            for number in range(sessions)
        ),
        environments=tuple(
            HistoryEnvironment(
                id=str(number),
                python="3.11.7.final.0",
                platform="linux",
                packages=(Package(name="dask", version=f"2026.{number % 2}.0"),),
            )
            for number in range(sessions)
        ),
        clusters=(),
        benchmarks=BENCHMARKS,
        metrics=(
            HistoryMetric(
                key="duration",
                name="duration",
                unit="s",
                better="lower",
                display_unit="s",
                display_scale=1.0,
                built_in=True,
            ),
        ),
        runs=RunColumns(
            uuid=np.array([uuid.UUID(int=place + 1).bytes for place in range(count)], "V16"),
            session=session_column,
            benchmark=np.array([row[1] for row in rows], np.int32),
            environment=session_column.copy(),
            cluster=np.full(count, -1, np.int32),
            outcome=np.array([row[2] for row in rows], np.uint8),
            setup=np.ones(count, np.uint8),
            call=np.ones(count, np.uint8),
            teardown=np.ones(count, np.uint8),
            repeat=np.zeros(count, np.int16),
            profiled=np.zeros(count, np.bool_),
            start=np.array(start, np.int64),
            end=np.array(start, np.int64),
            values={"duration": np.array([row[3] for row in rows], np.float64)},
        ),
        notes={},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    made: dict[int, Path] = {}

    def site(sessions: int) -> Path:
        if sessions not in made:
            made[sessions] = tmp_path_factory.mktemp(f"site-{sessions}")
            build.build(a_history(sessions), made[sessions], build.Options())
        return made[sessions]

    return site


@pytest.fixture
def opened(browser: Any, sites: Callable[[int], Path]) -> Iterator[Callable[..., Any]]:
    """Opens an address of a site, waits for its answer, and lets no error, warning or network request pass."""
    troubles: list[str] = []
    pages: list[Any] = []

    def watch(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            troubles.append(request.url)

    def complain(message: Any) -> None:
        if message.type in {"error", "warning"}:
            troubles.append(message.text)

    def address(path: str, sessions: int = SESSIONS) -> Any:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        pages.append(page)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", complain)
        page.on("request", watch)
        name, _, state = path.partition("#")
        page.goto(f"{(sites(sessions) / name).as_uri()}#{state}")
        page.wait_for_selector("#result .answer, #result .empty, #result .block")
        return page

    yield address
    for page in pages:
        page.close()
    assert troubles == []


def test_the_answer_is_what_the_runs_say(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:old&b=label:new")
    history = a_history(SESSIONS)
    runs, new = history.runs, history.runs.session % 2 == 1
    chosen = (runs.benchmark == 0) & (runs.outcome == OUTCOMES.index("passed"))
    values = runs.values["duration"].astype(np.float32).astype(float)
    wanted = stats.ratio_of_means(values[chosen & ~new].tolist(), values[chosen & new].tolist())
    row = page.locator("#tests tbody tr", has_text="test_slower")
    found = float(row.locator("td").first.get_attribute("data-value"))
    assert np.exp(found) == pytest.approx(wanted.value, rel=1e-9)
    assert "slower" in row.inner_text()
    assert "1 slower" in page.locator(".chips").inner_text()
    assert "1 fails in B only" in page.locator(".chips").inner_text()
    assert "Fails in B only, always" in page.locator("#failures").inner_text()


def test_sessions_on_both_sides_need_no_warning(opened: Callable[..., Any]) -> None:
    assert "One session" not in opened("compare.html#a=label:old&b=label:new").locator(".answer-note").inner_text()


def test_without_a_choice_the_two_labels_are_compared(opened: Callable[..., Any]) -> None:
    page = opened("compare.html")
    assert page.input_value("[data-arm=a] [data-part=value]") == "old"
    assert page.input_value("[data-arm=b] [data-part=value]") == "new"


def test_a_choice_is_in_the_address_and_swaps(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:old&b=label:new")
    page.click("#swap")
    page.wait_for_function("location.hash.includes('a=label%3Anew')")
    page.wait_for_selector("text=1 faster")
    page.fill("[data-arm=a] [data-part=value]", "old")
    page.press("[data-arm=a] [data-part=value]", "Enter")
    page.wait_for_selector("text=A and B are the same runs")
    assert "a=label%3Aold" in page.url


def test_an_unknown_choice_offers_the_nearest_one(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:odl&b=label:new")
    assert "Did you mean" in page.locator("[data-arm=a]").inner_text()
    page.click("[data-arm=a] .link")
    page.wait_for_selector("#tests")
    assert page.input_value("[data-arm=a] [data-part=value]") == "old"


@pytest.mark.parametrize(
    "state",
    [
        "a=version:dask==2026.0.0&b=version:dask==2026.1.0",
        "a=dates:2026-10-01..2026-10-06&b=dates:2026-10-07..",
        "a=before:00000000-0000-0000-0000-00000000000c&b=session:00000000-0000-0000-0000-00000000000c",
        "a=label:old&b=label:new&suite=array&q=test_&verdict=worse&effect=10",
    ],
)
def test_every_kind_of_choice_has_an_answer(opened: Callable[..., Any], state: str) -> None:
    page = opened(f"compare.html#{state}")
    assert page.locator(".answer-sentence").inner_text()
    assert page.locator("#resolution").inner_text()


def test_names_that_are_html_are_shown_letter_by_letter(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:old&b=label:new")
    assert page.locator("#tests tbody th", has_text="</script><img src=x").count() == 1
    assert page.locator("main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


@pytest.mark.parametrize(
    ("sessions", "answer"), [(0, "There are no runs to compare yet."), (1, "There is one session only.")]
)
def test_too_little_to_compare_is_an_answer(opened: Callable[..., Any], sessions: int, answer: str) -> None:
    assert answer in opened("compare.html", sessions).locator("#result").inner_text()


def test_tests_that_ran_once_a_side_are_no_claim(opened: Callable[..., Any]) -> None:
    answer = opened("compare.html#a=label:old&b=label:new", 2).locator(".answer")
    assert answer.locator(".answer-sentence").inner_text().endswith("Too few runs to tell it from chance.")
    assert answer.locator(".answer-note").count() == 0
    assert "too few runs" in answer.locator(".chips").inner_text()


def test_one_test_alone_is_told_by_its_own_interval(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:old&b=label:new&q=test_slower")
    sentence = page.locator(".answer-sentence").inner_text()
    assert re.fullmatch(r"New is \d+\s%? slower than old over 1 test \(\+\d+\s% to \+\d+\s%\)\.", sentence), sentence
    assert "1 slower" in page.locator(".chips").inner_text()
    assert page.locator(".answer-note").inner_text().startswith("With its 95 % interval; less than 5")


def test_one_session_on_a_side_is_said_to_be_one(browser: Any, new_story: Any, tmp_path: Path) -> None:
    story = new_story()
    sessions = [
        story.session(day, {"test_a": story.noisy(1.0), "test_b": story.noisy(2.0)}, label=label)
        for day, label in enumerate(["old", "old", "old", "new", "new"])
    ]
    # the fifth session's runs are more of the fourth's
    story.lines = [
        replace(each, session=sessions[3]) if getattr(each, "session", None) == sessions[4] else each
        for each in story.lines
        if getattr(each, "id", None) != sessions[4]
    ]
    build.build(story.history(tmp_path / "a.db"), tmp_path / "site", build.Options())
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'site' / 'compare.html').as_uri()}#a=label:old&b=label:new")
    page.wait_for_selector(".answer-note:has-text('One session on a side')")
    page.close()


@pytest.mark.parametrize("state", ["", "by=runtime&suite=all&axis=log", "window=90&q=same", "suite=nothing"])
def test_bars_show_medians_by_test_and_by_runtime(opened: Callable[..., Any], state: str) -> None:
    page = opened(f"bars.html#{state}")
    if state == "suite=nothing":
        assert "No test fits." in page.locator("#result").inner_text()
    else:
        page.wait_for_selector(".js-plotly-plot")
        assert page.locator("tbody tr").count() >= 2


def test_tpch_names_the_engines(opened: Callable[..., Any]) -> None:
    page = opened("tpch.html#base=duckdb")
    page.wait_for_selector("#relative .js-plotly-plot, #relative .main-svg")
    assert page.locator(".answer-sentence").first.inner_text().startswith("dask 2026.1.0 takes")
    assert page.locator("thead th").all_inner_texts() == ["Query", "dask 2026.1.0", "duckdb"]
    assert "at scale factor 0.01" in page.locator(".answer-note").inner_text()


def test_a_change_without_an_interval_is_a_whole_dot(opened: Callable[..., Any]) -> None:
    page = opened("compare.html#a=label:old&b=label:new", 2)
    dots = page.evaluate(
        """[...document.querySelectorAll('#tests .range circle')].map((dot) => {
          const [here, around] = [dot.getBoundingClientRect(), dot.ownerSVGElement.getBoundingClientRect()];
          return here.left >= around.left && here.right <= around.right;
        })"""
    )
    assert dots == [True] * 5


def test_failures_that_say_nothing_do_not_bury_those_that_do(browser: Any, new_story: Any, tmp_path: Path) -> None:
    story, names = new_story(), [f"test_{number}" for number in range(9)]
    failed = {"outcome": "failed", "call_outcome": "failed", "failure": "AssertionError"}
    for day in range(20):  # each fails once in twenty runs
        story.session(
            day, {name: dict(failed) if number == day else 1.0 for number, name in enumerate(names)}, label="old"
        )
    story.session(21, {name: dict(failed) if name == "test_7" else 1.0 for name in names}, label="new")
    build.build(story.history(tmp_path / "a.db"), tmp_path / "site", build.Options())
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'site' / 'compare.html').as_uri()}#a=label:old&b=label:new")
    page.wait_for_selector("#failures table")
    shown = page.locator("#failures table").first.inner_text()
    assert "Failures in 9 tests" in page.inner_text("#failures h2")
    assert shown.splitlines()[1].startswith("test_7") or "test_7" in shown
    assert page.locator("#failures table").first.locator("tbody tr").count() == 5
    assert page.inner_text("#failures details summary") == "4 more, no more uneven than chance has it"
    page.click("#failures details summary")
    assert page.locator("#failures details tbody tr").count() == 4
    page.close()
