"""No text is ever given to a shell: programs are started with lists of arguments, by one owner."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from coiled_runtime_cli import process
from coiled_runtime_cli.errors import ToolError

PACKAGE = Path(process.__file__).parent


def calls(tree: ast.AST) -> Any:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


DANGEROUS = {"os.system", "os.popen", "eval", "exec", "pickle.loads", "pickle.load", "yaml.unsafe_load"}


def test_no_text_is_ever_given_to_a_shell() -> None:
    """Programs are started by process.py, with lists of arguments; what runs in other environments brings its own way."""
    hook = "bisect/hook/sitecustomize.py"  # goes on with the environment's own file of that name
    alone = {hook, "process.py", "plugin/identity.py", "plugin/instruments/py_spy_profile.py", "bisect/run_command.py"}
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        for node, called in calls(ast.parse(file.read_text(encoding="utf-8"))):
            if called in DANGEROUS and name != hook:
                found.append(f"{name}:{node.lineno}: {called}")
            if re.fullmatch(r"subprocess\.\w+|os\.(exec|spawn)\w+", called) and name not in alone:
                found.append(f"{name}:{node.lineno}: {called}")
            if any(each.arg == "shell" for each in node.keywords):
                found.append(f"{name}:{node.lineno}: shell=")
    assert found == []


def test_what_a_shell_runs_is_the_command_of_a_package_and_nothing_made_of_parts() -> None:
    shells = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            first = node.elts[0] if isinstance(node, ast.List) and node.elts else None
            if isinstance(first, ast.Constant) and first.value in {"sh", "bash", "/bin/sh", "cmd"}:
                shells.append((file.relative_to(PACKAGE).as_posix(), ast.unparse(node)))
    # `crt build --check` runs the test commands that the recipe has, as conda-build does
    assert shells == [("build/check.py", "['sh', '-e', '-c', command]")]


@pytest.mark.parametrize("argument", ["a\0b", "\ud800"])
def test_an_argument_that_no_program_can_be_given_is_a_message(argument: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot start"):
        process.run([sys.executable, "-c", "", argument])
    with pytest.raises(ToolError, match="cannot start"):
        process.Child([sys.executable, "-c", "", argument], log=tmp_path / "log")
