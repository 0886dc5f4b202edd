"""The list of the suites is what the suites say, and sizes are said elsewhere."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "suites" / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_suites_say():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "suites_readme.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_test_says_what_it_does():
    rows = re.findall(r"^\| `(test_\w+)`[^|]*\| ([^|]*) \|", README, flags=re.MULTILINE)
    assert len(rows) > 100
    assert [name for name, workload in rows if not workload.strip()] == []


def numbers_of_bytes(tree):
    """Powers of two, and texts such as "100 MiB"; to divide by one only changes the unit."""
    powers = (ast.LShift, ast.Pow)
    units = {
        id(each.right) for each in ast.walk(tree) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.FloorDiv)
    }
    for each in ast.walk(tree):
        if isinstance(each, ast.BinOp) and isinstance(each.op, powers) and id(each) not in units:
            if (
                isinstance(each.left, ast.Constant)
                and each.left.value in {1, 2, 1024}
                and isinstance(each.right, ast.Constant)
            ):
                yield each
        elif isinstance(each, ast.Constant) and re.fullmatch(r"\d+(\.\d+)? ?[KMGT]i?B", str(each.value)):
            yield each


def test_no_test_has_a_number_of_bytes_of_its_own():
    """Sizes are for core/scale.py, and for the recipes of the data sets."""
    found = [
        f"{file.relative_to(ROOT)}:{each.lineno}: {ast.unparse(each)}"
        for file in sorted((ROOT / "suites").rglob("*.py"))
        for each in numbers_of_bytes(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_number_of_bytes_would_be_found():
    source = "a = 2**20\nb = 1 << 30\nc = memory // 2**20\nd = '100 MiB'\ne = x**2\n"
    assert [each.lineno for each in numbers_of_bytes(ast.parse(source))] == [1, 2, 4]
