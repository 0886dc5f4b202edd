"""Gradient boosting: features made of ride-hailing trips, and a search for parameters that predict how long a trip takes."""

from __future__ import annotations

import random

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

COLUMNS = [
    "hvfhs_license_num", "on_scene_datetime", "pickup_datetime", "PULocationID", "DOLocationID", "trip_miles", "trip_time",
    "tolls", "congestion_surcharge", "airport_fee", "wav_request_flag",
]  # fmt: skip
CATEGORIES = [
    "hvfhs_license_num", "PULocationID", "DOLocationID", "wav_request_flag", "accessible_vehicle", "pickup_month", "pickup_dow",
    "pickup_hour", "boroughs",
]  # fmt: skip
NUMBERS = {"trip_miles": "float32", "tolls": "float32", "congestion_surcharge": "float32", "airport_fee": "float32"}
TARGET = "trip_time"
BOROUGHS = ["Bronx", "Brooklyn", "EWR", "Manhattan", "Queens", "Staten Island", "Unknown"]
#: What all real trips take in memory with all columns (GiB).
ALL_TRIPS = 580
TRIALS, ROUNDS = 3, 4
#: Root mean square error of a model, in parts of that of always predicting the mean. A model that knows the length of a trip
#: gets below; so much of a trip's time is chance that nothing gets below the first number.
PLAUSIBLE = (0.2, 0.85)


def zones():
    """The borough of each zone, as the lookup table of the commission has it: one row a zone."""
    import pandas as pd

    numbers = range(1, 266)
    return pd.DataFrame({"zone": numbers, "borough": [BOROUGHS[each % len(BOROUGHS)] for each in numbers]})


@pytest.fixture(scope="module")
def trips(dd, dataset, scale, sizing):
    """Paths of a sample of the files, storage options; and those trips' times and places, in pandas (None at full scale)."""
    data = dataset("uber_lyft")
    if data.remote:
        import fsspec

        system, _ = fsspec.core.url_to_fs(data.location, **data.storage_options)
        files = sorted(system.glob(data.files[0]))
        chosen = random.Random(0).sample(files, sizing.files(0.5, len(files), gib=ALL_TRIPS))
        return [system.unstrip_protocol(each) for each in sorted(chosen)], data.storage_options, None
    step = 1 if scale.name == "smoke" else 6
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = [pq.read_table(each, columns=["PULocationID", "DOLocationID", TARGET]) for each in data.files[::step]]
    return data.patterns[::step], data.storage_options, pa.concat_tables(known).to_pandas()


@pytest.fixture
def features(dd, trips, sizing):
    """``features()``: what is known before a trip ends, and how long it took, lazily; and the longest time that is kept."""
    paths, options, _ = trips

    def prepared(part):
        pickup = part["pickup_datetime"]
        moments = {"pickup_month": pickup.dt.month, "pickup_dow": pickup.dt.dayofweek, "pickup_hour": pickup.dt.hour}
        part = part.assign(
            accessible_vehicle=part["on_scene_datetime"].isna().astype("int8"),
            airport_fee=part["airport_fee"].fillna(0),
            congestion_surcharge=part["congestion_surcharge"].fillna(0),
            **{name: values.astype("int8") for name, values in moments.items()},
        )
        return part.drop(columns=["on_scene_datetime", "pickup_datetime"])

    def make():
        frame = dd.read_parquet(paths, columns=COLUMNS, storage_options=options)
        frame = frame.repartition(partition_size=sizing.chunk(100 / 128))
        frame = frame.map_partitions(prepared).astype(NUMBERS)
        longest = 2.5 * float(frame[TARGET].quantile(0.75).compute())
        frame = frame[(frame[TARGET] >= 0) & (frame[TARGET] <= longest)]
        for place in ("PU", "DO"):
            known = zones().rename(columns={"zone": f"{place}LocationID", "borough": f"{place}_borough"})
            frame = frame.merge(known, on=f"{place}LocationID", how="left")
        frame = frame.assign(boroughs=frame["PU_borough"].str.cat(frame["DO_borough"], sep="-"))
        frame = frame.drop(columns=["PU_borough", "DO_borough"])
        return frame.astype(dict.fromkeys(CATEGORIES, "category")).categorize(columns=CATEGORIES), longest

    return make


def test_preprocess(dd, trips, features, scratch_url, small_client, stop_measuring):
    """Read eleven columns of trips, drop outliers, look up boroughs twice, make categories, write Parquet."""
    import dask

    *_, known = trips
    frame, longest = features()
    target = f"{scratch_url}/features"
    frame.to_parquet(target)
    stop_measuring()

    times = dd.read_parquet(target, columns=[TARGET])[TARGET]
    count, total, most = dask.compute(times.count(), times.sum(), times.max())
    assert 0 < most <= longest
    assert set(frame["boroughs"].cat.categories) <= {f"{a}-{b}" for a in BOROUGHS for b in BOROUGHS}
    if known is not None:
        assert longest == pytest.approx(
            2.5 * known[TARGET].quantile(0.75), rel=0.03
        )  # Dask's quantiles are approximate
        kept = known[known[TARGET] <= longest]
        assert (count, total) == (len(kept), kept[TARGET].sum())
        borough = zones().set_index("zone")["borough"]
        pairs = kept["PULocationID"].map(borough) + "-" + kept["DOLocationID"].map(borough)
        assert set(frame["boroughs"].cat.categories) == set(pairs)


@pytest.fixture
def prepared(dd, features, scratch_url, small_client):
    """The features as Parquet, written before the clock runs; and the root mean square error of predicting the mean."""
    for name in ("xgboost", "optuna"):
        pytest.importorskip(name, reason=f'needs {name}: pip install "coiled-runtime-cli[ml]"')
    target = f"{scratch_url}/features"
    features()[0].to_parquet(target)
    return target, float(dd.read_parquet(target, columns=[TARGET])[TARGET].std().compute())


def test_optuna_hpo(dd, prepared, record_metric, small_client):
    """Three trials of a search for nine parameters: each trains trees on four fifths of the trips and predicts the rest."""
    import dask
    import optuna
    import xgboost.dask

    target, naive = prepared
    frame = dd.read_parquet(target).categorize(columns=CATEGORIES)
    train, test = (part.persist() for part in frame.random_split([0.8, 0.2], random_state=2))
    inputs = [name for name in frame.columns if name != TARGET]
    learned = xgboost.dask.DaskDMatrix(small_client, train[inputs], train[TARGET], enable_categorical=True)

    def error(trial):
        """Root mean square error (seconds) of a model with the trial's parameters."""
        parameters = {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "seed": 0,
            "max_depth": trial.suggest_int("max_depth", 4, 8),
            "learning_rate": trial.suggest_float("learning_rate", 0.3, 0.7),
            "min_child_weight": trial.suggest_float("min_child_weight", 1, 250),
            "subsample": trial.suggest_float("subsample", 0.6, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.7, 1.0),
            "colsample_bynode": trial.suggest_float("colsample_bynode", 0.7, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10, log=True),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
            "gamma": trial.suggest_float("gamma", 0, 5),
        }
        trained = xgboost.dask.train(small_client, parameters, learned, num_boost_round=ROUNDS)
        guesses = xgboost.dask.predict(small_client, trained, test[inputs])
        truth, guesses = dask.compute(test[TARGET], guesses)
        assert len(guesses) == len(truth) > 0
        return float(((truth.to_numpy() - guesses.to_numpy()) ** 2).mean() ** 0.5)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=4))
    study.optimize(error, n_trials=TRIALS)
    assert len(study.trials) == TRIALS
    record_metric("rmse", study.best_value, unit="s")
    least, most = PLAUSIBLE
    assert least * naive < study.best_value < most * naive
