"""A contrast as a person reads it, and as a document: what `crt compare` and `crt ab run` show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.compare import VERDICT_WORDS, overall
from coiled_runtime_cli.core.contrast import circumstances
from coiled_runtime_cli.core.quantity import counted, interval_text, ratio_text, value_text
from coiled_runtime_cli.core.series import short_name
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coiled_runtime_cli.core.compare import FailureFinding
    from coiled_runtime_cli.core.contrast import Contrast, Paired
    from coiled_runtime_cli.core.history import HistoryMetric
    from coiled_runtime_cli.core.stats import Interval

#: How unlikely failures have to part so unevenly before they are a finding.
CHANCE = 0.05

#: Findings that are named one by one beside the table.
_NAMED = 20

_STYLES = {"worse": "bad", "better": "good", "same": "dim", "inconclusive": None, "few": "dim"}


@dataclass(frozen=True, slots=True)
class Note:
    """Something beside the table; ``warns`` if it is not to be overlooked."""

    text: str
    warns: bool = False


def overalls(found: Contrast, metrics: Sequence[HistoryMetric]) -> dict[str, Interval | None]:
    """The geometric mean of the ratios of each metric, with its interval over tests."""
    return {each.key: overall([one.compared for one in found.paired if one.metric is each]) for each in metrics}


def is_telling(each: FailureFinding) -> bool:
    """Whether it is more than the failure now and then that every test has: too many for chance, or all runs of one side."""
    always = each.contender.failed == each.contender.runs or each.baseline.failed == each.baseline.runs
    return each.finding != "both" and (always or each.p_value <= CHANCE)


def worsening(each: Paired) -> float:
    """By how much a test is worse: 0.1 where it takes 10 % longer, or gives a tenth less."""
    ratio = each.compared.ratio or 1.0
    return ratio - 1 if ratio > 1 else 1 - ratio


def fails_gate(found: Contrast, gate: float | None) -> bool:
    """Whether a test is surely worse by ``gate`` (0.1 is 10 %) or more, or tellingly broken; never without a gate."""
    return gate is not None and (
        any(each.verdict.word == "worse" and worsening(each) >= gate for each in found.paired)
        or any(each.finding == "broken" and is_telling(each) for _, each in found.failures)
    )


def contrast_table(
    found: Contrast, whole: Mapping[str, Interval | None], names: tuple[str, str], *, confidence: float = 0.95
) -> Table:
    """``whole`` is from :func:`overalls`, ``names`` are of baseline and contender."""
    several = len(whole) > 1
    told = circumstances([each.key for each in found.paired])
    columns = [
        Column("test"),
        *([Column("metric")] if several else []),
        *([Column("where", drop=4)] if any(told.values()) else []),
    ]
    columns += [
        Column(names[0], align="right", key="before", drop=2),
        Column(names[1], align="right", key="after", drop=2),
        Column("change", align="right"),
        Column(f"{100 * confidence:.3g} %", align="right", key="interval", drop=1),
        Column("verdict"),
        Column("runs", align="right", drop=3),
        Column("could see", align="right", key="detectable", drop=5),
    ]
    rows, styles = [], []
    for each in found.paired:
        row = [short_name(each.key.benchmark), *([each.metric.key] if several else [])]
        row += [told[each.key]] if any(told.values()) else []
        rows.append((*row, *_cells(each)))
        plain: list[str | None] = [None] * (len(row) + 7)
        plain[len(row) + 4] = _STYLES[each.verdict.word]
        styles.append(tuple(plain))
    caption = "; ".join(filter(None, (_overall_text(key, each, several=several) for key, each in whole.items())))
    return Table(tuple(columns), tuple(rows), tuple(styles), caption=caption or None)


def _cells(each: Paired) -> tuple[str, ...]:
    compared, unit, scale = each.compared, each.metric.display_unit, each.metric.display_scale
    assert compared.before is not None
    assert compared.after is not None
    assert compared.ratio is not None
    return (
        value_text(compared.before, unit, scale),
        value_text(compared.after, unit, scale),
        ratio_text(compared.ratio),
        interval_text(compared.low, compared.high),
        VERDICT_WORDS[each.verdict.word],
        f"{compared.n[0]}, {compared.n[1]}",
        "" if compared.detectable is None else _seen_text(compared.detectable),
    )


def _seen_text(detectable: float) -> str:
    """0.12 as 12.0%; what no one would call a measurement as nothing."""
    return f"{detectable:.1%}" if detectable < 10 else "nothing"


def _overall_text(key: str, each: Interval | None, *, several: bool) -> str:
    if each is None:
        return ""
    title = f"overall {key}" if several else "overall"
    told = interval_text(each.low, each.high)
    interval = f" ({told})" if told else ""
    return f"{title}: {ratio_text(each.value)}{interval}, geometric mean of {counted(each.n, 'test')}"


def contrast_notes(found: Contrast, names: tuple[str, str]) -> Iterator[Note]:
    """What the table does not say: failures, and tests that could not be compared."""
    telling = [each for each in found.failures if is_telling(each[1])]
    for key, finding in telling[:_NAMED]:
        before, after = (f"{each.failed} of {each.runs}" for each in (finding.baseline, finding.contender))
        words = {"broken": "fails now", "mended": "fails no more", "both": "fails"}
        yield Note(
            f"{key.benchmark}: {words[finding.finding]} ({before} failed, then {after}; p = {finding.p_value:.2g})",
            warns=True,
        )
    rest = len(found.failures) - len(telling[:_NAMED])
    if rest:
        yield Note(f"{counted(rest, 'test')} failed now and then, on one side or both, as chance may have it")
    for arm, alone in zip(names, found.alone, strict=True):
        if alone:
            yield Note(f"only {arm} has {_enumerated(alone)}")
    if found.elsewhere:
        yield Note(f"never run in the same circumstances on both sides: {_enumerated(found.elsewhere)}")
    if found.incomparable:
        told = _enumerated([f"{benchmark} ({metric})" for benchmark, metric in found.incomparable])
        yield Note(f"not compared, without values above 0 on both sides, or in no block on both: {told}")
    if found.shared:
        yield Note(f"{found.shared:,} runs are on both sides, and count for neither")


def _enumerated(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"


def contrast_document(found: Contrast, whole: Mapping[str, Interval | None]) -> dict[str, Any]:
    """The contrast as JSON has it."""
    compared = {each.key.benchmark for each in found.paired}
    never = {benchmark for benchmark, _ in found.incomparable} - compared
    return {
        "comparisons": [_document(each) for each in found.paired],
        "overall": _interval(next(iter(whole.values()), None)),
        "overall_by_metric": {key: _interval(each) for key, each in whole.items()},
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
        "not_comparable": sorted({*found.elsewhere, *never}),
    }


def _interval(each: Interval | None) -> dict[str, Any] | None:
    return None if each is None else {"ratio": each.value, "low": each.low, "high": each.high, "tests": each.n}


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
