import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from coiled_runtime_cli.core.stats import (
    exponential,
    mean_and_variance,
    ratio_of_means,
    relative_half_width,
    student_t_cdf,
    student_t_quantile,
    welch,
)


@given(t=st.floats(-50, 50), df=st.floats(0.5, 1e4))
@settings(deadline=None)
def test_students_t_agrees_with_scipy(t, df):
    assert student_t_cdf(t, df) == pytest.approx(float(reference.t.cdf(t, df)), abs=1e-10)


@given(p=st.floats(0.001, 0.999), df=st.floats(1, 1000))
@settings(deadline=None)
def test_quantiles_agree_with_scipy(p, df):
    assert student_t_quantile(p, df) == pytest.approx(float(reference.t.ppf(p, df)), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("p", "df"), [(0, 3), (1, 3), (0.5, 0), (math.nan, 3)])
def test_a_quantile_of_nothing_is_refused(p, df):
    with pytest.raises(ValueError, match="needs"):
        student_t_quantile(p, df)


def test_the_interval_is_welchs_on_logarithms():
    baseline, contender = [1.0, 1.1, 0.9, 1.05], [1.3, 1.25, 1.4]
    found = ratio_of_means(baseline, contender)
    a, b = [math.log(x) for x in baseline], [math.log(x) for x in contender]
    expected = reference.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.low < found.value < found.high


def test_two_values_in_all_give_a_ratio_without_an_interval():
    found = ratio_of_means([2.0], [3.0])
    assert (found.value, found.low, found.high) == (pytest.approx(1.5), None, None)


def test_one_new_value_gets_a_prediction_interval():
    found = ratio_of_means([1.0, 1.1, 0.9, 1.0, 1.05], [1.2])
    assert found.low < 1.2 / 1.0 < found.high
    assert found.low > 0.9


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_a_ratio_needs_positive_values_on_both_sides(a, b):
    with pytest.raises(ValueError, match="positive"):
        ratio_of_means(a, b)


@given(
    st.lists(st.floats(0.01, 1e6), min_size=2, max_size=8),
    st.lists(st.floats(0.01, 1e6), min_size=2, max_size=8),
    st.floats(0.1, 10),
)
@settings(deadline=None, max_examples=50)
def test_a_common_unit_changes_no_ratio(a, b, unit):
    plain = ratio_of_means(a, b)
    scaled = ratio_of_means([x * unit for x in a], [x * unit for x in b])
    assert scaled.value == pytest.approx(plain.value, rel=1e-6)


@pytest.mark.parametrize(("n_a", "n_b"), [(20, 1), (5, 5), (3, 8)])
def test_intervals_hold_the_true_ratio_as_often_as_they_say(n_a, n_b):
    generator = random.Random(1)
    rounds, held = 2000, 0
    for _ in range(rounds):
        a = [math.exp(generator.gauss(0, 0.05)) for _ in range(n_a)]
        b = [math.exp(generator.gauss(math.log(1.2), 0.05)) for _ in range(n_b)]
        found = ratio_of_means(a, b)
        held += found.low <= 1.2 <= found.high
    assert 0.935 <= held / rounds <= 0.975


def test_precision_narrows_with_more_values_and_is_unknown_for_one():
    assert relative_half_width([1.0]) == math.inf
    assert relative_half_width([1.0, 1.0, 1.0]) == 0
    generator = random.Random(2)
    values = [math.exp(generator.gauss(0, 0.1)) for _ in range(40)]
    assert relative_half_width(values) < relative_half_width(values[:5])


@pytest.mark.parametrize("df", [1, 2.5, 30, 1e4])
@pytest.mark.parametrize("t", [-4, -9, -60])
def test_tails_keep_their_digits(t, df):
    assert student_t_cdf(t, df) == pytest.approx(float(reference.t.cdf(t, df)), rel=1e-6, abs=0)


@pytest.mark.parametrize("value", [0.1, 0.3, 1e-300, 1e300])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_equal_values_vary_by_nothing_at_all(value, n):
    assert mean_and_variance([value] * n) == (value, 0.0)


varied = st.lists(
    st.floats(-50, 50), min_size=2, max_size=8, unique_by=lambda each: round(each, 3)
)  # scipy warns of less


@given(varied, varied)
def test_differences_are_welchs(first, second):
    found = welch(first, second)
    assert found.value == pytest.approx(sum(second) / len(second) - sum(first) / len(first), abs=1e-9)
    expected = reference.ttest_ind(second, first, equal_var=False)
    assert found.error * expected.statistic == pytest.approx(found.value, abs=1e-9)
    assert found.degrees_of_freedom == pytest.approx(float(expected.df), rel=1e-6)


def test_a_difference_of_single_values_is_refused():
    with pytest.raises(ValueError, match="two values"):
        welch([1.0], [1.0, 2.0])


@pytest.mark.parametrize("log", [-1e9, -800.0, 0.0, 800.0, 1e9])
def test_exponentials_are_finite_and_positive(log):
    assert 0 < exponential(log) < math.inf
