"""The search of a bisection, told by a seeded fake what was measured."""

import math

import numpy as np
import pytest

from coiled_runtime_cli.core.search import FEWEST, Answer, Ask, Search


class Line:
    """Candidates with one change, measured with noise, outliers and drift; some cannot be built."""

    def __init__(self, random, last, *, change=None, noise=0.05, effect=0.2, broken=0.0, drift=0.0):
        self.random, self.last, self.noise, self.drift = random, last, noise, drift
        self.change = int(random.integers(1, last + 1)) if change is None else change
        self.effect = math.log1p(effect)
        self.broken = set(np.flatnonzero(random.random(last + 1) < broken).tolist()) - {0, last}
        self.runs = 0

    def measure(self, candidate):
        log = (
            2
            + self.effect * (candidate >= self.change)
            + self.noise * self.random.standard_normal()
            + self.drift * self.runs
        )
        self.runs += 1
        return log + (math.log(self.random.uniform(1.5, 3)) if self.random.random() < 0.05 else 0.0)

    def answer(self, search):
        rounds = 0
        while not isinstance(asks := search.next(), Answer):
            rounds += 1
            assert rounds < 1000
            for ask in asks:
                if ask.candidate in self.broken:
                    search.tell_broken(ask.candidate)
                else:
                    logs = [self.measure(ask.candidate) for _ in range(ask.runs)]
                    search.tell(ask.candidate, logs, purpose=ask.purpose, build=ask.build)
        return asks


def right(count, last, *, seed, options=None, **line):
    """How many of ``count`` searches name the change or a set with it, and the runs of each."""
    random = np.random.default_rng(seed)
    found, runs = 0, []
    for _ in range(count):
        drawn = Line(random, last, **line)
        answer = drawn.answer(Search(last, **(options or {})))
        found += answer.status == "found" and drawn.change in answer.candidates
        runs.append(drawn.runs)
    return found, runs


def test_the_ends_come_first_in_turn():
    search = Search(10)
    asked = []
    for _ in range(2 * FEWEST):
        (ask,) = search.next()
        asked.append((ask.candidate, ask.purpose))
        search.tell(ask.candidate, [0.0 if ask.candidate == 0 else 1.0], purpose=ask.purpose)
    assert asked == [(0, "calibrate"), (10, "calibrate")] * FEWEST
    (ask,) = search.next()
    assert 0 < ask.candidate < 10


@pytest.mark.parametrize("last", [1, 2, 16, 128])
def test_a_clear_change_is_named_in_few_runs(last):
    found, runs = right(30, last, seed=11)
    assert found >= 28
    assert np.median(runs) <= 6 + 6 + 3 * math.log2(last + 1)


def test_drift_does_not_mislead_it():
    found, _ = right(20, 64, seed=12, drift=0.005)
    assert found >= 18


def test_what_cannot_be_built_makes_the_answer_a_set():
    random = np.random.default_rng(13)
    line = Line(random, 16, change=8)
    line.broken = {7, 8, 9}
    answer = line.answer(Search(16))
    assert answer.status == "found"
    assert answer.candidates == (7, 8, 9, 10)
    found, _ = right(20, 64, seed=14, broken=0.3)
    assert found >= 18


def test_where_nothing_changes_nothing_is_named():
    random = np.random.default_rng(15)
    answers = [Line(random, 64, effect=0.0).answer(Search(64, most=20)) for _ in range(8)]
    assert all(each.status == "no-change" for each in answers)


def test_several_jobs_need_fewer_rounds():
    random = np.random.default_rng(16)

    def rounds(jobs):
        search, line, count = Search(256, jobs=jobs), Line(random, 256, noise=0.02), 0
        while not isinstance(asks := search.next(), Answer):
            count += 1
            assert len(asks) <= jobs
            inner = [each.candidate for each in asks if 0 < each.candidate < 256 and each.purpose == "search"]
            assert len(set(inner)) == len(inner)
            for ask in asks:
                logs = [line.measure(ask.candidate) for _ in range(ask.runs)]
                search.tell(ask.candidate, logs, purpose=ask.purpose, build=ask.build)
        assert line.change in asks.candidates
        return count

    assert np.mean([rounds(4) for _ in range(5)]) < 0.6 * np.mean([rounds(1) for _ in range(5)])


def test_a_budget_ends_it_with_what_is_still_possible():
    random = np.random.default_rng(17)
    line = Line(random, 256, noise=0.1)
    answer = line.answer(Search(256, max_runs=25))
    assert answer.status == "inconclusive"
    assert "25 runs" in answer.reason
    assert len(answer.candidates) > 1
    assert answer.confidence >= 0.99
    assert line.runs <= 25 + 8


def test_expensive_builds_are_made_up_for_by_more_runs_of_each():
    random = np.random.default_rng(18)

    def builds(cost):
        search, line = Search(256, build_cost=cost, verify=False), Line(random, 256, noise=0.1)
        line.answer(search)
        return len(search.built)

    assert np.mean([builds(50.0) for _ in range(5)]) < np.mean([builds(0.0) for _ in range(5)])


def test_an_end_that_cannot_be_measured_and_odd_confidences_are_refused():
    with pytest.raises(ValueError, match="an end"):
        Search(4).tell_broken(4)
    for confidence in (0.5, 1.0, 2.0):
        with pytest.raises(ValueError, match=r"between 0\.5 and 1"):
            Search(4, confidence=confidence)
    assert Search(4).next() == [Ask(0, 1, "calibrate")]
