"""Which candidate to measure next, and when the answer is sure: the search of a bisection, without measuring anything itself.

First both ends are measured in turn until their levels differ by three standard errors: without that there is nothing to find.
Then each step asks for the runs that tell most about the change for what they cost (``worth.py``): the information in r runs of
candidate k about whether k is before or after the change, a binary question put through Gaussian noise (``information.py``), over
the cost of a build, unless it has been built, and r runs. The ends are measured again whenever a candidate would get more runs
than the side that it is held against. A candidate that cannot be built cannot be asked; the change may have come with it all the
same, and then the answer is a set of neighbours (``credible_set.py``).

Before an answer is given it is verified: the culprit and its parent are built afresh and measured in turn, until the difference
holds or does not (``verification.py``). Where it does not hold, builds of one commit differ from each other (Mytkowicz et al.
2009), and repeated runs of a build say less than they seem to: from then on each build counts as one measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core import credible_set, level_shift, worth
from coiled_runtime_cli.core.belief import Belief
from coiled_runtime_cli.core.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.bisection import Effect

    Floats = NDArray[np.float64]

#: Runs of either end: fewest and most; and the standard errors by which they have to differ.
FEWEST, MOST, APART = 3, 60, 3.0

#: Standard errors below which ends that had differed are measured again.
_DOUBTFUL = 2.0

#: From this probability on (or the confidence asked for, if that is less) an answer is verified.
_LIKELY = 0.7

#: The runs after which a pair that was refused may be tried again.
_REST = 8

#: Runs of an end after which it is built afresh.
_RUNS_OF_AN_END = 10

#: Runs of a build that make one measurement, once builds are known to differ.
_RUNS_OF_A_BUILD = 2

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
        # logarithms by candidate and build, in order of first runs
        self._builds: dict[tuple[int, int], list[float]] = {}
        self._verification = Verification()
        self._refused: dict[tuple[int, int], int] = {}  # pairs between which no difference held, and at which run
        self._refusals = 0

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
            self._verification.tell(candidate, logs, build)
            refused = self._verification.refused(self.belief)
            if refused is not None:
                self._refuse(*refused)

    def tell_broken(self, candidate: int) -> None:
        """It cannot be built, or cannot be measured. Raises ValueError for an end: without both there is no search."""
        if candidate in {0, self.last}:
            raise ValueError("an end that cannot be measured leaves nothing to search between")
        self.broken.add(candidate)
        self._verification.tell_broken(candidate)

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
        members, sure = credible_set.likeliest(self.belief.posterior(), self.broken)
        if sure >= self._confidence and self.apart() >= APART and self._holds(members):
            return Answer("found", members, sure, effect=self._effect(members))
        if self._max_runs is not None and self.runs >= self._max_runs:
            return self._open(f"{self.runs} runs were made, as many as were allowed")
        if sure >= min(_LIKELY, self._confidence):
            if self.apart() < APART:
                # the ends had seemed to differ by more than they do: first they are looked at again
                return self._run_of_the_ends()
            if self._verify and not self._holds(members):
                asks = self._next_to_verify(members)
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

    def apart(self) -> float:
        """By how many standard errors the ends differ, so far."""
        return level_shift.apart(*self._ends(), self.belief.noise)

    def _refuse(self, parent: int, culprit: int) -> None:
        """No difference holds between them: the search was wrong, or what it measured were differences between builds."""
        self._verification.forget()
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
        effect = self._effect_of_the_ends()
        runs = self.belief.count(0) + self.belief.count(self.last)
        apart = self.apart()
        reason = f"the ends differ by {apart:.1f} standard errors after {runs} runs of them"
        if apart >= APART and self._rise() * self.direction < 0:
            reason = "the change goes the other way"
        return Answer("no-change", (), 0.0, reason, effect)

    def _rise(self) -> float:
        return level_shift.rise(*self._ends(), self.belief.noise)

    def _shift(self) -> float:
        """By how much (in logarithms) the ends differ."""
        return abs(self._rise())

    def _effect_of_the_ends(self) -> Effect | None:
        return level_shift.effect(*self._ends(), self.belief.noise)

    def _ends(self) -> tuple[list[float], list[float]]:
        return self.belief.values(0), self.belief.values(self.last)

    def _effect(self, members: tuple[int, ...]) -> Effect | None:
        if self._verify:
            before, after = (self._verification.logs(each) for each in (members[0] - 1, members[-1]))
        else:
            before, after = ([log for each in side for log in self.belief.values(each)] for side in self.belief.sure())
        return level_shift.effect(before, after, self.belief.noise)

    def _open(self, reason: str) -> Answer:
        """Inconclusive, with the fewest candidates that hold the change with the confidence that was asked for."""
        members, sure = credible_set.fewest(self.belief.posterior(), self._confidence)
        return Answer("inconclusive", members, sure, reason, self._effect_of_the_ends())

    def _holds(self, members: tuple[int, ...]) -> bool:
        return not self._verify or self._verification.holds(members[0] - 1, members[-1], self.belief)

    def _next_to_verify(self, members: tuple[int, ...]) -> list[Ask] | None:
        """The next run of a pair; None where that pair has been refused, and the search has to tell more."""
        parent, culprit = members[0] - 1, members[-1]
        if self.runs < self._refused.get((parent, culprit), -_REST) + _REST:
            return None
        unused = {each: self._new_build(each) for each in (parent, culprit)}
        asked = self._verification.next(parent, culprit, jobs=self._jobs, unused=unused, fresh=self.by_build)
        return None if asked is None else [Ask(each, 1, VERIFY, build) for each, build in asked]

    def _new_build(self, candidate: int) -> int:
        return max((build for each, build in self._builds if each == candidate), default=0) + 1

    def _ask(self, candidate: int, runs: int, purpose: str = SEARCH) -> Ask:
        if not self.by_build:
            # one build of an end may be unlike all others, and hide a change or feign one
            end = candidate in {0, self.last}
            return Ask(candidate, runs, purpose, self.belief.count(candidate) // _RUNS_OF_AN_END if end else 0)
        return Ask(candidate, _RUNS_OF_A_BUILD, purpose, self._new_build(candidate))

    def _single(self) -> list[Ask] | Answer:
        if self._first is not None and not self.belief.count(self._first) and self._first not in self.broken:
            return [self._or_an_end(self._first, 1)]
        candidate, runs, bits = self._best(self.belief.after())
        if bits < _NOTHING:
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
        built = () if self.by_build else self.built
        return worth.best(
            after[1 : self.last],
            abs(self.belief.levels[1] - self.belief.levels[0]) / self.belief.noise,
            works=1 - worth.breaks(inner, self.broken, self.built),
            build_costs=np.array([0.0 if each in built else self._build_cost for each in inner.tolist()]),
            run_cost=self._run_cost,
            counts=(1,) if self.by_build else worth.RUNS,
        )

    def _or_an_end(self, candidate: int, runs: int) -> Ask:
        """The ask, or a run of the side that has fewer runs than it would have: levels are what candidates are held against."""
        before, after = self.belief.sure()
        counts = [sum(map(self.belief.count, side)) for side in (before, after)]
        if self.belief.count(candidate) + (runs if not self.by_build else 1) > min(counts):
            return self._ask(0 if counts[0] <= counts[1] else self.last, 1)
        return self._ask(candidate, runs)
