"""Completion in the shells themselves, and how it is installed there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from coiled_runtime_cli import shells

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
