"""Optional libraries: what a skip says to type brings the library that was missing."""

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]

#: Extras by name, each with what it asks for.
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

#: Modules whose distribution has another name.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "odc": "odc-stac", "fsspec": "s3fs"}


def brought_by(extra):
    """The distributions of an extra, and of those that it is made of."""
    found = set()
    for each in EXTRAS[extra]:
        name, inner = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[([^]]*)\])?.*", each).groups()
        if name == "coiled-runtime-cli":
            found.update(*(brought_by(one) for one in inner.split(",")))
        else:
            found.add(name.lower().replace("_", "-"))
    return found


def skips():
    """``(file, module, extra)`` of each ``importorskip`` in the suites that names an extra."""
    for file in sorted((ROOT / "suites").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)) or not node.args:
                continue
            if node.func.attr != "importorskip" or not isinstance(node.args[0], ast.Constant):
                continue
            reason = next((each.value for each in node.keywords if each.arg == "reason"), None)
            named = re.search(r"coiled-runtime-cli\[([^]]+)\]", ast.unparse(reason) if reason is not None else "")
            if named:
                yield file.relative_to(ROOT).as_posix(), node.args[0].value, named[1]


@pytest.mark.parametrize(("file", "module", "extra"), sorted(set(skips())))
def test_what_a_skip_says_to_type_brings_the_library(file, module, extra):
    top = module.partition(".")[0]
    assert DISTRIBUTIONS.get(top, top.replace("_", "-")) in brought_by(extra)


def test_a_suite_names_an_extra_that_there_is():
    named = {
        (file.relative_to(ROOT).as_posix(), extra)
        for file in (ROOT / "suites").rglob("*.*")
        if file.suffix in {".py", ".md"}
        for extra in re.findall(r"coiled-runtime-cli\[([^]]+)\]", file.read_text())
    }
    assert len(named) > 10
    assert {extra for _, extra in named} <= set(EXTRAS)


def test_skips_are_found():
    assert len(list(skips())) > 15
