import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from coiled_runtime_cli.core.belief import DRIFTS, Belief


def slow_posterior(last, runs):
    """Bayes' theorem spelled out: every c, on fine grids of both levels, the noise and the drift. ``runs``: (candidate, ln y)."""
    logs = np.array([log for _, log in runs])
    time = np.arange(len(runs)) - (len(runs) - 1) / 2
    levels = np.linspace(logs.min() - 0.4, logs.max() + 0.4, 161)
    scales = np.exp(np.linspace(math.log(0.005), math.log(0.5), 60))
    prior = reference.norm.logpdf(np.log(scales), math.log(0.05), 0.9)
    found = np.zeros(last)
    for drift, weight in zip(DRIFTS, (0.8, *(0.2 / 6,) * 6), strict=True):
        for scale, log_prior in zip(scales, prior, strict=True):
            gap = (logs - drift * time)[:, None] - levels[None, :]
            each = np.log(
                0.93 * reference.norm.pdf(gap, 0, scale) + 0.07 * reference.norm.pdf(gap, 0, max(0.6, 8 * scale))
            )
            for c in range(1, last + 1):
                left = [place for place, (candidate, _) in enumerate(runs) if candidate < c]
                right = [place for place, (candidate, _) in enumerate(runs) if candidate >= c]
                total = sum(
                    np.log(np.exp(part - part.max()).sum()) + part.max()
                    for part in (each[left].sum(0), each[right].sum(0))
                )
                found[c - 1] += weight * math.exp(log_prior + total)
    return found / found.sum()


def draw(random, last, change, places, noise=0.05, effect=0.2):
    return [
        (place, 2 + (math.log1p(effect) if place >= change else 0) + noise * random.standard_normal())
        for place in places
    ]


def told(last, runs, prior=None):
    belief = Belief(last, prior)
    for candidate, group in itertools.groupby(runs, key=lambda each: each[0]):
        belief.add(candidate, [log for _, log in group])
    return belief


@pytest.mark.parametrize("seed", range(6))
def test_the_posterior_is_that_of_bayes_theorem_spelled_out(seed):
    random = np.random.default_rng(seed)
    last, change = 8, int(random.integers(1, 9))
    places = [0, 8, 0, 8, 0, 8, 4, 4, *random.integers(1, 8, 4)]
    runs = draw(random, last, change, places, noise=random.uniform(0.03, 0.12))
    found = told(last, runs).posterior()
    assert found == pytest.approx(slow_posterior(last, runs), abs=0.02)


@given(st.integers(0, 1000), st.integers(2, 60))
def test_it_is_a_distribution_that_is_flat_between_measured_candidates(seed, last):
    random = np.random.default_rng(seed)
    places = [0, last, 0, last, 0, last, last // 2]
    belief = told(last, draw(random, last, int(random.integers(1, last + 1)), places))
    found = belief.posterior()
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    middle = last // 2
    assert np.ptp(found[:middle]) < 1e-12
    assert np.ptp(found[middle:]) < 1e-12
    after = belief.after()
    assert (after[0], after[-1]) == (0.0, pytest.approx(1.0))
    assert (np.diff(after) >= -1e-12).all()


def test_more_runs_make_it_surer_and_find_the_levels_and_the_noise():
    random = np.random.default_rng(3)
    places = [*[0, 16] * 6, *[8] * 4, *[4] * 4, *[6] * 4, *[5] * 6]
    belief = told(16, draw(random, 16, 6, places))
    assert belief.posterior().argmax() == 5
    assert belief.posterior()[5] > 0.99
    assert belief.levels[1] - belief.levels[0] == pytest.approx(math.log(1.2), abs=0.05)
    assert belief.noise == pytest.approx(0.05, rel=0.4)
    assert 0 in belief.sure()[0]
    assert {16, 8} <= set(belief.sure()[1])


def test_an_outlier_does_not_move_it():
    random = np.random.default_rng(4)
    runs = draw(random, 8, 5, [0, 8, 0, 8, 0, 8, 0, 8, 4, 4, 4])
    runs[8] = 4, runs[8][1] + math.log(2.5)
    assert told(8, runs).after()[4] < 0.2


def test_drift_is_no_change():
    """Of the ends measured in turn while everything gets slower, the drift is seen, and levels stay apart by what they are."""
    random = np.random.default_rng(5)
    runs = [
        (place, log + 0.005 * t)
        for t, (place, log) in enumerate(draw(random, 8, 5, [0, 8] * 12 + [3, 0, 8] * 4, noise=0.01))
    ]
    belief = told(8, runs)
    assert belief.drift == pytest.approx(0.005, abs=0.002)
    assert belief.after()[3] < 0.01


def test_what_is_known_beforehand_counts():
    random = np.random.default_rng(6)
    runs = draw(random, 4, 2, [0, 4] * 4)
    found = told(4, runs, [1, 0, 1, 2]).posterior()
    assert found == pytest.approx([0.25, 0.0, 0.25, 0.5])


@pytest.mark.parametrize("prior", [[], [1.0], [1.0, -1.0], [0.0, 0.0], [math.nan, 1.0]])
def test_weights_that_are_none_are_refused(prior):
    with pytest.raises(ValueError, match="weights are wanted"):
        Belief(2, prior)


def test_it_wants_both_ends_and_candidates_that_there_are():
    belief = Belief(4)
    with pytest.raises(ValueError, match="candidate 5 of 0 to 4"):
        belief.add(5, [1.0])
    belief.add(0, [1.0])
    with pytest.raises(ValueError, match="both ends"):
        belief.posterior()
    with pytest.raises(ValueError, match="one after it"):
        Belief(0)
