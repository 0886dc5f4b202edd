"""Which candidate to measure next, and when the answer is sure: the search of a bisection, without measuring anything itself.

First both ends are measured in turn until their levels differ by three standard errors: without that there is nothing to find.
Then each step asks for the runs that tell most about the change for what they cost: the information in r runs of candidate k
about whether k is before or after the change, a binary question put through Gaussian noise (Cover and Thomas 2006, section 2.4),
over the cost of a build, unless it has been built, and r runs. The ends are measured again whenever a candidate would get more
runs than the side that it is held against. A candidate that cannot be built cannot be asked; the change may have come with it all
the same, and then the answer is a set of neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.belief import Belief

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Runs of either end: fewest and most; and the standard errors by which they have to differ.
FEWEST, MOST, APART = 3, 30, 3.0

#: Runs of a candidate that may be asked for at once.
RUNS = (1, 2, 3, 5, 8)

#: How far (in candidates) what breaks a build reaches, and how often a build breaks by itself.
_BROKEN_REACH, _BROKEN = 3.0, 0.02

#: Less than this many bits for all that can be asked, and asking ends.
_NOTHING = 0.002


@dataclass(frozen=True, slots=True)
class Ask:
    """Measure a candidate (0 to N) so many times."""

    candidate: int
    runs: int
    purpose: str  # calibrate, search


@dataclass(frozen=True, slots=True)
class Answer:
    """``candidates`` hold the change with ``confidence``: one, or a set that nothing measurable tells apart.

    ``status`` is found, no-change (the ends do not differ by more than noise) or inconclusive (``reason`` says why).
    """

    status: str
    candidates: tuple[int, ...]
    confidence: float
    reason: str = ""


class Search:
    """Ask, measure, tell, and ask again, until :meth:`next` answers.

    ``last`` is the number of the bad end, 0 that of the good one. Costs are in any one unit. ``built`` need no build.
    ``max_runs`` bounds what may be measured in all. ``prior`` are weights of candidates 1 to ``last``.
    """

    def __init__(
        self,
        last: int,
        *,
        confidence: float = 0.99,
        build_cost: float = 1.0,
        run_cost: float = 1.0,
        max_runs: int | None = None,
        prior: Sequence[float] | None = None,
        built: Collection[int] = (),
        jobs: int = 1,
    ) -> None:
        if not 0.5 < confidence < 1:
            raise ValueError(f"a confidence is between 0.5 and 1, not {confidence}")
        self.last = last
        self.belief = Belief(last, prior)
        self.built = {0, last, *built}
        self.broken: set[int] = set()
        self._confidence = confidence
        self._build_cost = build_cost
        self._run_cost = run_cost
        self._max_runs = max_runs
        self._jobs = jobs
        self._calibrated = False

    def tell(self, candidate: int, logs: Sequence[float]) -> None:
        """What was measured, as logarithms, in the order of measuring."""
        self.built.add(candidate)
        self.belief.add(candidate, logs)

    def tell_broken(self, candidate: int) -> None:
        """It cannot be built, or cannot be measured. Raises ValueError for an end: without both there is no search."""
        if candidate in {0, self.last}:
            raise ValueError("an end that cannot be measured leaves nothing to search between")
        self.broken.add(candidate)

    def next(self) -> list[Ask] | Answer:
        """What to measure now, one ask a job, or the answer."""
        if not self._calibrated:
            asks = self._calibration()
            if asks is not None:
                return asks
        if min(self.belief.count(0), self.belief.count(self.last)) > MOST and self._apart() < APART:
            return self._none()  # chance had parted the ends
        found = self._answer()
        if found is not None and self._apart() >= APART:
            return found
        if self._max_runs is not None and self.belief.runs >= self._max_runs:
            return self._open(f"{self.belief.runs} runs were made, as many as were allowed")
        if found is not None:  # the ends had seemed to differ by more than they do: first they are looked at again
            return [Ask(self._fewer_end(), 1, "calibrate")]
        return self._batch() if self._jobs > 1 else self._single()

    # --- the ends

    def _calibration(self) -> list[Ask] | Answer | None:
        counts = self.belief.count(0), self.belief.count(self.last)
        if min(counts) < FEWEST:
            return self._run_of_the_ends()
        if self._apart() >= APART:
            self._calibrated = True
            return None
        if min(counts) >= MOST or (self._max_runs is not None and self.belief.runs >= self._max_runs):
            return self._none()
        return self._run_of_the_ends()

    def _run_of_the_ends(self) -> list[Ask]:
        ends = [0, self.last] if self._jobs > 1 else [self._fewer_end()]
        return [Ask(each, 1, "calibrate") for each in ends]

    def _fewer_end(self) -> int:
        return 0 if self.belief.count(0) <= self.belief.count(self.last) else self.last

    def _none(self) -> Answer:
        runs = self.belief.count(0) + self.belief.count(self.last)
        return Answer(
            "no-change", (), 0.0, f"the ends differ by {self._apart():.1f} standard errors after {runs} runs of them"
        )

    def _apart(self) -> float:
        """By how many standard errors the ends differ; outliers count for nothing."""
        sides = [np.array(self.belief.values(each)) for each in (0, self.last)]
        spread = self.belief.noise
        kept = [each[np.abs(each - np.median(each)) <= 3.5 * spread] for each in sides]
        error = spread * math.sqrt(sum(1 / len(each) for each in kept))
        return abs(float(kept[1].mean() - kept[0].mean())) / error

    # --- the answer

    def _classes(self) -> list[tuple[int, ...]]:
        """Sets of c that nothing measurable tells apart: k and k + 1 are told apart by measuring k."""
        found: list[list[int]] = [[1]]
        for c in range(2, self.last + 1):
            if c - 1 in self.broken:
                found[-1].append(c)
            else:
                found.append([c])
        return [tuple(each) for each in found]

    def _answer(self) -> Answer | None:
        posterior = self.belief.posterior()
        best = int(posterior.argmax()) + 1
        if best - 1 not in self.broken and best not in self.broken:
            sure = float(posterior[best - 1])
            members: tuple[int, ...] = (best,)
        else:
            members = max(self._classes(), key=lambda each: float(posterior[each[0] - 1 : each[-1]].sum()))
            sure = float(posterior[members[0] - 1 : members[-1]].sum())
        return Answer("found", members, sure) if sure >= self._confidence else None

    def _open(self, reason: str) -> Answer:
        """Inconclusive, with the fewest candidates that hold the change with the confidence that was asked for."""
        posterior = self.belief.posterior()
        order = np.argsort(-posterior, kind="stable")
        count = int(np.searchsorted(np.cumsum(posterior[order]), self._confidence)) + 1
        chosen = order[:count]
        return Answer(
            "inconclusive", tuple(sorted(int(each) + 1 for each in chosen)), float(posterior[chosen].sum()), reason
        )

    # --- what to ask

    def _single(self) -> list[Ask] | Answer:
        candidate, runs, worth = self._best(self.belief.after())
        if worth < _NOTHING:
            return self._open("nothing that can be built tells more")
        return [self._or_an_end(candidate, runs)]

    def _batch(self) -> list[Ask] | Answer:
        """One ask a job: candidates that part what is still possible into equal shares (as all their answers come at once)."""
        after = self.belief.after()
        asks: list[Ask] = []
        taken: set[int] = set()
        for number in range(self._jobs):
            target = (number + 1) / (self._jobs + 1)
            order = np.argsort(np.abs(after[1 : self.last] - target), kind="stable") + 1
            free = [int(each) for each in order if int(each) not in self.broken and int(each) not in taken]
            if not free:
                break
            ask = self._or_an_end(free[0], 1)
            taken.add(ask.candidate if 0 < ask.candidate < self.last else free[0])
            asks.append(ask)
        if not asks or self._best(after)[2] < _NOTHING:
            return self._open("nothing that can be built tells more")
        return asks

    def _best(self, after: Floats) -> tuple[int, int, float]:
        """The candidate and the runs with most bits for their cost, and how many bits that is."""
        if self.last < 2:
            return 0, 1, 0.0
        inner = np.arange(1, self.last)
        works = 1 - self._breaks(inner)
        builds = np.array([0.0 if each in self.built else self._build_cost for each in inner.tolist()])
        shift = abs(self.belief.levels[1] - self.belief.levels[0]) / self.belief.noise
        best = (0, 1, 0.0)
        worth = 0.0
        for runs in RUNS:
            bits = information(after[1 : self.last], shift * math.sqrt(runs)) * works
            by_cost = bits / (builds + runs * self._run_cost)
            place = int(by_cost.argmax())
            if by_cost[place] > worth:
                worth, best = float(by_cost[place]), (int(inner[place]), runs, float(bits[place]))
        return best

    def _breaks(self, candidates: NDArray[np.int64]) -> Floats:
        """How likely each cannot be built: known, or near to one that cannot and far from one that can."""
        if not self.broken:
            return np.zeros(len(candidates))
        bad, good = np.array(sorted(self.broken)), np.array(sorted(self.built))
        to_bad = np.abs(candidates[:, None] - bad[None, :]).min(axis=1)
        to_good = np.abs(candidates[:, None] - good[None, :]).min(axis=1)
        share = len(bad) / (len(bad) + len(good))
        likely = np.maximum(share, 0.9 * np.exp(-to_bad / _BROKEN_REACH) * to_good / (to_good + to_bad))
        likely = np.where(to_bad == 0, 1.0, np.where(to_good == 0, 0.0, likely))
        found: Floats = np.clip(likely, 0.0, 1.0)
        return found

    def _or_an_end(self, candidate: int, runs: int) -> Ask:
        """The ask, or a run of the side that has fewer runs than it would have: levels are what candidates are held against."""
        before, after = self.belief.sure()
        counts = [sum(map(self.belief.count, side)) for side in (before, after)]
        if self.belief.count(candidate) + runs > min(counts):
            return Ask(0 if counts[0] <= counts[1] else self.last, 1, "search")
        return Ask(candidate, runs, "search")


def information(after: Floats, shift: float) -> Floats:
    """Bits that a measurement tells of a yes or no that is "yes" with probability ``after``.

    The measurement is Normal(0, 1) for no and Normal(``shift``, 1) for yes. From a table, to about 0.01 bits.
    """
    table, step, reach = _table()
    place = min(shift, reach) / step
    low = min(int(place), table.shape[1] - 2)
    part = place - low
    column = table[:, low] * (1 - part) + table[:, low + 1] * part
    found: Floats = np.interp(after, np.linspace(0, 1, len(column)), column)
    return found


@lru_cache(maxsize=1)
def _table() -> tuple[Floats, float, float]:
    """Mutual information by prior (0 to 1, 81 points) and shift; the step of the shifts; the largest of them."""
    priors = np.linspace(0, 1, 81)[:, None]
    step, reach = 0.2, 12.0
    shifts = np.arange(0, reach + step / 2, step)
    y = np.linspace(-7, reach + 7, 601)[None, :]
    no = np.exp(-0.5 * y**2)
    found = np.empty((len(priors), len(shifts)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, shift in enumerate(shifts):
            yes = np.exp(-0.5 * (y - shift) ** 2)
            both = (1 - priors) * no + priors * yes
            terms = (1 - priors) * no * np.log2(no / both) + priors * yes * np.log2(yes / both)
            found[:, column] = np.nansum(terms, axis=1) * (y[0, 1] - y[0, 0]) / math.sqrt(2 * math.pi)
    return np.clip(found, 0.0, 1.0), step, reach
