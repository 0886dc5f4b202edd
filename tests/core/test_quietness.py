import numpy as np
import pytest

from coiled_runtime_cli.core import quietness

QUIET = {
    "cores": 8,
    "load": 0.1,
    "busy": 0.01,
    "steal": 0.0,
    "governor": "performance",
    "frequency": 1.0,
    "timer": [1e-4] * 50,
    "loop": [0.01, 0.0101] * 30,
    "disk": [0.001] * 20,
}


def advised(**changed):
    return [each.what for each in quietness.remarks(**{**QUIET, **changed}) if each.advice]


def test_a_quiet_machine_gets_no_advice():
    assert advised() == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"load": 6.0}, "load"),
        ({"busy": 0.4}, "others' work"),
        ({"steal": 0.05}, "stolen time"),
        ({"governor": "powersave"}, "governor"),
        ({"frequency": 0.4, "governor": None}, "clock"),
        ({"timer": [1e-4] * 40 + [5e-3] * 10}, "timer"),
        ({"loop": [0.01, 0.012] * 30}, "computing"),
        ({"loop": [0.01] * 50 + [0.02] * 10}, "computing"),
        ({"disk": [0.001] * 17 + [0.3] * 3}, "disk"),
    ],
)
def test_each_trouble_is_named_with_what_to_do(changed, what):
    assert what in advised(**changed)


def test_what_cannot_be_found_out_is_left_out():
    told = quietness.remarks(
        **{**QUIET, "load": None, "busy": None, "steal": None, "governor": None, "frequency": None}
    )
    assert [each.what for each in told] == ["governor", "timer", "computing", "disk"]


def test_noise_is_that_of_a_level_and_not_of_a_step():
    random = np.random.default_rng(1)
    values = 10 * np.exp(0.05 * random.standard_normal(200))
    values[100:] *= 2
    found = quietness.run_noise(values, np.full(200, 3.0), 0.05)
    assert found.noise == pytest.approx(0.05, rel=0.2)
    assert found.planned_seconds == 2 * found.needed * 3.0
    assert quietness.run_noise(np.array([1.0, np.nan, 0.0, 2.0]), np.zeros(4), 0.05) is None
