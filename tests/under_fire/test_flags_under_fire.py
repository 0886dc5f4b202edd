"""Any flags with any values: every command answers, or says what is wrong, and is no bug; devices stay devices."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from coiled_runtime_cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What begins tests, builds, servers or repositories, or changes the checkout: here only what reads and writes histories.
ELSEWHERE = (
    "ab run",
    "bench",
    "bisect",
    "bisect-step",
    "build",
    "data make",
    "db revision",
    "db stamp",
    "doctor",
    "init",
    "release",
)

#: Options that serve, open a browser, ask, or name a network.
LEFT_OUT = {"--serve", "--open", "--port", "--endpoint-url", "--profile", "--region", "--debug", "--help", "--version"}

#: Codes that commands may end with.
CODES = set(range(6))

TEXTS = (
    "test_same", "test_slower", "benchmarks/test_x.py", "benchmarks/test_x.py::test_slower", "test_write[a b]", "*slow*",
    "upstream", "main", "branch", "nope", "dask", "duration", "throughput", "peak_memory", "compute_time",
    "5%", "0", "0.05", "1e-9", "50%", "100%", "nan", "inf", "-1", "1", "2", "5", "10", "100", "1000000000", "9" * 20,
    "1s", "10m", "1h30m", "30d", "1w", "99999d", "2026-01-01", "9999-12-31", "0001-01-01", "2026-13-01",
    "2026-03-01T00:00+23:59", "benchmark.db", "copy.db", "nowhere.db", ".", "a folder/x", "sqlite://",
    "sqlite:///benchmark.db", "file.txt", "rows.csv", "rows.json", "0bead001", "select name from test_run", "select",
    "", " ", "-", "é", "\u202e", "x" * 300, "%", "'", '"', "$(id)", "a\nb",
)  # fmt: skip


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be typed, with its path."""
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), (*path, name))
    if path and (not hasattr(command, "list_commands") or command.invoke_without_command):
        yield path, command


COMMANDS = [
    (path, command)
    for path, command in commands(typer.main.get_command(cli.app))
    if not f"{' '.join(path)} ".startswith(tuple(f"{each} " for each in ELSEWHERE))
]


def drawn(chance: random.Random, device: str) -> list[str]:
    """A command with some of its flags and arguments."""
    path, command = chance.choice(COMMANDS)
    arguments = list(path)

    def value(parameter: Any) -> str:
        choices = getattr(parameter.type, "choices", None)
        if choices and chance.random() < 0.95:
            return str(chance.choice(list(choices)))
        return device if chance.random() < 0.05 else chance.choice(TEXTS)

    for each in command.params:
        if each.param_type_name == "argument":
            if each.required or chance.random() < 0.5:
                arguments += [value(each) for _ in range(1 if each.nargs == 1 else chance.randint(1, 3))]
        elif (each.required or chance.random() < 0.2) and not LEFT_OUT.intersection(each.opts):
            option = chance.choice([*each.opts, *each.secondary_opts])
            arguments += [option] if each.is_flag else [option, value(each)]
    return arguments


def test_there_are_commands_to_try() -> None:
    names = {" ".join(path) for path, _ in COMMANDS}
    assert {"compare", "detect", "detect accept", "db export", "report", "sync push", "data list"} <= names


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """What /dev/null is; not itself where this process could take it from everybody."""
    if os.geteuid() != 0:
        return Path("/dev/null")
    made = tmp_path / "null"
    try:
        os.mknod(made, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except OSError:
        pytest.skip("no device can be made here")
    return made


@pytest.mark.parametrize("seed", range(6))
def test_any_flags_get_an_answer_or_a_message(
    inside: Any, whole_history: Path, tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    chance = random.Random(seed)
    shutil.copy(whole_history, inside.folder / "benchmark.db")
    shutil.copy(whole_history, inside.folder / "copy.db")
    (inside.folder / "file.txt").write_text("text")
    inside.environment["CRT_DATA"] = str(tmp_path / "data")
    for _ in range(150):
        arguments = drawn(chance, str(device))
        done = inside.run(*arguments)
        assert done.returncode in CODES, (arguments, done.stderr)
        for wrong in ("bug in crt", "Traceback", "the system refused"):
            assert wrong not in done.stderr, (arguments, done.stderr)
        assert device.is_char_device(), arguments
