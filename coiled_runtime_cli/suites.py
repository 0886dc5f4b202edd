"""What a folder of suites holds, read from the sources without importing any."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


#: What those need in any environment that work on a cluster, or with data.
NEEDED = ("dask[dataframe]", "distributed", "numpy", "pandas", "pyarrow", "pytest")

#: What such suites speak of: libraries, and fixtures of the plugin that bring them along.
_SPEAKS_OF_THEM = re.compile(
    r"\b(dask|distributed|numpy|pandas|pyarrow|\w*client|\w*cluster|dataset|new_array|sizing|shuffle_method)\b"
)


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests. ``topic`` is ``parquet`` for ``benchmarks/test_parquet.py``; ``folder`` is ``benchmarks``."""

    topic: str
    folder: str
    path: str  # from the suites folder, with "/"
    summary: str  # first line of the module's docstring
    tests: tuple[str, ...]


@cache
def find(folder: Path) -> tuple[Suite, ...]:
    """Every suite below ``folder``, sorted by path. A file that is no Python is a suite without tests: pytest will say why."""
    if not folder.is_dir():
        raise UsageError(f"no folder of suites at {folder}", hint="set `suites` in crt.toml, or CRT_SUITES")
    found = []
    for file in sorted(folder.rglob("test_*.py")):
        path = file.relative_to(folder)
        if any(each.startswith((".", "__pycache__")) for each in path.parts):
            continue
        summary, tests = _read(file)
        found.append(Suite(path.stem.removeprefix("test_"), path.parent.as_posix(), path.as_posix(), summary, tests))
    return tuple(found)


_LINES = re.compile(rb"^(?:class (Test\w*)|(?:    )?(?:async )?def (test_\w+))", re.MULTILINE)
_SUMMARY = re.compile(rb'\A(?:#.*\n|\s)*[rR]?"""(.+?)(?:"""|\n)')


def glance(folder: Path) -> tuple[Suite, ...]:
    """What :func:`find` finds, by a look at the lines: a third of the time, for those who wait for a key. No folder: nothing."""
    found = []
    for file in sorted(folder.rglob("test_*.py")):
        path = file.relative_to(folder)
        if any(each.startswith((".", "__pycache__")) for each in path.parts):
            continue
        content = file.read_bytes()
        tests: list[str] = []
        holder = ""
        for line in _LINES.finditer(content):
            if line[1]:
                holder = line[1].decode() + "::"
            elif line[0].startswith(b" "):
                tests += [holder + line[2].decode()] if holder else []
            else:
                holder = ""
                tests.append(line[2].decode())
        summary = _SUMMARY.match(content)
        text = summary[1].decode(errors="replace").strip() if summary else ""
        found.append(
            Suite(path.stem.removeprefix("test_"), path.parent.as_posix(), path.as_posix(), text, tuple(tests))
        )
    return tuple(found)


def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    try:
        module = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return "", ()
    tests: list[str] = []
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            tests.append(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            tests += [
                f"{node.name}::{each.name}"
                for each in node.body
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and each.name.startswith("test_")
            ]
    return (ast.get_docstring(module) or "").partition("\n")[0], tuple(tests)


def needed(folder: Path, arguments: Sequence[str] = ()) -> tuple[str, ...]:
    """What suites need in any environment: pytest alone, where nothing in them is of Dask, of tables or of a cluster.

    ``arguments`` are those of :func:`select`: a file that was named may be elsewhere.
    """
    named = (Path(each.partition("::")[0]) for each in arguments)
    for file in (*folder.rglob("*.py"), *(each for each in named if each.is_file())):
        if _SPEAKS_OF_THEM.search(file.read_text(errors="replace")):
            return NEEDED
    return ("pytest",)


def select(folder: Path, *, names: Sequence[str], node_ids: Sequence[str], here: Path) -> tuple[str, ...]:
    """Turn suite names and node ids into pytest arguments (absolute paths, with ``::name`` where one was given).

    A name is a topic or a folder. A node id is a path, from ``here`` or from the suites folder, or the bare name of a test.
    Raises UsageError, naming the nearest match, for what does not exist.
    """
    arguments: list[str] = []
    for name in names:
        arguments += _by_name(folder, name)
    for node_id in node_ids:
        arguments += _by_node_id(folder, node_id, here)
    return tuple(dict.fromkeys(arguments))


def _by_name(folder: Path, name: str) -> list[str]:
    suites = find(folder)
    wanted = name.strip("/")
    chosen = [each for each in suites if wanted in (each.topic, each.folder, each.path)]
    chosen += [each for each in suites if each not in chosen and each.folder.startswith(wanted + "/")]
    if not chosen:
        known = sorted({each.topic for each in suites} | {each.folder for each in suites} - {"."})
        raise UsageError(unknown("suite", name, known), hint="list them: crt bench --list")
    return [str(folder / each.path) for each in chosen]


def _by_node_id(folder: Path, node_id: str, here: Path) -> list[str]:
    path, separator, rest = node_id.partition("::")
    stripped = path.removeprefix(f"{folder.name}/")
    for candidate in (here / path, folder / path, folder / stripped):
        if candidate.exists():
            _check_test(candidate, rest)
            return [str(candidate.resolve()) + separator + rest]
    suites = find(folder)
    by_file = [each for each in suites if Path(each.path).name == path]
    if by_file:
        for each in by_file:
            _check_test(folder / each.path, rest)
        return [str(folder / each.path) + separator + rest for each in by_file]
    name = path if not separator else rest
    bare = name.partition("[")[0]
    by_test = [] if separator else [each for each in suites if bare in each.tests]
    if by_test:
        return [f"{folder / each.path}::{name}" for each in by_test]
    known = [each.path for each in suites] + sorted({test for each in suites for test in each.tests})
    raise UsageError(
        unknown("file" if separator or path.endswith(".py") else "test", path, known),
        hint="list them: crt bench --list",
    )


def _check_test(file: Path, name: str) -> None:
    bare = name.partition("[")[0]
    if not bare or not file.is_file():
        return
    _, tests = _read(file)
    classes = {each.partition("::")[0] for each in tests if "::" in each}
    if tests and bare not in tests and bare not in classes:
        raise UsageError(unknown(f"test in {file.name}", bare, tests), hint="list them: crt bench --list")
