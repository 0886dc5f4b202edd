"""How soon a browser shows a site: first paint of the index, and a benchmark page of 12 traces over 365 days until it is drawn.

python .ci/page_speed.py    # needs Chromium and playwright; prints milliseconds, the median of five visits each
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from report_scale import crt, write_history
from screenshots import FLAGS

#: When the traces were painted and the page was free to answer, by its own clock; and how many they are.
DRAWN = """() => new Promise((resolve) => {
  const look = () => {
    const chart = document.querySelector('#charts .js-plotly-plot');
    if (!chart || !chart._fullData || !chart.querySelector('.scatterlayer .trace')) return setTimeout(look, 5);
    const traces = chart._fullData.filter((each) => each.meta.kind === 'points').length;
    requestAnimationFrame(() => setTimeout(() => resolve([performance.now(), traces]), 0));
  };
  look();
})"""
PAINTED = """() => new Promise((resolve) => {
  const look = () => {
    const [entry] = performance.getEntriesByName('first-contentful-paint');
    if (entry) resolve(entry.startTime); else setTimeout(look, 5);
  };
  look();
})"""


def visit(browser: Browser, page: Path, question: str) -> float | list[float]:
    """Open a page in a context of its own, which has nothing in its cache, and ask it something."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    try:
        view = context.new_page()
        view.goto(page.resolve().as_uri(), wait_until="commit")
        return view.evaluate(question)
    finally:
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=12)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--visits", type=int, default=5)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium here: apt-get install chromium")
    folder = Path(tempfile.mkdtemp(prefix="crt-pages-"))
    try:
        parameters = tuple(f"chunk-{2**number}" for number in range(given.traces))
        write_history(
            folder / "old.db",
            tests=20 * given.traces,
            runtimes=1,
            days=given.days,
            sessions_a_day=1,
            parameters=parameters,
        )
        crt(folder, "db", "import", "old.db")
        crt(folder, "report", "--out", "site")
        page = max((folder / "site" / "benchmark").glob("*.html"), key=lambda each: each.stat().st_size)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            visit(browser, page, DRAWN)  # the program itself comes from the disk once
            index = [visit(browser, folder / "site" / "index.html", PAINTED) for _ in range(given.visits)]
            paint = [visit(browser, page, PAINTED) for _ in range(given.visits)]
            drawn = [visit(browser, page, DRAWN) for _ in range(given.visits)]
            browser.close()
        print(f"index, first paint: {statistics.median(index):.0f} ms")
        print(f"benchmark page, first paint: {statistics.median(paint):.0f} ms")
        traces = drawn[0][1]
        milliseconds = statistics.median(each[0] for each in drawn)
        print(f"benchmark page, {traces:.0f} traces of {given.days} days drawn: {milliseconds:.0f} ms")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
