import pytest

from coiled_runtime_cli.core.record import Metric, Run
from coiled_runtime_cli.core.summary import change_json, change_text, durations, run_json, summarise, table, undecided


def run(name, duration=None, outcome="passed", repeat=0, **fields):
    return Run(
        uuid=f"{name}-{repeat}",
        session="s",
        benchmark=f"a.py::{name}",
        outcome=outcome,
        duration=duration,
        repeat=repeat,
        **fields,
    )


def test_measures_are_medians_of_the_passed_runs():
    runs = [run("t", each, repeat=index) for index, each in enumerate([1.0, 9.0, 2.0])]
    (found,) = summarise([*runs, run("t", 100.0, "failed", 3)], {})
    assert found.measures["duration"] == 2.0
    assert found.outcomes == ("passed", "passed", "passed", "failed")
    assert found.worst == "failed"
    assert found.name == "t"


def test_a_benchmark_without_stored_runs_is_new_and_with_them_it_is_compared():
    (new,) = summarise([run("t", 1.0)], {})
    assert change_text(new.change) == "new"
    (compared,) = summarise([run("t", 1.1)], {"a.py::t": [1.0, 1.01, 0.99, 1.0]})
    assert change_text(compared.change) == "1.10x [1.07, 1.13]"
    (once,) = summarise([run("t", 1.1)], {"a.py::t": [1.0]})
    assert change_text(once.change) == "1.10x"


def test_what_did_not_pass_is_compared_with_nothing():
    (found,) = summarise([run("t", None, "failed")], {"a.py::t": [1.0, 1.0, 1.0]})
    assert found.change is None
    assert change_json(found) == {"benchmark": "a.py::t", "n": 1, "ratio": None, "low": None, "high": None}


def test_durations_of_zero_never_reach_a_logarithm():
    assert durations([run("t", 0.0), run("t", 1.0)]) == {"a.py::t": [1.0]}
    (found,) = summarise([run("t", 1.0)], {"a.py::t": [0.0, 1.0, 1.0]})
    assert found.change.value == pytest.approx(1.0)


def test_only_what_is_not_yet_known_well_enough_is_repeated():
    steady = [run("steady", 1.0, repeat=index) for index in range(3)]
    noisy = [run("noisy", 1.0 + index, repeat=index) for index in range(3)]
    young = [run("young", 1.0, repeat=index) for index in range(2)]
    failing = [run("failing", None, "failed")]
    skipped = [run("skipped", None, "skipped")]
    assert undecided([*steady, *noisy, *young, *failing, *skipped], 0.05) == ("a.py::noisy", "a.py::young")


def test_a_benchmark_that_passed_and_then_failed_is_not_repeated_for_ever():
    assert undecided([run("t", 1.0), run("t", None, "failed", 1)], 0.05) == ()


def test_the_table_shows_units_and_repeats_and_a_sparse_one_only_what_was_measured():
    runs = [run("t", 0.5, repeat=index) for index in range(2)]
    full = table(summarise(runs, {}))
    assert full.rows == (("t", "2 passed", "500 ms", "", "", "", "", "", "new"),)
    sparse = table(summarise(runs, {}), sparse=True)
    assert [column.title for column in sparse.columns] == ["test", "outcome", "wall time", "change"]
    measured = table(summarise([run("t", 1.0, peak_memory=2.0**30, compute_time=2.0)], {}), sparse=True)
    assert measured.rows == (("t", "passed", "1.00 s", "1.00 GiB", "2.00 s", "new"),)


def test_an_empty_session_is_an_empty_table():
    assert table(summarise([], {})).rows == ()


def test_a_run_as_json_keeps_missing_values_as_null_and_metrics_with_their_units():
    found = run_json(run("t", None, "skipped", metrics=(Metric(name="rate", value=1.0, unit="B/s", better="higher"),)))
    assert found["duration"] is None
    assert found["metrics"] == [{"name": "rate", "value": 1.0, "unit": "B/s", "better": "higher"}]
