"""Gradient boosting on the whole cluster: a regression on many columns."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)

INPUTS, ROUNDS = 100, 5


@pytest.fixture
def regression(timeseries, sizing, scale, scratch_url, small_client):
    """Parquet of random columns, ten of which make the target; written before the clock runs."""
    pytest.importorskip("xgboost", reason='needs xgboost: pip install "coiled-runtime-cli[ml]"')
    # XGBoost keeps its own copies, and a small worker is half full of libraries
    frame = timeseries(sizing.data({"full": 0.4}.get(scale.name, 0.1)), sizing.chunk(), INPUTS)
    weights = {f"float-{number}": 10 - number for number in range(10)}

    def with_target(part):
        return part.assign(target=sum(part[name] * weight for name, weight in weights.items()))

    target = f"{scratch_url}/regression"
    frame.map_partitions(with_target).reset_index(drop=True).to_parquet(target)
    return target


def test_xgboost_distributed_training(dd, regression, small_client):
    """Train five rounds on nine tenths of the rows of a hundred columns, and predict the rest."""
    import dask
    import xgboost.dask

    frame = dd.read_parquet(regression)
    inputs = [name for name in frame.columns if name != "target"]
    train, test = (part.persist() for part in frame.random_split([0.9, 0.1], random_state=1))
    learned = xgboost.dask.DaskDMatrix(small_client, train[inputs], train["target"])
    parameters = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "max_depth": 6,
        "learning_rate": 0.5,
        "seed": 0,
    }
    trained = xgboost.dask.train(small_client, parameters, learned, num_boost_round=ROUNDS)
    guesses = xgboost.dask.predict(small_client, trained, test[inputs])

    rows, truth, guesses = dask.compute(frame.map_partitions(len), test["target"], guesses)
    assert len(guesses) == len(truth) == pytest.approx(rows.sum() / 10, rel=0.1)
    left = ((truth.to_numpy() - guesses.to_numpy()) ** 2).mean()
    assert left < 0.8 * truth.var()  # what the trees explain, compared with predicting the mean
