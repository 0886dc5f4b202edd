"""`crt compare`: one set of runs against another, test by test."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.compare import FailureFinding
    from coiled_runtime_cli.core.contrast import Contrast, Paired
    from coiled_runtime_cli.core.history import History, HistoryMetric
    from coiled_runtime_cli.core.selection import Selection
    from coiled_runtime_cli.core.stats import Interval

#: How unlikely failures have to part so unevenly before they are a finding.
_CHANCE = 0.05

#: Findings that are named one by one beside the table.
_NAMED = 20


def compare(
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="Label, dask==2026.8.0, commit, session, dates, env:FILE.")
    ],
    contender: Annotated[str, typer.Argument(metavar="CONTENDER", help="What is compared with it; the same forms.")],
    *,
    db: Annotated[
        list[str] | None,
        typer.Option(
            "--db", metavar="PATH|URL", help="Database. Repeatable: histories are merged. Default: benchmark.db."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Metric to compare. Repeatable. Default: duration."),
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="Only this suite. Repeatable.")
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
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Compare two sets of runs, test by test.

    \b
    crt compare main my-branch                        two labels
    crt compare dask==2026.7.0 dask==2026.8.0         two versions of a package
    crt compare upstream,2026-11-01..2026-11-07 upstream,2026-11-08..
    crt compare main my-branch --fail-on 10%          exit 1 if anything is surely 10 % worse
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli.core.compare import overall
    from coiled_runtime_cli.core.contrast import contrast

    smallest, rate = _share("--min-effect", min_effect), _share("--fdr", fdr)
    gate = None if fail_on is None else _share("--fail-on", fail_on)
    with ExitStack() as stack:
        history = _history(db, suite or [], stack)
    metrics = [_metric(history, each) for each in metric or ["duration"]]
    arms = [_arm(history, each) for each in (baseline, contender)]
    found = contrast(history, arms[0].mask, arms[1].mask, metrics, smallest=smallest, rate=rate)
    _refuse_nothing(found, arms)
    whole = {each.key: overall([one.compared for one in found.paired if one.metric is each]) for each in metrics}
    if format_ == "json":
        _show_json(found, whole, arms)
    else:
        _show(found, whole, arms, format_)
    _end(found, gate)


def _share(flag: str, text: str) -> float:
    from coiled_runtime_cli.core.quantity import parse_fraction
    from coiled_runtime_cli.errors import UsageError

    try:
        value = parse_fraction(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: expected a share, as 5% or 0.05") from error
    if not 0 <= value < 1:
        raise UsageError(f"{flag} {text}: expected a share from 0 to below 1, as 5% or 0.05")
    return value


def _history(db: list[str] | None, suites: list[str], stack: ExitStack) -> History:
    from coiled_runtime_cli import config, console, session
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.history import read_history
    from coiled_runtime_cli.errors import UsageError

    settings = [config.load({"db": each}) for each in (db or (None,))]
    engines = []
    for each in settings:
        engine = session.open_existing(each)
        stack.callback(engine.dispose)
        engines.append(engine)
    known = sorted({each for engine in engines for each in queries.suites(engine)})
    for name in suites:
        if name not in known:
            raise UsageError(unknown("suite", name, known))
    with console.progress(None, "reading the history") as bar:
        return read_history(engines, cache=settings[0].history, suites=suites or None, progress=bar.update)


def _metric(history: History, name: str) -> HistoryMetric:
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError

    for each in history.metrics:
        if each.key == name:
            return each
    raise UsageError(unknown("metric", name, [each.key for each in history.metrics]))


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
            hint="crt diff RUN1 RUN2 says what sets two runs apart",
        )
    raise ToolError(
        f"{arms[0].text} and {arms[1].text} have no test in common", hint="measure the same tests on both sides"
    )


def _end(found: Contrast, gate: float | None) -> None:
    """Exit 1 where the gate does not let it pass, 5 where nothing could be told at all."""
    from coiled_runtime_cli.errors import InconclusiveError

    if gate is not None:
        worse = [each for each in found.paired if each.verdict.word == "worse" and _size(each) >= gate]
        broken = [each for _, each in found.failures if each.finding == "broken" and _is_telling(each)]
        if worse or broken:
            raise typer.Exit(1)
    if found.paired and all(each.verdict.word == "few" for each in found.paired):
        raise InconclusiveError(
            "no test has two runs on either side: nothing can be told from chance",
            hint="crt bench --repeat 5, on both sides",
        )


def _is_telling(each: FailureFinding) -> bool:
    """Whether it is more than the failure now and then that every test has: too many for chance, or all runs of one side."""
    always = each.contender.failed == each.contender.runs or each.baseline.failed == each.baseline.runs
    return each.finding != "both" and (always or each.p_value <= _CHANCE)


def _size(each: Paired) -> float:
    """By how much a test is worse: 0.1 where it takes 10 % longer, or gives a tenth less."""
    ratio = each.compared.ratio or 1.0
    return ratio - 1 if ratio > 1 else 1 - ratio


def _show_json(found: Contrast, whole: dict[str, Interval | None], arms: Sequence[Selection]) -> None:
    from coiled_runtime_cli import console

    def interval(each: Interval | None) -> dict[str, Any] | None:
        return None if each is None else {"ratio": each.value, "low": each.low, "high": each.high, "tests": each.n}

    first = next(iter(whole.values()))
    console.show_json(
        {
            "schema": 1,
            "baseline": arms[0].text,
            "contender": arms[1].text,
            "comparisons": [_document(each) for each in found.paired],
            "overall": interval(first),
            "overall_by_metric": {key: interval(each) for key, each in whole.items()},
            "failures": [
                {
                    "benchmark": key.benchmark,
                    "finding": each.finding,
                    "baseline": {"runs": each.baseline.runs, "failed": each.baseline.failed},
                    "contender": {"runs": each.contender.runs, "failed": each.contender.failed},
                    "p_value": each.p_value,
                }
                for key, each in found.failures
            ],
            "only_baseline": list(found.alone[0]),
            "only_contender": list(found.alone[1]),
            "not_comparable": list(found.elsewhere),
        }
    )


def _document(each: Paired) -> dict[str, Any]:
    compared = each.compared
    return {
        "benchmark": each.key.benchmark,
        "metric": each.metric.key,
        "epoch": each.key.epoch,
        "scale": each.key.scale,
        "python": each.key.python,
        "cluster": each.key.cluster,
        "host": each.key.host,
        "before": compared.before,
        "after": compared.after,
        "ratio": compared.ratio,
        "low": compared.low,
        "high": compared.high,
        "verdict": each.verdict.word,
        "q": each.verdict.q,
        "n": list(compared.n),
        "detectable": compared.detectable,
        "method": compared.method,
    }


_WORDS = {
    "worse": "worse",
    "better": "better",
    "same": "same",
    "inconclusive": "cannot tell",
    "few": "too few runs",
}
_STYLES = {"worse": "bad", "better": "good", "same": "dim", "inconclusive": None, "few": "dim"}


def _show(found: Contrast, whole: dict[str, Interval | None], arms: Sequence[Selection], format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.contrast import circumstances
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.core.table import Column, Table

    several = len(whole) > 1
    told = circumstances([each.key for each in found.paired])
    columns = [
        Column("test"),
        *([Column("metric")] if several else []),
        *([Column("where", drop=4)] if any(told.values()) else []),
    ]
    columns += [
        Column(arms[0].text, align="right", key="before", drop=2),
        Column(arms[1].text, align="right", key="after", drop=2),
        Column("change", align="right"),
        Column("95 %", align="right", key="interval", drop=1),
        Column("verdict"),
        Column("runs", align="right", drop=3),
        Column("could see", align="right", key="detectable", drop=5),
    ]
    rows, styles = [], []
    for each in found.paired:
        row = [each.key.benchmark.partition("::")[2] or each.key.benchmark, *([each.metric.key] if several else [])]
        row += [told[each.key]] if any(told.values()) else []
        rows.append((*row, *_cells(each)))
        plain: list[str | None] = [None] * (len(row) + 7)
        plain[len(row) + 4] = _STYLES[each.verdict.word]
        styles.append(tuple(plain))
    caption = "; ".join(filter(None, (_overall_text(key, each, several=several) for key, each in whole.items())))
    if rows:
        console.show_table(Table(tuple(columns), tuple(rows), tuple(styles), caption=caption or None), format_)
    telling = [each for each in found.failures if _is_telling(each[1])]
    for key, finding in telling[:_NAMED]:
        before, after = (f"{each.failed} of {each.runs}" for each in (finding.baseline, finding.contender))
        words = {"broken": "fails now", "mended": "fails no more", "both": "fails"}
        console.warning(
            f"{key.benchmark}: {words[finding.finding]} ({before} failed, then {after}; p = {finding.p_value:.2g})"
        )
    rest = len(found.failures) - len(telling[:_NAMED])
    if rest:
        console.note(f"{counted(rest, 'test')} failed now and then, on one side or both, as chance may have it")
    for arm, names in zip(arms, found.alone, strict=True):
        if names:
            console.note(f"only {arm.text} has {_names(names)}")
    if found.elsewhere:
        console.note(f"never run in the same circumstances on both sides: {_names(found.elsewhere)}")
    if found.shared:
        console.note(f"{found.shared:,} runs are on both sides, and count for neither")


def _cells(each: Paired) -> tuple[str, ...]:
    from coiled_runtime_cli.core.quantity import ratio_text, value_text

    compared, unit, scale = each.compared, each.metric.display_unit, each.metric.display_scale
    assert compared.before is not None
    assert compared.after is not None
    assert compared.ratio is not None
    interval = (
        ""
        if compared.low is None or compared.high is None
        else f"{ratio_text(compared.low)} to {ratio_text(compared.high)}"
    )
    return (
        value_text(compared.before, unit, scale),
        value_text(compared.after, unit, scale),
        ratio_text(compared.ratio),
        interval,
        _WORDS[each.verdict.word],
        f"{compared.n[0]}, {compared.n[1]}",
        "" if compared.detectable is None else f"{compared.detectable:.1%}",
    )


def _overall_text(key: str, each: Interval | None, *, several: bool) -> str:
    from coiled_runtime_cli.core.quantity import ratio_text

    if each is None:
        return ""
    title = f"overall {key}" if several else "overall"
    interval = "" if each.low is None or each.high is None else f" ({ratio_text(each.low)} to {ratio_text(each.high)})"
    return f"{title}: {ratio_text(each.value)}{interval}, geometric mean of {each.n} tests"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"
