"""A recipe's template, rendered: what conda-build would make of it, without conda-build.

Only what a metapackage's ``meta.yaml`` needs is there: variables, ``environ`` and plain Jinja. The functions that
conda-build adds (compilers, pins of other packages, values from a source tree) make it a job for conda-build.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from coiled_runtime_cli.core.pins import PinError
from coiled_runtime_cli.core.recipe import Recipe, RecipeError, read
from coiled_runtime_cli.core.recipe_text import with_pin
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAME = "meta.yaml"

#: What conda-build knows in a template and this does not: https://docs.conda.io/projects/conda-build (Jinja functions).
_OF_CONDA_BUILD = (
    "cdt",
    "compiler",
    "load_file_data",
    "load_file_regex",
    "load_npm",
    "load_setup_py_data",
    "load_setuptools",
    "load_str_data",
    "pin_compatible",
    "pin_subpackage",
    "resolved_packages",
    "stdlib",
)

#: A line that holds on some platforms only: ``- pywin32  # [win]``.
_SELECTOR = re.compile(r"#.*\[[^\[\]]+\]\s*$")

#: Variables of the environment that say which version of a package the recipe takes.
VERSION_VARIABLES = {"dask": "DASK_VERSION", "distributed": "DISTRIBUTED_VERSION"}
SUFFIX_VARIABLE = "VERSION_SUFFIX"


@dataclass(frozen=True, slots=True)
class Rendered:
    """``source`` is the template with what was set in it, ``text`` what it gives; ``variables`` are those that were added.

    ``recipe`` is None where only conda-build can read it.
    """

    file: Path
    source: str
    text: str
    recipe: Recipe | None
    variables: Mapping[str, str]


class NeedsCondaBuildError(UsageError):
    """The recipe asks for what only conda-build can do."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"{file}: {why}: it needs conda-build", hint="crt build --builder conda-build")


def recipe_file(path: Path) -> Path:
    """The ``meta.yaml`` of a folder, or the file itself. Raises UsageError."""
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        what = f"{path} has no {NAME}" if path.is_dir() else f"no recipe {path}"
        raise UsageError(what, hint="crt build recipe/ takes a folder with a meta.yaml")
    if file.name == "recipe.yaml":
        raise UsageError(f"{file} is a recipe of rattler-build: crt build takes a {NAME}")
    return file


def source_of(file: Path) -> str:
    """The text of a recipe. Raises UsageError."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error


def render(
    file: Path, environ: Mapping[str, str], *, suffix: str | None = None, settings: Mapping[str, str] | None = None
) -> Rendered:
    """Render a recipe. ``settings`` are versions or constraints by package, over what the recipe and ``environ`` say.

    Raises UsageError that names the line, NeedsCondaBuildError where this is not enough.
    """
    source = source_of(file)
    variables: dict[str, str] = {} if suffix is None else {SUFFIX_VARIABLE: suffix}
    for name, value in (settings or {}).items():
        source = _set(file, source, name, value)
        variable = VERSION_VARIABLES.get(name)
        if variable is not None and environ.get(variable):
            variables[variable] = value.removeprefix("==")  # or the environment would have the last word
    text = _templated(file, source, {**environ, **variables})
    for number, line in enumerate(text.splitlines(), 1):
        if _SELECTOR.search(line):
            raise NeedsCondaBuildError(file, f"line {number} holds on some platforms only ({line.strip()})")
    return Rendered(file, source, text, _read(file, text), variables)


def _set(file: Path, source: str, name: str, value: str) -> str:
    try:
        return with_pin(source, name, value)
    except PinError as error:
        raise UsageError(f"--set {name}={value}: {error}", hint=f"the pins are in {file}") from error


def _templated(file: Path, source: str, environ: Mapping[str, str]) -> str:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    def not_here(name: str) -> Any:
        def call(*_: object, **__: object) -> NoReturn:
            raise NeedsCondaBuildError(file, f"{name}()")

        return call

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.globals.update({name: not_here(name) for name in _OF_CONDA_BUILD})
    try:
        return environment.from_string(source).render(environ=dict(environ))
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"{file}, line {error.lineno}: the template is broken: {error.message}") from error
    except jinja2.UndefinedError as error:
        line = _line_of(error)
        where = f", line {line}" if line else ""
        raise UsageError(
            f"{file}{where}: {error.message}", hint='environ.get("NAME", "") gives what may not be set'
        ) from error
    except jinja2.TemplateError as error:
        raise UsageError(f"{file}: the template is broken: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, OverflowError, MemoryError) as error:
        line = _line_of(error)
        where = f", line {line}" if line else ""
        raise UsageError(f"{file}{where}: the template cannot be rendered: {type(error).__name__}: {error}") from error


def _line_of(error: BaseException) -> int | None:
    """The line of the template that raised it: Jinja gives its frames the template's lines."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _read(file: Path, text: str) -> Recipe:
    import yaml

    try:
        # every value is a text, as conda-build has it: 1.10 is a version, and no number
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts, lists and mappings
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1} of what it renders to" if mark is not None else ""
        raise UsageError(
            f"{file}{where}: {getattr(error, 'problem', None) or error}", hint="crt build --render shows the text"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{file}: what it renders to is nested without end") from error
    try:
        return read(content)
    except RecipeError as error:
        if error.needs_conda_build:
            raise NeedsCondaBuildError(file, str(error)) from error
        raise UsageError(f"{file}: {error}") from error


def unread(file: Path, *, suffix: str | None = None, settings: Mapping[str, str] | None = None) -> Rendered:
    """A recipe for conda-build's eyes alone: as it stands, with what was set in it. Raises UsageError."""
    source = source_of(file)
    variables = {} if suffix is None else {SUFFIX_VARIABLE: suffix}
    for name, value in (settings or {}).items():
        source = _set(file, source, name, value)
        if name in VERSION_VARIABLES:
            variables[VERSION_VARIABLES[name]] = value.removeprefix("==")
    return Rendered(file, source, source, None, variables)


def given_settings(values: Sequence[str]) -> dict[str, str]:
    """``NAME=VERSION`` or ``NAME=CONSTRAINT`` as flags say it. Raises UsageError."""
    found: dict[str, str] = {}
    for each in values:
        match = re.match(r"\s*(?P<name>[A-Za-z0-9_][\w.-]*?)\s*=\s*(?P<value>\S.*?)\s*$", each)
        if match is None:
            raise UsageError(f"--set {each}: expected NAME=VERSION, as dask=2026.8.0")
        found[match["name"].lower()] = match["value"].removeprefix("=")
    return found
