"""How long the site takes: from nothing, with nothing new, with a session more; beside asv; and until a browser shows it."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import statistics

import pytest

BUILD = ("report", "--out", "site")


def test_build(shape, history, crt, record_cost, record_metric):
    """`crt report` into an empty folder: budgets 60 s and 1.5 GiB for 1,000,000 runs."""
    folder = history(shape)
    cost = crt(*BUILD, folder=folder)
    record_cost(cost)
    record_metric("site", cost.told["bytes"], unit="B")
    record_metric("index", (folder / "site" / "index.html").stat().st_size, unit="B")
    assert cost.told["unchanged"] == 0
    assert (folder / "site" / "index.html").stat().st_size > 1000


def test_build_of_nothing_new(shape, history, crt, record_cost):
    """`crt report` once more: budget 5 s for 1,000,000 runs."""
    folder = history(shape)
    crt(*BUILD, folder=folder)  # here: what was read of a database is kept by its path
    cost = crt(*BUILD, folder=folder)
    record_cost(cost)
    assert cost.told["written"] == 0
    assert cost.told["unchanged"] > shape.tests


def test_build_of_a_session_more(shape, history, one_session_more, crt, record_cost, record_metric):
    """`crt report` after a session of 250 runs of other tests: only pages that it changes are written."""
    folder = history(shape)
    crt(*BUILD, folder=folder)
    one_session_more(folder)
    cost = crt(*BUILD, folder=folder)
    record_cost(cost)
    record_metric("written", cost.told["written"], unit="files")
    assert cost.told["written"] > 0


#: Processor time (s) that the predecessor's dashboard took for 274,000 runs, of which it drew the last 30 days.
PREDECESSOR = 306.0


def test_build_of_a_year(history, shape_of, crt, record_cost, record_metric, scale):
    """A year of 250 tests with three runtimes, 273,750 runs at full: budget a 30th of the predecessor's processor time."""
    tests, days = scale.count(smoke=10, laptop=250, full=250), scale.count(smoke=20, laptop=365, full=365)
    runtimes = scale.count(smoke=1, laptop=1, full=3)
    shape = shape_of(tests, days, runtimes)
    cost = crt(*BUILD, folder=history(shape))
    record_cost(cost)
    record_metric("ratio_to_predecessor", cost.processor / (PREDECESSOR * shape.runs / 273_750), unit="ratio")
    assert cost.told["unchanged"] == 0


ASV = "asv==0.6.6"


@pytest.fixture
def asv_project(tmp_path, repository):
    """``asv_project(tests, days)``: a folder with what asv publishes: a commit a day, and a result of each test for it."""

    def make(tests, days):
        folder = tmp_path / "asv"
        results = folder / "results" / "machine"
        results.mkdir(parents=True)
        commits = repository(folder / "repo", [{"file": f"day {day}"} for day in range(days)])
        machine = {"arch": "x86_64", "cpu": "any", "machine": "machine", "num_cpu": "2", "os": "linux", "ram": "any"}
        settings = {"version": 1, "project": "history", "repo": "repo", "branches": ["main"], "results_dir": "results"}
        settings |= {"environment_type": "virtualenv", "html_dir": "html", "show_commit_url": "#"}
        (folder / "asv.conf.json").write_text(json.dumps(settings))
        (results / "machine.json").write_text(json.dumps({**machine, "version": 1}))
        names = [f"file_{number // 15}.test_{number}" for number in range(tests)]
        about = {"code": "", "param_names": [], "params": [], "type": "time", "unit": "seconds", "version": "1"}
        known = {name: {**about, "name": name} for name in names}
        (results.parent / "benchmarks.json").write_text(json.dumps({**known, "version": 2}))
        seeded = random.Random(0)
        levels = [(seeded.uniform(1, 60), seeded.uniform(0.03, 0.08)) for _ in names]
        steps = [seeded.randrange(days) if seeded.random() < 1 / 6 else days for _ in names]
        columns = ["result", "params", "version", "started_at", "duration"]
        for day, commit in enumerate(commits):
            moment = 1000 * (1_700_000_000 + 86_400 * day)
            rows = {}
            for name, (level, cv), step in zip(names, levels, steps, strict=True):
                value = level * (1.5 if day >= step else 1) * seeded.lognormvariate(0, cv)
                rows[name] = [[value], [], "1", moment, 1.0]
            document = {"commit_hash": commit, "env_name": "virtualenv-py3.11", "date": moment, "python": "3.11"}
            document |= {"params": {**machine, "python": "3.11"}, "requirements": {}, "env_vars": {}, "durations": {}}
            document |= {"result_columns": columns, "results": rows, "version": 2}
            (results / f"{commit[:8]}-virtualenv-py3.11.json").write_text(json.dumps(document))
        return folder

    return make


def test_build_beside_asv_publish(
    asv_project, history, shape_of, alternate, run, crt, peer, record_cost, record_metric, record_ratio, scale
):
    """As many tests with a run a day, by `crt report` and by `asv publish` in turn: budget a third of its processor time."""
    asv = peer(ASV)
    tests, days = scale.count(smoke=20, laptop=250, full=250), scale.count(smoke=30, laptop=365, full=365)
    project, ours = asv_project(tests, days), history(shape_of(tests, days))

    turn = itertools.count()

    def away(site):
        """Sites stay until the end: ext4 looks for room among inodes just freed, and the next build would pay for that."""
        if site.exists():
            site.rename(site.with_name(f"{site.name}-{next(turn)}"))

    def publish():
        away(project / "html")
        return run([asv, "-m", "asv", "publish"], project)

    def report():
        away(ours / "site")
        return crt(*BUILD, folder=ours)

    arms = {"asv": publish, "crt": report}
    rounds = scale.count(smoke=1, laptop=3, full=5)
    found = alternate(arms, rounds)
    record_cost(found["crt"][-1])
    assert (project / "html" / "index.json").stat().st_size > 0
    assert len(json.loads((project / "html" / "index.json").read_text())["benchmarks"]) == tests
    record_metric("elapsed_of_asv", statistics.median(each.elapsed for each in found["asv"]), unit="s")
    elapsed, processor = (
        {name: [getattr(each, what) for each in costs] for name, costs in found.items()}
        for what in ("elapsed", "processor")
    )
    record_ratio("ratio_to_asv", elapsed["crt"], elapsed["asv"])
    record_ratio("processor_ratio_to_asv", processor["crt"], processor["asv"])


#: When the page was first painted, by its own clock (ms).
PAINTED = """() => new Promise((resolve) => {
  const look = () => {
    const [entry] = performance.getEntriesByName('first-contentful-paint');
    if (entry) resolve(entry.startTime); else setTimeout(look, 5);
  };
  look();
})"""

#: When the traces of its chart were painted and the page was free to answer (ms), and how many they are.
DRAWN = """() => new Promise((resolve) => {
  const look = () => {
    const chart = document.querySelector('#charts .js-plotly-plot');
    if (!chart || !chart._fullData || !chart.querySelector('.scatterlayer .trace')) return setTimeout(look, 5);
    const traces = chart._fullData.filter((each) => each.meta.kind === 'points').length;
    requestAnimationFrame(() => setTimeout(() => resolve([performance.now(), traces]), 0));
  };
  look();
})"""

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def test_first_paint(history_of, shape_of, crt, record_metric, measured, scale):
    """The index and the page of a benchmark with 12 traces in a browser, from the disk: budgets 1 s, and no request at all."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="a browser is driven by playwright: pip install playwright"
    )
    browsers = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program = next((each for each in browsers if each), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    traces, days = 12, scale.count(smoke=10, laptop=365, full=365)
    parameters = [f"chunk-{number}" for number in range(traces)]
    shape = shape_of(scale.count(smoke=1, laptop=20, full=20) * traces, days)
    folder = history_of(shape, parameters)
    crt(*BUILD, folder=folder)
    index = folder / "site" / "index.html"
    page = max((folder / "site" / "benchmark").glob("*.html"), key=lambda each: each.stat().st_size)
    asked = []

    def visit(browser, file, question):
        context = browser.new_context(viewport={"width": 1200, "height": 900})  # with nothing in its cache
        try:
            view = context.new_page()
            view.on("request", lambda request: asked.append(request.url))
            view.goto(file.resolve().as_uri(), wait_until="commit")
            return view.evaluate(question)
        finally:
            context.close()

    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=QUIET)
        visit(browser, page, DRAWN)  # the program itself comes from the disk once
        visits = scale.count(smoke=1, laptop=5, full=9)
        painted = [visit(browser, index, PAINTED) for _ in range(visits)]
        with measured():
            drawn = [visit(browser, page, DRAWN) for _ in range(visits)]
        browser.close()
    record_metric("first_paint", statistics.median(painted) / 1000, unit="s")
    record_metric("charts_drawn", statistics.median(each[0] for each in drawn) / 1000, unit="s")
    assert drawn[0][1] == traces
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
