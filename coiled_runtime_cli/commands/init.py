"""`crt init`: set up benchmarks for a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from coiled_runtime_cli.init import Prepared

_DONE = {"write": "written", "add": "added to", "keep": "there already"}
_PLANNED = {"write": "would be written", "add": "would be added to", "keep": "there already"}


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The project. Default: this folder.")] = Path(),
    *,
    workflow: Annotated[
        bool, typer.Option("--workflow", help="Also a workflow for GitHub that measures each pull request.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Set up benchmarks for a project of your own.

    \b
    crt init                       suites with an example, and the settings
    crt init ../mylibrary --dry-run
    crt init --workflow            and a workflow for GitHub

    Nothing that is there is overwritten: run again, it writes what is missing. The settings go to [tool.crt] of
    pyproject.toml, whose comments stay, or to crt.toml where there is none.
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli import init as project

    prepared = project.prepare(folder, workflow=workflow)
    if not dry_run:
        project.carry_out(prepared)
    _show(prepared, format_, dry_run=dry_run)
    effective = config.load(folder=prepared.folder)
    if not dry_run and effective.suites.resolve() != prepared.suites.resolve():
        console.warning(f"{effective.origin('suites')} names another folder of suites: {effective.suites}")
    if not dry_run:
        _say_what_next(prepared, here=prepared.folder == Path.cwd())


def _show(prepared: Prepared, format_: str, *, dry_run: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    words = _PLANNED if dry_run else _DONE
    if format_ == "json":
        files = [{"file": str(each.file), "action": each.action, "what": each.what} for each in prepared.steps]
        console.show_json(
            {
                "schema": 1,
                "folder": str(prepared.folder),
                "suites": str(prepared.suites),
                "package": prepared.package,
                "dry_run": dry_run,
                "files": files,
            }
        )
        return
    rows, styles = [], []
    for each in prepared.steps:
        inside = each.file.is_relative_to(prepared.folder)
        name = str(each.file.relative_to(prepared.folder) if inside else each.file)
        rows.append((name, words[each.action], each.what))
        styles.append(("strong", "dim" if each.action == "keep" else "good", None))
    console.show_table(Table((Column("file"), Column(""), Column("what")), tuple(rows), tuple(styles)), format_)


def _say_what_next(prepared: Prepared, *, here: bool) -> None:
    from coiled_runtime_cli import console

    steps = [] if here else [f"cd '{prepared.folder}'"]
    # crt measures what is installed beside it, and an editable install follows the checkout
    steps += ["python3 -m pip install -e ."] if (prepared.folder / "pyproject.toml").is_file() else []
    console.hint(" && ".join([*steps, f"crt bench --suite {prepared.first}"]))
