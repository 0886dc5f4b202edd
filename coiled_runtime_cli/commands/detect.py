"""`crt detect`: what got slower or faster, how surely, since when, and what moved in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.detect_accept import accept
from coiled_runtime_cli.commands.detect_issues import issues
from coiled_runtime_cli.commands.options import (
    Databases,
    Labels,
    Metrics,
    MinEffect,
    Since,
    Suites,
    moment,
    seconds,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.findings import Detected, Finding, Known
    from coiled_runtime_cli.core.history import History

app = typer.Typer(invoke_without_command=True)

#: Causes that are told of.
_CAUSES = 10

#: GitHub shows ten annotations of each level of a step.
_ANNOTATIONS = 10


@app.callback(epilog="crt detect accept ID --reason TEXT says that a change is as it should be.")
def detect(
    ctx: typer.Context,
    *,
    db: Databases = None,
    since: Since = None,
    suite: Suites = None,
    metric: Metrics = None,
    label: Labels = None,
    min_effect: MinEffect = "5%",
    fdr: Annotated[str, typer.Option("--fdr", metavar="SHARE", help="Share of chance among what is found.")] = "5%",
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="P", help="P-value below which a change is more than a suspect.")
    ] = 1e-7,
    fail_on: Annotated[
        Literal["regression", "improvement", "never"],
        typer.Option("--fail-on", help="Exit 1 if there is one that is neither accepted nor fixed."),
    ] = "never",
    confirm: Annotated[bool, typer.Option("--confirm", help="Measure suspects again now, and decide them.")] = False,
    max_time: Annotated[
        str | None, typer.Option("--max-time", metavar="TIME", help="Of --confirm: begin nothing that would end later.")
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="How the detector does on this history's own noise, then stop.")
    ] = False,
    replayed: Annotated[
        int, typer.Option("--replay", metavar="RUNS", min=10, help="Of --score: nights that are replayed.")
    ] = 60,
    alarms: Annotated[
        float, typer.Option("--alarms", metavar="N", min=0.0, help="Of --score: false alarms a week to be kept.")
    ] = 1.0,
    all_: Annotated[
        bool, typer.Option("--all", help="Also suspects, and those that are accepted, fixed, or noise.")
    ] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"],
        typer.Option("--format", help="How to write it; github: Markdown, and annotations on stderr."),
    ] = "table",
) -> None:
    """Find regressions and improvements in the history.

    \b
    crt detect                                    every metric of every series
    crt detect --since 30d --fail-on regression   exit 1 if something got slower
    crt detect --confirm                          decide suspects by fresh runs
    crt detect --score                            how far to trust it
    crt detect accept 3f2a9c1b7d10 --reason "checks its answer now"
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    if ctx.invoked_subcommand is not None:
        return
    from coiled_runtime_cli import histories
    from coiled_runtime_cli.commands.detect_confirm import measure_again
    from coiled_runtime_cli.commands.detect_score import show_score
    from coiled_runtime_cli.core.findings import find, search
    from coiled_runtime_cli.core.findings_table import is_open, is_suspect
    from coiled_runtime_cli.db import findings as kept
    from coiled_runtime_cli.errors import UsageError

    effect, rate = share("--min-effect", min_effect), share("--fdr", fdr)
    begun = None if since is None else moment("--since", since)
    limit = None if max_time is None else seconds("--max-time", max_time)
    if not 0 < threshold <= 1e-3:
        raise UsageError(f"--threshold {threshold:g}: expected a p-value above 0, and at most 0.001")
    with histories.opened(db, suites=suite or [], labels=label or []) as opened:
        history, engine = opened.history, opened.engines[0]
        metrics = [opened.metric(each) for each in metric] if metric else list(history.metrics)
        if score:
            chosen = metrics if metric else [each for each in metrics if each.key == "duration"]
            series, short = search(history, chosen, min_effect=effect, experiments=bool(label))
            _refuse_nothing(history, len(series), short)
            show_score(series, history, replayed, alarms, effect, format_)
            return
        known = kept.known_findings(engine)

        def searched(known: Sequence[Known]) -> Detected:
            return find(
                history,
                metrics,
                known=known,
                min_effect=effect,
                rate=rate,
                threshold=threshold,
                since=begun,
                experiments=bool(label),
            )

        found = searched(known)
        _refuse_nothing(history, found.searched, found.short)
        if confirm and measure_again(opened, [each for each in found.findings if is_suspect(each)], limit):
            found = searched(kept.known_findings(engine))
        kept.remember(engine, [each for each in found.findings if each.state not in {"suspect", "noise"}])
    shown = [each for each in found.findings if all_ or is_open(each) or (each.state == "new")]
    if format_ == "json":
        _show_json(found, shown)
    else:
        _show(found, shown, format_, reported={each.id for each in known})
        suspects = sum(map(is_suspect, found.findings))
        if suspects and not all_:
            _hint_at_suspects(suspects)
    if any(is_open(each) and each.kind == fail_on for each in found.findings):
        raise typer.Exit(1)


app.command()(accept)
app.command()(issues)


def _refuse_nothing(history: History, searched: int, short: int) -> None:
    """Nothing measured and too little measured are not the same, and neither is the same as nothing found."""
    from coiled_runtime_cli.core.changepoint import FEWEST
    from coiled_runtime_cli.errors import InconclusiveError, ToolError

    if not len(history.runs) or not (searched or short):
        raise ToolError("nothing was measured: there is no run that passed", hint="crt bench --suite parquet")
    if not searched:
        raise InconclusiveError(
            f"no series has {FEWEST} runs: too few to tell a change from noise", hint="measure more, or crt sync pull"
        )


def _show_json(found: Detected, shown: Sequence[Finding]) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.findings import LEVELS
    from coiled_runtime_cli.core.findings_table import finding_document, is_suspect

    console.show_json(
        {
            "schema": 1,
            "regressions": [finding_document(each) for each in shown if each.kind == "regression"],
            "improvements": [finding_document(each) for each in shown if each.kind == "improvement"],
            "shapes": [finding_document(each) for each in shown if each.kind not in LEVELS],
            "suspects": [finding_document(each) for each in found.findings if is_suspect(each)],
            "searched": found.searched,
            "short": found.short,
        }
    )


def _show(found: Detected, shown: Sequence[Finding], format_: str, *, reported: set[str]) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.findings_table import annotation_text, cause_texts, findings_table, is_open

    if not shown:
        console.result(f"no change in {found.searched:,} series of measurements")
        return
    console.show_table(findings_table(shown, reported=reported), format_)
    causes = list(cause_texts(shown))
    write = console.result if format_ in {"markdown", "github"} else console.note
    for text in causes[:_CAUSES]:
        write(f"- {text}" if format_ in {"markdown", "github"} else text)
    if format_ == "github":
        for each in [each for each in shown if is_open(each)][:_ANNOTATIONS]:
            level = "warning" if each.kind == "regression" else "notice"
            console.annotation(level, f"{each.kind}: {each.key.benchmark}", annotation_text(each))
    if len(causes) > _CAUSES:
        console.hint(f"--format json says what moved in the {len(causes) - _CAUSES:,} other causes")


def _hint_at_suspects(count: int) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import counted

    console.note(f"{counted(count, 'suspect')} beside: off in the newest runs, and too few of them to tell from chance")
    console.hint("--confirm measures them again now; --all shows them")
