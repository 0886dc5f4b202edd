"""`crt noise`: how quiet this machine is now, how tests vary, and how many runs it takes to see an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.options import Databases, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.quietness import Remark, RunNoise
    from coiled_runtime_cli.core.series import SeriesKey

#: Tests that are listed: the noisiest.
_LISTED = 15


def noise(
    test: Annotated[
        str | None, typer.Argument(metavar="[TEST]", help="Only this test: its name, or a part of it.")
    ] = None,
    *,
    effect: Annotated[str, typer.Option("--effect", metavar="SHARE", help="The change that is to be seen.")] = "5%",
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Of which metric.")] = "duration",
    db: Databases = None,
    all_: Annotated[bool, typer.Option("--all", help="Every test, not only the noisiest.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Say how quiet this machine is now, how tests vary, and how many runs show an effect.

    \b
    crt noise                         the machine, and the noisiest tests
    crt noise test_write_wide_data    one test: runs per arm, and how long
    crt noise --effect 2% --all       every test, for a smaller effect
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from dataclasses import asdict
    from pathlib import Path

    from coiled_runtime_cli import config, console
    from coiled_runtime_cli import noise as host
    from coiled_runtime_cli.core.quietness import remarks

    smallest = share("--effect", effect)
    file = config.sqlite_file(config.load({"db": db[0] if db else None}).db)
    there = file is None or file.exists()
    found = _tests(db, test, metric, smallest) if test is not None or db or there else []
    folder = file.absolute().parent if file is not None and file.absolute().parent.is_dir() else Path.cwd()
    with console.progress(None, "this machine") as bar:
        measured = host.measure(folder, tell=lambda text: bar.update(0, text=text))
    told = remarks(**asdict(measured))
    if format_ == "json":
        tests = [_document(key, each) for key, each in found]
        machine = [{"what": each.what, "value": each.value, "advice": each.advice or None} for each in told]
        console.show_json(
            {"schema": 1, "host": asdict(measured), "remarks": machine, "effect": smallest, "tests": tests}
        )
        return
    if format_ != "csv" or not found:  # a file of values has one table
        _show_host(told, format_)
    if not found:
        if not there:
            console.note("no database here: how tests vary is not known yet")
            console.hint("crt bench --suite parquet --repeat 5")
        return
    if format_ != "csv":
        console.result("")
    _show_tests(found, smallest, format_, whole=all_ or test is not None)


def _tests(db: list[str] | None, test: str | None, metric: str, effect: float) -> list[tuple[SeriesKey, RunNoise]]:
    """The tests of the history that were asked for, the noisiest first."""
    from coiled_runtime_cli import histories
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import InconclusiveError, UsageError

    with histories.opened(db) as opened:
        chosen = opened.metric(metric)
        history = opened.history
        found = list(_noises(history, chosen.key, effect))
    if test is not None:
        names = sorted({key.benchmark for key, _ in found})
        wanted = [each for each in found if test in each[0].benchmark]
        if not wanted:
            known = sorted({each.id.partition("::")[2] for each in history.benchmarks})
            if any(test in name for name in known):
                raise InconclusiveError(
                    f"{test} has fewer than 3 runs of one kind", hint=f"crt bench {test} --repeat 5"
                )
            raise UsageError(unknown("test", test, known or names), hint="crt bench --list shows the tests")
        found = wanted
    return sorted(found, key=lambda each: (-each[1].noise, each[0].benchmark))


def _noises(history: History, metric: str, effect: float) -> Iterator[tuple[SeriesKey, RunNoise]]:
    import numpy as np

    from coiled_runtime_cli.core.grouping import rows_by_series, series_of
    from coiled_runtime_cli.core.history import NO_TIME
    from coiled_runtime_cli.core.quietness import run_noise
    from coiled_runtime_cli.core.record import OUTCOMES

    runs = history.runs
    keys, of = series_of(history)
    usable = np.flatnonzero((runs.outcome == OUTCOMES.index("passed")) & ~runs.profiled)
    lengths = np.where((runs.start != NO_TIME) & (runs.end != NO_TIME), (runs.end - runs.start) / 1e6, np.nan)
    for number, rows in rows_by_series(of, usable).items():
        found = run_noise(runs.values[metric][rows], lengths[rows], effect)
        if found is not None:
            yield keys[number], found


def _document(key: SeriesKey, each: RunNoise) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "benchmark": key.benchmark,
        "label": key.label,
        "scale": key.scale,
        "python": key.python,
        **asdict(each),
        "planned_seconds": each.planned_seconds,
    }


def _show_host(told: list[Remark], format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    rows = tuple((each.what, each.value, each.advice or "fine") for each in told)
    styles = tuple((None, None, "bad" if each.advice else "good") for each in told)
    console.show_table(Table((Column("this machine"), Column("now"), Column("means")), rows, styles), format_)


def _show_tests(found: list[tuple[SeriesKey, RunNoise]], effect: float, format_: str, *, whole: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.contrast import circumstances
    from coiled_runtime_cli.core.quantity import seconds_text
    from coiled_runtime_cli.core.table import Column, Table

    shown = found if whole else found[:_LISTED]
    told = circumstances([key for key, _ in shown])
    several = len({key.label for key, _ in shown}) > 1
    columns = (
        Column("test"),
        *([Column("label", drop=3)] if several else []),
        *([Column("where", drop=4)] if any(told.values()) else []),
        Column("runs", align="right", drop=2),
        Column("varies by", align="right", key="noise"),
        Column("5 runs show", align="right", key="five_show", drop=1),
        Column(f"to see {100 * effect:.3g} %", align="right", key="needed"),
        Column("takes", align="right"),
    )
    rows = []
    for key, each in shown:
        rows.append(
            (
                key.benchmark.partition("::")[2] or key.benchmark,
                *([key.label or ""] if several else []),
                *([told[key]] if any(told.values()) else []),
                str(each.runs),
                f"{each.noise:.1%}",
                f"{each.five_show:.0%}" if each.five_show < 10 else "nothing",
                "too many" if each.needed is None else f"{each.needed:,} an arm",
                "" if each.planned_seconds is None else seconds_text(each.planned_seconds),
            )
        )
    console.show_table(Table(columns, tuple(rows)), format_)
    if len(found) > len(shown):
        console.hint(f"--all shows the {len(found) - len(shown):,} calmer ones")
    if len(found) == 1 and found[0][1].needed is not None:
        key, each = found[0]
        name = key.benchmark.partition("::")[2]
        took = seconds_text(each.planned_seconds or 0.0)
        console.note(f"to see {100 * effect:.3g} % on {name}: {each.needed} runs per arm, about {took}")
