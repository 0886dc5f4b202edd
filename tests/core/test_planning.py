import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core import planning
from coiled_runtime_cli.core.compare import comparison


def seen(noise, effect, runs, seed, trials=1500):
    """How often a change of ``effect`` is told from none by so many runs of each arm."""
    rng = random.Random(seed)
    count = 0
    for _ in range(trials):
        first = [rng.lognormvariate(0, noise) for _ in range(runs)]
        second = [rng.lognormvariate(math.log1p(effect), noise) for _ in range(runs)]
        found = comparison(first, second)
        count += found.p_value <= 0.05 and found.ratio > 1
    return count / trials


@pytest.mark.parametrize(("noise", "effect"), [(0.03, 0.05), (0.05, 0.10), (0.10, 0.10), (0.02, 0.20)])
def test_the_planned_runs_show_the_effect_four_times_in_five(noise, effect):
    runs = planning.runs_per_arm(noise, effect)
    assert seen(noise, effect, runs, seed=1) >= 0.76
    assert runs == planning.LEAST or seen(noise, effect, runs - 1, seed=2) <= 0.84


@given(st.floats(0.001, 0.5), st.floats(0.005, 2.0))
def test_one_run_fewer_does_not_suffice(noise, effect):
    runs = planning.runs_per_arm(noise, effect)
    if runs is None:
        assert planning.detectable(noise, planning.MOST) > effect
        return
    assert planning.detectable(noise, runs) <= effect
    assert runs == planning.LEAST or planning.detectable(noise, runs - 1) > effect


def test_what_repeats_exactly_needs_three_runs_and_two_show_nothing():
    assert planning.runs_per_arm(0.0, 0.01) == 3
    assert planning.detectable(0.05, 2) == math.inf


def test_it_says_where_no_number_of_runs_is_enough():
    assert planning.runs_per_arm(3.0, 0.001) is None
