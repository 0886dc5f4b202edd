"""Set up a project to be measured by crt. What is there is never overwritten."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from coiled_runtime_cli import atomic, config, git
from coiled_runtime_cli.core import scaffold
from coiled_runtime_cli.core.quantity import counted
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Action = Literal["write", "add", "keep"]


@dataclass(frozen=True, slots=True)
class Step:
    """One file: written anew, added to, or kept as it is. ``content`` is all that it holds afterwards."""

    file: Path
    action: Action
    what: str
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a project gets. ``suites`` is the folder that its benchmarks are in, ``package`` what is imported of it.

    ``first`` is what `crt bench --suite` takes to run the first of them.
    """

    folder: Path
    suites: Path
    first: str
    package: str | None
    steps: tuple[Step, ...]


def prepare(folder: Path, *, workflow: bool = False) -> Prepared:
    """What would be done in a folder; nothing is. Raises UsageError where it is none, or its configuration is no TOML."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder}: {what}", hint=f"mkdir -p '{folder}'" if not folder.exists() else None)
    folder = folder.resolve()
    settings, named = _settings(folder)
    suites = folder / (named or scaffold.SUITES)
    package, first = package_of(folder), _first(suites)
    steps = [settings, *_suites(suites, package), _gitignore(folder / ".gitignore")]
    if workflow:
        steps.append(_workflow(folder, first))
    return Prepared(folder, suites, first, package, tuple(steps))


def carry_out(prepared: Prepared) -> None:
    """Write what is to be written: each file whole or not at all. Raises ToolError; the same command goes on afterwards."""
    for step in prepared.steps:
        if step.action == "keep":
            continue
        try:
            step.file.parent.mkdir(parents=True, exist_ok=True)
            # a link stays one: what it leads to is written
            target = step.file.resolve()
            atomic.write(target, step.content, like=target if target.exists() else None)
        except OSError as error:
            raise ToolError(
                f"cannot write {step.file}: {error.strerror or error}", hint="mend that, and run the same command again"
            ) from error


def package_of(folder: Path) -> str | None:
    """What is imported of the project in a folder, as its name and its files say; None: they do not say it."""
    file = folder / "pyproject.toml"
    project = config.read_toml(file).get("project") if file.is_file() else None
    name = project.get("name") if isinstance(project, dict) else None
    if not isinstance(name, str):
        return None
    module = re.sub(r"[-.]+", "_", name).lower()
    for parent in (folder / "src", folder):
        for each in sorted(parent.iterdir()) if parent.is_dir() else ():
            found = each.stem if each.suffix == ".py" else each.name if (each / "__init__.py").is_file() else ""
            if found.lower() == module and found.isidentifier():
                return found
    return None


def _settings(folder: Path) -> tuple[Step, str | None]:
    """The configuration's file, and the folder of suites that it names already."""
    own, project = folder / "crt.toml", folder / "pyproject.toml"
    if own.is_file() or not project.is_file():
        return _setting(own, embedded=False)
    return _setting(project, embedded=True)


def _setting(file: Path, *, embedded: bool) -> tuple[Step, str | None]:
    title = "[tool.crt]" if embedded else "settings of crt"
    there = file.is_file()
    content = _content(file) if there else b""
    before = config.parse_toml(file, content)
    table = _table(before, embedded=embedded)
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.crt: expected a table, not {table!r}")
    if "suites" in table:
        named = table["suites"]
        if not isinstance(named, str) or not named.strip():
            raise UsageError(f"{file}: suites: expected a path, not {named!r}")
        return Step(file, "keep", f"suites are in {named}"), named
    text = content.decode()
    for candidate in scaffold.with_suites(text, scaffold.SUITES, embedded=embedded):
        if _is_that_and_suites(file, candidate, before, embedded=embedded):
            what = f'{title}: suites = "{scaffold.SUITES}"'
            return Step(file, "add" if there else "write", what, candidate.encode()), None
    line = f'suites = "{scaffold.SUITES}"'
    raise UsageError(
        f"{file}: [tool.crt] cannot be added to it", hint=f"write {line} into tool.crt by hand, and run this again"
    )


def _is_that_and_suites(file: Path, text: str, before: dict[str, Any], *, embedded: bool) -> bool:
    """Whether a text says what the file said, with the folder of suites, and nothing else."""
    try:
        after = config.parse_toml(file, text.encode())
    except UsageError:
        return False
    table = _table(after, embedded=embedded)
    if not isinstance(table, dict) or table.pop("suites", None) != scaffold.SUITES:
        return False
    if embedded and not table and not _table(before, embedded=embedded):
        # a table that is new is the only difference
        return _without_crt(after) == _without_crt(before)
    return after == before


def _table(document: dict[str, Any], *, embedded: bool) -> object:
    if not embedded:
        return document
    tool = document.get("tool", {})
    return tool.get("crt", {}) if isinstance(tool, dict) else tool


def _without_crt(document: dict[str, Any]) -> dict[str, Any]:
    tool = {key: value for key, value in document.get("tool", {}).items() if key != "crt"}
    return {**document, "tool": tool}


def _suites(suites: Path, package: str | None) -> Iterator[Step]:
    yield _new(suites / "pytest.ini", "pytest's settings for the benchmarks alone", scaffold.PYTEST_INI)
    yield _new(suites / "conftest.py", "passes over them where crt is not installed", scaffold.CONFTEST)
    tests = sorted(suites.rglob("test_*.py")) if suites.is_dir() else []
    file = suites / "benchmarks" / "test_example.py"
    if tests and file not in tests:
        yield Step(suites, "keep", f"{counted(len(tests), 'file')} of benchmarks, so no example")
    else:
        yield _new(file, "benchmarks to begin with", scaffold.example(package))


def _new(file: Path, what: str, text: str) -> Step:
    return Step(file, "keep", what) if file.exists() else Step(file, "write", what, text.encode())


def _gitignore(file: Path) -> Step:
    there = file.is_file()
    text, added = scaffold.ignoring(_text(file) if there else "")
    if not added:
        return Step(file, "keep", "what crt leaves here is ignored")
    return Step(file, "add" if there else "write", counted(added, "line") + ": what crt leaves here", text.encode())


def _workflow(folder: Path, first: str) -> Step:
    root = git.repository_root(folder) or folder
    below = "" if root == folder else folder.relative_to(root).as_posix()
    text = scaffold.workflow(first, below=below)
    return _new(root / ".github/workflows/benchmarks.yml", "measures each pull request against its base", text)


def _first(suites: Path) -> str:
    """A folder of benchmarks, or the topic of a file of them: of those that are there, else of the example."""
    there = sorted(each.relative_to(suites).parts[0] for each in suites.rglob("test_*.py")) if suites.is_dir() else []
    if not there or "benchmarks" in there:
        return "benchmarks"
    return there[0].removeprefix("test_").removesuffix(".py")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _text(file: Path) -> str:
    try:
        return _content(file).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
