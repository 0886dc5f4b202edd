"""`crt detect`: what got slower or faster, how surely, since when, and what moved in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.options import Databases, moment, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coiled_runtime_cli.core.findings import Detected, Finding, Moved
    from coiled_runtime_cli.core.history import History

app = typer.Typer(invoke_without_command=True, help="Find regressions and improvements in the history.")

#: Causes that are told of, packages that are named first, and how many are named at all.
_CAUSES = 10
_FIRST, _MOVED = ("python", "host", "dask", "distributed", "dask-expr", "numpy", "pandas", "pyarrow"), 6


@app.callback(epilog="crt detect accept ID --reason TEXT says that a change is as it should be.")
def detect(
    ctx: typer.Context,
    *,
    db: Databases = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE|30d", help="Only what began then or later. Default: everything.")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="Only this suite. Repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this metric. Repeatable. Default: all.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME", help="Only this runtime. Repeatable.")
    ] = None,
    min_effect: Annotated[
        str, typer.Option("--min-effect", metavar="SHARE", help="Smallest change that counts.")
    ] = "5%",
    fdr: Annotated[str, typer.Option("--fdr", metavar="SHARE", help="Share of chance among what is found.")] = "5%",
    fail_on: Annotated[
        Literal["regression", "improvement", "never"],
        typer.Option("--fail-on", help="Exit 1 if there is one that is neither accepted nor fixed."),
    ] = "never",
    all_: Annotated[bool, typer.Option("--all", help="Also those that are accepted, or fixed.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Find regressions and improvements in the history.

    \b
    crt detect                                    every metric of every series
    crt detect --since 30d --fail-on regression   for CI: exit 1 if something got slower
    crt detect accept 3f2a9c1b7d10 --reason "checks its answer now"
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    if ctx.invoked_subcommand is not None:
        return
    from coiled_runtime_cli import histories
    from coiled_runtime_cli.core.findings import find
    from coiled_runtime_cli.db import findings as kept

    effect, rate = share("--min-effect", min_effect), share("--fdr", fdr)
    begun = None if since is None else moment("--since", since)
    with histories.opened(db, suites=suite or [], labels=label or []) as opened:
        history, engine = opened.history, opened.engines[0]
        metrics = [opened.metric(each) for each in metric] if metric else list(history.metrics)
        known = kept.known_findings(engine)
        found = find(history, metrics, known=known, min_effect=effect, rate=rate, since=begun)
        _refuse_nothing(history, found)
        kept.remember(engine, found.findings)
    shown = [each for each in found.findings if all_ or _is_open(each)]
    if format_ == "json":
        _show_json(found, shown)
    else:
        _show(found, shown, format_, reported={each.id for each in known})
    if any(_is_open(each) and each.kind == fail_on for each in found.findings):
        raise typer.Exit(1)


@app.command()
def accept(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Findings, by the ids that crt detect shows.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is as it should be.")],
    db: Annotated[
        str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: benchmark.db.")
    ] = None,
) -> None:
    """Accept changes: the level after them is the baseline from now on.

    crt detect accept 3f2a9c1b7d10 --reason "checks its answer now"
    """
    from coiled_runtime_cli import config, console, session
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.db import findings as kept
    from coiled_runtime_cli.errors import UsageError

    if not reason.strip():
        raise UsageError("--reason is empty", hint="say why the change is as it should be: others will ask")
    engine = session.open_existing(config.load({"db": db}))
    try:
        kept.accept(engine, ids, reason.strip())
    finally:
        engine.dispose()
    console.note(f"{counted(len(ids), 'finding')} accepted")


def _is_open(finding: Finding) -> bool:
    return finding.state in {"new", "confirmed"}


def _refuse_nothing(history: History, found: Detected) -> None:
    """Nothing measured and too little measured are not the same, and neither is the same as nothing found."""
    from coiled_runtime_cli.core.changepoint import FEWEST
    from coiled_runtime_cli.errors import InconclusiveError, ToolError

    if not len(history.runs) or not (found.searched or found.short):
        raise ToolError("nothing was measured: there is no run that passed", hint="crt bench --suite parquet")
    if not found.searched:
        raise InconclusiveError(
            f"no series has {FEWEST} runs: too few to tell a change from noise", hint="measure more, or crt sync pull"
        )


def _show_json(found: Detected, shown: Sequence[Finding]) -> None:
    from coiled_runtime_cli import console

    console.show_json(
        {
            "schema": 1,
            "regressions": [_document(each) for each in shown if each.kind == "regression"],
            "improvements": [_document(each) for each in shown if each.kind == "improvement"],
            "searched": found.searched,
            "short": found.short,
        }
    )


def _document(each: Finding) -> dict[str, Any]:
    return {
        "id": each.id,
        "benchmark": each.key.benchmark,
        "label": each.key.label,
        "scale": each.key.scale,
        "python": each.key.python,
        "cluster": each.key.cluster,
        "host": each.key.host,
        "epoch": each.key.epoch,
        "metric": each.metric.key,
        "since": each.first_bad.start.isoformat(),
        "before": each.before,
        "after": each.after,
        "ratio": each.ratio,
        "low": each.low,
        "high": each.high,
        "q": each.q,
        "state": each.state,
        "cause": each.cause,
        "runs_since": each.held,
        "last_good": {"uuid": each.last_good.uuid, "start": each.last_good.start.isoformat()},
        "first_bad": {"uuid": each.first_bad.uuid, "start": each.first_bad.start.isoformat()},
        "changes": [
            {"package": one.name, "before": one.before, "after": one.after, "commits_url": one.url}
            for one in each.moved
        ],
    }


def _show(found: Detected, shown: Sequence[Finding], format_: str, *, reported: set[str]) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.contrast import circumstances
    from coiled_runtime_cli.core.quantity import ratio_text
    from coiled_runtime_cli.core.table import Column, Table

    if not shown:
        console.result(f"no change in {found.searched:,} series of measurements")
        return
    told = circumstances([each.key for each in shown])
    columns = (
        Column("cause", align="right", drop=2),
        Column("id"),
        Column("test"),
        *([Column("where", drop=4)] if any(told.values()) else []),
        Column("metric"),
        Column("change", align="right"),
        Column("95 %", align="right", key="interval", drop=3),
        Column("since", drop=1),
        Column("state"),
    )
    rows, styles = [], []
    for each in shown:
        news = "" if each.id in reported or each.state != "new" else ", not seen before"
        rows.append(
            (
                str(each.cause),
                each.id,
                each.key.benchmark.partition("::")[2] or each.key.benchmark,
                *([told[each.key]] if any(told.values()) else []),
                each.metric.key,
                ratio_text(each.ratio),
                f"{ratio_text(each.low)} to {ratio_text(each.high)}",
                f"{each.first_bad.start:%Y-%m-%d}",
                each.state + news,
            )
        )
        style: list[str | None] = [None] * len(columns)
        style[-4] = "bad" if each.kind == "regression" else "good"
        styles.append(tuple(style))
    causes = [text for text in map(_cause_text, _causes(shown)) if text]
    console.show_table(Table(columns, tuple(rows), tuple(styles)), format_)
    write = console.result if format_ in {"markdown", "github"} else console.note
    for text in causes[:_CAUSES]:
        write(f"- {text}" if format_ in {"markdown", "github"} else text)
    if len(causes) > _CAUSES:
        console.hint(f"--format json says what moved in the {len(causes) - _CAUSES:,} other causes")


def _causes(shown: Sequence[Finding]) -> Iterable[list[Finding]]:
    by_cause: dict[int, list[Finding]] = {}
    for each in shown:
        by_cause.setdefault(each.cause, []).append(each)
    return by_cause.values()


def _cause_text(members: list[Finding]) -> str:
    """What moved between the last good and the first bad run, in all of them."""
    common = [each for each in members[0].moved if all(each in one.moved for one in members)]
    if not common:
        return ""
    rank = {name: place for place, name in enumerate(_FIRST)}
    common.sort(key=lambda each: (rank.get(each.name, len(rank)), each.name))
    rest = f", and {len(common) - _MOVED} more" if len(common) > _MOVED else ""
    return f"cause {members[0].cause}: {', '.join(map(_moved_text, common[:_MOVED]))}{rest}"


def _moved_text(each: Moved) -> str:
    address = f" {each.url}" if each.url else ""
    return f"{each.name} {each.before or 'absent'} to {each.after or 'absent'}{address}"
