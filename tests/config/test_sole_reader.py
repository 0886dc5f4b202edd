"""The environment is read by the configuration alone."""

import ast
from pathlib import Path

import coiled_runtime_cli

PACKAGE = Path(coiled_runtime_cli.__file__).parent

#: What hands the environment on to a process, and what runs alone in an environment that is measured, without the rest of crt.
OTHERS = {"process.py", "bisect/run_command.py", "bisect/hook/sitecustomize.py"}


def reads_the_environment(text):
    named = {"environ", "environb", "getenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in named)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and named & {each.name for each in node.names})
        for node in ast.walk(ast.parse(text))
    )


def test_the_configuration_is_the_sole_reader_of_the_environment():
    readers = {
        each.relative_to(PACKAGE).as_posix()
        for each in PACKAGE.rglob("*.py")
        if reads_the_environment(each.read_text())
    }
    assert {each for each in readers if not each.startswith("config/")} == OTHERS
    assert any(each.startswith("config/") for each in readers)
