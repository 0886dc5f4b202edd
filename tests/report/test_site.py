from __future__ import annotations

import base64
import errno
import json
import os
import random
import signal
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.report import build as builder
from coiled_runtime_cli.report import folder
from coiled_runtime_cli.report.build import Options, build


def tree(site: Path) -> dict[str, bytes]:
    return {file.relative_to(site).as_posix(): file.read_bytes() for file in sorted(site.rglob("*")) if file.is_file()}


class Links(HTMLParser):
    """What a page refers to in its own folder, and the JSON that it carries."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.local: list[Path] = []
        self.json: dict[str, str] = {}
        self._page = page
        self._script: str | None = None
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._script = given.get("id") if tag == "script" and given.get("type") == "application/json" else None
        for name in ("href", "src"):
            address = urlsplit(given.get(name) or "")
            if address.path and not address.scheme and not address.netloc:
                self.local.append((self._page.parent / unquote(address.path)).resolve())

    def handle_data(self, data: str) -> None:
        if self._script:
            self.json[self._script] = self.json.get(self._script, "") + data


def assert_whole(site: Path) -> None:
    """Every page is there with everything that it refers to, and so are the data that it will ask for."""
    pages = sorted(site.rglob("*.html"))
    assert (site / "index.html") in pages
    for page in pages:
        links = Links(page)
        missing = [str(each) for each in links.local if not each.is_file()]
        assert not missing, f"{page}: {missing}"
        if "page" in links.json and page.parent.name == "benchmark":
            document = json.loads(links.json["page"])
            names = [document["figures"], *(unit["name"] for unit in document["units"])]
            names += [f"r/{unit['name'].removeprefix('b/')}" for unit in document["units"]]
            assert all((site / "data" / f"{name}.js").is_file() for name in names)


def test_the_same_history_gives_the_same_bytes(regression: Any, tmp_path: Path) -> None:
    story = regression()
    first = story.history(tmp_path / "a.db")
    random.Random(3).shuffle(story.lines)  # told in another order, into another file
    second = story.history(tmp_path / "b.db")
    build(first, tmp_path / "one", Options())
    build(second, tmp_path / "two", Options())
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert_whole(tmp_path / "one")


def test_a_second_build_writes_nothing(regression: Any, tmp_path: Path) -> None:
    history = regression().history(tmp_path / "a.db")
    first = build(history, tmp_path / "site", Options())
    before = {name: (tmp_path / "site" / name).stat().st_mtime_ns for name in tree(tmp_path / "site")}
    second = build(history, tmp_path / "site", Options())
    assert first.written > 20
    assert (second.written, second.unchanged, second.removed) == (0, first.written, 0)
    after = {name: (tmp_path / "site" / name).stat().st_mtime_ns for name in tree(tmp_path / "site")}
    assert {name for name in after if after[name] != before[name]} == {"manifest.json"}


def test_a_site_that_grew_equals_one_that_was_built_at_once(regression: Any, tmp_path: Path) -> None:
    story = regression()
    build(story.history(tmp_path / "a.db"), tmp_path / "grown", Options())
    story.session(41, {"test_write": 5.0}, dask="2026.9.0")
    story.session(
        42, {"test_new": {"duration": 1.0, "path": "benchmarks/test_array.py"}}, dask="2026.9.1", label="other"
    )
    history = story.history(tmp_path / "b.db")
    grown = build(history, tmp_path / "grown", Options())
    build(history, tmp_path / "new", Options())
    assert tree(tmp_path / "grown") == tree(tmp_path / "new")
    assert grown.unchanged > 5


def payload(file: Path) -> Any:
    """What a data file hands to the page."""
    return json.loads(file.read_text().partition(",")[2].rstrip().removesuffix(");"))


def test_a_session_more_leaves_the_older_runs_of_a_unit_where_they_are(
    regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coiled_runtime_cli.report.datafiles._STEP", 32)
    story = regression()
    build(story.history(tmp_path / "a.db"), tmp_path / "grown", Options())
    older = sorted((tmp_path / "grown" / "data").rglob("*.before.js"))
    assert len(older) == 4
    with monkeypatch.context() as nothing_new:
        nothing_new.setattr("coiled_runtime_cli.report.pages.Pages.figures", None)
        nothing_new.setattr("coiled_runtime_cli.report.digest.digest_units", lambda *_: [])
        assert build(story.history(tmp_path / "a.db"), tmp_path / "grown", Options()).written == 0
    before = [file.stat().st_mtime_ns for file in older]
    story.session(41, {"test_read[p2p]": 1.5, "test_read[tasks]": 2.0, "test_write": 5.0}, dask="2026.9.0")
    history = story.history(tmp_path / "b.db")
    build(history, tmp_path / "grown", Options())
    assert [file.stat().st_mtime_ns for file in older] == before
    build(history, tmp_path / "new", Options())
    assert tree(tmp_path / "grown") == tree(tmp_path / "new")
    # each run is in one of the two files; the series of the older ones are those of the newer
    uuids = []
    for file in (tmp_path / "new" / "data" / "r").rglob("*.js"):
        raw = base64.b64decode(payload(file)["uuid"]["b"])
        uuids += [raw[place : place + 16] for place in range(0, len(raw), 16)]
        other = payload(tmp_path / "new" / "data" / "b" / file.relative_to(tmp_path / "new" / "data" / "r"))
        assert [each["trace"] for each in other["series"]] in (["p2p", "tasks"], ["test_write"])
    assert len(uuids) == len(set(uuids)) == len(history.runs)


def test_what_the_history_has_no_more_is_removed_and_nothing_else(
    regression: Any, new_story: Any, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    build(regression().history(tmp_path / "a.db"), site, Options())
    (site / "CNAME").write_text("example.org")
    story = new_story(1)
    story.session(0, {"test_other": 1.0})
    written = build(story.history(tmp_path / "b.db"), site, Options())
    assert written.removed > 5
    assert [page.name for page in (site / "benchmark").iterdir()] == ["benchmarks.test_parquet.test_other.html"]
    assert (site / "CNAME").read_text() == "example.org"
    assert_whole(site)


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_build_that_fails_leaves_the_old_site(
    fault: BaseException, regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    story = regression()
    build(story.history(tmp_path / "a.db"), site, Options())
    before = tree(site)
    story.session(50, {"test_read[tasks]": 9.0})
    history = story.history(tmp_path / "b.db")
    put, done = folder.Folder.put, [0]

    def failing(self: folder.Folder, name: str, content: bytes) -> None:
        done[0] += 1
        if done[0] == 12:
            raise fault
        put(self, name, content)

    monkeypatch.setattr(folder.Folder, "put", failing)
    wanted = ToolError if isinstance(fault, OSError) else type(fault)
    with pytest.raises(wanted):
        build(history, site, Options())
    assert tree(site) == before
    assert not list(site.glob(".crt-*"))
    monkeypatch.undo()
    build(history, site, Options())
    assert tree(site) != before


def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with folder_error(tmp_path / "site", ToolError, "No space left on device") as error:
        assert "make room" in error.hint


class folder_error:  # noqa: N801 - reads as a verb
    """Writing a file into the folder fails so."""

    def __init__(self, path: Path, kind: type[Exception], text: str) -> None:
        self.path, self.kind, self.text = path, kind, text

    def __enter__(self) -> Any:
        with pytest.raises(self.kind, match=self.text) as caught, folder.building(self.path) as site:
            site.put("index.html", b"text")
        return caught.value

    def __exit__(self, *_: object) -> None: ...


def test_a_folder_with_somebody_elses_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with folder_error(tmp_path, UsageError, "did not write"):
        pass
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "compare.html",
        "feed.atom",
        "benchmark/benchmarks.test_parquet.test_read.html",
        "data/search.js",
        "static/crt.css",
        "manifest.json",
    ],
)
def test_a_file_of_somebody_else_under_a_name_of_the_site_is_refused(
    name: str, regression: Any, tmp_path: Path
) -> None:
    history = regression(days=3).history(tmp_path / "a.db")
    site = tmp_path / "docs"
    (site / name).parent.mkdir(parents=True)
    (site / name).write_text('{"name": "mine"}')
    with pytest.raises(UsageError, match=f"did not write: {name}"):
        build(history, site, Options())
    assert tree(site) == {name: b'{"name": "mine"}'}
    (site / name).unlink()
    build(history, site, Options())
    assert_whole(site)


def test_folders_and_files_in_each_others_place_are_refused_before_anything_is_moved(
    regression: Any, tmp_path: Path
) -> None:
    history = regression(days=3).history(tmp_path / "a.db")
    (tmp_path / "one" / "feed.atom").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"did not write: feed\.atom"):
        build(history, tmp_path / "one", Options())
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "suite").write_text("mine")
    with pytest.raises(UsageError, match="suite is not a folder"):
        build(history, tmp_path / "two", Options())
    assert tree(tmp_path / "one") == {}
    assert tree(tmp_path / "two") == {"suite": b"mine"}


@pytest.mark.parametrize("manifest", [None, "", '{"schema": 0, "pages": []}'])
def test_a_site_whose_manifest_is_lost_damaged_or_of_another_schema_is_built_again(
    manifest: str | None, regression: Any, tmp_path: Path
) -> None:
    story = regression()
    build(story.history(tmp_path / "a.db"), tmp_path / "site", Options(title="Of old"))
    file = tmp_path / "site" / "manifest.json"
    file.unlink()
    if manifest is not None:
        file.write_text(manifest)
    (tmp_path / "site" / "static" / "crt.css").write_text("/* of an older crt */")
    story.session(41, {"test_write": 5.0}, dask="2026.9.0")
    history = story.history(tmp_path / "b.db")
    build(history, tmp_path / "site", Options())
    build(history, tmp_path / "new", Options())
    assert tree(tmp_path / "site") == tree(tmp_path / "new")


def test_what_a_build_moved_before_it_was_killed_is_no_stranger_to_the_next(
    regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    story = regression()
    build(story.history(tmp_path / "a.db"), site, Options())
    story.session(50, {"test_new": {"duration": 1.0, "path": "benchmarks/test_array.py"}}, dask="2026.9.1")
    history = story.history(tmp_path / "b.db")
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self.name == "manifest.json":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            build(history, site, Options())
    assert "test_new" in (site / "index.html").read_text() + (site / "data" / "search.js").read_text()
    build(history, site, Options(title="Another"))
    build(history, tmp_path / "new", Options(title="Another"))
    assert tree(site) == tree(tmp_path / "new")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("mine")
    with folder_error(tmp_path / "site", UsageError, "not a folder"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="flock is POSIX")
def test_two_builds_at_once_are_told_apart(tmp_path: Path) -> None:
    with folder.building(tmp_path / "site"), folder_error(tmp_path / "site", ToolError, "another crt report"):
        pass


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1, "files": {"../../x": ["a", 1]}, "memory": {}}', "[" * 9999]
)
def test_a_damaged_manifest_costs_a_whole_build_and_no_file_outside(text: str, tmp_path: Path) -> None:
    outside = tmp_path / "x"
    outside.write_text("mine")
    site = tmp_path / "a" / "site"
    with folder.building(site) as first:
        first.put("index.html", b"one")
        first.commit({})
    (site / "manifest.json").write_text(text)
    (site / "index.html").unlink()
    with folder.building(site) as second:
        second.put("index.html", b"two")
        written = second.commit({})
    assert (written.written, written.removed) == (1, 0)
    assert (site / "index.html").read_bytes() == b"two"
    assert outside.read_text() == "mine"


def test_a_page_that_somebody_deleted_comes_back(regression: Any, tmp_path: Path) -> None:
    history = regression().history(tmp_path / "a.db")
    site = tmp_path / "site"
    build(history, site, Options())
    before = tree(site)
    for name in ("index.html", "data/search.js", next(name for name in before if name.startswith("data/r/"))):
        (site / name).unlink()
    assert build(history, site, Options()).written >= 3
    assert tree(site) == before


def test_another_renderer_makes_everything_anew(
    regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = regression().history(tmp_path / "a.db")
    data_file = builder.data_file

    def older(name: str, payload: Any) -> bytes:
        """As many bytes, and other ones."""
        return data_file(name, payload).swapcase()

    with monkeypatch.context() as patch:
        patch.setattr(builder, "renderer", lambda: "another")
        patch.setattr(builder, "data_file", older)
        build(history, tmp_path / "site", Options())
    build(history, tmp_path / "site", Options())
    build(history, tmp_path / "new", Options())
    assert tree(tmp_path / "site") == tree(tmp_path / "new")


@pytest.mark.slow
def test_a_build_that_is_killed_leaves_a_site_that_works(crt: Any, regression: Any) -> None:
    story = regression()
    story.database(crt.folder / "benchmark.db")
    assert crt.run("report", "--out", "site").returncode == 0
    seeded = random.Random(5)
    for day in range(60, 66):
        more = type(story)(day)
        more.session(day, {"test_read[tasks]": 1.0, f"test_{day}": 2.0})
        more.database(crt.folder / "benchmark.db")
        process = crt.start("report", "--out", "site", start_new_session=True)
        time.sleep(0.6 + 1.2 * seeded.random())  # from before the first page to after the last
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert_whole(crt.folder / "site")
    assert crt.run("report", "--out", "site").returncode == 0
    assert not list((crt.folder / "site").glob(".crt-*"))
    subprocess.run(
        [*crt.command("report", "--out", "again")], cwd=crt.folder, env=crt.environment, check=True, capture_output=True
    )
    assert tree(crt.folder / "site") == tree(crt.folder / "again")
