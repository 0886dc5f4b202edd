"""Completion as the shells ask for it, and in the shells themselves."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

sys.path.insert(0, str(Path(__file__).parent / "commands"))
import whole

from coiled_runtime_cli import shells

SUITE = '''
"""Tables on disk."""
import pytest

def test_read(): ...

@pytest.mark.parametrize("form", ["a b", "c:d", "$e'f"])
def test_write(form): ...
'''


@pytest.fixture
def here(crt: Any) -> Any:
    """A folder with a suite, a configured cluster, AWS profiles, a repository, and what crt is started by."""
    crt.suite("benchmarks/test_tables.py", SUITE)
    with (crt.folder / "crt.toml").open("a") as file:
        file.write('\n[clusters.slurm]\nclass = "dask_jobqueue.SLURMCluster"\n')
    home = Path(crt.environment["HOME"])
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text("[default]\n[profile team]\nregion = x\n")
    clone = crt.folder / "clone"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(clone)]
    subprocess.run(["git", "init", "-q", "-b", "trunk", clone], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "tag", "2026.8.0"], check=True)
    return crt


@pytest.fixture
def quick(here: Any, inside: Any) -> Any:
    """The same, within the process of the test."""
    return inside


@pytest.fixture
def quick_history(history: Any, inside: Any) -> Any:
    return inside


@pytest.fixture
def program(here: Any) -> Any:
    """With crt on the path."""
    program = Path(here.environment["HOME"]) / "bin" / "crt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m coiled_runtime_cli "$@"\n')
    program.chmod(0o755)
    here.environment["PATH"] = f"{program.parent}{os.pathsep}{here.environment['PATH']}"
    return here


@pytest.fixture
def history(here: Any, whole_history: Path) -> Any:
    shutil.copy(whole_history, here.folder)
    return here


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


# --- in the shells

STARTS = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"]),
    "zsh": ("zsh", ["-f", "-i"]),
    "fish": ("fish", ["--no-config", "-i"]),
}


@pytest.fixture(params=shells.SHELLS)
def shell(request: pytest.FixtureRequest, history: Any, program: Any) -> Any:
    """A shell that has read what ``crt --show-completion`` prints."""
    name, arguments = STARTS[request.param]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    shown = history.run("--show-completion", name)
    assert (shown.returncode, shown.stderr) == (0, "")
    script = history.folder / f"completion.{name}"
    script.write_text(shown.stdout)
    environment = {**history.environment, "TERM": "dumb", "PS1": "", "LC_ALL": "C.UTF-8"}
    child = pexpect.spawn(
        name, arguments, cwd=str(history.folder), env=environment, encoding="utf-8", timeout=30, dimensions=(50, 200)
    )
    child.sendline(f"source ./{script.name}; echo re''ady")
    child.expect("ready")
    yield child
    child.close(force=True)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("crt ben", ["crt", "bench"]),
        ("crt bench --suite tab", ["crt", "bench", "--suite", "tables"]),
        ("crt bench --suite=tab", ["crt", "bench", "--suite=tables"]),
        ("crt bench --qui", ["crt", "bench", "--quiet"]),
        ("crt bench benchmarks/test_tables.py::test_r", ["crt", "bench", "benchmarks/test_tables.py::test_read"]),
        ("crt bench 'benchmarks/test_tables.py::test_r", ["crt", "bench", "benchmarks/test_tables.py::test_read"]),
        (
            r"crt bench benchmarks/test_tables.py::test_write\[a",
            ["crt", "bench", "benchmarks/test_tables.py::test_write[a b]"],
        ),
        (
            r"crt bench benchmarks/test_tables.py::test_write\[c",
            ["crt", "bench", "benchmarks/test_tables.py::test_write[c:d]"],
        ),
        (
            r"crt bench benchmarks/test_tables.py::test_write\[\$",
            ["crt", "bench", "benchmarks/test_tables.py::test_write[$e'f]"],
        ),
        ("crt report --db bench", ["crt", "report", "--db", "benchmark.db"]),
        ("crt compare upst", ["crt", "compare", "upstream"]),  # what the label and its sessions share
    ],
)
def test_the_tab_key_writes_a_word_that_the_shell_reads_back(shell: Any, typed: str, words: list[str]) -> None:
    shell.send(typed + "\t")
    # to the beginning of the line, and there a program that shows its arguments
    shell.send("\x01printf '<%s>\\n' " + "\x05\r")
    for each in words:
        shell.expect_exact(f"<{each}>")


def test_completion_is_installed_once_and_for_good(quick: Any) -> None:
    home = Path(quick.environment["HOME"])
    for name in shells.SHELLS:
        start = home / f".{name}rc"
        if name != "fish":
            start.write_text("# mine")
        for _ in range(2):
            done = quick.run("--install-completion", name)
            assert (done.returncode, done.stdout) == (0, "")
        if name != "fish":
            lines = start.read_text().splitlines()
            assert lines[0] == "# mine"
            assert len(lines) == 2
    assert (Path(quick.environment["XDG_CONFIG_HOME"]) / "fish" / "completions" / "crt.fish").is_file()


@pytest.mark.parametrize("name", shells.SHELLS)
def test_what_was_installed_completes_in_a_new_shell(history: Any, program: Any, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    assert history.run("--install-completion", name).returncode == 0
    environment = {**history.environment, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    child = pexpect.spawn(name, ["-i"], cwd=str(history.folder), env=environment, encoding="utf-8", timeout=30)
    child.sendline("echo re''ady")
    child.expect("ready")
    child.send("crt ben\t\x01printf '<%s>\\n' \x05\r")
    child.expect_exact("<bench>")
    child.close(force=True)


def test_a_shell_that_is_not_known_is_a_mistake_with_a_message(quick: Any) -> None:
    for flag in ("--install-completion", "--show-completion"):
        done = quick.run(flag, "tcsh", environment={"SHELL": "/bin/tcsh"})
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: unknown shell 'tcsh'")
        assert "Traceback" not in done.stderr


def test_the_shell_that_runs_is_found(here: Any) -> None:
    """Or, where no shell has started crt, the one that the user logs in with; or it is asked for."""
    # a new session with no shell above it but that of the tests: shellingham looks at all of them
    code = "import shellingham; shellingham.detect_shell = lambda: (_ for _ in ()).throw(shellingham.ShellDetectionFailure)\n"
    start = [sys.executable, "-c", f"{code}from coiled_runtime_cli.__main__ import main\nmain()", "--show-completion"]
    for login, code_, text in (
        ("/usr/bin/fish", 0, "complete --command crt"),
        ("/bin/tcsh", 2, "no completion for tcsh"),
        ("", 2, "cannot be told"),
    ):
        done = subprocess.run(start, env={**here.environment, "SHELL": login}, capture_output=True, text=True)
        assert done.returncode == code_
        assert text in done.stdout + done.stderr
