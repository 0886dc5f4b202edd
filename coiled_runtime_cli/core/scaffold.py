"""What a project of its own gets to be measured by crt: the texts of its files, and how files that are there take it up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Where suites are, unless the project says otherwise.
SUITES = "suites"

#: What crt leaves beside a project, which is no part of it: each run says whether its checkout had anything new in it.
IGNORED = ("/benchmark.db*", "/benchmark-artifacts/", "/crt-runs/", "__pycache__/")

PYTEST_INI = """\
# The suites' own root: a benchmark's id is its path from here, and what the project asks of its tests does not count.
[pytest]
minversion = 7.4
addopts = --strict-markers --strict-config --import-mode=importlib -p no:cacheprovider
"""

CONFTEST = '''\
"""A plain pytest of the project passes over the benchmarks where crt is not installed: it would miss their fixtures."""


def pytest_ignore_collect(config):
    return None if config.pluginmanager.hasplugin("coiled_runtime_cli.plugin") else True
'''

_EXAMPLE = '''\
"""Examples: put {calls} in their place, and name the file by what it measures."""

import json
{imports}

def test_round_trip(benchmark_time, record_metric):
    rows = [{{"number": number, "text": f"row {{number}}"}} for number in range(50_000)]
    with benchmark_time():  # the block is timed; what prepares it and what checks it is not
        text = json.dumps(rows)
        again = json.loads(text)
    assert again == rows  # a wrong answer is a failure, not a fast time
    record_metric("size", len(text), unit="B")
'''

_IMPORT_EXAMPLE = '''

def test_import(benchmark_time):
    """What each program pays that uses {package}: its import in a fresh interpreter."""
    pytest.importorskip("{package}", reason="{package} is not installed here: python3 -m pip install -e .")
    with benchmark_time():
        subprocess.run([sys.executable, "-c", "import {package}"], check=True)
'''

_WORKFLOW = """\
# The branch and what it would be merged into, measured on one machine in one job: two machines cannot be compared.
name: benchmarks

on:
  pull_request:

permissions:
  contents: read

jobs:
  benchmarks:
    runs-on: ubuntu-latest
    timeout-minutes: 60
{defaults}    env:
      BASE: ${{{{ github.event.pull_request.base.sha }}}}
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install crt
        run: python -m pip install coiled-runtime-cli
      - name: Fetch the base
        run: git worktree add "$RUNNER_TEMP/base" "$BASE"
      - name: Install the base
        run: python -m pip install "$RUNNER_TEMP/base{below}"
      - name: Measure the base
        run: crt bench --suite {folder} --repeat 10 --label base
      - name: Install the branch
        run: python -m pip install --force-reinstall --no-deps . && python -m pip install .
      - name: Measure the branch
        run: crt bench --suite {folder} --repeat 10 --label branch
      - name: Compare
        run: crt compare base branch --fail-on 10% --format github | tee -a "$GITHUB_STEP_SUMMARY"
        shell: bash
"""

_HEADER = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*crt[ \t]*\][ \t]*(?:#[^\n]*)?(?=\r?$)", re.MULTILINE)


def example(package: str | None) -> str:
    """A module of tests that needs no cluster; of ``package``, if it is known, its import is measured."""
    text = _EXAMPLE.format(
        calls=f"calls of {package}" if package else "calls of your library",
        imports="import subprocess\nimport sys\n\nimport pytest\n" if package else "",
    )
    return text + (_IMPORT_EXAMPLE.format(package=package) if package else "")


def workflow(folder: str, *, below: str = "") -> str:
    """A workflow for GitHub. ``below`` is the project's folder in its repository; "": it is the repository's own."""
    defaults = f"    defaults:\n      run:\n        working-directory: {below}\n" if below else ""
    return _WORKFLOW.format(folder=folder, defaults=defaults, below=f"/{below}" if below else "")


def ignoring(text: str, lines: Sequence[str] = IGNORED) -> tuple[str, int]:
    """A ``.gitignore`` with these lines, and how many of them it had not. What is there stays as it is."""
    there = {each.strip().strip("/") for each in text.splitlines()}
    missing = [each for each in lines if each.strip("/") not in there]
    if not missing:
        return text, 0
    end = _line_end(text)
    return _separated(text, end) + end.join(["# what crt leaves here", *missing, ""]), len(missing)


def with_suites(text: str, folder: str, *, embedded: bool) -> Iterator[str]:
    """A file of configuration that names the folder of suites, in the ways in which that may be written, the likeliest first.

    Text alone is added, so that comments and layout stay. Whoever takes one parses it: what is right of one file is wrong of
    another, such as of one whose ``tool`` is an inline table. ``embedded``: the file is a ``pyproject.toml``.
    """
    end = _line_end(text)
    line = f'suites = "{folder}"{end}'
    if not embedded:
        yield line + text
        return
    for header in _HEADER.finditer(text):
        yield f"{text[: header.end()]}{end}{line.rstrip()}{text[header.end() :]}"
    yield f"{_separated(text, end)}[tool.crt]{end}{line}"


def _separated(text: str, end: str) -> str:
    """The text, ready to go on after an empty line."""
    if not text.strip():
        return ""
    return text + ("" if text.endswith("\n") else end) + ("" if text.endswith((end * 2, "\n\n")) else end)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
