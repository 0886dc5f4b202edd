"""`crt compare`: one set of runs against another, test by test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import Databases, Suites, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.contrast import Contrast
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.core.selection import Selection


def compare(
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="Label, dask==2026.8.0, commit, session, dates, env:FILE.")
    ],
    contender: Annotated[str, typer.Argument(metavar="CONTENDER", help="What is compared with it; the same forms.")],
    *,
    db: Databases = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Metric to compare. Repeatable. Default: duration."),
    ] = None,
    suite: Suites = None,
    min_effect: Annotated[
        str, typer.Option("--min-effect", metavar="SHARE", help="Smallest change of interest: less is the same.")
    ] = "5%",
    fdr: Annotated[
        str, typer.Option("--fdr", metavar="SHARE", help="Share of chance among what is called a change.")
    ] = "5%",
    across: Annotated[
        list[str] | None,
        typer.Option(
            "--across", metavar="NAME", help="May differ: scale, cluster, python, host. It is compared. Repeatable."
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SHARE", help="Exit 1 if a test is surely worse, by this or more."),
    ] = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Compare two sets of runs, test by test.

    \b
    crt compare main my-branch                   two labels
    crt compare dask==2026.7.0 dask==2026.8.0    two versions of a package
    crt compare upstream,2026-11-01..2026-11-07 upstream,2026-11-08..
    crt compare main my-branch --fail-on 10%     exit 1 if surely 10 % worse
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, histories
    from coiled_runtime_cli.core.contrast import contrast
    from coiled_runtime_cli.core.contrast_table import contrast_document, contrast_notes, contrast_table, overalls
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.core.series import CIRCUMSTANCES
    from coiled_runtime_cli.errors import UsageError

    smallest, rate = share("--min-effect", min_effect, zero=True), share("--fdr", fdr)
    gate = None if fail_on is None else share("--fail-on", fail_on, zero=True)
    for name in across or ():
        if name not in CIRCUMSTANCES:
            raise UsageError(unknown("circumstance", name, CIRCUMSTANCES))
    with histories.opened(db, suites=suite or []) as opened:
        metrics = [opened.metric(each) for each in metric or ["duration"]]
        arms = [_arm(opened.history, each) for each in (baseline, contender)]
        found = contrast(
            opened.history, arms[0].mask, arms[1].mask, metrics, smallest=smallest, rate=rate, across=across or ()
        )
    _refuse_nothing(found, arms)
    names, whole = (arms[0].text, arms[1].text), overalls(found, metrics)
    if format_ == "json":
        sides = {"baseline": names[0], "contender": names[1]}
        console.show_json({"schema": 1, **sides, **contrast_document(found, whole)})
    else:
        if found.paired:
            console.show_table(contrast_table(found, whole, names), format_)
        for each in contrast_notes(found, names):
            (console.warning if each.warns else console.note)(each.text)
        for arm in arms if found.paired else ():
            sessions = opened.history.runs.session[arm.mask]
            if sessions.min() == sessions.max():
                console.note(f"{arm.text} is one session: what slowed the machine in it is part of every change")
    _end(found, gate)


def _arm(history: History, text: str) -> Selection:
    from pathlib import Path

    from coiled_runtime_cli.core.selection import SelectionError, select, select_environment
    from coiled_runtime_cli.errors import UsageError

    try:
        if not text.startswith("env:"):
            return select(history, text)
        file = Path(text.removeprefix("env:"))
        try:
            content = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{file} cannot be read: {error}", hint="pip freeze > environment.txt makes one"
            ) from error
        return select_environment(history, str(file), content)
    except SelectionError as error:
        raise UsageError(
            str(error), hint="crt compare --help shows the forms; crt sync pull may bring more runs"
        ) from error


def _refuse_nothing(found: Contrast, arms: Sequence[Selection]) -> None:
    from coiled_runtime_cli.errors import ToolError, UsageError

    if found.paired or found.failures:
        return
    total = [int(each.mask.sum()) for each in arms]
    if found.shared and found.shared in total:
        raise UsageError(f"{arms[0].text} and {arms[1].text} have the same runs", hint="name two different sets")
    if found.elsewhere:
        raise ToolError(
            f"{len(found.elsewhere):,} tests were run on both sides, but never in the same circumstances "
            "(scale, cluster, Python, host)",
            hint="--across host, say, compares them all the same; crt diff RUN1 RUN2 says what sets two runs apart",
        )
    if found.incomparable:
        raise ToolError(
            f"{arms[0].text} and {arms[1].text} have no values above 0 of the same test", hint="--metric names others"
        )
    raise ToolError(
        f"{arms[0].text} and {arms[1].text} have no test in common", hint="measure the same tests on both sides"
    )


def _end(found: Contrast, gate: float | None) -> None:
    """Exit 1 where the gate does not let it pass, 5 where nothing could be told at all."""
    from coiled_runtime_cli.core.contrast_table import fails_gate
    from coiled_runtime_cli.errors import InconclusiveError

    if fails_gate(found, gate):
        raise typer.Exit(1)
    if found.paired and all(each.verdict.word == "few" for each in found.paired):
        raise InconclusiveError(
            "no test has two runs on either side: nothing can be told from chance",
            hint="crt bench --repeat 5, on both sides",
        )
