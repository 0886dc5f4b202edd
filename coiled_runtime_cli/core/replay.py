"""A detector as its users meet it: run after every new run, telling of each change once. And its score card.

The score card is made of a history's own noise. What the series have of changes is taken out (each level becomes the median of
the last), their runs are shuffled in blocks, which keeps how runs resemble their neighbours, and then nothing has changed:
every alarm is false. With a step put in, every step that is missed is a miss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.changepoint import find_changes
from coiled_runtime_cli.core.detect import ALERT, HELD
from coiled_runtime_cli.core.matching import matched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.changepoint import Change

    Floats = NDArray[np.float64]

#: Runs that a search looks back over: what is older has been told. And those at their beginning that may be the rest of a
#: level, or of a burst, that the window has cut.
_BACK, _EDGE = 200, 12

#: The p-value that searches keep changes with: what the weak ones among them explain is not charged to their neighbours.
_SEARCHED = 1e-5

#: Runs from its true place within which a change counts as found.
_BLUR = 5

#: Runs that are shuffled as one.
_BLOCK = 5

#: P-values that a score card tries, the loosest first.
THRESHOLDS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)

#: Steps that a score card puts in, as shares of the level.
STEPS = (0.05, 0.10, 0.20, 0.50, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change that was told of when its series had ``runs`` runs; ``threshold`` is the p-value that it had come below."""

    series: int
    runs: int
    index: int  # of the first run after the change
    ratio: float
    threshold: float

    @property
    def delay(self) -> int:
        """Runs after the change, the first one included, until it was told of."""
        return self.runs - self.index


@dataclass(slots=True)
class _Known:
    index: int
    up: bool
    passed: int  # thresholds that it is below


def replay(
    series: Sequence[Floats],
    *,
    first: int,
    min_effect: float = 0.05,
    thresholds: Sequence[float] = (ALERT,),
    tell: Callable[[int, int], None] | None = None,
) -> list[Alert]:
    """Search all series after each of their runs from the ``first`` on, and tell of each change once, when it is first seen.

    As `crt detect` does, it tells of what has held for HELD runs. What is there at the first search is known, and no alert.
    Of several ``thresholds``, in falling order, a change has to be below the first to be told of, and is told of again when it
    comes below each of the others. ``tell`` gets the searches done and all of them.
    """
    longest = max((len(each) for each in series), default=0)
    known: list[list[_Known]] = [[] for _ in series]
    alerts = []
    for runs in range(first, longest + 1):
        chosen = [number for number, each in enumerate(series) if len(each) >= runs]
        start = max(0, runs - _BACK)
        parts = [series[number][start:runs] for number in chosen]
        found = find_changes(parts, min_effect=min_effect, p_value=max(thresholds[0], _SEARCHED))
        for number, changes in zip(chosen, found, strict=True):
            before = _told_before(known[number], [(start + each.index, each.ratio > 1) for each in changes])
            for place, change in enumerate(changes):
                index, up = start + change.index, change.ratio > 1
                if start and change.index < _EDGE:
                    continue
                if runs - index < HELD and place == len(changes) - 1:
                    continue
                same = before.get(place)
                if same is None and change.p_value > thresholds[0]:
                    continue
                if same is None:
                    same = _Known(index, up, 0)
                    known[number].append(same)
                while same.passed < len(thresholds) and change.p_value <= thresholds[same.passed]:
                    threshold = thresholds[same.passed]
                    same.passed += 1
                    if runs > first:
                        alerts.append(
                            Alert(series=number, runs=runs, index=index, ratio=change.ratio, threshold=threshold)
                        )
        if tell is not None:
            tell(runs - first + 1, longest + 1 - first)
    return alerts


def _told_before(known: Sequence[_Known], found: Sequence[tuple[int, bool]]) -> dict[int, _Known]:
    """The known ones among the changes found, by their number. A change is the index of its first run, and whether it is up."""
    before = {}
    for up in (True, False):
        there = [each for each in known if each.up == up]
        numbers = [number for number, change in enumerate(found) if change[1] == up]
        pairs = matched([found[number][0] for number in numbers], [each.index for each in there])
        before.update({numbers[one]: there[other] for one, other in pairs.items()})
    return before


def without_changes(values: Floats, changes: Sequence[Change], random: np.random.Generator) -> Floats:
    """A series of the same noise in which nothing has changed: its levels made one, its runs shuffled in blocks.

    What is not finite and positive is left out.
    """
    logs = np.full(len(values), np.nan)
    fit = np.isfinite(values) & (values > 0)
    logs[fit] = np.log(values[fit])
    edges = [0, *(change.index for change in changes), len(values)]
    last = 0.0
    for start, stop in zip(edges[-2::-1], edges[:0:-1], strict=True):
        part = logs[start:stop]
        if np.isfinite(part).any():
            middle = float(np.nanmedian(part))
            if stop == len(values):
                last = middle
            part += last - middle
    logs = logs[np.isfinite(logs)]
    offset = int(random.integers(_BLOCK))
    blocks = np.split(logs, range(offset, len(logs), _BLOCK)) if len(logs) else []
    order = random.permutation(len(blocks))
    shuffled: Floats = np.exp(np.concatenate([blocks[place] for place in order])) if blocks else logs
    return shuffled


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a detector does at one p-value: ``by_step`` has (share found, median delay in runs or None) for each of STEPS."""

    p_value: float
    alerts: int  # false ones
    alerts_a_week: float
    by_step: tuple[tuple[float, int | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCard:
    series: int
    runs: int  # that were replayed, in all series
    weeks: float  # that the replayed runs took
    scores: tuple[Score, ...]  # by THRESHOLDS


def score_card(
    series: Sequence[Floats],
    changes: Sequence[Sequence[Change]],
    *,
    replayed: int,
    runs_a_week: float,
    min_effect: float = 0.05,
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
) -> ScoreCard:
    """Replay the last ``replayed`` runs of each series, without a change and with steps in them.

    ``changes`` are those of each series; ``runs_a_week`` is how often a series is measured. Series shorter than twice the
    fewest runs that are searched are left out by the caller. Raises ValueError without any.
    """
    if not series:
        raise ValueError("a score card needs series")
    random = np.random.default_rng(seed)
    calm = [without_changes(values, each, random) for values, each in zip(series, changes, strict=True)]
    first = max(1, max(len(each) for each in calm) - replayed)
    # all of one length: the searches of a day are those of all series
    longest = max(len(each) for each in calm)
    calm = [_as_long(each, longest, random) for each in calm]
    searches = 1 + len(STEPS)

    def told(number: int) -> Callable[[int, int], None] | None:
        if tell is None:
            return None
        return lambda done, count: tell(number * count + done, searches * count)

    false = replay(calm, first=first, min_effect=min_effect, thresholds=THRESHOLDS, tell=told(0))
    place = first + max(1, (longest - first) // 3)
    found = []
    for number, step in enumerate(STEPS):
        stepped = [np.concatenate((each[:place], each[place:] * (1 + step))) for each in calm]
        alerts = replay(stepped, first=first, min_effect=min_effect, thresholds=THRESHOLDS, tell=told(number + 1))
        found.append([each for each in alerts if abs(each.index - place) <= _BLUR and each.ratio > 1])
    weeks = (longest - first) / runs_a_week
    scores = []
    for threshold in THRESHOLDS:
        by_step = []
        for alerts in found:
            delays = sorted({each.series: each.delay for each in alerts if each.threshold == threshold}.values())
            by_step.append((len(delays) / len(calm), delays[len(delays) // 2] if delays else None))
        count = sum(each.threshold == threshold for each in false)
        scores.append(Score(p_value=threshold, alerts=count, alerts_a_week=count / weeks, by_step=tuple(by_step)))
    return ScoreCard(series=len(calm), runs=len(calm) * (longest - first), weeks=weeks, scores=tuple(scores))


def chosen_threshold(card: ScoreCard, alarms_a_week: float) -> Score | None:
    """The loosest p-value that keeps false alarms within a budget; None where none does."""
    return next((each for each in card.scores if each.alerts_a_week <= alarms_a_week), None)


def _as_long(values: Floats, length: int, random: np.random.Generator) -> Floats:
    """A shorter series lengthened by blocks of its own."""
    parts = [values]
    total = len(values)
    while total < length:
        start = int(random.integers(max(1, len(values) - _BLOCK)))
        parts.insert(0, values[start : start + _BLOCK])
        total += len(parts[0])
    joined: Floats = np.concatenate(parts)
    return joined[math.trunc(total - length) :]
