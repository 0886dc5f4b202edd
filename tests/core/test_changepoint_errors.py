"""How often the search for changes is wrong: alarms without a change, and steps that it misses."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from corpus import stepped

from coiled_runtime_cli.core.changepoint import find_changes


def normal(random, n):
    return 1 + 0.03 * random.standard_normal(n)


def lognormal(random, n):
    return random.lognormal(0, 0.05, n)


def spikes(random, n):
    return normal(random, n) * np.where(random.random(n) < 0.03, random.uniform(1.5, 3, n), 1)


def bimodal(random, n):
    return normal(random, n) * np.where(random.random(n) < 0.5, 1.08, 1)


def autocorrelated(random, n):
    found = random.standard_normal(n)
    for place in range(1, n):
        found[place] = 0.7 * found[place - 1] + math.sqrt(1 - 0.7**2) * found[place]
    return np.exp(0.03 * found)


@pytest.mark.parametrize("n", [30, 365])
@pytest.mark.parametrize("noise", [normal, lognormal, spikes, bimodal, autocorrelated])
def test_few_series_without_a_change_are_alarmed(noise, n):
    random = np.random.default_rng(n)
    alarmed = sum(map(bool, find_changes([noise(random, n) for _ in range(600)]))) / 600
    # thirty runs do not tell how alike neighbours are
    assert alarmed <= (0.05 if noise is autocorrelated and n == 30 else 0.02)


@pytest.mark.parametrize(("before", "after"), [(20, 20), (60, 20), (345, 20), (200, 165)])
@pytest.mark.parametrize("ratio", [1.1, 1 / 1.1])
def test_steps_of_a_tenth_are_found_where_they_are(before, after, ratio):
    random = np.random.default_rng(before)
    found = find_changes([stepped(random, (before, 1.0), (after, ratio)) for _ in range(400)])
    assert np.mean([any(abs(each.index - before) <= 2 for each in steps) for steps in found]) >= 0.95


def test_large_steps_are_found_after_four_runs():
    random = np.random.default_rng(8)
    found = find_changes([stepped(random, (60, 1.0), (4, 1.3)) for _ in range(300)])
    assert np.mean([any(abs(each.index - 60) <= 1 for each in steps) for steps in found]) >= 0.95
