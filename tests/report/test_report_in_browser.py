"""The site in a headless Chromium, over file://: what a person does with it."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core.bisection import Bisection, Candidate, Effect, Probe
from coiled_runtime_cli.db.bisections import store
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.report.build import Options, build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: What Chromium says of its own drawing, not of the page.
_OWN = ("GL Driver Message", "WebGL", "GPU stall")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, regression: Any) -> Path:
    folder = tmp_path_factory.mktemp("a site with spaces")
    story = regression()
    for day in range(40):
        tests = {"test_read[tasks]": story.noisy(2.0), "test_read[p2p]": story.noisy(1.2)}
        story.session(day + 0.3, tests, label="0.1.0")
        engines = {"tpch/test_dask.py": 2.0, "tpch/test_duckdb.py": 1.0}
        if day > 36:
            for path, level in engines.items():
                story.session(day + 0.5, {f"test_query_{n:02d}": story.noisy(level * n) for n in (1, 2, 3)}, suite=path)
    engine = open_database(story.database(folder / "a.db"))
    candidates = tuple(Candidate(name=f"{n:040x}", subject=f"commit {n}", probability=float(n == 5)) for n in range(9))
    probes = tuple(
        Probe(candidate=n, outcome="measured", value=1.0 + (n >= 5) * 0.5 + 0.01 * n, at=1.8e9 + n) for n in range(9)
    )
    store(
        engine,
        Bisection(
            id="b1",
            started=1.8e9,
            ended=1.8e9 + 900,
            status="found",
            repository="dask",
            benchmark="benchmarks/test_parquet.py::test_read[p2p]",
            candidates=candidates,
            probes=probes,
            culprit=5,
            confidence=0.995,
            effect=Effect(ratio=1.5, low=1.4, high=1.6),
        ),
    )
    history = read_history([engine])
    engine.dispose()
    build(history, folder / "site", Options(title="Nightly", baseline="0.1.0"))
    return folder / "site"


class Visit:
    """A page that is looked at, and what it asked for and complained of."""

    def __init__(self, browser: Any, width: int = 1200, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", offline=True
        )
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _listen(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not any(own in message.text for own in _OWN):
            self.errors.append(message.text)

    def goto(self, path: Path, state: str = "") -> Any:
        self.page.goto(path.as_uri() + state)
        return self.page


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    visits: list[Visit] = []

    def start(**options: Any) -> Visit:
        visits.append(Visit(chromium, **options))
        return visits[-1]

    yield start
    for each in visits:
        each.context.close()
        assert not each.errors
        assert all(url.startswith(("file://", "data:", "blob:")) for url in each.requests)


def benchmark(site: Path, name: str = "test_read") -> Path:
    return site / "benchmark" / f"benchmarks.test_parquet.{name}.html"


def drawn(page: Any) -> None:
    page.wait_for_selector("#charts .js-plotly-plot .scatterlayer .trace")


def test_the_index_shows_the_change_at_once_without_plotly(visit: Any, site: Path) -> None:
    there = visit()
    page = there.goto(site / "index.html")
    assert "1 regression" in page.inner_text("h1")
    change = page.locator(".change").first
    assert "test_read[p2p]" in change.inner_text()
    assert "dask 2026.8.0 → 2026.9.0" in change.inner_text()
    assert not any("plotly" in url for url in there.requests)
    assert sum(len((site / name).read_bytes()) for name in ("index.html", "static/crt.js", "static/crt.css")) < 300_000
    # Chromium notes the paint a moment after the page has loaded, on a busy machine later than the lines above.
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length === 1")


def test_from_the_change_to_the_run_behind_it_in_three_clicks(visit: Any, site: Path) -> None:
    page = visit().goto(site / "index.html")
    page.click(".change .name >> nth=0")
    panel = page.locator("dialog#run[open]")
    panel.wait_for()
    page.wait_for_selector("#run h3:has-text('Since the run before')")
    text = panel.inner_text()
    assert "test_read[p2p]" in text
    assert "2026.8.0" in text
    assert "2026.9.0" in text
    assert panel.locator("a[href='https://github.com/dask/dask/compare/2026.8.0...2026.9.0']").count() == 1
    assert "8 cores" in text or "cores" in text
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert "run=" not in page.url


def test_a_click_on_a_point_opens_its_run_and_its_address_opens_it_again(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site))
    drawn(page)
    place = page.evaluate(
        """() => {
          const chart = document.querySelector('#charts .js-plotly-plot');
          const trace = chart._fullData.findIndex((each) => each.meta.kind === 'points');
          const layout = chart._fullLayout, box = chart.getBoundingClientRect();
          const x = layout.xaxis.d2p(chart._fullData[trace].x[7]), y = layout.yaxis.d2p(chart._fullData[trace].y[7]);
          return [box.left + layout._size.l + x, box.top + layout.yaxis._offset + y];
        }"""
    )
    page.mouse.move(*place)
    page.wait_for_selector("#hover:not([hidden])")
    hover = page.inner_text("#hover")
    assert "dask 2026." in hover
    assert "UTC" in hover
    page.mouse.click(*place)
    page.wait_for_selector("dialog#run[open] h3")
    title, address = page.inner_text("#run-title"), page.url
    assert "run=" in address
    again = visit().page
    again.goto(address)
    again.wait_for_selector("dialog#run[open] h3")
    assert again.inner_text("#run-title") == title


def test_a_long_history_comes_in_parts_and_is_one(
    visit: Any, regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coiled_runtime_cli.report.datafiles._STEP", 16)
    history = regression().history(tmp_path / "a.db")
    build(history, tmp_path / "site", Options())
    site, row = tmp_path / "site", history.runs.outcome.argmax()  # the first that failed: in an older part
    address = f"#run={uuid.UUID(bytes=history.runs.uuid[row].tobytes())}"
    there = visit()
    page = there.goto(benchmark(site, "test_write"), address)
    page.wait_for_selector("#run pre")
    assert "assert 1 == 2" in page.inner_text("#run pre")
    assert "2026-09-01" in page.inner_text("#run")
    assert sum(".before.js" in url for url in there.requests) == 2
    page.keyboard.press("Escape")
    drawn(page)
    kinds = page.evaluate(
        "document.querySelector('#charts .js-plotly-plot').data.map((e) => [e.meta.kind, e.x.length])"
    )
    assert ["failed", 5] in kinds
    assert ["points", 35] in kinds
    # the newest run is in the other part; the one before it is compared with it across them
    page.goto((benchmark(site)).as_uri() + f"#run={uuid.UUID(bytes=history.runs.uuid[-2].tobytes())}")
    page.wait_for_selector("#run h3:has-text('Since the run before')")
    assert "The same environment" in page.inner_text("#run")


def test_one_switch_changes_every_chart_and_the_next_page(visit: Any, site: Path) -> None:
    there = visit()
    page = there.goto(benchmark(site))
    drawn(page)
    assert page.inner_text("figcaption") == "Duration"
    page.select_option("#metric", "peak_memory")
    page.wait_for_function("document.querySelector('figcaption')?.textContent === 'Peak memory'")
    assert "metric=peak_memory" in page.url
    page.reload()
    drawn(page)
    assert page.inner_text("figcaption") == "Peak memory"
    page.click("#all-metrics")
    page.wait_for_function("document.querySelectorAll('figcaption').length > 3")


def test_traces_and_runtimes_are_switched_on_and_off(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site))
    drawn(page)

    def points() -> int:
        count = "document.querySelector('#charts .js-plotly-plot').data.filter((each) => each.meta.kind === 'points').length"
        return int(page.evaluate(count))

    assert points() == 2
    page.click("#traces .chip:has-text('p2p')")
    page.wait_for_function(
        "document.querySelector('#charts .js-plotly-plot')?.data?.filter((e) => e.meta.kind === 'points').length === 1"
    )
    page.click("#runtimes .chip >> nth=1")
    page.wait_for_function(
        "document.querySelector('#charts .js-plotly-plot')?.data?.filter((e) => e.meta.kind === 'points').length === 2"
    )
    assert "hide=p2p" in page.url
    assert "runtime=" in page.url


def test_a_logarithmic_scale_is_in_the_address(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site))
    drawn(page)
    page.click("#logarithmic")
    kind = "document.querySelector('#charts .js-plotly-plot')?._fullLayout?.yaxis?.type"
    page.wait_for_function(f"{kind} === 'log'")
    assert "scale=log" in page.url
    page.reload()
    drawn(page)
    assert page.evaluate(kind) == "log"
    assert page.get_attribute("#logarithmic", "aria-pressed") == "true"
    page.click("#logarithmic")
    page.wait_for_function(f"{kind} === 'linear'")
    assert "scale" not in page.url


def test_the_time_that_is_shown_is_in_the_address(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site))
    drawn(page)
    page.click("#ranges button:has-text('30 days')")
    page.wait_for_function("location.hash.includes('from=')")
    first = page.evaluate("document.querySelector('#charts .js-plotly-plot').layout.xaxis.range[0]")
    assert str(first).startswith("2026-09-1")


def test_a_failed_run_is_a_cross_with_its_text(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site, "test_write"))
    drawn(page)
    kinds = page.evaluate(
        "document.querySelector('#charts .js-plotly-plot').data.map((e) => [e.meta.kind, e.x.length])"
    )
    assert ["failed", 5] in kinds
    page.click("#runs summary")
    page.click("#runs-table tr:has-text('failed') button >> nth=0")
    page.wait_for_selector("#run pre")
    assert "assert 1 == 2" in page.inner_text("#run pre")


def test_the_keyboard_goes_from_run_to_run(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site))
    drawn(page)
    page.focus("#charts .chart")
    page.keyboard.press("ArrowLeft")
    last = page.inner_text("#hover")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#hover") != last
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog#run[open] h3")


def test_search_finds_by_keyboard_alone(visit: Any, site: Path) -> None:
    page = visit().goto(site / "index.html")
    page.keyboard.press("/")
    page.keyboard.type("read p2")
    page.wait_for_selector("#found [role=option]")
    assert "test_read[p2p]" in page.inner_text("#found")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/benchmarks.test_parquet.test_read.html**")
    drawn(page)
    shown = page.evaluate(
        "document.querySelector('#charts .js-plotly-plot')?.data?.filter((e) => e.meta.kind === 'level').map((e) => e.name)"
    )
    assert shown == ["p2p"]
    for words, kind in (("2026.9", "version"), ("peak", "metric"), ("parquet", "suite")):
        page.fill("#search", words)
        page.wait_for_selector(f"#found .found-more:has-text('{kind}')")


def test_filters_of_the_index_are_kept_in_the_address(visit: Any, site: Path) -> None:
    page = visit().goto(site / "index.html")
    page.select_option("select[name=kind]", "improvement")
    assert page.locator(".change:visible").count() == 0
    assert "kind=improvement" in page.url
    page.reload()
    assert page.locator(".change:visible").count() == 0
    page.select_option("select[name=kind]", "")
    assert page.locator(".change:visible").count() >= 1


def test_a_table_is_sorted_copied_and_saved(visit: Any, site: Path) -> None:
    page = visit().goto(site / "suite" / "benchmarks.test_parquet.html")
    first = "document.querySelector('tbody th').textContent"
    page.click("th button:has-text('Duration')")
    assert page.evaluate(first) == "test_read"
    page.click("th button:has-text('Duration')")
    assert page.evaluate(first) == "test_write"
    assert page.get_attribute("th:has-text('Duration')", "aria-sort") == "descending"
    with page.expect_download() as download:
        page.click("button:has-text('CSV')")
    text = download.value.path().read_text()
    assert text.splitlines()[0].startswith("Test,")
    assert text.splitlines()[1].startswith("test_write,")


def test_dark_is_dark_and_stays_chosen(visit: Any, site: Path) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page = visit(scheme="dark").goto(site / "index.html")
    assert page.evaluate(ground) == "rgb(17, 22, 29)"
    light = visit().goto(site / "index.html")
    assert light.evaluate(ground) == "rgb(255, 255, 255)"
    light.click("#theme")
    light.click("#theme")
    assert light.evaluate(ground) == "rgb(17, 22, 29)"
    light.reload()
    assert light.evaluate(ground) == "rgb(17, 22, 29)"


def test_a_run_that_is_not_there_is_said_politely(visit: Any, site: Path) -> None:
    page = visit().goto(benchmark(site), "#run=00000000-0000-0000-0000-000000000000")
    page.wait_for_selector(".complaint")
    assert "no run 00000000" in page.inner_text(".complaint")


def test_one_file_does_what_the_folder_does(visit: Any, regression: Any, tmp_path: Path) -> None:
    from coiled_runtime_cli.report.single import single_page

    history = regression().history(tmp_path / "a.db")
    (tmp_path / "one file.html").write_bytes(single_page(history, Options(), lambda *_: None))
    there = visit()
    page = there.goto(tmp_path / "one file.html")
    assert "1 regression" in page.inner_text("h1")
    page.click(".change .name >> nth=0")
    page.wait_for_selector("dialog#run[open] h3:has-text('Since the run before')")
    page.keyboard.press("Escape")
    drawn(page)
    page.click("nav a:has-text('Compare')")
    page.wait_for_selector("h1:has-text('Compare')")
    page.go_back()
    page.wait_for_selector("h1:has-text('test_read')")
    page.fill("#search", "write")
    page.click("#found [role=option] >> nth=0")
    page.wait_for_selector("h1:has-text('test_write')")
    assert all(url.startswith(("file://", "data:", "blob:")) for url in there.requests)
    assert sum(url.startswith("file://") for url in there.requests) == 1


PAGES = (
    "index.html",
    "suite/benchmarks.test_parquet.html",
    "benchmark/benchmarks.test_parquet.test_read.html",
    "compare.html",
    "bars.html",
    "tpch.html",
    "bisect",
)


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1200, "dark"),
        (400, "light"),
        pytest.param(1200, "light", marks=pytest.mark.slow),
        pytest.param(400, "dark", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_fits(name: str, width: int, scheme: str, visit: Any, site: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    path = next((site / "bisect").iterdir()) if name == "bisect" else site / name
    page = visit(width=width, scheme=scheme).goto(path)
    page.wait_for_load_state("load")
    if name != "index.html" and not name.startswith("suite"):
        page.wait_for_selector(".js-plotly-plot .main-svg")
    found = axe.run(page, options={"preload": False}).response["violations"]
    assert not [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    headings = page.eval_on_selector_all("h1", "all => all.length")
    assert headings == 1


def test_artefacts_are_links_where_the_page_may_open_them(visit: Any, new_story: Any, tmp_path: Path) -> None:
    story = new_story()
    kept = {
        "performance_report_url": "file:///home/me/a%20b/performance-report.html",
        "cluster_dump_url": "https://example.org/dump",
        "memray_profiles_url": "s3://team/kept/memray/",
        "py_spy_profiles_url": "javascript:alert(1)",
    }
    for day in range(3):
        story.session(day, {"test_read": {"duration": 1.0, "profiled": True, **kept}})
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options())
    page = visit().goto(benchmark(tmp_path / "site"))
    page.click("#runs summary")
    page.click("#runs-table tr:has-text('profiled') button >> nth=0")
    page.wait_for_selector("#run li")
    links = page.evaluate("[...document.querySelectorAll('#run li a')].map((each) => each.getAttribute('href'))")
    assert set(links) == {kept["performance_report_url"], kept["cluster_dump_url"]}
    text = page.inner_text("#run")
    assert "profiled, so no part of any level" in text
    assert all(url in text for url in kept.values())


@pytest.mark.parametrize("runs", [1, 2])
def test_where_the_time_went_is_seen_from_the_first_run_on(
    runs: int, visit: Any, new_story: Any, tmp_path: Path
) -> None:
    story = new_story()
    for day in range(runs):
        measured = {"duration": 1.0, "compute_time": 2.0, "transfer_time": 0.5, "serializing_time": 0.0}
        story.session(day, {"test_read": measured, "test_write": {"outcome": "failed", "call_outcome": "failed"}})
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options())
    page = visit().goto(benchmark(tmp_path / "site"))
    drawing = "#phase-chart .barlayer path" if runs == 1 else "#phase-chart .scatterlayer .js-fill"
    page.wait_for_selector(drawing)
    boxes = page.eval_on_selector_all(
        drawing,
        "all => all.map((each) => { const box = each.getBoundingClientRect(); return box.width * box.height; })",
    )
    assert sum(area > 1000 for area in boxes) == 2


def test_one_run_that_was_measured_among_others_is_seen(visit: Any, new_story: Any, tmp_path: Path) -> None:
    story = new_story()
    story.session(0, {"test_read": 1.0})
    story.session(1, {"test_read": {"duration": 1.0, "compute_time": 2.0, "transfer_time": 0.5}})
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options())
    page = visit().goto(benchmark(tmp_path / "site"))
    points = "#phase-chart .scatterlayer .points path"
    page.wait_for_selector(points)
    heights = page.eval_on_selector_all(points, "all => all.map((each) => each.getBoundingClientRect().top)")
    # compute, transfer on top of it, and nothing of the other run
    assert len({round(height) for height in heights}) == 3


def test_a_narrow_column_breaks_a_name_after_its_punctuation(visit: Any, new_story: Any, tmp_path: Path) -> None:
    story = new_story()
    for day in range(3):
        tests = {"test_read_hive_partitioned_data": 1.0, "test_<b>_&amp;_x": 1.0}
        story.session(day, tests, suite="benchmarks/test_work_stealing.py")
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options())
    there = visit(width=400)
    page = there.goto(next((tmp_path / "site" / "suite").iterdir()))
    names = page.locator("tbody th a")
    assert names.all_text_contents() == ["test_<b>_&amp;_x", "test_read_hive_partitioned_data"]
    # A range over each piece between two punctuation marks: one that is on two lines has two rectangles.
    broken = """all => all.flatMap((link) => [...link.childNodes].filter((each) => each.nodeType === 3).map((piece) => {
        const range = document.createRange();
        range.selectNodeContents(piece);
        return range.getClientRects().length;
    }))"""
    assert set(page.eval_on_selector_all("tbody th a", broken)) == {1}
    assert page.locator("tbody th b").count() == 0
    page = there.goto(tmp_path / "site" / "index.html")
    assert set(page.eval_on_selector_all("tbody th a", broken)) == {1}
