from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coiled_runtime_cli.core.record import Metric
from coiled_runtime_cli.report.build import Options, build
from coiled_runtime_cli.report.encode import data_file, script_json
from coiled_runtime_cli.report.figures.text import plain
from coiled_runtime_cli.report.groups import slug

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "line\nbreak\ttab\r\x00\x1b[31m",
    "\u202eright to left \u2028 \u2029 \ud800",
    "../../../etc/passwd",
    "CON .. %2e%2e/ #?&=",
    "ünïcödé 测试 🚀",
    "x" * 10_000,
    "<b>bold</b> & <a href='javascript:alert(1)'>link</a>",
)

#: The only tags and attributes with script in them that a page may have are the report's own.
_HANDLER = re.compile(r"^on", re.IGNORECASE)


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.bad: list[str] = []
        self.text: list[str] = []
        self._inside: list[str] = []
        self.feed(path.read_bytes().decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given)
        if tag in {"img", "iframe", "object", "embed", "base", "b"} and tag != "b":
            self.bad.append(f"<{tag}>")
        for name, value in attrs:
            leads = name in {"href", "src", "action", "formaction"}
            if _HANDLER.match(name) or (leads and (value or "").strip().lower().startswith("javascript:")):
                self.bad.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, new_story: Any) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    story = new_story()
    for day in range(20):
        for number, text in enumerate(HOSTILE):
            story.session(
                day + number / 100,
                {
                    f"test_{text}[{text}]": {
                        "duration": story.noisy(1.0 if day < 10 else 2.0),
                        "source": f'def f():\n    """{text}"""\n',
                        "metrics": (Metric(name=text, value=story.noisy(5.0), unit=text[:50]),),
                    },
                    f"test_failed {text}": {"outcome": "failed", "failure": text, "cluster_dump_url": text},
                },
                label=text[:200],
                dask=text[:100],
                suite=f"benchmarks/test_{number}.py",
                ci_url=text,
                command=(text,),
            )
    build(story.history(folder / "a.db"), folder / "site", Options(title=HOSTILE[0]))
    return folder / "site"


def test_names_that_are_markup_stay_text(site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        page = Page(path)
        assert not page.bad, f"{path.name}: {page.bad}"
        own = [each for each in page.scripts if each.get("src") or each.get("type") == "application/json"]
        assert own == page.scripts, f"{path.name}: a script that is not the report's own"
    assert "<script>alert(1)</script>" in "".join(Page(site / "index.html").text)


def test_no_file_leaves_the_folder_and_every_name_serves_everywhere(site: Path) -> None:
    files = [file.relative_to(site) for file in site.rglob("*") if file.is_file()]
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", file.as_posix()) for file in files)
    assert all(len(part) < 130 for file in files for part in file.parts)
    lower = [file.as_posix().lower() for file in files]
    assert len(set(lower)) == len(lower)
    assert len(list((site / "benchmark").iterdir())) == 2 * len(HOSTILE)


def test_every_data_file_is_one_call_with_json(site: Path) -> None:
    for path in (site / "data").rglob("*.js"):
        text = path.read_bytes().decode("ascii")
        assert text.startswith("crt.data(")
        assert text.endswith(");\n")
        assert "<" not in text
        name, payload = json.loads(f"[{text[len('crt.data(') : -3]}]")
        assert path == site / "data" / f"{name}.js"
        assert isinstance(payload, dict)


def test_the_feed_stays_xml(site: Path) -> None:
    feed = ET.parse(site / "feed.atom").getroot()
    titles = [each.text for each in feed.iter("{http://www.w3.org/2005/Atom}title")]
    assert any("<script>alert(1)</script>" in (title or "") for title in titles)


def test_only_addresses_of_the_web_become_links(site: Path) -> None:
    for path in site.rglob("*.html"):
        links = re.findall(r'href="([^"]*)"', path.read_text(encoding="utf-8"))
        strange = [each for each in links if re.match(r"[a-z]+:", each) and not re.match(r"(https?:|data:image)", each)]
        assert not strange


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300, 1e-300, None])
def test_values_that_are_no_durations_are_drawn_or_left_out(
    value: float | None, new_story: Any, tmp_path: Path
) -> None:
    story = new_story()
    for day in range(12):
        story.session(day, {"test_a": {"duration": value}, "test_b": 1.0})
    history = story.history(tmp_path / "a.db")
    build(history, tmp_path / "site", Options())
    page = (tmp_path / "site/benchmark/benchmarks.test_parquet.test_a.html").read_text()
    assert "test_a" in page
    for path in (tmp_path / "site").rglob("*.js"):
        if path.parent.name != "static":
            assert not re.search(r"[:,\[](NaN|-?Infinity)[,\]}]", path.read_text())


def test_a_series_of_one_point_has_a_page(new_story: Any, tmp_path: Path) -> None:
    story = new_story()
    story.session(0, {"test_a": 1.0})
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options())
    assert "1.00 s" in (tmp_path / "site/benchmark/benchmarks.test_parquet.test_a.html").read_text()
    index = (tmp_path / "site/index.html").read_text()
    assert "1 run so far" in index
    assert "has run eight times" in index


def test_a_history_without_runs_has_an_index(new_story: Any, tmp_path: Path) -> None:
    build(new_story().history(tmp_path / "a.db"), tmp_path / "site", Options())
    assert "No run is stored yet" in (tmp_path / "site/index.html").read_text()
    assert (tmp_path / "site/compare.html").is_file()


@given(st.text(max_size=300))
def test_a_slug_is_safe_and_tells_texts_apart(text: str) -> None:
    name = slug(text)
    assert re.fullmatch(r"[a-z0-9._-]+", name)
    assert not name.startswith(("-", "."))
    assert len(name) <= 69
    other = text + "!"
    assert slug(other) != name


@given(st.text())
def test_text_for_plotly_has_no_markup_of_its_own(text: str) -> None:
    shown = plain(text)
    assert not {"<", ">"} & set(shown)
    assert "\n" not in shown


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
@settings(max_examples=50)
def test_json_within_a_script_reads_back_and_cannot_end_it(value: Any) -> None:
    text = script_json(value)
    assert "<" not in text
    assert json.loads(text) == value
    assert data_file("a", value).decode("ascii").isascii()
