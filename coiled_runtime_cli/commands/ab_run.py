"""`crt ab run`: the arms of a folder in interleaved blocks, each compared with the baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.options import seconds, share

if TYPE_CHECKING:
    from coiled_runtime_cli.commands.ab_asked import Asked


def run(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One NAME.toml an arm, or AB_NAME.conda.yaml triplets.")
    ],
    *,
    blocks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most so many runs of each arm. Default: the folder's, or 10."),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no block that would end later, as 4h.")
    ] = None,
    all_blocks: Annotated[
        bool, typer.Option("--all-blocks", help="Run every block, even if every test is decided before.")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Metric to compare. Repeatable.")
    ] = None,
    min_effect: Annotated[
        str, typer.Option("--min-effect", metavar="SHARE", help="Smallest change of interest: less is the same.")
    ] = "5%",
    fdr: Annotated[
        str, typer.Option("--fdr", metavar="SHARE", help="Share of chance among what is called a change.")
    ] = "5%",
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SHARE", help="Exit 1 if a test is surely worse, by this or more."),
    ] = None,
    scale: Annotated[str | None, typer.Option(metavar="SCALE", help="smoke, laptop, full, or a multiple.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="As of crt bench.")] = None,
    parallel: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Arms that run at once, each on a cluster of its own.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the order of the arms. Default: by chance.")] = None,
    db: Annotated[str | None, typer.Option(metavar="PATH|URL", help="Database. Default: benchmark.db.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, rather than go on where it was left.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and how long; then stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Run the arms of a folder in interleaved blocks, and compare each with the baseline.

    \b
    crt ab run ab --dry-run      what would run, and how long it takes
    crt ab run ab                the same command goes on where it was stopped
    crt ab run ab --fail-on 10%  exit 1 if anything is surely 10 % worse
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import sys

    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.ab import definition
    from coiled_runtime_cli.commands.ab_asked import Asked

    smallest, rate = share("--min-effect", min_effect, zero=True), share("--fdr", fdr)
    gate = None if fail_on is None else share("--fail-on", fail_on, zero=True)
    experiment, said = definition.read(folder)
    given = {
        "blocks": blocks,
        "max_time": None if max_time is None else seconds("--max-time", max_time),
        "metrics": tuple(metric) if metric else None,
        "scale": scale,
        "cluster": cluster,
        "parallel": parallel,
        "seed": seed,
        "early": False if all_blocks else None,
    }
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    experiment = replace(experiment, **chosen)
    settings = config.load({"db": db, "scale": experiment.scale, "cluster": experiment.cluster})
    for each in said:
        console.note(each)
    asked = Asked(
        settings=settings,
        folder=folder,
        experiment=experiment,
        smallest=smallest,
        rate=rate,
        gate=gate,
        format=format_,
    )
    _run(asked, restart=restart, dry_run=dry_run, command=("crt", *sys.argv[1:]))


def _run(asked: Asked, *, restart: bool, dry_run: bool, command: tuple[str, ...]) -> None:
    from coiled_runtime_cli import clusters, console, session
    from coiled_runtime_cli.ab.environments import make_environments
    from coiled_runtime_cli.ab.record import Record, held
    from coiled_runtime_cli.ab.selection import selected
    from coiled_runtime_cli.ab.session_settings import arm_settings
    from coiled_runtime_cli.commands import ab_plan
    from coiled_runtime_cli.commands.ab_result import finish
    from coiled_runtime_cli.commands.ab_rounds import Rounds
    from coiled_runtime_cli.core import experiment as plans

    record = Record(asked.folder, asked.experiment)
    selected(asked.experiment, asked.settings)  # what does not exist is said before anything is built
    specs = [session.prepare(arm_settings(asked.settings, each, record.folder))[1] for each in asked.experiment.arms]
    if dry_run:
        ab_plan.show(asked)
        return
    with held(record):
        if not restart and record.resume():
            done = sum(each.done for each in record.cells)
            total = asked.experiment.blocks * len(asked.experiment.every)
            console.note(f"going on where it was left: {done} of {total} rounds are done (--restart begins anew)")
        for each in specs:
            clusters.check(each, elsewhere=True)
        if asked.experiment.parallel > 1 and any(each.kind == "local" for each in specs):
            console.warning("arms that run at once on one machine disturb each other: their timings are worth less")
        with console.progress(len(asked.experiment.arms), "environments") as bar:
            made = make_environments(
                asked.experiment,
                asked.folder,
                record,
                asked.settings.environments,
                tell=lambda number, name: bar.update(number, text=name),
            )
        rounds = Rounds(asked, record)
        engine = session.open_history(asked.settings)
        try:
            reason = rounds.measure(made, engine, command)
        finally:
            engine.dispose()
        record.ended = True
        record.write()
    done = record.blocks(asked.experiment)
    places = asked.experiment.looks
    look = places.index(done) if reason == "decided" else len(places) - 1
    rate = plans.rate_at(look, len(places), asked.rate)
    why = {
        "decided": f"every test was decided after {done} of {asked.experiment.blocks} blocks",
        "time": f"the time was up after {done} of {asked.experiment.blocks} blocks",
        "blocks": f"{done} blocks",
    }[reason]
    finish(asked, record, made, why=why, rate=rate, runs=rounds.runs)
