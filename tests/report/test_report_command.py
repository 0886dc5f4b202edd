from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
import urllib.request
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def tree(site: Path) -> dict[str, bytes]:
    return {file.relative_to(site).as_posix(): file.read_bytes() for file in site.rglob("*") if file.is_file()}


@pytest.fixture
def measured(crt: Any, regression: Any) -> Any:
    regression().database(crt.folder / "benchmark.db")
    return crt


def test_a_folder_without_a_database_says_how_to_get_one(crt: Any) -> None:
    done = crt.run("report", "--out", "site")
    assert done.returncode == 2
    assert "no database at" in done.stderr
    assert "crt bench --suite parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (crt.folder / "benchmark.db").exists()
    assert not (crt.folder / "site").exists()


def test_a_database_without_runs_gives_a_site_that_says_so(crt: Any) -> None:
    assert crt.run("db", "upgrade").returncode == 0
    done = crt.run("report")
    assert done.returncode == 0, done.stderr
    assert "No run is stored yet" in (crt.folder / "site" / "index.html").read_text()
    assert "the history is empty" in done.stderr


def test_what_was_written_comes_as_json(measured: Any) -> None:
    done = measured.json("report", "--out", "my site", "--format", "json")
    assert done["schema"] == 1
    assert done["written"] > 20
    assert done["unchanged"] == done["removed"] == 0
    assert (done["runs"], done["sessions"]) == (120, 40)
    assert done["bytes"] == sum(
        file.stat().st_size
        for file in (measured.folder / "my site").rglob("*")
        if file.is_file() and file.name != "manifest.json"
    )
    again = measured.json("report", "--out", "my site", "--format", "json")
    assert (again["written"], again["unchanged"]) == (0, done["written"])


def test_days_count_from_the_last_session(measured: Any) -> None:
    assert measured.json("report", "--days", "10", "--format", "json")["sessions"] == 11
    assert measured.json("report", "--format", "json")["sessions"] == 40
    assert measured.run("report", "--days", "0").returncode == 2
    assert measured.run("report", "--days", "1000000000").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "locl"), "unknown label 'locl': did you mean 'local'?"),
        (("--suite", "parqet"), "unknown suite 'parqet': did you mean 'parquet'?"),
        (("--baseline", "0.1.0"), "unknown label '0.1.0'"),
        (("--db", "nowhere.db"), "no database at"),
        (("--single", "a.html", "--out", "b"), "--single makes one file"),
        (("--summary", "github", "--open"), "nothing to open"),
        (("--format", "xml"), "--format"),
        (("--bseline", "x"), "did you mean --baseline?"),
    ],
)
def test_a_mistake_is_said_with_what_was_meant(measured: Any, arguments: tuple[str, ...], said: str) -> None:
    done = measured.run("report", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (measured.folder / "site").exists()


def test_labels_and_suites_choose_what_is_drawn(crt: Any, new_story: Any) -> None:
    story = new_story()
    story.session(0, {"test_a": 1.0}, label="one")
    story.session(1, {"test_b": 1.0}, label="two", suite="benchmarks/test_array.py")
    story.database(crt.folder / "benchmark.db")

    def drawn(*arguments: str) -> set[str]:
        assert crt.run("report", *arguments).returncode == 0
        return {page.stem.rpartition(".")[2] for page in (crt.folder / "site" / "benchmark").glob("*.html")}

    assert drawn() == {"test_a", "test_b"}
    assert drawn("--label", "one") == {"test_a"}
    assert drawn("--suite", "array") == {"test_b"}
    assert drawn("--label", "one", "--label", "two") == {"test_a", "test_b"}


def test_several_databases_are_one_history(crt: Any, new_story: Any) -> None:
    mine, ours = new_story(1), new_story(2)
    mine.session(0, {"test_a": 1.0})
    ours.session(1, {"test_a": 1.1})
    shared = list(mine.lines)
    mine.database(crt.folder / "mine.db")
    ours.lines += shared  # one session is in both
    ours.database(crt.folder / "ours.db")
    done = crt.json("report", "--db", "mine.db", "--db", "ours.db", "--format", "json")
    assert (done["runs"], done["sessions"]) == (2, 2)


def test_the_summary_is_markdown_that_names_the_change(measured: Any) -> None:
    done = measured.run("report", "--summary", "markdown", "--title", "Nightly | <b>")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### Nightly \\| &lt;b&gt;\n")
    assert "**1 regression** in the last 30 days." in done.stdout
    row = next(line for line in done.stdout.splitlines() if "test\\_read" in line or "test_read" in line)
    assert "+5" in row or "+4" in row
    assert "2026-09-26" in row
    assert "dask 2026.8.0 to 2026.9.0" in row
    assert not (measured.folder / "site").exists()


def test_the_summary_for_a_pull_request_folds_what_is_long(crt: Any, new_story: Any) -> None:
    story = new_story()
    story.session(0, {f"test_{number}": {"outcome": "failed", "failure": "</details> | boom"} for number in range(9)})
    story.database(crt.folder / "benchmark.db")
    text = crt.run("report", "--summary", "github").stdout
    assert "<details><summary>9 benchmarks to look at</summary>" in text
    assert text.count("</details>") == 1
    assert "&lt;/details&gt; \\| boom" in text


def test_one_file_holds_everything(measured: Any) -> None:
    done = measured.run("report", "--single", "r.html", "--format", "json")
    assert done.returncode == 0, done.stderr
    text = (measured.folder / "r.html").read_text()
    assert json.loads(done.stdout)["bytes"] == len(text.encode())
    assert not re.search(r'<(script|link|img)[^>]*\s(src|href)="(?!data:)', text.partition("<template")[0])
    assert text.count("<template data-path=") == len(set(re.findall(r'<template data-path="([^"]+)"', text))) == 6
    first = (measured.folder / "r.html").read_bytes()
    measured.run("report", "--single", "r.html")
    assert (measured.folder / "r.html").read_bytes() == first


def test_the_feed_is_atom_with_the_newest_change_first(measured: Any) -> None:
    assert measured.run("report", "--title", "Ours & theirs").returncode == 0
    feed = ET.parse(measured.folder / "site" / "feed.atom").getroot()
    atom = "{http://www.w3.org/2005/Atom}"
    assert feed.findtext(f"{atom}title") == "Ours & theirs: changes"
    entries = feed.findall(f"{atom}entry")
    assert entries[0].findtext(f"{atom}title").startswith("test_read[p2p]: Duration +")
    assert entries[0].findtext(f"{atom}updated").startswith("2026-09-26T")
    page = entries[0].find(f"{atom}link").get("href").partition("#")[0]
    assert (measured.folder / "site" / page).is_file()


def test_the_configuration_has_title_folder_days_and_baseline(measured: Any) -> None:
    (measured.folder / "crt.toml").write_text(
        '[report]\ntitle = "Configured"\nout = "there"\ndays = 5\nbaseline = "local"\n'
    )
    done = measured.json("report", "--format", "json")
    assert done["sessions"] == 6
    assert "Configured" in (measured.folder / "there" / "index.html").read_text()
    (measured.folder / "crt.toml").write_text("[report]\ntitel = 1\n")
    refused = measured.run("report")
    assert refused.returncode == 2
    assert "titel" in refused.stderr
    assert "title" in refused.stderr
    (measured.folder / "crt.toml").write_text("[report]\ndays = -1\n")
    assert "from 1 on" in measured.run("report").stderr


def test_a_folder_that_cannot_be_written_is_exit_3(measured: Any) -> None:
    (measured.folder / "site").write_text("a file")
    done = measured.run("report")
    assert (done.returncode, "is not a folder" in done.stderr) == (2, True)
    done = measured.run("report", "--out", "/proc/site")
    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr


def test_a_mirror_that_cannot_be_written_does_not_matter(measured: Any) -> None:
    cache = measured.folder / "cache"
    cache.write_text("a file where the cache should be")
    done = measured.run("report", environment={"CRT_HISTORY": str(cache / "history")})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.1])
def test_ctrl_c_ends_it_with_130_and_a_whole_site(measured: Any, seconds: float) -> None:
    assert measured.run("report").returncode == 0
    old = tree(measured.folder / "site")
    assert measured.run("report", "--title", "Another", "--out", "another").returncode == 0
    new = tree(measured.folder / "another")
    process = measured.start("report", "--title", "Another", start_new_session=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 130, -signal.SIGINT}
    assert "bug" not in said
    # it may come when the new site is in its place and only the words about it are not
    assert tree(measured.folder / "site") in ([new] if process.returncode == 0 else [old, new])
    assert not list((measured.folder / "site").glob(".crt-*"))


def test_serve_builds_again_when_the_history_grows(measured: Any, new_story: Any) -> None:
    process = measured.start("report", "--serve", "--port", "0", "--no-progress", start_new_session=True)
    try:
        process.stdout.readline()  # what was written
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")

        def get(path: str) -> str:
            with urllib.request.urlopen(address + path, timeout=20) as answer:
                return str(answer.read().decode())

        assert "regression" in get("index.html")
        assert get(".version") == "0"
        story = new_story(9)
        story.session(60, {"test_later": 1.0})
        story.database(measured.folder / "benchmark.db")
        until = time.monotonic() + 60
        while get(".version") == "0" and time.monotonic() < until:
            time.sleep(0.1)
        assert "test_later" in get("data/search.js")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_port_that_is_taken_is_said(measured: Any) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = measured.run("report", "--serve", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "--port 0" in done.stderr


def test_rows_of_a_killed_session_are_recovered_first(crt: Any) -> None:
    crt.suite("test_one.py", "def test_one():\n    pass\n")
    assert crt.run("bench", "--suite", "one").returncode == 0
    with sqlite3.connect(crt.folder / "benchmark.db") as database:
        (count,) = database.execute("select count(*) from run").fetchone()
    assert crt.json("report", "--format", "json")["runs"] == count == 1


def test_a_smaller_bundle_of_plotly_is_shipped_where_it_can_draw_everything(measured: Any) -> None:
    bundle = measured.folder / "a bundle.js"
    bundle.write_text("/**\n* plotly.js (cartesian - minified) v4.1.1\n*/\nwindow.Plotly = {};\n")
    assert measured.run("report", "--plotly", "a bundle.js").returncode == 0
    assert (measured.folder / "site" / "static" / "plotly.min.js").read_text().endswith(bundle.read_text())
    bundle.write_text("/**\n* plotly.js (basic - minified) v4.1.1\n*/\n")
    done = measured.run("report", "--plotly", "a bundle.js")
    assert done.returncode == 2
    assert "the basic bundle of plotly.js, which has no heat maps" in done.stderr
    assert "plotly-cartesian.min.js" in done.stderr
    bundle.write_text("no script")
    assert "is no plotly.js" in measured.run("report", "--plotly", "a bundle.js").stderr
    assert measured.run("report", "--plotly", "missing.js").returncode == 2
    # the site of before is still there
    assert "cartesian" in (measured.folder / "site" / "static" / "plotly.min.js").read_text()
