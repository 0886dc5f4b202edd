"""What the benchmarks of the suites are called, and were called before."""

import ast
import json
import subprocess
import sys
from collections import defaultdict

import pytest

from coiled_runtime_cli.locations import suites_folder

#: Collects below the current folder, and says of each test what it is and what it was.
COLLECT = """
import json, sys, pytest
from pathlib import Path

class Names:
    def pytest_collection_finish(self, session):
        found = []
        for item in session.items:
            path = item.path.relative_to(Path.cwd()).as_posix()
            former = [str(old) for mark in item.iter_markers("formerly") for old in mark.args]
            found.append([f"{path}::{item.nodeid.partition('::')[2]}",
                          [old if "::" in old else f"{path}::{old}" for old in former]])
        Path(sys.argv[1]).write_text(json.dumps(found))

raise SystemExit(pytest.main(["-p", "coiled_runtime_cli.plugin", "--collect-only", "-q"], plugins=[Names()]))
"""


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """The former ids of each benchmark, by its id."""
    file = tmp_path_factory.mktemp("names") / "names.json"
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(file)], cwd=suites_folder(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(file.read_text())
    assert found
    return found


def test_no_two_benchmarks_have_one_id(benchmarks):
    ids = [name for name, _ in benchmarks]
    assert sorted(ids) == sorted(set(ids))


def test_a_former_id_belongs_to_one_benchmark(benchmarks):
    heirs = defaultdict(set)
    for name, former in benchmarks:
        for each in former:
            heirs[each].add(name)
    assert {old: sorted(names) for old, names in heirs.items() if len(names) > 1} == {}


def test_a_former_id_is_no_present_one(benchmarks):
    present = {name for name, _ in benchmarks}
    assert sorted(each for _, former in benchmarks for each in former if each in present) == []


def test_a_former_id_names_a_test_in_a_file(benchmarks):
    former = [each for _, former in benchmarks for each in former]
    odd = [each for each in former if not each.partition("::")[0].endswith(".py") or "::test_" not in each]
    assert odd == []


def functions(file):
    """The tests of a file, those in classes too."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def test_every_test_says_in_a_line_what_it_does():
    silent = [
        f"{file.relative_to(suites_folder())}::{node.name}"
        for file in sorted(suites_folder().rglob("test_*.py"))
        for node in functions(file)
        if not (ast.get_docstring(node) or "").partition("\n")[0].strip().endswith((".", ":", "?"))
    ]
    assert silent == []
