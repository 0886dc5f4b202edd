"""Names and texts that are markup or script, in a real browser: nothing of theirs runs, and nothing is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.core.bisection import Bisection, Candidate, Probe
from coiled_runtime_cli.core.record import Metric
from coiled_runtime_cli.db.bisections import store
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.report.build import Options, build

sys.path.insert(0, str(Path(__file__).parent))
from test_report_in_browser import Visit, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["chromium"]

#: Each would set ``pwned`` or ask a server, were it taken for more than text.
MARKUP = (
    "<script>pwned=1</script>",
    "</script><script>pwned=1</script>",
    '"><img src="https://pwned.invalid/x.png" onerror="pwned=1">',
    "'><svg onload=pwned=1>",
    "<a href='javascript:pwned=1'>x</a>",
    "javascript:pwned=1",
    "{{ constructor.constructor('pwned=1')() }}",
    "${pwned=1}",
    "<style>@import 'https://pwned.invalid/x.css'</style>",
    "\u202e<b onmouseover=pwned=1>",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, new_story: Any) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    story = new_story()
    for day in range(12):
        for number, text in enumerate(MARKUP):
            level = 1.0 if day < 6 else 2.0
            story.session(
                day + number / 100,
                {
                    f"test_{number}[{text}]": {
                        "duration": story.noisy(level),
                        "source": f'def f():\n    """{text}"""\n',
                        "metrics": (Metric(name=text, value=story.noisy(5.0), unit=text[:30]),),
                    },
                    f"test_failed_{number}": {"outcome": "failed", "failure": text, "cluster_dump_url": text},
                },
                label=text[:200],
                dask=text[:100],
                ci_url=text,
                command=(text,),
            )
    engine = open_database(story.database(folder / "a.db"))
    store(
        engine,
        Bisection(
            id="b1",
            started=1.8e9,
            ended=1.8e9 + 9,
            status="found",
            repository=MARKUP[0],
            benchmark=f"benchmarks/test_parquet.py::test_0[{MARKUP[0]}]",
            candidates=tuple(
                Candidate(name=f"{n:040x}", subject=text, probability=float(n == 1)) for n, text in enumerate(MARKUP)
            ),
            probes=tuple(Probe(candidate=n, outcome="failed", message=text, at=1.8e9) for n, text in enumerate(MARKUP)),
            culprit=1,
            confidence=0.99,
        ),
    )
    history = read_history([engine])
    engine.dispose()
    build(history, folder / "site", Options(title=MARKUP[0]))
    return folder / "site"


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visit]:
    started = Visit(chromium)
    yield started
    started.context.close()


def test_no_page_runs_or_asks_for_anything_that_a_name_says(visit: Visit, site: Path) -> None:
    dialogs: list[str] = []
    visit.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    pages = sorted(site.rglob("*.html"))
    others = [each for each in pages if each.parent != site]
    # all of the first level, and of each folder the first and the last
    folders = {each.parent: each for each in others} | {(each.parent, 0): each for each in reversed(others)}
    chosen = sorted({*(each for each in pages if each.parent == site), *folders.values()})
    assert {each.parent.name for each in chosen} >= {"site", "benchmark"}
    for path in chosen:
        page = visit.goto(path)
        page.wait_for_load_state("load")
        for selector in ("details:not([open]) > summary", "[role=tab]"):
            for element in page.query_selector_all(selector)[:5]:
                if element.is_visible():
                    element.click()
        assert page.evaluate("typeof window.pwned") == "undefined", path.name
        assert (
            page.evaluate("document.querySelectorAll('[onerror],[onload],[onmouseover],a[href^=javascript]').length")
            == 0
        )
    assert dialogs == []
    assert not [url for url in visit.requests if not url.startswith(("file://", "data:", "blob:"))]
    assert not [each for each in visit.errors if "pwned" in each]
