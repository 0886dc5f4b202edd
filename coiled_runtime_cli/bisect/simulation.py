"""Bisections that are simulated: the loop of `crt bisect` with a seeded measurement instead of a real one.

What the search promises is asserted with it, drawn with it (`docs/bisection.md`), and measured with it.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass

import numpy as np

from coiled_runtime_cli.bisect.loop import Step, bisect
from coiled_runtime_cli.core.bisection import Probe
from coiled_runtime_cli.core.search import VERIFY, Answer, Ask, Search


@dataclass(frozen=True)
class Cell:
    """``last``: number of the bad end. ``noise``: standard deviation of a run; ``build_noise``: that of a build."""

    last: int
    noise: float
    effect: float
    broken: float = 0.0
    drift: float = 0.0
    build_noise: float = 0.0
    jobs: int = 1
    outliers: float = 0.05
    build_cost: float = 0.0  # of a build, in runs


@dataclass
class Trial:
    answer: Answer
    right: bool  # the change is in what was named; where nothing changes: nothing was named
    named: bool
    runs: int
    rounds: int  # without those that verify
    builds: int
    verifying: int  # of the runs


class Measurement:
    """Measures candidates of a line; every value follows from the seed, the candidate, its build and how often it was run."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self._cell = cell
        self._seed = seed
        random = np.random.default_rng(seed)
        self.change = int(random.integers(1, cell.last + 1)) if cell.effect else None
        broken = np.flatnonzero(random.random(cell.last + 1) < cell.broken)
        self._broken = set(broken.tolist()) - {0, cell.last}
        self._times: Counter[tuple[int, int]] = Counter()
        self._lock = threading.Lock()
        self.rounds = 0

    def __call__(self, ask: Ask, slot: int) -> Probe:  # noqa: ARG002 - as a real one
        if ask.candidate in self._broken:
            return Probe(candidate=ask.candidate, outcome="unbuildable", purpose=ask.purpose)
        with self._lock:
            number = self._times[ask.candidate, ask.build]
            run = self._times.total()
            self._times[ask.candidate, ask.build] += 1
        cell = self._cell
        of_build = np.random.default_rng([self._seed, ask.candidate, ask.build])
        random = np.random.default_rng([self._seed, ask.candidate, ask.build, number + 1])
        log = cell.build_noise * of_build.standard_normal() + cell.noise * random.standard_normal() + cell.drift * run
        if self.change is not None and ask.candidate >= self.change:
            log += math.log1p(cell.effect)
        if random.random() < cell.outliers:
            log += math.log(random.uniform(1.5, 3))
        value = math.exp(log)
        return Probe(candidate=ask.candidate, outcome="measured", value=value, purpose=ask.purpose, build=ask.build)

    @property
    def builds(self) -> int:
        return len(self._times)


def trial(cell: Cell, seed: int) -> Trial:
    """One bisection, by the loop that crt runs, of a line with one change, or with none where the effect is 0."""
    measurement = Measurement(cell, seed)
    search = Search(cell.last, jobs=cell.jobs, build_cost=cell.build_cost)
    steps: list[Step] = []
    asked = search.next

    def next_() -> list[Ask] | Answer:
        found = asked()
        if not isinstance(found, Answer) and found[0].purpose != VERIFY:
            measurement.rounds += 1
        return found

    search.next = next_  # type: ignore[method-assign]
    answer = bisect(search, measurement, jobs=cell.jobs, tell=steps.append)
    probes = [each.probe for each in steps if each.probe is not None and each.probe.outcome == "measured"]
    named = answer.status == "found"
    right = not named if measurement.change is None else named and measurement.change in answer.candidates
    verifying = sum(each.purpose == VERIFY for each in probes)
    return Trial(answer, right, named, len(probes), measurement.rounds, measurement.builds, verifying)


#: The cells of the table in docs/bisection.md.
TABLE = {
    "16 commits, 5 %, +20 %": Cell(16, 0.05, 0.2),
    "128 commits, 5 %, +20 %": Cell(128, 0.05, 0.2),
    "128 commits, 10 %, +20 %": Cell(128, 0.1, 0.2),
    "1024 commits, 5 %, +20 %": Cell(1024, 0.05, 0.2),
    "1024 commits, 10 %, +10 %": Cell(1024, 0.1, 0.1),
    "1024 commits, 5 %, +20 %, 4 at once": Cell(1024, 0.05, 0.2, jobs=4),
    "1024 commits, 5 %, +20 %, 30 % unbuildable": Cell(1024, 0.05, 0.2, broken=0.3),
    "128 commits, 5 %, +20 %, drift of 0.5 % a run": Cell(128, 0.05, 0.2, drift=0.005),
    "128 commits, 3 %, +15 %, builds differ by 4 %": Cell(128, 0.03, 0.15, build_noise=0.04),
    "128 commits, 5 %, no change": Cell(128, 0.05, 0.0),
}


def grid() -> dict[str, Cell]:
    """All cells of size, noise and effect."""
    return {
        f"{last} commits, {noise:.0%}, +{effect:.0%}": Cell(last, noise, effect)
        for last in (16, 128, 1024)
        for noise in (0.02, 0.05, 0.1, 0.2)
        for effect in (0.05, 0.1, 0.2, 0.5)
    }
