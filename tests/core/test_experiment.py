import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core.compare import comparison_in_blocks, verdicts
from coiled_runtime_cli.core.experiment import Arm, ExperimentError

TWO = [Arm(name="newer"), Arm(name="baseline", packages=("dask==2026.7.0",))]


def test_the_baseline_comes_first_and_again_as_the_null_arm():
    made = plans.make(TWO, {})
    assert [each.name for each in made.every] == ["baseline", "null", "newer"]
    assert made.null.packages == ("dask==2026.7.0",)
    assert [each.label for each in made.every] == ["AB_baseline", "AB_null", "AB_newer"]


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        ([], "there is none"),
        ([Arm(name="baseline")], "one arm only"),
        ([Arm(name="newer"), Arm(name="older")], "no arm is named 'baseline'"),
        ([*TWO, Arm(name="newer")], "two arms are named 'newer'"),
        ([*TWO, Arm(name="null")], "'null' cannot name an arm"),
        ([*TWO, Arm(name="a b")], "'a b' cannot name an arm"),
        ([*TWO, Arm(name="../x")], "cannot name an arm"),
    ],
)
def test_arms_that_are_no_experiment_are_refused(arms, told):
    with pytest.raises(ExperimentError, match=told):
        plans.make(arms, {})


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"block": 5}, "did you mean 'blocks'"),
        ({"blocks": 0}, "blocks: expected a whole number from 1"),
        ({"blocks": True}, "blocks: expected"),
        ({"blocks": "5"}, "blocks: expected"),
        ({"suites": "parquet"}, "suites: expected a list of texts"),
        ({"max_time": "soon"}, "max_time: expected a time"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"scale": 1}, "scale: expected a text"),
        ({"packages": [""]}, "packages: expected a list"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(table, told):
    with pytest.raises(ExperimentError, match=told):
        plans.make(TWO, table)


def test_settings_are_read():
    made = plans.make(
        TWO, {"blocks": 3, "suites": ["parquet"], "max_time": "2h", "seed": 4, "metrics": ["peak_memory"]}
    )
    assert (made.blocks, made.suites, made.max_time, made.seed) == (3, ("parquet",), 7200.0, 4)
    assert made.metrics == ("peak_memory",)


def test_an_arm_is_its_packages_its_configuration_and_its_cluster():
    table = {
        "packages": ["dask==2026.8.0"],
        "python": "3.12",
        "config": {"distributed.scheduler.work-stealing": False, "array": {"slicing": {"split-large-chunks": True}}},
        "cluster": {"n_workers": 2},
    }
    found = plans.arm("x", table)
    assert found.config == {
        "distributed": {"scheduler": {"work-stealing": False}},
        "array": {"slicing": {"split-large-chunks": True}},
    }
    assert found.cluster == {"n_workers": 2}
    with pytest.raises(ExperimentError, match="did you mean 'packages'"):
        plans.arm("x", {"package": []})


def test_dotted_and_nested_configuration_is_one():
    assert plans.nested({"a": {"b": 1}, "a.c": 2, "a.d.e": [3]}) == {"a": {"b": 1, "c": 2, "d": {"e": [3]}}}
    for clash in ({"a": 1, "a.b": 2}, {"a.b": 1, "a": {"b": 2}}, {"a.b.c": 1, "a.b": 2}, {"a": {"b": 1}, "a.b": 2}):
        with pytest.raises(ExperimentError):
            plans.nested(clash)


def test_the_predecessors_settings_are_understood():
    table = {
        "repeat": 5,
        "test_null_hypothesis": False,
        "targets": ["tests/benchmarks"],
        "markers": "not slow",
        "h2o_datasets": ["0.5 GB (csv)"],
        "max_parallel": {"ci_jobs": 3, "pytest_workers_per_job": 4},
    }
    made, said = plans.from_ancestor(TWO, table)
    assert (made.blocks, made.targets, made.markers, made.parallel) == (5, ("tests/benchmarks",), "not slow", 3)
    assert made.datasets == ("0.5 GB (csv)",)
    assert len(said) == 2
    assert "null hypothesis" in said[0]
    with pytest.raises(ExperimentError, match="turns the experiment off"):
        plans.from_ancestor(TWO, {"repeat": 0})
    with pytest.raises(ExperimentError, match="did you mean 'markers'"):
        plans.from_ancestor(TWO, {"marker": "x"})


@given(st.integers(1, 6), st.integers(0, 500), st.integers(0, 2**32))
def test_each_block_is_every_arm_once_in_an_order_that_the_seed_fixes(count, block, seed):
    names = [f"arm{number}" for number in range(count)]
    order = plans.order(names, block, seed)
    assert sorted(order) == names
    assert order == plans.order(names, block, seed)


def test_every_order_comes_alike_often():
    seen = Counter(tuple(plans.order(["a", "b", "c"], block, 1)) for block in range(6000))
    assert len(seen) == 6
    assert all(850 < count < 1150 for count in seen.values())


@given(st.integers(1, 1000))
def test_looks_end_with_the_last_block_and_share_the_error_rate(blocks):
    places = plans.looks(blocks)
    assert places[-1] == blocks
    assert list(places) == sorted(set(places))
    assert len(places) == 1 or places[0] >= 5
    assert sum(plans.rate_at(look, len(places), 0.05) for look in range(len(places))) == pytest.approx(0.05)


def test_what_does_not_change_an_experiment_is_not_its_essence():
    first = plans.make(TWO, {"suites": ["parquet"]})
    longer = plans.make(TWO, {"suites": ["parquet"], "blocks": 30, "max_time": "1h", "metrics": ["peak_memory"]})
    other = plans.make(TWO, {"suites": ["array"]})
    assert plans.essence(first) == plans.essence(longer) != plans.essence(other)


def blocked(values):
    return {block: [value] for block, value in enumerate(values)}


def stopped(rng, tests, blocks, effects, rate=0.05, noise=0.05):
    """The verdicts of a simulated experiment that is looked at as `crt ab run` looks, and the blocks that it took."""
    drift = [rng.gauss(0, 0.05) for _ in range(blocks)]
    arms = [
        [[rng.lognormvariate(effect * arm + drift[block], noise) for block in range(blocks)] for effect in effects]
        for arm in (0, 1)
    ]
    places = plans.looks(blocks)
    for look, place in enumerate(places):
        level = plans.rate_at(look, len(places), rate)
        found = [
            comparison_in_blocks(*(blocked(arm[test][:place]) for arm in arms), confidence=1 - level)
            for test in range(tests)
        ]
        words = [each.word for each in verdicts(found, smallest=0.05, rate=level)]
        if all(word in {"worse", "better", "same"} for word in words) or place == blocks:
            return words, place
    raise AssertionError


@pytest.mark.slow
def test_an_experiment_that_stops_when_it_likes_calls_no_more_changed_than_it_says():
    """The null arm: of 1,000 experiments of 8 tests without a difference at most 5 % hold a false verdict (+- 2 errors)."""
    rng = random.Random(5)
    wrong = sum(any(word in {"worse", "better"} for word in stopped(rng, 8, 20, [0.0] * 8)[0]) for _ in range(1000))
    assert wrong <= 0.05 * 1000 + 2 * (1000 * 0.05 * 0.95) ** 0.5


def test_a_clear_effect_is_seen_and_ends_the_experiment_early():
    rng = random.Random(6)
    ended = [stopped(rng, 3, 20, [0.3, -0.3, 0.3], noise=0.03) for _ in range(100)]
    assert all(words == ["worse", "better", "worse"] for words, _ in ended)
    assert sum(blocks for _, blocks in ended) / 100 < 8
