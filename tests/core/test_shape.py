import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

sys.path.insert(0, str(Path(__file__).parent))
import corpus

from coiled_runtime_cli.core import shape
from coiled_runtime_cli.core.detect import HELD
from coiled_runtime_cli.core.findings import search_values
from coiled_runtime_cli.core.shape import SHORTEST, find_shape_change

N, PLACE = 365, 200


def noisier(random, factor=2.5):
    return np.exp(0.03 * random.standard_normal(N) * np.where(np.arange(N) < PLACE, 1.0, factor))


def jumping(random):
    return np.exp(
        0.02 * random.standard_normal(N) + np.where((random.random(N) < 0.4) & (np.arange(N) >= PLACE), 0.2, 0.0)
    )


def with_outliers(random):
    late = (random.random(N) < 0.18) & (np.arange(N) >= PLACE)
    return np.exp(0.03 * random.standard_normal(N) + np.where(late, random.uniform(0.3, 1.0, N), 0.0))


@pytest.mark.parametrize(
    ("kind", "make", "least"), [("variance", noisier, 0.9), ("bimodal", jumping, 0.9), ("tail", with_outliers, 0.6)]
)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_change_of_shape_is_found_and_named(kind, make, least, backwards):
    random = np.random.default_rng(1000)
    named, near = 0, 0
    for _ in range(60):
        values = make(random)
        found = find_shape_change(values[::-1] if backwards else values)
        if found is not None and found.kind == kind:
            named += 1
            near += abs(found.index - (N - PLACE if backwards else PLACE)) <= 25
            assert (found.after < found.before) == backwards
            assert found.previous < found.index
    assert named >= least * 60
    assert near >= 0.8 * named


@pytest.mark.parametrize("make", [noisier, jumping, with_outliers])
def test_a_change_of_shape_is_no_change_of_level(make):
    random = np.random.default_rng(1001)
    found = search_values([make(random) for _ in range(100)], min_effect=0.05)
    # a few outliers in a row at the very end are a suspicion, and told as no more
    assert sum(any(each.index <= N - HELD for each in changes) for changes, _ in found) <= 3


def test_a_step_is_no_change_of_shape_and_neither_is_drift_or_a_burst():
    random = np.random.default_rng(1002)
    noise = np.exp(0.03 * random.standard_normal((100, N)))
    step = noise * np.where(np.arange(N) < PLACE, 1.0, 1.5)
    drift = noise * np.exp(np.linspace(0, 0.5, N))
    burst = noise * np.where((np.arange(N) >= PLACE) & (np.arange(N) < PLACE + 5), 2.0, 1.0)
    for series in (*step, *drift, *burst):
        assert find_shape_change(series) is None


def test_a_step_in_noise_that_grows_is_still_a_step():
    random = np.random.default_rng(1003)
    series = [noisier(random) * np.where(np.arange(N) < 100, 1.0, 1.3) for _ in range(50)]
    found = search_values(series)
    assert sum(any(abs(each.index - 100) <= 3 for each in changes) for changes, _ in found) >= 48


@given(st.lists(st.floats(0, 10), min_size=2 * SHORTEST, max_size=80))
def test_the_place_is_where_welchs_t_is_largest(size):
    size = np.array(size)
    found = shape._split(size)
    if found is None:
        return
    tried = {
        place: abs(reference.ttest_ind(size[:place], size[place:], equal_var=False).statistic)
        for place in range(SHORTEST, len(size) - SHORTEST + 1)
        if size[:place].std() > 1e-6 and size[place:].std() > 1e-6
    }
    if tried and found[0] in tried:
        assert tried[found[0]] == pytest.approx(max(tried.values()), rel=1e-3)


@given(st.lists(st.one_of(st.floats(), st.just(1.0), st.floats(0.5, 2.0)), max_size=120))
def test_any_numbers_can_be_searched(values):
    found = find_shape_change(np.array(values, float))
    assert found is None or 0 <= found.previous < found.index < len(values)


def test_what_repeats_exactly_has_no_shape():
    assert find_shape_change(np.full(100, 3.0)) is None
    assert find_shape_change(np.array([3.0] * 60 + [4.0] * 60)) is None


@pytest.mark.parametrize("noise", corpus.NOISES)
def test_noise_that_stays_as_it_is_has_no_change(noise):
    random = np.random.default_rng(1004)
    assert sum(find_shape_change(corpus.NOISES[noise](random, N)) is not None for _ in range(150)) <= 3
