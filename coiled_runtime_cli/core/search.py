"""Which candidate to measure next, and when the answer is sure: the search of a bisection, without measuring anything itself.

First both ends are measured in turn until their levels differ by three standard errors: without that there is nothing to find.
Then each step asks for the runs that tell most about the change for what they cost: the information in r runs of candidate k
about whether k is before or after the change, a binary question put through Gaussian noise (Cover and Thomas 2006, section 2.4),
over the cost of a build, unless it has been built, and r runs. The ends are measured again whenever a candidate would get more
runs than the side that it is held against. A candidate that cannot be built cannot be asked; the change may have come with it all
the same, and then the answer is a set of neighbours.

Before an answer is given it is verified: the culprit and its parent are built afresh and measured in turn, until the difference
holds or does not (Wald's sequential test). Where it does not hold, builds of one commit differ from each other (Mytkowicz et al.
2009), and repeated runs of a build say less than they seem to: from then on each build counts as one measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.belief import Belief
from coiled_runtime_cli.core.bisection import Effect

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Runs of either end: fewest and most; and the standard errors by which they have to differ.
FEWEST, MOST, APART = 3, 60, 3.0

#: Standard errors below which ends that had differed are measured again.
_DOUBTFUL = 2.0

#: Runs of a candidate that may be asked for at once.
RUNS = (1, 2, 3, 5, 8)

#: From this probability on (or the confidence asked for, if that is less) an answer is verified; and the pairs that takes.
_LIKELY, PAIRS, _MOST_PAIRS = 0.7, 2, 100

#: A verification makes a build for each of so many pairs, and uses them again up to so many; then it makes more.
_FRESH_PAIRS, _PAIRS_OF_THEM = 2, 4

#: Its odds for and against, as logarithms; and the runs after which a pair that was refused may be tried again.
_ODDS, _REST = math.log(99), 8

#: The differences that a verification tries, as shares of what was seen.
_PARTS = (0.55, 0.7, 0.85, 1.0, 1.15)

#: Runs of an end after which it is built afresh.
_RUNS_OF_AN_END = 10

#: Runs of a build that make one measurement, once builds are known to differ.
_RUNS_OF_A_BUILD = 2

#: Share of pairs with an outlier in one of the two.
_OUTLIERS = 0.14

#: How far (in candidates) what breaks a build reaches.
_BROKEN_REACH = 3.0

#: Less than this many bits for all that can be asked, and asking ends.
_NOTHING = 1e-4

#: What measurements are for.
CALIBRATE, SEARCH, VERIFY = "calibrate", "search", "verify"


@dataclass(frozen=True, slots=True)
class Ask:
    """Measure a candidate (0 to N) so many times. ``build`` 0 is the one at hand; others are made afresh, once each."""

    candidate: int
    runs: int
    purpose: str  # CALIBRATE, SEARCH or VERIFY
    build: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """``candidates`` hold the change with ``confidence``: one, or a set that nothing measurable tells apart.

    ``status`` is found, no-change (the ends do not differ by more than noise) or inconclusive (``reason`` says why).
    ``effect`` is that of fresh builds; of the ends where there is no such thing; None where too little was measured.
    """

    status: str
    candidates: tuple[int, ...]
    confidence: float
    reason: str = ""
    effect: Effect | None = None


class Search:
    """Ask, measure, tell, and ask again, until :meth:`next` answers. What is told in the same order gives the same state.

    ``last`` is the number of the bad end, 0 that of the good one. Costs are in any one unit. ``built`` need no build.
    ``max_runs`` bounds what may be measured in all. ``prior`` are weights of candidates 1 to ``last``. A change of less than
    ``min_effect`` (in logarithms) is none. After ``most`` runs of either end they differ, or they do not.
    ``first`` is the candidate that is asked before all others between the ends. Without ``verify`` the answer is not verified.
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
        min_effect: float = 0.0,
        verify: bool = True,
        most: int = MOST,
        first: int | None = None,
    ) -> None:
        if not 0.5 < confidence < 1:
            raise ValueError(f"a confidence is between 0.5 and 1, not {confidence}")
        self.last = last
        self.belief = Belief(last, prior)
        self.built = {0, last, *built}
        self.broken: set[int] = set()
        self.runs = 0
        self.calibrated = False
        self.direction = 0  # 1: only a rise is looked for, -1: only a fall, 0: either
        self.by_build = False
        self._doubtful = False
        self._confidence = confidence
        self._build_cost = build_cost
        self._run_cost = run_cost
        self._max_runs = max_runs
        self._prior = prior
        self._jobs = jobs
        self._min_effect = min_effect
        self._verify = verify
        self._most = most
        self._first = first
        self._builds: dict[
            tuple[int, int], list[float]
        ] = {}  # logarithms by candidate and build, in order of first runs
        self._verified: dict[int, list[tuple[int, float]]] = {}  # builds and logarithms of the verification that is on
        self._refused: dict[tuple[int, int], int] = {}  # pairs between which no difference held, and at which run
        self._refusals = 0

    # --- what was measured

    def tell(self, candidate: int, logs: Sequence[float], *, purpose: str = SEARCH, build: int = 0) -> None:
        """What was measured, as logarithms, in the order of measuring."""
        self.built.add(candidate)
        self.runs += len(logs)
        self._builds.setdefault((candidate, build), []).extend(logs)
        if self.by_build:
            self._believe_builds()
        else:
            self.belief.add(candidate, logs)
        if purpose != CALIBRATE:
            self.calibrated = True
        if purpose == VERIFY:
            self._tell_verified(candidate, logs, build)

    def _tell_verified(self, candidate: int, logs: Sequence[float], build: int) -> None:
        self._verified.setdefault(candidate, []).extend((build, log) for log in logs)
        if len(self._verified) > 2:  # another pair than before
            self._verified = {candidate: [(build, log) for log in logs]}
        if len(self._verified) == 2:
            first, second = sorted(self._verified)
            if self._odds(first, second) <= -_ODDS:
                self._refuse(first, second)

    def _refuse(self, parent: int, culprit: int) -> None:
        """No difference holds between them: the search was wrong, or what it measured were differences between builds."""
        self._verified = {}
        still = float(self.belief.posterior()[parent:culprit].sum()) >= 0.5
        self._refusals += 1
        if (still or self._refusals > 1) and not self.by_build:
            self.by_build = True
            self._believe_builds()
        if still:
            self._refused[parent, culprit] = self.runs

    def _believe_builds(self) -> None:
        """What is believed when each build is one measurement."""
        self.belief = Belief(self.last, self._prior)
        for (candidate, _), logs in self._builds.items():
            self.belief.add(candidate, [float(np.median(logs))])

    def tell_broken(self, candidate: int) -> None:
        """It cannot be built, or cannot be measured. Raises ValueError for an end: without both there is no search."""
        if candidate in {0, self.last}:
            raise ValueError("an end that cannot be measured leaves nothing to search between")
        self.broken.add(candidate)
        if candidate in self._verified:
            self._verified = {}

    # --- what to do

    def next(self) -> list[Ask] | Answer:
        """What to measure now, one ask a job, or the answer."""
        if min(self.belief.count(0), self.belief.count(self.last)) < FEWEST:
            return self._run_of_the_ends()  # at the beginning, and when each build becomes one measurement
        if self.calibrated:  # chance may have parted the ends: then there is nothing to search for
            self._doubtful = self.apart() < (APART if self._doubtful else _DOUBTFUL)
        if not self.calibrated or self._doubtful:
            asks = self._calibration()
            if asks is not None:
                return asks
        members, sure = self._likeliest()
        if sure >= self._confidence and self.apart() >= APART and self._holds(members):
            return Answer("found", members, sure, effect=self._effect(members))
        if self._max_runs is not None and self.runs >= self._max_runs:
            return self._open(f"{self.runs} runs were made, as many as were allowed")
        if sure >= min(_LIKELY, self._confidence):
            if (
                self.apart() < APART
            ):  # the ends had seemed to differ by more than they do: first they are looked at again
                return self._run_of_the_ends()
            if self._verify and not self._holds(members):
                asks = self._verification(members)
                if asks is not None:
                    return asks
        return self._batch() if self._jobs > 1 else self._single()

    def give_up(self, reason: str) -> Answer:
        """Inconclusive as things stand: a budget has ended."""
        if min(self.belief.count(0), self.belief.count(self.last)) < 1:
            return Answer("inconclusive", tuple(range(1, self.last + 1)), 1.0, reason)
        return self._open(reason)

    def likely_next(self) -> list[int]:
        """Candidates that may be asked for soon: those that part what is possible in quarters."""
        if min(self.belief.count(0), self.belief.count(self.last)) < 1 or self.last < 2:
            return []
        after = self.belief.after()[1 : self.last]
        found = dict.fromkeys(int(np.abs(after - share).argmin()) + 1 for share in (0.5, 0.25, 0.75))
        return [each for each in found if each not in self.broken]

    @property
    def until_none(self) -> int:
        """Runs after which ends that do not differ are said not to."""
        return max(0, 2 * self._most - self.belief.count(0) - self.belief.count(self.last))

    # --- the ends

    def _calibration(self) -> list[Ask] | Answer | None:
        counts = self.belief.count(0), self.belief.count(self.last)
        apart = self.apart()
        if apart >= APART:
            if self._shift() < self._min_effect or self._rise() * self.direction < 0:
                return self._none()
            self.calibrated = True
            return None
        nothing = self._shift() + APART * self._shift() / max(apart, 1e-9) < self._min_effect
        if nothing or min(counts) >= self._most:
            return self._none()
        if self._max_runs is not None and self.runs >= self._max_runs:
            return self._open(f"{self.runs} runs were made, as many as were allowed, and the ends do not differ yet")
        return self._run_of_the_ends()

    def _run_of_the_ends(self) -> list[Ask]:
        ends = [0, self.last] * (self._jobs // 2) or [self._fewer_end()]
        return [self._ask(each, 1, SEARCH if self.calibrated else CALIBRATE) for each in ends]

    def _fewer_end(self) -> int:
        return 0 if self.belief.count(0) <= self.belief.count(self.last) else self.last

    def _none(self) -> Answer:
        effect = self._effect_of(self.belief.values(0), self.belief.values(self.last))
        runs = self.belief.count(0) + self.belief.count(self.last)
        apart = self.apart()
        reason = f"the ends differ by {apart:.1f} standard errors after {runs} runs of them"
        if apart >= APART and self._rise() * self.direction < 0:
            reason = "the change goes the other way"
        return Answer("no-change", (), 0.0, reason, effect)

    def _rise(self) -> float:
        sides = self._ends()
        return float(sides[1].mean() - sides[0].mean())

    def _shift(self) -> float:
        """By how much (in logarithms) the ends differ."""
        return abs(self._rise())

    def apart(self) -> float:
        """By how many standard errors the ends differ, so far."""
        return self._shift() / (self.belief.noise * math.sqrt(sum(1 / len(each) for each in self._ends())))

    def _ends(self) -> list[Floats]:
        """The values of both ends; outliers count for nothing."""
        return [_without_outliers(self.belief.values(each), self.belief.noise) for each in (0, self.last)]

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

    def _likeliest(self) -> tuple[tuple[int, ...], float]:
        """The candidate, or the set of them, that most probably holds the change; and how probably."""
        posterior = self.belief.posterior()
        best = int(posterior.argmax()) + 1
        if best - 1 not in self.broken and best not in self.broken:
            return (best,), float(posterior[best - 1])
        members = max(self._classes(), key=lambda each: float(posterior[each[0] - 1 : each[-1]].sum()))
        return members, float(posterior[members[0] - 1 : members[-1]].sum())

    def _open(self, reason: str) -> Answer:
        """Inconclusive, with the fewest candidates that hold the change with the confidence that was asked for."""
        posterior = self.belief.posterior()
        order = np.argsort(-posterior, kind="stable")
        count = int(np.searchsorted(np.cumsum(posterior[order]), self._confidence)) + 1
        chosen = order[:count]
        return Answer(
            "inconclusive",
            tuple(sorted(int(each) + 1 for each in chosen)),
            float(posterior[chosen].sum()),
            reason,
            self._effect_of(self.belief.values(0), self.belief.values(self.last)),
        )

    def _effect(self, members: tuple[int, ...]) -> Effect | None:
        parent, culprit = members[0] - 1, members[-1]
        if not self._verify:
            before, after = self.belief.sure()
            return self._effect_of(
                [log for each in before for log in self.belief.values(each)],
                [log for each in after for log in self.belief.values(each)],
            )
        return self._effect_of(*([log for _, log in self._verified[each]] for each in (parent, culprit)))

    def _effect_of(self, before: Sequence[float], after: Sequence[float]) -> Effect | None:
        """From a normal approximation on logarithms, with the noise of all runs."""
        if not before or not after:
            return None
        noise = self.belief.noise
        sides = [_without_outliers(each, noise) for each in (before, after)]
        shift = float(sides[1].mean() - sides[0].mean())
        error = 1.96 * noise * math.sqrt(sum(1 / len(each) for each in sides))
        return Effect(ratio=math.exp(shift), low=math.exp(shift - error), high=math.exp(shift + error))

    # --- verification

    def _holds(self, members: tuple[int, ...]) -> bool:
        parent, culprit = members[0] - 1, members[-1]
        if not self._verify:
            return True
        counts = [len(self._verified.get(each, ())) for each in (parent, culprit)]
        return counts[0] == counts[1] >= PAIRS and self._odds(parent, culprit) >= _ODDS

    def _verification(self, members: tuple[int, ...]) -> list[Ask] | None:
        """The next run of a pair; None where that pair has been refused, and the search has to tell more."""
        parent, culprit = members[0] - 1, members[-1]
        if self.runs < self._refused.get((parent, culprit), -_REST) + _REST:
            return None
        counts = [len(self._verified.get(each, ())) for each in (parent, culprit)]
        if min(counts) >= _MOST_PAIRS:
            return None
        asks = []
        for pair in range(min(counts), min(counts) + max(1, self._jobs // 2)):
            # who begins changes from pair to pair, so that what moves with time meets both alike
            for each in (parent, culprit) if pair % 2 == 0 else (culprit, parent):
                if len(self._verified.get(each, ())) <= pair:
                    build = self._build_to_verify(each, pair)
                    asks.append(Ask(each, 1, VERIFY, build))
        return asks[: self._jobs]

    def _build_to_verify(self, candidate: int, pair: int) -> int:
        mine = list(dict.fromkeys(build for build, _ in self._verified.get(candidate, ())))
        if _FRESH_PAIRS <= pair < _PAIRS_OF_THEM and not self.by_build:
            return mine[pair % len(mine)]
        return self._new_build(candidate) + pair - len(self._verified.get(candidate, ()))

    def _new_build(self, candidate: int) -> int:
        return max((build for each, build in self._builds if each == candidate), default=0) + 1

    def _odds(self, parent: int, culprit: int) -> float:
        """Logarithm of how much likelier the verifying pairs are with a difference between them than with none.

        The difference that was seen so far may be larger than it is: it had to be large to be seen. So it is taken for anything
        from about half of it on.
        """
        pairs = zip(self._verified.get(parent, ()), self._verified.get(culprit, ()), strict=False)
        gaps = np.array([after - before for (_, before), (_, after) in pairs])
        shift = self.belief.levels[1] - self.belief.levels[0]
        noise = self.belief.noise * math.sqrt(2)
        with_it = [_pair_log_likelihood(gaps - part * shift, noise).sum() for part in _PARTS]
        return float(np.logaddexp.reduce(with_it) - math.log(len(_PARTS)) - _pair_log_likelihood(gaps, noise).sum())

    # --- what to ask

    def _ask(self, candidate: int, runs: int, purpose: str = SEARCH) -> Ask:
        if not self.by_build:
            # one build of an end may be unlike all others, and hide a change or feign one
            end = candidate in {0, self.last}
            return Ask(candidate, runs, purpose, self.belief.count(candidate) // _RUNS_OF_AN_END if end else 0)
        return Ask(candidate, _RUNS_OF_A_BUILD, purpose, self._new_build(candidate))

    def _single(self) -> list[Ask] | Answer:
        if self._first is not None and not self.belief.count(self._first) and self._first not in self.broken:
            return [self._or_an_end(self._first, 1)]
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
        built = () if self.by_build else self.built
        builds = np.array([0.0 if each in built else self._build_cost for each in inner.tolist()])
        shift = abs(self.belief.levels[1] - self.belief.levels[0]) / self.belief.noise
        best = (0, 1, 0.0)
        worth = 0.0
        for runs in RUNS if not self.by_build else (1,):
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
        if self.belief.count(candidate) + (runs if not self.by_build else 1) > min(counts):
            return self._ask(0 if counts[0] <= counts[1] else self.last, 1)
        return self._ask(candidate, runs)


def _without_outliers(logs: Sequence[float], noise: float) -> Floats:
    values = np.array(logs)
    kept: Floats = values[np.abs(values - np.median(values)) <= 3.5 * noise]
    return kept if len(kept) else values


def _pair_log_likelihood(gaps: Floats, noise: float) -> Floats:
    """Of differences of two runs around 0: as of single runs, one of the two may be an outlier."""
    wide = max(0.6, 8 * noise)
    inside = math.log(1 - _OUTLIERS) - math.log(noise) - 0.5 * (gaps / noise) ** 2
    outside = math.log(_OUTLIERS) - math.log(wide) - 0.5 * (gaps / wide) ** 2
    found: Floats = np.logaddexp(inside, outside)
    return found


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
