"""``crt config``: what the configuration is, and where each value comes from."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coiled_runtime_cli import config, console

_HELP = """\
Show the configuration, and where it comes from.

\b
crt config show --origin     every setting, and who says so
crt config path              the files that are read
crt config schema bench      what crt bench --format json writes
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)


@app.command()
def show(
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    format: Annotated[  # noqa: A002  named as the flag
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Show every setting as it holds in this folder. Passwords are masked.

    crt config show --origin
    """
    from coiled_runtime_cli.core.table import Column, Table

    settings = config.load()
    if format == "json":
        document = {"schema": 1, "values": {key: _plain(settings, key) for key in config.KEYS}}
        if origin:
            document["origins"] = {key: settings.origin(key) for key in config.KEYS}
        console.show_json(document)
        return
    columns = (Column("key"), Column("value"), Column("origin"))
    rows = [(key, settings.shown(key), settings.origin(key)) for key in config.KEYS]
    styles = [("strong", None, "dim" if source == "default" else None) for _, _, source in rows]
    width = 3 if origin else 2
    console.show_table(
        Table(columns[:width], tuple(row[:width] for row in rows), tuple(style[:width] for style in styles)), format
    )


@app.command()
def path() -> None:
    """Print the configuration files that are read, the weakest first.

    crt config path
    """
    files = config.load().files
    for file in files:
        console.result(str(file))
    user = config.user_file()
    if user not in files:
        console.hint(f"your own settings go to {user}, a project's to crt.toml or [tool.crt] in pyproject.toml")


@app.command()
def schema(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="A command, as sync push. Default: list them.")
    ] = None,
) -> None:
    """Print the JSON Schema of what a command writes with --format json.

    \b
    crt config schema                which commands have one
    crt config schema sync push
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import locations
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError

    known = {each.name.partition(".")[0]: each for each in sorted(locations.SCHEMAS.glob("*.schema.json"))}
    if not command:
        for name in known:
            console.result(name.replace("_", " "))
        return
    words = " ".join(command).split()
    file = known.get("_".join(words))
    if file is None:
        names = [each.replace("_", " ") for each in known]
        raise UsageError(unknown("command with a schema", " ".join(words), names), hint="crt config schema lists them")
    console.result(file.read_text())


def _plain(settings: config.Config, key: str) -> object:
    """The value as JSON has it, without passwords."""
    value = getattr(settings, key)
    return (
        _masked(value)
        if isinstance(value, dict)
        else value
        if isinstance(value, float)
        else settings.shown(key) or None
    )


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return config.masked(value) if isinstance(value, str) else value if isinstance(value, int | float) else str(value)
