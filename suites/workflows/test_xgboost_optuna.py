"""Searching for parameters of boosted trees: trials run where there is room, and share one study on the scheduler."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("xgboost_optuna"), pytest.mark.workflows]

CLASSES, COLUMNS = 7, 54  # as many as in scikit-learn's covtype, whose rows "full" has too


@pytest.fixture(scope="module")
def samples(scale):
    """Inputs and classes of a seeded problem, as float32 and int."""
    for name, module in {
        "xgboost": "xgboost",
        "scikit-learn": "sklearn",
        "optuna-integration": "optuna_integration",
    }.items():
        pytest.importorskip(module, reason=f'needs {name}: pip install "coiled-runtime-cli[ml]"')
    from sklearn.datasets import make_classification

    inputs, classes = make_classification(
        n_samples=scale.count(smoke=700, laptop=10_000, full=581_012),
        n_features=COLUMNS,
        n_informative=12,
        n_redundant=6,
        n_classes=CLASSES,
        n_clusters_per_class=1,
        class_sep=1.5,
        random_state=8,
    )
    return inputs.astype("float32"), classes


def test_hpo(samples, scale, record_metric, small_client):
    """Trials of a classifier with parameters of Optuna's choice, three folds each; DaskStorage has the study."""
    import numpy as np
    import optuna
    from optuna_integration.dask import DaskStorage

    inputs, classes = samples
    trials = scale.count(smoke=2, laptop=6, full=200)

    def accuracy(trial, inputs, classes):
        """Share of right answers, on average of three folds."""
        import xgboost
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        parameters = {
            "max_depth": trial.suggest_int("max_depth", 3, 6),
            "learning_rate": trial.suggest_float("learning_rate", 0.2, 0.6),
            "subsample": trial.suggest_float("subsample", 0.6, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10, log=True),
            "min_child_weight": trial.suggest_int("min_child_weight", 1, 8),
        }
        model = xgboost.XGBClassifier(n_estimators=10, tree_method="hist", n_jobs=1, random_state=0, **parameters)
        folds = StratifiedKFold(3, shuffle=True, random_state=0)
        return float(cross_val_score(model, inputs, classes, cv=folds).mean())

    def run(study, storage, seed, inputs, classes):
        """One trial, of a sampler of its own: which parameters are tried does not depend on who comes first."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.RandomSampler(seed=seed)
        loaded = optuna.load_study(study_name=study, storage=storage, sampler=sampler)
        loaded.optimize(lambda trial: accuracy(trial, inputs, classes), n_trials=1)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = DaskStorage(client=small_client)
    study = optuna.create_study(study_name="trees", direction="maximize", storage=storage)
    data = small_client.scatter([inputs, classes], broadcast=True)
    futures = [small_client.submit(run, "trees", storage, seed, *data, pure=False) for seed in range(trials)]
    small_client.gather(futures)

    assert [each.state for each in study.trials] == [optuna.trial.TrialState.COMPLETE] * trials
    assert len({tuple(sorted(each.params.items())) for each in study.trials}) == trials
    guess = float(np.bincount(classes).max() / len(classes))  # of who always says the most frequent class
    assert 2 * guess < study.best_value <= 1
    record_metric("accuracy", study.best_value, better="higher")
