import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

sys.path.insert(0, str(Path(__file__).parent))
from corpus import stepped

from coiled_runtime_cli.core import changepoint
from coiled_runtime_cli.core.changepoint import FEWEST, SHORTEST, find_changes, levels


def changes_of(values, **options):
    return find_changes([np.asarray(values, float)], **options)[0]


def places(values, **options):
    return [each.index for each in changes_of(values, **options)]


def slow_partition(points, penalty, shortest):
    """The cheapest way to cut: from the left, for each end every last segment, its cost summed up anew."""
    cost = [-penalty]
    for stop in range(1, len(points) + 1):
        tried = [math.inf]
        for start in range(stop - shortest + 1):
            part = points[start:stop]
            tried.append(cost[start] + float(((part - part.mean()) ** 2).sum()) + penalty)
        cost.append(min(tried))
    return cost[-1]


def cost_of(points, breaks, penalty):
    parts = np.split(points, breaks)
    return sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + penalty * len(breaks)


levels_and_runs = st.lists(
    st.tuples(st.integers(4, 25), st.sampled_from([1.0, 1.02, 1.1, 1.5, 3.0])), min_size=1, max_size=5
)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(levels_and_runs, st.sampled_from([0.0, 0.01, 0.2])), min_size=1, max_size=5), st.integers(0, 99)
)
def test_the_partition_is_as_cheap_as_any(drafts, seed):
    random = np.random.default_rng(seed)
    block = []
    for parts, noise in drafts:
        logs = np.log(stepped(random, (FEWEST, 1.0), *parts, noise=noise))
        block.append(changepoint._prepare(0, np.arange(len(logs)), logs, 0.03))
    for each, breaks in zip(block, changepoint._partitions(block), strict=True):
        wanted = slow_partition(each.points, each.penalty, SHORTEST)
        assert cost_of(each.points, breaks, each.penalty) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        assert all(np.diff([0, *breaks, len(each.points)]) >= SHORTEST)


@given(st.lists(st.floats(-3, 3), min_size=FEWEST, max_size=40))
def test_values_are_clipped_to_the_running_median(logs):
    logs = np.array(logs)
    n = len(logs)

    def mirrored(place):
        return logs[-1 - place if place < 0 else 2 * n - 1 - place if place >= n else place]

    running = np.array([np.median([mirrored(place + shift) for shift in range(-5, 6)]) for place in range(n)])
    spread = 2 * 1.4826 * np.sort(np.abs(logs - running))[n // 2]
    assert changepoint._clipped(logs, changepoint._running_median(logs), 0.0) == pytest.approx(
        np.clip(logs, running - spread, running + spread)
    )


def test_a_series_has_the_changes_that_it_has_alone():
    random = np.random.default_rng(0)
    series = []
    for _ in range(60):
        runs = random.integers(4, 90, size=random.integers(1, 14))
        series.append(stepped(random, *((count, random.uniform(1, 1.4)) for count in runs)))
    assert {len(each) > 512 for each in series} == {True, False}
    together = find_changes(series)
    assert together == [find_changes([each])[0] for each in series]
    assert sum(map(len, together)) > 60


@pytest.mark.parametrize("n", [400, 513, 1460, 5000])
def test_long_series_are_as_exact_as_short_ones(n):
    random = np.random.default_rng(n)
    where = n // 3, n // 2
    values = stepped(random, (where[0], 1.0), (where[1] - where[0], 1.2), (n - where[1], 1.0), noise=0.01)
    assert places(values) == list(where)


def test_a_change_has_its_levels_their_ratio_and_an_interval():
    values = stepped(np.random.default_rng(1), (50, 2.0), (50, 3.0))
    (found,) = changes_of(values)
    assert (found.previous, found.index) == (49, 50)
    assert found.before == pytest.approx(2.0, rel=0.02)
    assert found.after == pytest.approx(3.0, rel=0.02)
    assert found.ratio == pytest.approx(found.after / found.before)
    assert found.low < 1.5 < found.high
    assert found.high / found.low < 1.05
    assert found.p_value <= 1e-5


def test_the_interval_of_a_ratio_holds_the_truth_in_95_of_100():
    random = np.random.default_rng(2)
    found = find_changes([stepped(random, (30, 1.0), (25, 1.2)) for _ in range(1000)])
    held = [steps[0].low <= 1.2 <= steps[0].high for steps in found if len(steps) == 1]
    assert len(held) > 950
    assert 0.92 <= np.mean(held) <= 0.98


def test_improvements_are_found_as_regressions_are():
    values = stepped(np.random.default_rng(3), (40, 1.0), (40, 1.1), (40, 0.9))
    up, down = changes_of(values), changes_of(1 / values)
    assert [each.index for each in up] == [each.index for each in down] == [40, 80]
    assert [each.ratio for each in up] == pytest.approx([1 / each.ratio for each in down])


@given(st.integers(0, 50), st.integers(-60, 60))
def test_the_unit_does_not_matter(seed, power):
    values = stepped(np.random.default_rng(seed), (20, 1.0), (20, 1.3))
    one, other = changes_of(values), changes_of(values * 2.0**power)
    assert [each.index for each in one] == [each.index for each in other]
    assert [each.before * 2.0**power for each in one] == pytest.approx([each.before for each in other])


def test_indexes_refer_to_the_array_as_it_is_given():
    random = np.random.default_rng(4)
    values = stepped(random, (40, 1.0), (40, 1.2))
    holes = np.sort(random.choice(81, 30))
    filled = np.insert(values, holes, np.resize([np.nan, np.inf, -np.inf, 0.0, -2.0], 30))
    (found,), (wanted,) = changes_of(filled), changes_of(values)
    assert filled[found.index] == values[wanted.index]
    assert filled[found.previous] == values[wanted.previous]
    assert found.ratio == wanted.ratio


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_arrays_of_other_numbers_are_read(dtype):
    values = np.repeat([1000, 1300], 20).astype(dtype)
    (found,) = find_changes([values])[0]
    assert (found.index, found.before) == (20, pytest.approx(1000))


def test_the_smallest_effect_counts_alike_up_and_down_for_one_or_for_each():
    values = stepped(np.random.default_rng(5), (60, 1.0), (60, 1.06), noise=0.01)
    assert places(values, min_effect=0.1) == places(1 / values, min_effect=0.1) == []
    assert [len(each) for each in find_changes([values, values], min_effect=[0.1, 0.03])] == [0, 1]
    with pytest.raises(ValueError, match="zip"):
        find_changes([values], min_effect=[0.1, 0.03])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [1.0] * 7 + [2.0] * 0,
        [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0],
        [1.0] * 50,
        [math.nan] * 50,
        [0.0] * 25 + [-1.0] * 25,
        [1.0, 2.0] * 30,
        [1e-300, 1e300] * 10,
        [5e-324] * 20,
        [1.0] * 30 + [1.01] * 30,
    ],
)
def test_there_is_no_change_where_there_is_none(values):
    assert places(values) == []


def test_nothing_to_search_is_nothing_found():
    assert find_changes([]) == []


@pytest.mark.parametrize("n", [20, 24, 365, 1460])
@pytest.mark.parametrize("ratio", [0.1, 1.05, 2.0, 1e6])
def test_what_repeats_exactly_steps_exactly(n, ratio):
    values = np.where(np.arange(n) < n // 2, 7.0, 7.0 * ratio)
    (found,) = changes_of(values)
    assert found.index == n // 2
    assert found.ratio == pytest.approx(ratio)
    assert found.low <= found.ratio <= found.high


@pytest.mark.parametrize("n", [12, 24, 60, 365])
def test_a_new_value_of_what_repeats_exactly_is_found_after_four_runs(n):
    assert places([7.0] * (n - 4) + [9.0] * 4) == [n - 4]


def test_what_repeats_exactly_steps_more_than_once():
    values = np.repeat([5.0, 6.0, 5.5, 8.0, 5.0], 40)
    assert places(values) == [40, 80, 120, 160]


@pytest.mark.parametrize("share", [0.5, 0.3, 0.1])
@pytest.mark.parametrize("n", [30, 365])
def test_two_values_at_random_are_one_level(share, n):
    random = np.random.default_rng(n)
    found = find_changes([np.where(random.random(n) < share, 11.0, 10.0) for _ in range(400)])
    assert sum(map(bool, found)) / 400 <= 0.02


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("level", [1.15, 2.0])
def test_a_burst_of_five_runs_or_fewer_is_no_level(runs, level):
    random = np.random.default_rng(runs)
    bursts = [stepped(random, (100, 1.0), (runs, level), (100, 1.0)) for _ in range(200)]
    assert sum(map(bool, find_changes(bursts))) / 200 <= 0.03


def test_a_short_level_that_leads_elsewhere_is_kept():
    random = np.random.default_rng(12)
    values = stepped(random, (50, 1.0), (6, 1.5), (50, 1.2), noise=0.01)
    assert places(values) == [50, 56]


def test_a_slow_drift_is_no_step():
    random = np.random.default_rng(7)
    drifts = [np.exp(np.linspace(0, 0.1, 200) + 0.02 * random.standard_normal(200)) for _ in range(200)]
    assert sum(map(bool, find_changes(drifts))) <= 20


@given(st.lists(st.one_of(st.floats(), st.floats(1, 2), st.sampled_from([1.0, 2.0])), max_size=60))
def test_any_numbers_can_be_searched(values):
    found = changes_of(values)
    assert list(found) == sorted(found, key=lambda each: each.index)
    for each in found:
        assert values[each.index] > 0
        assert values[each.previous] > 0
        assert 0 < each.before < math.inf
        assert 0 <= each.p_value <= 1e-5
        assert max(each.ratio, 1 / each.ratio) >= 1.03


def test_levels_are_medians_between_changes():
    values = stepped(np.random.default_rng(9), (40, 1.0), (40, 1.5), (30, 1.2))
    values[3] = np.nan
    found = levels(values, changes_of(values))
    assert [(each.start, each.stop) for each in found] == [(0, 40), (40, 80), (80, 110)]
    assert [each.median for each in found] == [np.nanmedian(values[each.start : each.stop]) for each in found]
    assert all(each.low < each.median < each.high for each in found)


@pytest.mark.parametrize("n", [*range(1, 60), 199, 200, 201, 202, 333, 1000, 5001])
def test_intervals_of_medians_hold_95_of_100_and_hardly_more(n):
    (found,) = levels(np.arange(n, dtype=float), ())
    if n < 6:
        assert (found.low, found.high) == (None, None)
        return
    low, high = int(found.low), int(found.high)
    assert low + high == n - 1
    assert 2 * reference.binom.cdf(low, n, 0.5) <= 0.05 * 1.0001  # P(the median is below the place low)
    assert 2 * reference.binom.cdf(low + 1 + (n > 200), n, 0.5) > 0.05 or n < 9


def test_a_level_without_a_value_is_absent():
    assert levels(np.array([np.nan, np.inf]), ()) == ()
    assert levels(np.array([]), ()) == ()
