"""The commands as they are, with their parsers: what tests, and the pages that are generated, go through."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from coiled_runtime_cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Columns of a terminal that is not wide.
WIDTH = 80


@cache
def root() -> Any:
    return typer.main.get_command(cli.app)


def commands() -> dict[str, Any]:
    """Every command and group by its words, as "sync push", in the order of the help."""
    return dict(_walk((), root(), root().make_context("crt", [], resilient_parsing=True)))


def _walk(path: tuple[str, ...], group: Any, ctx: Any) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        yield " ".join((*path, name)), command
        if hasattr(command, "list_commands"):
            yield from _walk((*path, name), command, ctx)


def parse(arguments: list[str]) -> Any:
    """The context of the last command that the arguments name; raises what the parser raises."""
    ctx = root().make_context("crt", list(arguments), obj=cli._Flags())
    while hasattr(ctx.command, "resolve_command") and (rest := [*getattr(ctx, "_protected_args", []), *ctx.args]):
        name, command, rest = ctx.command.resolve_command(ctx, rest)
        ctx = command.make_context(name, rest, parent=ctx)
    return ctx


def page(name: str) -> str:
    """The help of a command as it is on a terminal of WIDTH columns."""
    words = name.split()
    ctx = root().make_context("crt", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    for word in words:
        command = ctx.command.get_command(ctx, word)
        ctx = type(ctx)(command, info_name=word, parent=ctx, resilient_parsing=True)
    text: str = ctx.command.get_help(ctx)
    return text


def examples(text: str) -> list[str]:
    """The lines of a help that are commands of crt, without what is said about them."""
    return [re.split(r" {2,}", line.strip(), maxsplit=1)[0] for line in text.splitlines() if re.match(r" +crt ", line)]


def words_of(example: str) -> list[str]:
    """The arguments of an example, without what the shell does with the answer."""
    words = shlex.split(example, comments=True)
    ends = [place for place, each in enumerate(words) if each in {"|", ">", "<", ";", "&&"}]
    return words[1 : min(ends, default=None)]
