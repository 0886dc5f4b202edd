"""Findings, and the score card of the detector, as a person reads them, and as documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core import detect
from coiled_runtime_cli.core.contrast import circumstances
from coiled_runtime_cli.core.findings import LEVELS
from coiled_runtime_cli.core.forge import NAMED_FIRST
from coiled_runtime_cli.core.quantity import interval_text, ratio_text
from coiled_runtime_cli.core.replay import STEPS
from coiled_runtime_cli.core.series import short_name
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from coiled_runtime_cli.core.findings import Finding, Moved
    from coiled_runtime_cli.core.replay import Score, ScoreCard

#: What is named first of what moved, and how much is named at all.
_FIRST, _MOVED = ("python", "host", *NAMED_FIRST), 6

_SHAPE_WORDS = {
    ("variance", True): "noisier",
    ("variance", False): "calmer",
    ("tail", True): "more outliers",
    ("tail", False): "fewer outliers",
}


def is_open(finding: Finding) -> bool:
    """Whether somebody should look at it: a change of level that is neither accepted, nor fixed, nor a mere suspicion."""
    return finding.kind in LEVELS and finding.state in detect.OPEN


def is_suspect(finding: Finding) -> bool:
    return finding.kind in LEVELS and finding.state == "suspect"


def findings_table(shown: Sequence[Finding], *, reported: Collection[str] = ()) -> Table:
    """``reported`` are the ids of those that were told of before."""
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
                short_name(each.key.benchmark),
                *([told[each.key]] if any(told.values()) else []),
                each.metric.key,
                change_text(each),
                interval_text(each.low, each.high),
                f"{each.first_bad.start:%Y-%m-%d}",
                each.state + news,
            )
        )
        style: list[str | None] = [None] * len(columns)
        style[-4] = {"regression": "bad", "improvement": "good"}.get(each.kind)
        styles.append(tuple(style))
    return Table(columns, tuple(rows), tuple(styles))


def change_text(each: Finding) -> str:
    """By how much: ``+20 %`` of a level; of a shape what it is, with the spreads or shares before and after."""
    if each.kind in LEVELS:
        return ratio_text(each.ratio)
    if each.kind == "bimodal":
        return "two modes" if each.after > each.before else "one mode again"
    word = _SHAPE_WORDS[each.kind, each.after > each.before]
    return f"{word}, {each.before:.1%} to {each.after:.1%}"


def change_with_interval(each: Finding) -> str:
    """By how much, and how surely: ``+12 % (+9.1 % to +15 %)``."""
    interval = interval_text(each.low, each.high)
    return f"{change_text(each)} ({interval})" if interval else change_text(each)


def annotation_text(each: Finding) -> str:
    """A finding in a sentence, with the id that other commands take."""
    return (
        f"{each.metric.key} {change_with_interval(each)} since {each.first_bad.start:%Y-%m-%d}, {each.state}: "
        f"crt bisect --regression {each.id}"
    )


def cause_texts(shown: Sequence[Finding]) -> Iterator[str]:
    """For each cause what moved between the last good and the first bad run, in all of its findings."""
    by_cause: dict[int, list[Finding]] = {}
    for each in shown:
        by_cause.setdefault(each.cause, []).append(each)
    for members in by_cause.values():
        common = [each for each in members[0].moved if all(each in one.moved for one in members)]
        if common:
            rank = {name: place for place, name in enumerate(_FIRST)}
            common.sort(key=lambda each: (rank.get(each.name, len(rank)), each.name))
            rest = f", and {len(common) - _MOVED} more" if len(common) > _MOVED else ""
            yield f"cause {members[0].cause}: {', '.join(map(_moved_text, common[:_MOVED]))}{rest}"


def _moved_text(each: Moved) -> str:
    address = f" {each.url}" if each.url else ""
    return f"{each.name} {each.before or 'absent'} to {each.after or 'absent'}{address}"


def finding_document(each: Finding) -> dict[str, Any]:
    return {
        "id": each.id,
        "kind": each.kind,
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
        "ratio": each.ratio if math.isfinite(each.ratio) else None,
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


def score_table(card: ScoreCard, chosen: Score | None) -> Table:
    """``chosen`` is the row that keeps the budget of alarms."""
    columns = (
        Column("threshold", align="right"),
        Column("false alarms a week", align="right", key="alarms_a_week"),
        *(Column(f"+{step:.0%} found", align="right", key=f"found_{step:.0%}", drop=index) for index, step in _steps()),
    )
    rows, styles = [], []
    for each in card.scores:
        found = [
            f"{share:.0%}" + (f", {delay} runs" if delay is not None else "")
            for share, delay in (each.by_step[index] for index in range(len(STEPS)))
        ]
        rows.append((f"{each.p_value:.0e}", f"{each.alerts_a_week:.2g}", *found))
        style: list[str | None] = [None] * len(columns)
        if each is chosen:
            style[0] = "strong"
        styles.append(tuple(style))
    return Table(columns, tuple(rows), tuple(styles))


def _steps() -> Iterator[tuple[int, float]]:
    # in a narrow terminal the extremes go first: 10 % and 20 % are what people ask about
    order = {0.05: 2, 0.10: 0, 0.20: 0, 0.50: 3, 1.0: 4}
    return ((order[step], step) for step in STEPS)


def score_document(card: ScoreCard, chosen: Score | None) -> dict[str, Any]:
    return {
        "series": card.series,
        "replayed_runs": card.runs,
        "weeks": card.weeks,
        "threshold": None if chosen is None else chosen.p_value,
        "scores": [
            {
                "threshold": each.p_value,
                "false_alarms": each.alerts,
                "false_alarms_a_week": each.alerts_a_week,
                "steps": [
                    {"step": step, "found": share, "median_delay_runs": delay}
                    for step, (share, delay) in zip(STEPS, each.by_step, strict=True)
                ],
            }
            for each in card.scores
        ],
    }
