"""The loop between search and measurement, with measurements that are made up."""

import math
import threading

import numpy as np
import pytest

from coiled_runtime_cli.bisect import loop, simulation
from coiled_runtime_cli.core.bisection import Probe
from coiled_runtime_cli.core.search import VERIFY, Answer, Search
from coiled_runtime_cli.errors import ToolError


class Line:
    """Values of 1 before candidate ``change`` and 2 from it on; some candidates end otherwise."""

    def __init__(self, change, ends=()):
        self.change = change
        self.ends = dict(ends)
        self.asked = []
        self.lock = threading.Lock()

    def __call__(self, ask, slot):
        with self.lock:
            self.asked.append((ask.candidate, slot))
            count = sum(candidate == ask.candidate for candidate, _ in self.asked)
        outcome = self.ends.get(ask.candidate)
        if callable(outcome):
            outcome = outcome(count)
        if outcome is not None:
            return Probe(candidate=ask.candidate, outcome=outcome, message="as it was made up", purpose=ask.purpose)
        noise = math.exp(0.02 * np.random.default_rng([ask.candidate, ask.build, count]).standard_normal())
        value = (1.0 if ask.candidate < self.change else 2.0) * noise
        return Probe(candidate=ask.candidate, outcome="measured", value=value, purpose=ask.purpose, build=ask.build)


def run(line, last=32, **options):
    steps = []
    answer = loop.bisect(Search(last, jobs=options.get("jobs", 1)), line, tell=steps.append, **options)
    return answer, [each.probe for each in steps if each.probe is not None]


def test_an_error_is_tried_again_and_only_the_second_one_counts():
    line = Line(20, {16: lambda count: "error" if count == 1 else None})
    answer, probes = run(line)
    assert answer.candidates == (20,)
    assert [each.outcome for each in probes if each.candidate == 16][:2] == ["error", "measured"]
    line = Line(20, {16: "error"})
    answer, probes = run(line)
    assert answer.candidates == (20,)
    assert [each.outcome for each in probes if each.candidate == 16] == ["error", "error"]


@pytest.mark.parametrize("outcome", ["unbuildable", "failed", "timeout"])
def test_what_has_no_value_is_stepped_over_at_once(outcome):
    answer, probes = run(Line(20, {16: outcome, 24: outcome}))
    assert answer.candidates == (20,)
    assert sum(each.candidate == 16 for each in probes) == 1


@pytest.mark.parametrize(("end", "name"), [(0, "the good end"), (32, "the bad end")])
def test_an_end_that_cannot_be_measured_ends_it_with_the_reason(end, name):
    with pytest.raises(ToolError, match=f"{name} cannot be built: as it was made up"):
        run(Line(20, {end: "unbuildable"}))


def test_the_ends_of_a_search_for_a_fix_are_called_as_they_were_given():
    with pytest.raises(ToolError, match="the bad end takes too long"):
        run(Line(20, {0: "timeout"}), ends=("bad", "good"))


def test_errors_everywhere_are_no_accident():
    with pytest.raises(ToolError, match="3 candidates in a row"):
        run(Line(20, dict.fromkeys(range(1, 32), "error")))


def test_a_job_that_is_lost_does_not_take_the_others_with_it():
    def lost(count):
        raise ToolError("the worker has gone")

    line = Line(20, dict.fromkeys(range(10, 16), lost))
    told = []
    with pytest.raises(ToolError, match="the worker has gone"):
        loop.bisect(Search(32, jobs=4), line, jobs=4, tell=told.append)
    asked = {candidate for candidate, _ in line.asked} - set(range(10, 16))
    assert {each.probe.candidate for each in told if each.probe is not None} == asked


@pytest.mark.parametrize("jobs", [2, 3, 4, 6, 8, 16])
def test_every_job_has_a_slot_of_its_own(jobs):
    line = Line(20)
    answer, _ = run(line, jobs=jobs)
    assert answer.candidates == (20,)
    assert {slot for _, slot in line.asked} == set(range(jobs))


def test_what_was_measured_before_is_not_measured_again():
    line = Line(20)
    whole, probes = run(line)
    for cut in range(len(probes)):
        search, again = Search(32), Line(20)
        loop.replay(search, probes[:cut])
        again.asked = [(each.candidate, 0) for each in probes[:cut]]
        answer = loop.bisect(search, again, tell=lambda step: None)
        assert answer.candidates == whole.candidates
        assert len(again.asked) <= len(probes) + 3


def test_time_that_is_up_gives_what_is_known():
    line = Line(20)
    search = Search(32)
    answer = loop.bisect(search, line, tell=lambda step: None, deadline=-1.0)
    assert answer.status == "inconclusive"
    assert answer.reason == "the time is up"
    assert search.runs == 1


def test_a_verification_builds_both_sides_afresh_and_in_turn():
    _, probes = run(Line(20))
    verified = [each for each in probes if each.purpose == VERIFY]
    assert [each.candidate for each in verified] == [19, 20, 20, 19]
    assert {(each.candidate, each.build) for each in verified} == {(19, 1), (20, 1), (20, 2), (19, 2)}


def test_where_builds_differ_the_one_that_misled_is_not_named():
    """Candidate 9 was built unluckily: all its runs are as after the change, which came with 20."""

    class Unlucky(Line):
        def __call__(self, ask, slot):
            probe = super().__call__(ask, slot)
            unlucky = ask.build == 0 and 9 <= ask.candidate < 20
            return Probe(
                **{**{f: getattr(probe, f) for f in probe.__slots__}, "value": probe.value * (2 if unlucky else 1)}
            )

    answer, probes = run(Unlucky(20))
    assert answer.candidates == (20,)
    assert any(each.purpose == VERIFY and each.candidate == 9 for each in probes)


def test_which_builds_may_be_next_is_told_before_each_step():
    told = []
    loop.bisect(Search(64), Line(20), tell=lambda step: None, prefetch=told.append)
    assert told[0] == []
    assert all(0 < each < 64 for soon in told for each in soon)
    assert any(len(soon) == 3 for soon in told)


def trials(name, count, seed=77):
    cell = simulation.TABLE[name]
    return [simulation.trial(cell, seed * 1000 + number) for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "wrong", "unnamed", "median", "most"),
    [
        # how many of so many trials may name a wrong commit, or none; median and 95 % of the runs that the search takes
        ("16 commits, 5 %, +20 %", 60, 0, 1, 15, 24),
        ("128 commits, 5 %, +20 %", 60, 0, 1, 20, 32),
        ("128 commits, 10 %, +20 %", 30, 0, 2, 50, 90),
        ("1024 commits, 5 %, +20 %", 60, 0, 1, 24, 32),
        ("1024 commits, 5 %, +20 %, 30 % unbuildable", 50, 0, 1, 24, 36),
        ("128 commits, 5 %, +20 %, drift of 0.5 % a run", 40, 1, 3, 24, 45),
        ("128 commits, 3 %, +15 %, builds differ by 4 %", 50, 1, 3, 60, 200),
    ],
)
def test_the_change_is_named_in_few_runs(name, count, wrong, unnamed, median, most):
    found = trials(name, count)
    assert sum(each.named and not each.right for each in found) <= wrong
    assert sum(not each.named for each in found) <= unnamed
    searching = [each.runs - each.verifying for each in found]
    assert np.median(searching) <= median
    assert np.percentile(searching, 95) <= most


@pytest.mark.slow
def test_four_jobs_take_eight_rounds():
    found = trials("1024 commits, 5 %, +20 %, 4 at once", 40)
    assert all(each.right for each in found)
    assert np.median([each.rounds for each in found]) <= 8


@pytest.mark.slow
def test_where_nothing_changes_no_commit_is_named():
    found = trials("128 commits, 5 %, no change", 30)
    assert not any(each.named for each in found)
    assert all(isinstance(each.answer, Answer) and each.answer.status == "no-change" for each in found)


@pytest.mark.slow
def test_clear_changes_are_named_in_16_runs_at_the_mean():
    """Signal at least four times the noise, over sizes of the range."""
    runs, wrong = [], 0
    for name, cell in simulation.grid().items():
        if math.log1p(cell.effect) / cell.noise >= 4:
            found = [simulation.trial(cell, 9000 + number) for number in range(12)]
            runs += [each.runs - each.verifying for each in found]
            wrong += sum(not each.right for each in found)
            assert not any(each.named and not each.right for each in found), name
    assert wrong <= 1
    assert np.mean(runs) <= 16
