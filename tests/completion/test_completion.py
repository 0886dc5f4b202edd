"""Completion as the shells ask for it."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "commands"))
import whole

from coiled_runtime_cli import shells


def complete(crt: Any, *words: str, shell: str = "zsh", **environment: str) -> list[str]:
    """The values that a shell is given, without what is said about them."""
    done = crt.run(*words, environment={"_CRT_COMPLETE": shell, **environment})
    assert done.stderr == ""
    assert done.returncode in {0, shells.FILES}
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("be",), {"bench"}),
        (("--qu",), {"--quiet"}),
        (("sync", "pu"), {"push", "pull", "publish"}),
        (("bench", "--sui"), {"--suite"}),
        (("bench", "--format", ""), {"table", "json", "markdown", "csv", "github"}),
        (("bench", "--suite", ""), {"benchmarks", "tables"}),
        (("bench", "--suite", "tables", "-s", "ta"), {"tables"}),
        (("bench", "--suite=ta",), {"--suite=tables"}),
        (("bench", "test_r"), {"test_read"}),
        (("bench", "benchmarks/"), {"benchmarks/test_tables.py"}),
        (("bench", "benchmarks/test_tables.py::test_r"), {"benchmarks/test_tables.py::test_read"}),
        (("bench", "suites/benchmarks/test_tables.py::test_r"), {"suites/benchmarks/test_tables.py::test_read"}),
        (("bench", "--scale", ""), {"smoke", "laptop", "full"}),
        (("bench", "--cluster", ""), {"local", "coiled", "slurm"}),
        (("bench", "--profile", "py"), {"py-spy", "py-spy:scheduler", "py-spy:workers", "py-spy:all"}),
        (("bench", "--cluster-dump", ""), {"always", "fail"}),
        (("sync", "push", "--profile", ""), {"default", "team"}),
        (("data", "make", "nyc"), {"nyc_taxi", "nyc_taxi_csv"}),
        (("compare", "main", "branch", "--across", "s"), {"scale"}),
        (("bisect", "--repo", "clone", "--good", ""), {"HEAD", "trunk", "2026.8.0"}),
        (("build", "--env", ""), {"conda", "requirements", "pixi"}),
        (("db", "stamp", "hea"), {"head"}),
        # the shared flags, wherever they stand
        (("bench", "--qui"), {"--quiet"}),
        (("config", "show", "--color", "a"), {"auto", "always"}),
        (("bench", "--quiet", "--color", "never", "--scale", "s"), {"smoke"}),
        (("sync", "status", "--no-pro"), {"--no-progress"}),
        (("--quiet", "bench", "--scale", "s"), {"smoke"}),
    ],
)  # fmt: skip
def test_values_are_completed(quick: Any, words: tuple[str, ...], expected: set[str]) -> None:
    assert set(complete(quick, *words)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("report", "--label", ""), {"upstream", "main", "branch"}),
        (("compare", "ma"), {"main", "main-110-3.11", *(f"main-{100 + each}-3.11" for each in range(6))}),
        (("detect", "--metric", "thr"), {"throughput"}),
        (("detect", "--suite", ""), {"x", "tables"}),
        (("bisect", "--show", ""), {"0bead001", "0bead002"}),
        (("noise", "test_s"), {"test_same", "test_slower"}),
        (("db", "prune", "--session", "branch-100"), {"branch-100-3.11"}),
        (("bench", "benchmarks/test_tables.py::test_write["), {f"benchmarks/test_tables.py::{each}" for each in whole.AWKWARD}),
        (("bench", "test_write["), set(whole.AWKWARD)),
    ],
)  # fmt: skip
def test_names_of_the_history_are_completed(quick_history: Any, words: tuple[str, ...], expected: set[str]) -> None:
    assert set(complete(quick_history, *words)) == expected


def test_findings_and_runs_are_completed(quick_history: Any) -> None:
    found = quick_history.json("detect", "--format", "json")
    ids = {each["id"] for each in found["regressions"] + found["improvements"]}
    assert len(ids) == 2
    assert set(complete(quick_history, "detect", "accept", "")) == ids
    assert set(complete(quick_history, "bisect", "--regression", "")) == ids
    run = found["regressions"][0]["first_bad"]["uuid"]
    assert complete(quick_history, "diff", run[:13]) == [run]


def test_the_database_that_is_named_is_the_one_that_is_asked(quick_history: Any) -> None:
    (quick_history.folder / "benchmark.db").rename(quick_history.folder / "other.db")
    assert complete(quick_history, "compare", "bra") == []
    assert "branch" in complete(quick_history, "compare", "--db", "other.db", "bra")
    assert "branch" in complete(quick_history, "report", "--db=other.db", "--label", "bra")


def test_the_configuration_that_is_named_is_the_one_that_is_read(quick: Any) -> None:
    (quick.folder / "mine.toml").write_text('[clusters.k8s]\nclass = "a.B"\n')
    for words in (("--config", "mine.toml", "bench"), ("bench", "--config", "mine.toml")):
        assert set(complete(quick, *words, "--cluster", "")) == {"local", "coiled", "k8s"}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("report", "--db", ""), True),
        (("report", "--out", ""), True),
        (("bench", ""), True),
        (("bisect", "--", "python", "re"), True),
        (("bench", "--label", ""), False),
        (("bench", "--scale", ""), False),
        (("",), False),
    ],
)
def test_files_are_offered_where_one_may_stand(quick: Any, words: tuple[str, ...], wanted: bool) -> None:
    done = quick.run(*words, environment={"_CRT_COMPLETE": "zsh"})
    assert (done.returncode == shells.FILES) is wanted


def state(folder: Path) -> dict[str, str]:
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("broken", ["absent", "empty", "garbage", "stranger", "folder", "locked", "server"])
def test_a_database_that_cannot_be_read_has_no_names_and_is_left_as_it_is(quick: Any, broken: str) -> None:
    file = quick.folder / "benchmark.db"
    words = ["report", "--label", ""]
    if broken == "empty":
        file.touch()
    elif broken == "garbage":
        file.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
    elif broken == "folder":
        file.mkdir()
    elif broken == "server":
        words[1:1] = ["--db", "postgresql://127.0.0.1:1/nothing"]
    elif broken in {"stranger", "locked"}:
        with sqlite3.connect(file) as other:
            other.execute("create table session (name)")
        other.close()
    lock = sqlite3.connect(file, isolation_level=None) if broken == "locked" else None
    if lock is not None:
        lock.execute("begin exclusive")
    before = state(quick.folder)
    assert complete(quick, *words) == []
    assert state(quick.folder) == before
    if lock is not None:
        lock.close()


@pytest.mark.parametrize("broken", ["suites", "configuration", "python"])
def test_what_else_is_broken_gives_no_values_and_no_message(quick: Any, broken: str) -> None:
    if broken == "suites":
        shutil.rmtree(quick.suites)
    elif broken == "python":
        quick.suite("benchmarks/test_tables.py", "def test_x(:\n '\\d'")
    else:
        (quick.folder / "crt.toml").write_text("no [ toml")
    assert set(complete(quick, "bench", "--suite", "x")) == set()
    assert set(complete(quick, "bench", "test_")) == ({"test_x"} if broken == "python" else set())


def test_no_heavy_module_is_imported_to_complete(history: Any) -> None:
    code = (
        "import sys\n"
        "from coiled_runtime_cli import cli\n"
        "cli.run(sys.argv[1:])\n"
        "print(sorted({'sqlalchemy', 'dask', 'distributed', 'pandas', 'numpy', 'rich', 'pytest', 'boto3'} & set(sys.modules)))"
    )
    for words in (
        ["bench", ""],
        ["compare", ""],
        ["data", "make", ""],
        ["bisect", "--good", ""],
        ["detect", "--metric", ""],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=history.folder,
            env={**history.environment, "_CRT_COMPLETE": "zsh"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]", words
