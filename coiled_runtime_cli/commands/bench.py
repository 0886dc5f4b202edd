"""`crt bench`: run benchmark suites on a cluster, store every run, show what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.artifacts import Artifacts
    from coiled_runtime_cli.sync.store import Store


def bench(
    node_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NODEID]...", help="Tests: file, file::test[parameters], or a test's bare name."),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", "-s", metavar="NAME", help="A topic (parquet) or a folder (stability). Repeatable."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List suites and tests, and stop.")] = False,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPRESSION", help="Tests by name, as in pytest.")
    ] = None,
    markers: Annotated[
        str | None, typer.Option("-m", metavar="EXPRESSION", help="Tests by marker, as in pytest.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="SCALE", help="smoke, laptop (default), full, or a multiple of laptop.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="CLUSTER", help="local (default), coiled, tcp://HOST:PORT, or a configured name."),
    ] = None,
    repeat: Annotated[
        str, typer.Option(metavar="N|auto", help="Whole rounds; auto: until --precision, within --max-time.")
    ] = "1",
    precision: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Half-width of the interval that auto stops at. Default 5%.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Longest time that auto may take. Default 30m.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="The runtime under test. Default: local.")] = None,
    db: Annotated[str | None, typer.Option(metavar="PATH|URL", help="Database. Default: benchmark.db.")] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Measure this interpreter's environment instead.")
    ] = None,
    workers: Annotated[
        int, typer.Option("-n", metavar="N", min=0, help="Processes that share the modules, one cluster each.")
    ] = 0,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Longest time of one test. Default 1h.")] = None,
    performance_report: Annotated[
        bool, typer.Option("--performance-report", help="Keep Dask's performance report of each test.")
    ] = False,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOOL[:WHERE]", help="memray or py-spy; of scheduler, workers or (default) all. Repeatable."
        ),
    ] = None,
    cluster_dump: Annotated[
        Literal["always", "fail"] | None,
        typer.Option(metavar="always|fail", help="Keep the cluster's state after each test, or after those that fail."),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option(metavar="PATH|URL", help="Where these three go. Default: a folder beside the database."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Share the session when it ends, as crt sync push does.")
    ] = False,
    remote: Annotated[
        str | None, typer.Option("--remote", metavar="s3://BUCKET/PREFIX|FOLDER", help="Where --push puts it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
    pytest_args: Annotated[list[str] | None, typer.Option("--pytest-arg", hidden=True)] = None,
) -> None:
    """Run benchmark suites and store every run.

    \b
    crt bench --suite parquet                    every test of a suite
    crt bench test_write_wide_data --repeat 5    one test, five times
    crt bench --suite parquet --repeat auto      until each mean is known to 5 %
    crt bench --scale smoke                      every suite, in minutes
    crt bench --list                             what there is
    crt bench --suite parquet --profile memray   what took the memory
    crt bench --suite parquet -- --maxfail=1     the rest goes to pytest
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import config, suites
    from coiled_runtime_cli.errors import UsageError

    settings = config.load(
        {
            "db": db,
            "scale": scale,
            "cluster": cluster,
            "label": label,
            "timeout": timeout,
            "precision": precision,
            "max_time": max_time,
            "artifacts": artifacts,
        }
    )
    if list_:
        _show_suites(settings, suite or [], format_)
        return
    from pathlib import Path

    from coiled_runtime_cli.bench import Selection
    from coiled_runtime_cli.commands.bench_session import BenchSession

    if not (node_ids or suite or keyword or markers):
        known = sorted({each.topic for each in suites.find(settings.suites)})
        # every suite may take an hour, or a cluster a day: it is meant where the size was said
        if settings.origin("scale") == "default" or not known:
            raise UsageError(
                "no suite and no test was named" + (f" (suites: {', '.join(known)})" if known else ""),
                hint=f"crt bench --suite {known[0] if known else 'NAME'}, all of them: crt bench --scale smoke",
            )
    arguments = suites.select(settings.suites, names=suite or [], node_ids=node_ids or [], here=Path.cwd())
    selection = Selection(
        arguments=arguments or (str(settings.suites),),
        keyword=keyword,
        markers=markers,
        workers=workers,
        artifacts=_artifacts(performance_report, profile or [], cluster_dump, artifacts, repeat),
        extra=tuple(pytest_args or ()),
    )
    if remote is not None and not push:
        raise UsageError("--remote is where --push puts the session", hint="add --push")
    shared = _remote(settings, remote) if push else None
    BenchSession(settings, selection, python, _rounds(repeat), shared, dry_run=dry_run, format_=format_).run()


def _artifacts(report: bool, profiles: list[str], dump: str | None, where: str | None, repeat: str) -> Artifacts:
    """What the flags ask to be kept. Raises UsageError where they make no sense together."""
    from coiled_runtime_cli.core.artifacts import wanted
    from coiled_runtime_cli.errors import UsageError

    try:
        found = wanted(performance_report=report, profiles=profiles, cluster_dump=dump)
    except ValueError as error:
        raise UsageError(f"--profile: {error}", hint="--profile memray, or --profile py-spy:workers") from error
    if where is not None and not found:
        raise UsageError(
            "--artifacts is where artefacts go, and none is asked for",
            hint="add --performance-report, --profile memray or --cluster-dump fail",
        )
    if found.profiles and repeat == "auto":
        raise UsageError(
            "--repeat auto waits for a precision that profiled runs do not have", hint="--repeat 3, or no profile"
        )
    return found


def _remote(settings: Config, named: str | None) -> Store:
    """Where the session will be pushed to: what is wrong with it is said before hours of measuring."""
    from coiled_runtime_cli import config, sharing

    where = config.remote(settings, remote=named)
    store = sharing.open_remote(where)
    sharing.check_folder(where, makes=True)
    return store


def _rounds(repeat: str) -> int | None:
    """The number of rounds; None: as many as the precision needs."""
    from coiled_runtime_cli.errors import UsageError

    if repeat == "auto":
        return None
    if not repeat.isdecimal() or int(repeat) < 1:
        raise UsageError(f"--repeat {repeat}: a whole number from 1, or auto")
    return int(repeat)


def _show_suites(settings: Config, names: list[str], format_: str) -> None:
    from coiled_runtime_cli import console, suites
    from coiled_runtime_cli.core.table import Column, Table

    found = suites.find(settings.suites)
    if names:
        chosen = suites.select(settings.suites, names=names, node_ids=[], here=settings.suites)
        found = tuple(each for each in found if str(settings.suites / each.path) in chosen)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "suites": [
                    {"name": each.topic, "folder": each.folder, "path": each.path, "summary": each.summary}
                    | {"tests": [f"{each.path}::{test}" for test in each.tests]}
                    for each in found
                ],
            }
        )
        return
    rows = tuple((each.topic, each.folder, test) for each in found for test in each.tests)
    console.show_table(Table((Column("suite"), Column("folder", drop=1), Column("test")), rows), format_)
