"""`crt detect`: what got slower or faster, how surely, since when, and what moved in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

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

    from coiled_runtime_cli.confirm import Suspect
    from coiled_runtime_cli.core.findings import Detected, Finding, Known, Searched
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.histories import Opened

app = typer.Typer(invoke_without_command=True)

#: Causes that are told of.
_CAUSES = 10

#: GitHub shows ten annotations of each level of a step.
_ANNOTATIONS = 10

#: Runs of the level before a suspicion that repeats are held against, where nothing better can be had.
_LEVEL = 20

#: Series that a score card is made of: more say no more.
_SCORED = 200


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
            _score(series, history, replayed, alarms, effect, format_)
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
        if confirm and _confirm(opened, [each for each in found.findings if is_suspect(each)], limit):
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


def _hint_at_suspects(count: int) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import counted

    console.note(f"{counted(count, 'suspect')} beside: off in the newest runs, and too few of them to tell from chance")
    console.hint("--confirm measures them again now; --all shows them")


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


# --- fresh runs


def _confirm(opened: Opened, suspects: Sequence[Finding], limit: float | None) -> bool:
    """Measure the suspects again, keep what they turn out to be, and say so; False if there was none."""
    import sys

    from coiled_runtime_cli import confirm, console, session
    from coiled_runtime_cli.core.quantity import counted, ratio_text
    from coiled_runtime_cli.db import findings as kept

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = [each for each in suspects if each.key.python in {None, here}]
    if len(chosen) < len(suspects):
        rest = len(suspects) - len(chosen)
        console.note(f"{counted(rest, 'suspect')} of another Python: run crt with that one to decide them")
    if not chosen:
        console.note("no suspect to be measured again")
        return False
    host = session.read_host().fingerprint
    with console.progress(None, "confirm") as bar:
        decided = confirm.decide(
            _suspects(opened, chosen, host),
            opened.settings,
            opened.engines[0],
            max_time=limit,
            command=("crt", *sys.argv[1:]),
            tell=lambda text: bar.update(0, text=text),
        )
    for each in decided:
        compared, word = each.confirmation.compared, each.confirmation.word or "inconclusive"
        assert compared.ratio is not None
        told = ratio_text(compared.ratio)
        if compared.low is not None and compared.high is not None:
            told += f" ({ratio_text(compared.low)} to {ratio_text(compared.high)})"
            if word != "inconclusive":
                kept.conclude(opened.engines[0], each.finding, word, (compared.ratio, compared.low, compared.high))
        way = "interleaved with the last good environment" if each.interleaved else "against what was measured then"
        name = each.finding.key.benchmark.partition("::")[2] or each.finding.key.benchmark
        console.note(
            f"{name} {each.finding.metric.key}: {word}: {told}, suspected {ratio_text(each.finding.ratio)}; "
            f"{compared.n[1]} runs, {way}"
        )
    if len(decided) < len(chosen):
        console.warning(f"{counted(len(chosen) - len(decided), 'suspect')} could not be measured again")
    return bool(decided)


def _suspects(opened: Opened, findings: Sequence[Finding], host: str) -> list[Suspect]:
    """What is known of the last good run of each, and the runs of the level that it ended."""
    import numpy as np

    from coiled_runtime_cli.confirm import Suspect
    from coiled_runtime_cli.core.grouping import rows_by_series, series_of
    from coiled_runtime_cli.core.record import OUTCOMES

    history = opened.history
    runs = history.runs
    row_of = {bytes(each): place for place, each in enumerate(runs.uuid.tolist())}
    keys, of = series_of(history)
    number_of = {key: number for number, key in enumerate(keys)}
    passed = rows_by_series(of, np.flatnonzero((runs.outcome == OUTCOMES.index("passed")) & ~runs.profiled))
    found = []
    for each in findings:
        row = row_of[bytes.fromhex(each.last_good.uuid.replace("-", ""))]
        rows = passed[number_of[each.key]]
        values = runs.values[each.metric.key][rows[rows <= row]]
        level = values[np.isfinite(values) & (values > 0)][-_LEVEL:]
        environment = history.environments[runs.environment[row]] if runs.environment[row] >= 0 else None
        found.append(
            Suspect(
                finding=each,
                packages=environment.packages if environment is not None else None,
                python=environment.python if environment is not None else None,
                level=tuple(level.tolist()),
                here=each.key.host in {None, host},
            )
        )
    return found


# --- the score card


def _score(
    series: Sequence[Searched], history: History, replayed: int, alarms: float, effect: float, format_: str
) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.changepoint import FEWEST
    from coiled_runtime_cli.core.findings_table import score_document, score_table
    from coiled_runtime_cli.core.replay import chosen_threshold, score_card
    from coiled_runtime_cli.errors import InconclusiveError

    long = [each for each in series if len(each.values) >= 4 * FEWEST]
    if not long:
        raise InconclusiveError(
            f"no series has {4 * FEWEST} runs: too few to learn their noise from", hint="measure more, or crt sync pull"
        )
    step = max(1, -(-len(long) // _SCORED))
    chosen = long[::step]
    with console.progress(None, "replaying") as bar:
        card = score_card(
            [each.values for each in chosen],
            [each.changes for each in chosen],
            replayed=replayed,
            runs_a_week=_runs_a_week(chosen, history),
            min_effect=effect,
            tell=lambda done, total: bar.update(done, total=total),
        )
    best = chosen_threshold(card, alarms)
    if format_ == "json":
        console.show_json({"schema": 1, "score": score_document(card, best)})
        return
    console.show_table(score_table(card, best), format_)
    console.note(
        f"{card.series:,} series, {card.weeks:.0f} weeks of their own noise, shuffled: whatever is found there is false; "
        "then with a step put in"
    )
    if best is None:
        console.warning(
            f"no threshold keeps {alarms:g} false alarms a week: these series are too many, or too unlike noise"
        )
    else:
        console.hint(f"--threshold {best.p_value:.0e} keeps {alarms:g} false alarms a week")


def _runs_a_week(series: Sequence[Searched], history: History) -> float:
    """How often a series is measured: the median over series."""
    from statistics import median

    found = []
    for each in series:
        start = history.runs.start[each.rows]
        weeks = (int(start[-1]) - int(start[0])) / 1e6 / 86_400 / 7
        if weeks > 0:
            found.append((len(each.rows) - 1) / weeks)
    return median(found) if found else 7.0
