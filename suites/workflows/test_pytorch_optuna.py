"""Searching for parameters of a neural network: a small generative one (DCGAN), a trial a task, one study on the scheduler."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("pytorch_optuna"), pytest.mark.workflows]


@pytest.fixture(scope="module")
def shape(scale):
    """Edge (pixels) of the pictures, their number and that of a batch, rounds over them, trials; at full the predecessor's."""
    pytest.importorskip(
        "torch", reason="needs PyTorch: pip install torch --index-url https://download.pytorch.org/whl/cpu"
    )
    pytest.importorskip("optuna_integration", reason='needs optuna-integration: pip install "coiled-runtime-cli[ml]"')
    return {
        "edge": {"full": 64}.get(scale.name, 16),
        "pictures": scale.count(smoke=256, laptop=1_024, full=10_000),
        "batch": {"full": 128}.get(scale.name, 8),
        "rounds": {"smoke": 2, "full": 5}.get(scale.name, 3),
        "trials": scale.count(smoke=2, laptop=2, full=50),
    }


def test_hpo(shape, record_metric, small_client):
    """Each trial trains a generator and a discriminator on pictures of discs; DaskStorage has the study."""
    import optuna
    from optuna_integration.dask import DaskStorage

    def train(learning_rate, beta, filters, edge, pictures, batch, rounds):
        """How far the generator's pictures are from real ones, untrained and trained.

        That is the root mean square difference between the average of 64 of its pictures and that of all real ones.
        """
        import numpy as np
        import torch
        from torch import nn

        torch.manual_seed(0)
        random = np.random.default_rng(0)
        center, radius = random.normal(0.5, 0.08, (pictures, 2, 1, 1)), random.uniform(0.2, 0.35, (pictures, 1, 1))
        y, x = np.mgrid[0:edge, 0:edge] / edge
        discs = ((x - center[:, 0]) ** 2 + (y - center[:, 1]) ** 2 < radius**2).astype("float32") * 2 - 1
        real = torch.from_numpy(discs)[:, None].repeat(1, 3, 1, 1)

        latent, small = 16, edge // 4
        device = "cuda" if torch.cuda.is_available() else "cpu"
        generator = nn.Sequential(
            nn.ConvTranspose2d(latent, filters * 2, small),
            nn.BatchNorm2d(filters * 2),
            nn.ReLU(),
            nn.ConvTranspose2d(filters * 2, filters, 4, 2, 1),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, 3, 4, 2, 1),
            nn.Tanh(),
        ).to(device)
        discriminator = nn.Sequential(
            nn.Conv2d(3, filters, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(filters, filters * 2, 4, 2, 1),
            nn.BatchNorm2d(filters * 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(filters * 2, 1, small),
            nn.Flatten(0),
        ).to(device)
        makes, judges = (
            torch.optim.Adam(each.parameters(), lr=learning_rate, betas=(beta, 0.999))
            for each in (generator, discriminator)
        )
        loss = nn.BCEWithLogitsLoss()
        fixed = torch.randn(64, latent, 1, 1, device=device)

        def distance():
            with torch.no_grad():
                return float((generator(fixed).mean(0).cpu() - real.mean(0)).square().mean().sqrt())

        untrained = distance()
        for _ in range(rounds):
            for some in real.to(device).split(batch):
                yes, no = torch.ones(len(some), device=device), torch.zeros(len(some), device=device)
                fake = generator(torch.randn(len(some), latent, 1, 1, device=device))
                judges.zero_grad()
                (loss(discriminator(some), yes) + loss(discriminator(fake.detach()), no)).backward()
                judges.step()
                makes.zero_grad()
                loss(discriminator(fake), yes).backward()
                makes.step()
        return untrained, distance()

    def run(storage, seed, shape):
        """One trial, of a sampler of its own: which parameters are tried does not depend on who comes first."""
        import optuna
        import torch

        torch.set_num_threads(1)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.load_study(study_name="dcgan", storage=storage, sampler=optuna.samplers.RandomSampler(seed=seed))

        def objective(trial):
            rate = trial.suggest_float("learning_rate", 2e-3, 4e-3, log=True)
            beta = trial.suggest_float("beta", 0.4, 0.6)
            filters = trial.suggest_categorical("filters", [8, 16])
            before, after = train(rate, beta, filters, **shape)
            trial.set_user_attr("untrained", before)
            return after

        study.optimize(objective, n_trials=1)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sizes = dict(shape)
    trials = sizes.pop("trials")
    storage = DaskStorage(client=small_client)
    study = optuna.create_study(study_name="dcgan", direction="minimize", storage=storage)
    futures = [small_client.submit(run, storage, seed, sizes, pure=False) for seed in range(trials)]
    small_client.gather(futures)

    assert [each.state for each in study.trials] == [optuna.trial.TrialState.COMPLETE] * trials
    best = study.best_trial
    record_metric("distance", best.value)
    assert 0 < best.value < 0.8 * best.user_attrs["untrained"]
