import numpy as np
import pytest

from coiled_runtime_cli.core.changepoint import find_changes
from coiled_runtime_cli.core.detect import HELD
from coiled_runtime_cli.core.replay import STEPS, THRESHOLDS, chosen_threshold, replay, score_card, without_changes


def steps(random, *levels, runs=60, noise=0.02):
    return np.concatenate([level * np.exp(noise * random.standard_normal(runs)) for level in levels])


def test_each_change_is_told_of_once_when_it_has_held():
    random = np.random.default_rng(1)
    series = [steps(random, 10, 12), steps(random, 10, 10), steps(random, 10, 8)]
    alerts = replay(series, first=30)
    assert [(each.series, each.index, each.ratio > 1) for each in alerts] == [(0, 60, True), (2, 60, False)]
    assert all(each.delay == HELD for each in alerts)


def test_a_second_step_within_a_few_runs_of_the_first_is_told_of_too():
    random = np.random.default_rng(6)
    values = np.concatenate([steps(random, 10), steps(random, 12, runs=7), steps(random, 15)])
    alerts = replay([values], first=30)
    assert [(each.index, each.ratio > 1) for each in alerts] == [(60, True), (67, True)]


def test_what_is_known_at_first_is_no_alert():
    random = np.random.default_rng(2)
    assert replay([steps(random, 10, 12)], first=80) == []


def test_a_change_is_told_of_at_each_threshold_that_it_passes():
    random = np.random.default_rng(3)
    alerts = replay([steps(random, 10, 10.8)], first=30, thresholds=THRESHOLDS)
    assert [each.threshold for each in alerts] == list(THRESHOLDS)
    assert [each.runs for each in alerts] == sorted(each.runs for each in alerts)


def test_a_calm_series_has_the_noise_and_no_change():
    random = np.random.default_rng(4)
    values = steps(random, 10, 20, 5, noise=0.05)
    values[7] = np.nan
    (changes,) = find_changes([values])
    calm = without_changes(values, changes, random)
    assert len(calm) == len(values) - 1
    assert find_changes([calm])[0] == ()
    assert np.log(calm).std() == pytest.approx(0.05, rel=0.2)
    assert np.median(calm) == pytest.approx(5, rel=0.05)  # the level that holds now


def test_a_score_card_has_fewer_alarms_and_longer_delays_the_stricter_it_is():
    random = np.random.default_rng(5)
    series = [steps(random, 10, noise=0.05, runs=90) for _ in range(12)]
    told = []
    card = score_card(
        series, [()] * 12, replayed=40, runs_a_week=7, tell=lambda done, total: told.append((done, total))
    )
    assert card.series == 12
    assert card.weeks == pytest.approx(40 / 7)
    assert told[-1][0] == told[-1][1]
    alarms = [each.alerts for each in card.scores]
    assert alarms == sorted(alarms, reverse=True)
    for index in range(len(STEPS)):
        shares = [each.by_step[index][0] for each in card.scores]
        assert shares == sorted(shares, reverse=True)
    assert card.scores[0].by_step[-1][0] == 1.0
    assert chosen_threshold(card, 1000.0) is card.scores[0]
    assert chosen_threshold(card, -1.0) is None


def test_a_score_card_needs_series():
    with pytest.raises(ValueError, match="needs series"):
        score_card([], [], replayed=10, runs_a_week=7)
