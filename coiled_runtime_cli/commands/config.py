"""``crt config``: what the configuration is, and where each value comes from."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coiled_runtime_cli import config, console

app = typer.Typer(no_args_is_help=True, help="Show the configuration, and where it comes from.")


@app.command()
def show(
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    format: Annotated[  # noqa: A002  named as the flag
        Literal["table", "json", "markdown", "csv"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Show every setting as it holds in this folder. Passwords are masked."""
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
    """Print the configuration files that are read, the weakest first."""
    files = config.load().files
    for file in files:
        console.result(str(file))
    user = config.user_file()
    if user not in files:
        console.hint(f"your own settings go to {user}, a project's to crt.toml or [tool.crt] in pyproject.toml")


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
