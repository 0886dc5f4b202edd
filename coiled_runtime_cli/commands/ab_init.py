"""`crt ab init`: the files of an experiment, an example or arms that are named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write the files.")] = Path("ab"),
    *,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME=WHAT",
            help="An arm: a requirement of pip, or a folder with a recipe's meta.yaml. Repeatable.",
        ),
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="What is run. Repeatable.")
    ] = None,
) -> None:
    """Write an example: an arm for today's Dask, one for its development version, and the settings. Or the arms that are named.

    \b
    crt ab init              edit ab/*.toml, then: crt ab run ab --dry-run
    crt ab init --arm baseline=base/recipe --arm pull-request=head/recipe
    crt ab init --arm baseline="dask==2026.7.0" --arm newer="dask==2026.8.0"
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console
    from coiled_runtime_cli.ab import new_definition
    from coiled_runtime_cli.core import experiment as plans
    from coiled_runtime_cli.errors import ToolError, UsageError

    if arm:
        arms = _named(arm)
        try:
            plans.make([plans.arm(name, {"packages": packages}) for name, packages in arms.items()], {})
        except plans.ExperimentError as error:
            raise UsageError(f"--arm: {error}", hint="--arm baseline=WHAT --arm NAME=WHAT") from error
        files = new_definition.files_of(arms, suite or ["parquet"])
    else:
        if suite:
            raise UsageError("--suite is beside --arm: the example says its own", hint="edit experiment.toml")
        files = new_definition.examples()
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder / there[0]} exists already", hint="name another folder: nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    except OSError as error:
        raise ToolError(f"cannot write to {folder}: {error.strerror or error}") from error
    console.note(f"wrote {', '.join(str(folder / name) for name in files)}")
    console.hint(f"edit them, then: crt ab run {folder} --dry-run")


def _named(given: Sequence[str]) -> dict[str, list[str]]:
    """The requirements of each arm that is named on the command line. Raises UsageError."""
    from coiled_runtime_cli.errors import UsageError

    arms: dict[str, list[str]] = {}
    for each in given:
        name, separator, what = each.partition("=")
        if not separator or not what.strip():
            raise UsageError(f"--arm {each}: expected NAME=WHAT", hint='--arm baseline="dask==2026.7.0"')
        arms.setdefault(name, []).extend(_pins(Path(what)) if Path(what, "meta.yaml").is_file() else [what])
    return arms


def _pins(recipe: Path) -> list[str]:
    """The pins of a recipe, as pip has them."""
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build.render import recipe_file, render
    from coiled_runtime_cli.core.pins import to_pypi
    from coiled_runtime_cli.errors import UsageError

    read = render(recipe_file(recipe), config.environment()).recipe
    if read is None:
        raise UsageError(f"{recipe} needs conda-build to be read", hint="name the requirements: --arm NAME=REQUIREMENT")
    requirements, left = to_pypi(read.depends)
    missing = [str(each) for each in left if each.name != "python"]
    if missing:
        console.note(f"{recipe}: the arm goes without what pip cannot have: {', '.join(missing)}")
    return requirements
