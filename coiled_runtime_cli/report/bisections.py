"""What the page of a stored bisection shows: the answer first, then what it rests on."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.bisection_table import effect_text, percent, what_of
from coiled_runtime_cli.core.quantity import ratio_text, seconds_text
from coiled_runtime_cli.report.figures import bisection as figures
from coiled_runtime_cli.report.groups import slug
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import BisectionView, LinkView, MetricView

if TYPE_CHECKING:
    from coiled_runtime_cli.core.bisection import Bisection, Effect, Probe

#: Ways to write the units that are stored in a base unit: what is shown, and how much of the stored unit it is.
_DISPLAY = {"B": ("GiB", 2.0**30), "bytes": ("GiB", 2.0**30)}


def href(bisection: Bisection) -> str:
    """Its page, from the site's folder."""
    return f"bisect/{slug(bisection.id)}.html"


def title(bisection: Bisection) -> str:
    """``test_shuffle in distributed``."""
    what = what_of(bisection)
    return f"{what} in {bisection.repository}" if bisection.repository else what


def view(bisection: Bisection) -> BisectionView:
    metric = _metric(bisection)
    culprit = figures.culprit_of(bisection)
    found = None if culprit is None else bisection.candidates[culprit]
    return BisectionView(
        title=title(bisection),
        status=bisection.status,
        answer=_answer(bisection, metric),
        culprit=None if found is None else LinkView(text=figures.short(found), href=_web(found.url) or ""),
        subject=None if found is None else found.subject,
        repository=bisection.repository,
        benchmark=bisection.benchmark or " ".join(bisection.command) or None,
        metric=metric.label,
        confidence=percent(bisection.confidence) or None,
        effect=effect_text(bisection.effect) or None,
        started=_moment(bisection.started) or datetime.fromtimestamp(0, timezone.utc),
        took=None if bisection.ended is None else seconds_text(max(0.0, bisection.ended - bisection.started)),
        candidates=tuple(
            (
                each.name,
                each.subject,
                _day(each.date),
                percent(each.probability),
                _web(each.url),
            )
            for each in bisection.candidates
        ),
        probes=tuple(_probe(bisection, each, metric) for each in bisection.probes),
        message=_message(bisection),
        values=figures.values(bisection, label=metric.label, unit=metric.unit, scale=metric.scale),
        posterior=figures.posterior(bisection),
        culprit_index=culprit,
        probabilities=tuple(_finite(each.probability) for each in bisection.candidates),
    )


def _metric(bisection: Bisection) -> MetricView:
    unit, scale = _DISPLAY.get(bisection.unit, (bisection.unit, 1.0))
    label = bisection.metric.replace("_", " ")
    return MetricView(key=bisection.metric, label=label[:1].upper() + label[1:], unit=unit, scale=scale, better="lower")


def _answer(bisection: Bisection, metric: MetricView) -> str:
    """One sentence: what was found, or how the search stands."""
    what, culprit = what_of(bisection), figures.culprit_of(bisection)
    measured = sum(each.outcome == "measured" for each in bisection.probes)
    runs = f"{measured} measured run{'' if measured == 1 else 's'}"
    many = max(0, len(bisection.candidates) - 1)  # the good end is not the culprit
    among = f"{many} candidate{'' if many == 1 else 's'}"
    if bisection.status == "found" and culprit is not None:
        name = figures.short(bisection.candidates[culprit])
        where = f" of {bisection.repository}" if bisection.repository else ""
        return f"{name}{where} made {what} {_change(bisection.effect, metric)}."
    if bisection.status == "found" and bisection.verdicts:
        several = [bisection.candidates[each] for each in _culprits(bisection)]
        names = ", ".join(figures.short(each) for each in several[:6])
        change = _change(bisection.effect, metric)
        return f"One of {len(several)} made {what} {change}, which cannot be measured apart: {names}."
    if bisection.status == "no-change":
        return f"No change of {metric.label.lower()} between the ends: the noise of {runs} covers any difference."
    suspects = _suspects(bisection)
    if bisection.status == "running":
        return f"Still searching {among} after {runs}{suspects}."
    if bisection.status == "interrupted":
        return f"Interrupted after {runs} of {among}{suspects}."
    return f"Not decided: {runs} of {among} do not single one out{suspects}."


def _culprits(bisection: Bisection) -> tuple[int, ...]:
    """The candidates of the answer that hold the change, as many as cannot be told apart."""
    found = next((each.culprits for each in bisection.verdicts if each.status == "found"), ())
    return tuple(each for each in found if 0 <= each < len(bisection.candidates))


def _message(bisection: Bisection) -> str | None:
    """What is to be said beside the answer: its reason, and other changes in the range."""
    others = [each for each in bisection.verdicts if each.status == "found"][1:]
    names = [
        f"{figures.short(bisection.candidates[each.culprits[0]])}{f' ({effect_text(each.effect)})' if each.effect else ''}"
        for each in others
        if each.culprits and each.culprits[0] < len(bisection.candidates)
    ]
    told = [bisection.message] if bisection.message else []
    return ". ".join([*told, *([f"Also in the range: {', '.join(names)}"] if names else [])]) or None


def _suspects(bisection: Bisection) -> str:
    """The fewest candidates that hold nine tenths of the probability, where that says anything."""
    known = sorted((each.probability or 0.0 for each in bisection.candidates), reverse=True)
    total, few = 0.0, 0
    for probability in known:
        if total >= 0.9:
            break
        total, few = total + probability, few + 1
    if total < 0.9 or few >= max(2, len(known)):
        return ""
    if few == 1:
        likely = max(bisection.candidates, key=lambda each: each.probability or 0.0)
        return f"; most likely {figures.short(likely)} ({percent(likely.probability)})"
    return f"; {few} of them hold {percent(total)} of the probability"


def _change(effect: Effect | None, metric: MetricView) -> str:
    more, less = ("slower", "faster") if metric.unit in {"s", "ms", "us"} else ("higher", "lower")
    if effect is None or not math.isfinite(effect.ratio) or effect.ratio <= 0:
        return "change"
    text = ratio_text(effect.ratio)
    if text[0] in "x/":  # from twice or half on
        return f"{text[1:]} times {more if text[0] == 'x' else less}"
    return f"{text.lstrip('+-')} {more if effect.ratio > 1 else less}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _probe(bisection: Bisection, probe: Probe, metric: MetricView) -> tuple[str, str, str, str, str]:
    known = 0 <= probe.candidate < len(bisection.candidates)
    when = _moment(probe.at)
    return (
        f"{when:%Y-%m-%d %H:%M:%S}" if when else "",
        figures.short(bisection.candidates[probe.candidate]) if known else f"candidate {probe.candidate}",
        probe.purpose,
        probe.outcome,
        value_text(probe.value, metric) if probe.value is not None else "",
    )


def _moment(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None


def _day(seconds: float | None) -> str | None:
    when = _moment(seconds)
    return None if when is None else f"{when:%Y-%m-%d}"


def _web(url: str | None) -> str | None:
    """A link that a browser may follow from a page: nothing but the web."""
    return url if url and url.lower().startswith(("https://", "http://")) else None
