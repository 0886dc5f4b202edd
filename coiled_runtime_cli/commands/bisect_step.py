"""`crt bisect-step`: one verdict for `git bisect run`, by measuring the commit that is checked out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coiled_runtime_cli.errors import GIT_SKIPS, GIT_STOPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.bisect.step import Step
    from coiled_runtime_cli.commands.bisect_plan import Asked


def bisect_step(
    target: Annotated[
        str | None, typer.Argument(metavar="[NODEID]", help="The test that is measured; or a command after --.")
    ] = None,
    *,
    above: Annotated[
        str | None, typer.Option("--above", metavar="VALUE", help="Bad from here on: 1.5s, 2GiB, or a number.")
    ] = None,
    below: Annotated[str | None, typer.Option("--below", metavar="VALUE", help="Bad below this.")] = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="As of crt bisect.")] = "duration",
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs; their median is what counts.")] = 3,
    repo: Annotated[str, typer.Option(metavar="DIR", help="Clone that git bisects. Default: here.")] = ".",
    python: Annotated[str | None, typer.Option(metavar="PATH|VERSION", help="As of crt bisect.")] = None,
    with_: Annotated[list[str] | None, typer.Option("--with", metavar="REQUIREMENT", help="As of crt bisect.")] = None,
    scale: Annotated[str | None, typer.Option(metavar="SCALE", help="As of crt bench.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="As of crt bench.")] = None,
    db: Annotated[str | None, typer.Option(metavar="PATH|URL", help="Database. Default: benchmark.db.")] = None,
    command: Annotated[list[str] | None, typer.Option("--command-arg", hidden=True)] = None,
) -> None:
    """Judge the commit that is checked out, for who wants git to drive: exit 0 good, 1 bad, 125 cannot be told.

    A mistake in what is asked for is 128: git stops.

    \b
    git bisect start main v1.2
    git bisect run crt bisect-step --above 1.5s -- python repro.py
    crt bisect-step --above 2GiB --metric peak_memory NODEID
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli.commands import bisect_plan
    from coiled_runtime_cli.errors import CrtError, UsageError

    try:
        limit = _limit(above, below)
        asked = bisect_plan.Asked(
            folder=Path.cwd(),
            target=target,
            command=tuple(command or ()),
            repo=repo,
            good="HEAD",
            bad="HEAD",
            metric=metric,
            python=python,
            with_=tuple(with_ or ()),
            scale=scale,
            cluster=cluster,
        )
        found = _measured(asked, {"db": db, "scale": scale, "cluster": cluster}, runs=runs)
    except CrtError as error:
        # git would take the codes of other commands for "bad"
        error.exit_code = GIT_STOPS if isinstance(error, UsageError) else GIT_SKIPS
        raise
    _judge(found, limit, above=above is not None)


def _measured(asked: Asked, flags: Mapping[str, object], *, runs: int) -> Step:
    from coiled_runtime_cli import config, session
    from coiled_runtime_cli.bisect import step
    from coiled_runtime_cli.commands import bisect_plan

    settings = config.load(flags)
    planned = bisect_plan.plan_of_one(asked, settings)
    engine = session.open_history(settings)
    try:
        return step.measure(planned, settings, engine, runs=runs)
    finally:
        engine.dispose()


def _judge(found: Step, limit: float, *, above: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import value_text

    if found.value is None:
        console.note(f"cannot be told: {found.message}")
        raise typer.Exit(GIT_SKIPS)
    bad = found.value > limit if above else found.value < limit
    console.note(f"{value_text(found.value, found.unit, 1.0)}: {'bad' if bad else 'good'}")
    if bad:
        raise typer.Exit(1)


def _limit(above: str | None, below: str | None) -> float:
    """A time, a size, or a plain number. Raises UsageError."""
    from coiled_runtime_cli.core.quantity import parse_bytes, parse_seconds
    from coiled_runtime_cli.errors import UsageError

    if (above is None) == (below is None):
        raise UsageError("where does bad begin?", hint="--above 1.5s, or --below for what is better higher")
    flag, text = ("--above", above) if above is not None else ("--below", below or "")
    for parse in (float, parse_seconds, parse_bytes):
        try:
            return float(parse(text))
        except ValueError:
            continue
    raise UsageError(f"{flag} {text}: expected a number, a time (1.5s) or a size (2GiB)")
