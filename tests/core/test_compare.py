import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from coiled_runtime_cli.core.compare import (
    THRESHOLDS,
    VERDICTS,
    Attempts,
    comparison,
    comparison_in_blocks,
    confidence_beyond,
    failures,
    overall,
    verdicts,
)

positive = st.floats(1e-6, 1e6)
varied = st.lists(
    positive, min_size=2, max_size=8, unique_by=lambda each: round(math.log(each), 3)
)  # scipy warns of less
anything = st.one_of(positive, st.floats(), st.sampled_from([0.0, -1.0, math.nan, math.inf, 5e-324, 1.7e308]))
steady, slow = [1.0, 1.01, 0.99, 1.0], [1.5, 1.51, 1.49, 1.5]


def verdict(baseline, contender, **options):
    return verdicts([comparison(baseline, contender)], **options)[0].word


@given(varied, varied)
def test_a_comparison_is_welchs_test_on_logarithms(baseline, contender):
    found = comparison(baseline, contender)
    expected = reference.ttest_ind(np.log(contender), np.log(baseline), equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert math.log(found.ratio) == pytest.approx(np.log(contender).mean() - np.log(baseline).mean(), abs=1e-9)
    assert math.log(found.low) == pytest.approx(interval.low, rel=1e-6, abs=1e-9)
    assert math.log(found.high) == pytest.approx(interval.high, rel=1e-6, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
    assert found.degrees_of_freedom == pytest.approx(expected.df, rel=1e-6)
    assert "Welch" in found.method


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("spreads", [(0.03, 0.03), (0.2, 0.1)])
def test_the_interval_holds_the_truth_in_95_of_100(n, spreads):
    random, truth, trials = np.random.default_rng(n), math.exp(0.1), 1500
    held = 0
    for _ in range(trials):
        found = comparison(random.lognormal(0, spreads[0], n).tolist(), random.lognormal(0.1, spreads[1], n).tolist())
        held += found.low <= truth <= found.high
    assert 0.93 <= held / trials <= 0.97


@pytest.mark.parametrize("n", [4, 10, 30])
def test_a_detectable_change_is_seen_four_times_in_five(n):
    random, trials = np.random.default_rng(n), 600
    arms = [(random.lognormal(0, 0.05, n), random.lognormal(0, 0.05, n)) for _ in range(trials)]
    size = 1 + float(np.median([comparison(a.tolist(), b.tolist()).detectable for a, b in arms]))
    seen = sum(comparison(a.tolist(), (size * b).tolist()).p_value <= 0.05 for a, b in arms)
    assert 0.7 <= seen / trials <= 0.87


def test_more_runs_see_smaller_changes():
    random = np.random.default_rng(0)
    sizes = [comparison(*random.lognormal(0, 0.05, (2, n)).tolist()).detectable for n in (3, 10, 100)]
    assert sizes[0] > sizes[1] > sizes[2] > 0


@given(st.lists(anything, max_size=6), st.lists(anything, max_size=6))
def test_any_numbers_can_be_compared(baseline, contender):
    found = comparison(baseline, contender)
    assert [sum(pair) for pair in zip(found.n, found.left_out, strict=True)] == [len(baseline), len(contender)]
    for each in (found.before, found.after, found.ratio, found.low, found.high):
        assert each is None or 0 < each < math.inf
    (said,) = verdicts([found])
    assert said.word in VERDICTS
    assert (said.word == "few") == (min(found.n) < 2) == (said.q is None)


@given(st.lists(positive, min_size=2, max_size=6), st.lists(positive, min_size=2, max_size=6))
def test_swapping_the_arms_turns_everything_round(baseline, contender):
    one, other = comparison(baseline, contender), comparison(contender, baseline)
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert math.log(one.low) == pytest.approx(-math.log(other.high), abs=1e-9)
    assert one.p_value == pytest.approx(other.p_value)


def test_nothing_to_compare_is_none_and_not_a_number():
    found = comparison([], [1.0, 2.0])
    assert (found.before, found.after, found.ratio, found.low, found.p_value) == (None,) * 5


def test_one_run_gives_a_ratio_without_an_interval():
    found = comparison([2.0], [3.0, 3.0])
    assert found.ratio == pytest.approx(1.5)
    assert (found.low, found.high, found.detectable) == (None, None, None)


def test_what_repeats_exactly_is_compared_exactly():
    same, other = comparison([0.1] * 3, [0.1] * 4), comparison([0.1] * 3, [0.2] * 4)
    assert (same.ratio, same.low, same.high, same.p_value) == (1.0, 1.0, 1.0, 1.0)
    assert (other.low, other.high, other.p_value) == (other.ratio, other.ratio, 0.0)


def test_values_without_a_logarithm_are_counted_and_left_out():
    found = comparison([1.0, math.nan, 0.0, 1.0], [1.0, -3.0, math.inf, 1.0])
    assert (found.n, found.left_out, found.ratio) == ((2, 2), (2, 2), 1.0)


@pytest.mark.parametrize(
    ("baseline", "contender", "better", "word"),
    [
        (steady, slow, "lower", "worse"),
        (steady, slow, "higher", "better"),
        (slow, steady, "lower", "better"),
        (slow, steady, "higher", "worse"),
        (steady, [1.0, 1.01, 0.99, 1.01], "lower", "same"),
        ([1.0, 2.0, 0.5], [1.1, 2.1, 0.6], "lower", "inconclusive"),
        ([1.0], [2.0, 2.0, 2.0], "lower", "few"),
        ([1.0, 1.0], [1.0, 1.0], "lower", "same"),
        ([1.0, 1.0], [2.0, 2.0], "lower", "worse"),
    ],
)
def test_each_comparison_gets_its_verdict(baseline, contender, better, word):
    assert verdict(baseline, contender, better=better) == word


def test_a_sure_change_that_is_too_small_to_matter_is_the_same():
    random = np.random.default_rng(1)
    arms = random.lognormal(0, 0.01, 200).tolist(), random.lognormal(0.02, 0.01, 200).tolist()
    assert comparison(*arms).p_value < 1e-6
    assert verdict(*arms, smallest=0.05) == "same"
    assert verdict(*arms, smallest=0.01) == "worse"


def test_each_metric_of_a_family_has_its_direction():
    pair = comparison(steady, slow)
    assert [each.word for each in verdicts([pair, pair], better=["lower", "higher"])] == ["worse", "better"]


def test_a_verdict_is_harder_to_get_among_many():
    random = np.random.default_rng(2)
    suspect = comparison([1.0, 1.02, 0.97, 1.01], [1.1, 1.04, 1.12, 1.06])
    rest = [comparison(*random.lognormal(0, 0.1, (2, 4)).tolist()) for _ in range(200)]
    assert verdicts([suspect])[0].word == "worse"
    assert verdicts([suspect, *rest])[0].word == "inconclusive"


def test_families_without_a_change_seldom_hold_a_verdict():
    random = np.random.default_rng(3)
    told = 0
    for _ in range(60):
        family = [comparison(*random.lognormal(0, 0.05, (2, 6)).tolist()) for _ in range(40)]
        told += any(each.word in {"worse", "better"} for each in verdicts(family, smallest=0.02))
    assert told / 60 <= 0.12  # 5 % of families, and what 60 of them can scatter


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4, 0.8])
@pytest.mark.parametrize(("up", "way"), [(True, "greater"), (False, "less")])
def test_confidence_beyond_a_threshold_is_one_sided_welch(threshold, up, way):
    random = np.random.default_rng(4)
    for _ in range(20):
        baseline, contender = random.lognormal(0, 0.2, 5), random.lognormal(0.1, 0.3, 7)
        moved = np.log(contender) - math.log1p(threshold if up else -threshold)
        expected = 1 - reference.ttest_ind(moved, np.log(baseline), equal_var=False, alternative=way).pvalue
        found = confidence_beyond(comparison(baseline.tolist(), contender.tolist()), threshold, up=up)
        assert found == pytest.approx(float(expected), abs=1e-9)


def test_confidence_falls_with_the_size_of_the_effect():
    found = [confidence_beyond(comparison(steady, slow), each, up=True) for each in THRESHOLDS]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.99
    assert found[-1] < 0.01
    assert (THRESHOLDS[0], THRESHOLDS[1], THRESHOLDS[-1]) == (0.0, 0.05, 0.8)


def test_confidence_of_what_repeats_exactly_is_all_or_nothing():
    pair = comparison([1.0, 1.0], [1.2, 1.2])
    assert [confidence_beyond(pair, each, up=True) for each in (0.0, 0.1, 0.3)] == [1.0, 1.0, 0.0]
    assert confidence_beyond(pair, 0.0, up=False) == 0.0


def test_there_is_no_confidence_without_an_interval():
    assert confidence_beyond(comparison([1.0], [2.0]), 0.1, up=True) is None


@pytest.mark.parametrize("threshold", [-0.1, 1.0, math.nan])
def test_thresholds_are_fractions(threshold):
    with pytest.raises(ValueError, match="fraction"):
        confidence_beyond(comparison(steady, slow), threshold, up=False)


def test_the_overall_ratio_is_a_geometric_mean_with_students_interval():
    logs = np.random.default_rng(5).normal(0.02, 0.1, 30)
    found = overall([comparison([1.0, 1.0], 2 * [math.exp(each)]) for each in logs] + [comparison([], [1.0])])
    low, high = reference.t.interval(0.95, 29, logs.mean(), reference.sem(logs))
    assert found.n == 30
    assert (found.value, found.low, found.high) == pytest.approx((math.exp(logs.mean()), math.exp(low), math.exp(high)))


def test_tests_that_ran_once_a_side_agree_on_the_machine_and_have_no_interval_together():
    once = [comparison([1.0], [ratio]) for ratio in (1.3, 1.31, 1.29)]
    found = overall(once)
    assert (found.n, found.low, found.high) == (3, None, None)
    assert found.value == pytest.approx((1.3 * 1.31 * 1.29) ** (1 / 3))
    assert overall([*once, comparison(steady, slow)]).low is not None


def test_the_overall_ratio_of_one_test_has_no_interval_and_of_none_is_none():
    assert overall([]) is None
    found = overall([comparison(steady, slow)])
    assert (found.n, found.low) == (1, None)


@pytest.mark.parametrize(
    ("baseline", "contender", "finding"),
    [((10, 0), (10, 10), "broken"), ((10, 9), (10, 0), "mended"), ((4, 1), (6, 3), "both"), ((1, 0), (1, 1), "broken")],
)
def test_failures_are_a_finding_of_their_own(baseline, contender, finding):
    found = failures(Attempts(runs=baseline[0], failed=baseline[1]), Attempts(runs=contender[0], failed=contender[1]))
    table = [[baseline[1], baseline[0] - baseline[1]], [contender[1], contender[0] - contender[1]]]
    assert found.finding == finding
    assert found.p_value == pytest.approx(float(reference.fisher_exact(table).pvalue))


@pytest.mark.parametrize(("baseline", "contender"), [((5, 0), (5, 0)), ((0, 0), (5, 5)), ((5, 5), (0, 0))])
def test_no_failure_and_no_run_is_no_finding(baseline, contender):
    arms = [Attempts(runs=runs, failed=failed) for runs, failed in (baseline, contender)]
    assert failures(*arms) is None


def test_more_failures_than_runs_are_refused():
    with pytest.raises(ValueError, match="3 failures"):
        Attempts(runs=2, failed=3)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=2, max_size=30))
def test_a_comparison_in_blocks_is_students_test_of_pairs(pairs):
    logs = np.log(np.array(pairs))
    gaps = logs[:, 1] - logs[:, 0]
    if gaps.std() < 1e-9:
        return
    found = comparison_in_blocks(*({block: [pair[side]] for block, pair in enumerate(pairs)} for side in (0, 1)))
    wanted = reference.ttest_rel(logs[:, 1], logs[:, 0])
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-12)
    low, high = wanted.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-6)
    assert found.n == (len(pairs), len(pairs))


def test_what_a_block_has_of_its_own_does_not_hide_a_difference():
    rng = random.Random(1)
    hours = [rng.lognormvariate(0, 0.5) for _ in range(8)]
    before = {block: [hour * rng.lognormvariate(0, 0.01)] for block, hour in enumerate(hours)}
    after = {block: [1.05 * hour * rng.lognormvariate(0, 0.01)] for block, hour in enumerate(hours)}
    found = comparison_in_blocks(before, after)
    assert 1.02 < found.low < 1.05 < found.high < 1.08
    apart = comparison([each for (each,) in before.values()], [each for (each,) in after.values()])
    assert apart.low < 0.8
    assert apart.high > 1.3


def test_blocks_that_one_side_lacks_are_left_out_and_several_values_are_one():
    found = comparison_in_blocks(
        {0: [1.0, 4.0], 1: [2.0], 2: [2.0, math.nan], 5: [9.0]}, {0: [4.0], 1: [4.0], 2: [4.0], 3: [7.0]}
    )
    assert found.ratio == pytest.approx(2.0)
    assert found.n == (3, 3)
    assert found.left_out == (2, 1)
    assert (found.low, found.high) == pytest.approx((2.0, 2.0))
    assert comparison_in_blocks({0: [1.0]}, {1: [1.0]}).ratio is None
    assert comparison_in_blocks({0: [1.0]}, {0: [2.0]}).low is None


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_intervals_within_blocks_hold_the_truth_in_95_of_100(n):
    rng = np.random.default_rng(1000 + n)
    trials = 3000
    drift = rng.normal(0, 0.2, (trials, n))
    a = np.exp(drift + rng.normal(0, 0.05, (trials, n)))
    b = np.exp(drift + rng.normal(math.log(1.1), 0.08, (trials, n)))
    inside = 0
    for first, second in zip(a, b, strict=True):
        found = comparison_in_blocks(
            *({block: [value] for block, value in enumerate(side)} for side in (first, second))
        )
        inside += found.low <= 1.1 <= found.high
    assert 0.93 <= inside / trials <= 0.97
