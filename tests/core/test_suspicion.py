import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.changepoint import FEWEST, find_changes
from coiled_runtime_cli.core.confirmation import LOOKS, confirm
from coiled_runtime_cli.core.suspicion import SHORTEST, suspicion


def level(n=60, seed=1, noise=0.02):
    return 10 * np.exp(noise * np.random.default_rng(seed).standard_normal(n))


def test_two_runs_off_are_suspicious_and_one_is_not():
    calm = level()
    assert suspicion(calm, ()) is None
    assert suspicion(np.append(calm, 15.0), ()) is None
    found = suspicion(np.append(calm, [12.0, 12.1]), ())
    assert (found.index, found.previous) == (60, 59)
    assert found.ratio == pytest.approx(1.2, rel=0.02)
    assert suspicion(np.append(calm, [8.0, 8.1]), ()).ratio == pytest.approx(0.8, rel=0.02)


def test_what_is_small_or_over_is_not_suspicious():
    calm = level(noise=0.001)
    assert suspicion(np.append(calm, [10.2, 10.2]), ()) is None
    assert suspicion(np.append(calm, [10.2, 10.2]), (), min_effect=0.01) is not None
    assert suspicion(np.append(calm, [12.0, 12.0, *level(10, seed=2, noise=0.001)]), ()) is None


def test_a_level_that_is_known_is_not_suspicious():
    values = np.append(level(), 1.3 * level(40, seed=3))
    (changes,) = find_changes([values])
    assert [each.index for each in changes] == [60]
    assert suspicion(values, changes) is None
    assert suspicion(np.append(values, [16.0, 16.0]), changes).before == pytest.approx(13, rel=0.02)


@given(st.lists(st.one_of(st.floats(), st.floats(1, 2)), max_size=60))
def test_any_numbers_can_be_suspected(values):
    values = np.array(values, float)
    found = suspicion(values, ())
    if found is not None:
        assert 0 <= found.previous < found.index < len(values)
        assert found.before > 0
        assert found.after > 0
    usable = np.isfinite(values) & (values > 0)
    assert found is None or usable.sum() >= FEWEST + SHORTEST


@given(st.integers(0, 200), st.sampled_from([1e-6, 1.0, 3e9]))
def test_the_unit_does_not_matter(seed, unit):
    values = np.append(level(seed=seed), [11.0, 11.4, 10.9])
    one, other = suspicion(values, ()), suspicion(values * unit, ())
    assert (one is None) == (other is None)
    if one is not None:
        assert (one.index, one.ratio) == (other.index, pytest.approx(other.ratio))


def runs(ratio, seed=1, noise=0.03):
    random = np.random.default_rng(seed)
    return [list(each * np.exp(noise * random.standard_normal(LOOKS[-1]))) for each in (10, 10 * ratio)]


def test_fresh_runs_confirm_what_is_there_and_clear_what_is_not():
    assert confirm(*runs(1.2), 1.2).word == "confirmed"
    assert confirm(*runs(0.8), 0.8).word == "confirmed"
    assert confirm(*runs(1.0), 1.2).word == "noise"
    assert confirm(*runs(1.2), 0.8).word == "noise"
    assert confirm(*runs(1.03), 1.3).word == "noise"


def test_too_few_runs_decide_nothing_yet_and_too_noisy_ones_never():
    before, after = runs(1.1)
    assert confirm(before[:1], after[:1], 1.1).word is None
    wild = runs(1.1, noise=0.5)
    assert confirm(*wild, 1.1).word == "inconclusive"
    assert confirm(wild[0][:3], wild[1][:3], 1.1).word is None


@pytest.mark.parametrize("suspected", [1.0, 0.0, -1.0, math.nan])
def test_a_suspicion_is_a_ratio_that_is_not_1(suspected):
    with pytest.raises(ValueError, match="suspected change"):
        confirm([1.0, 1.1], [1.0, 1.1], suspected)
