"""Does a cluster get stuck? Merges, again and again, with all workers restarted in between."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = [pytest.mark.cluster("test_repeated_merge_spill", by_memory=True), pytest.mark.stability]

#: The most that one answer may take (s): whoever waits longer waits forever.
PATIENCE = 120


@pytest.fixture
def years(dd, scale):
    """Five years and the first three of them. At full scale a year has 26 fortnights, elsewhere fewer and shorter ones."""
    import dask.datasets
    import pandas as pd

    parts = scale.count(smoke=1, laptop=3, full=26)
    length = pd.Timedelta(days=scale.count(smoke=2, laptop=14, full=14))
    start = pd.Timestamp("2020-01-01")

    def series(number):
        end = str(start + number * parts * length)
        return dask.datasets.timeseries(str(start), end, freq="1s", partition_freq=f"{length.days}D", seed=42)

    return series(5), series(3)


def restart(client):
    """A nanny can miss that it was asked to restart its worker (distributed#8534), which is not what is tried here."""
    for attempt in range(3):
        try:
            client.restart(timeout=PATIENCE / 3)
        except (TimeoutError, asyncio.TimeoutError):
            if attempt == 2:
                raise
        else:
            return


def test_repeated_merge_spill(years, small_client, scale):
    """Restart, the mean of five years, and their merge with three; ten times at full scale, each answer within two minutes."""
    long, short = years
    expected = None
    for _ in range(scale.count(smoke=1, laptop=3, full=10)):
        restart(small_client)
        mean = small_client.compute((long.x + long.y).mean()).result(timeout=PATIENCE)
        assert mean == pytest.approx(0, abs=0.01)  # of numbers between -1 and 1

        merged = long.merge(short)  # by all columns: what is left is the shorter one
        found = small_client.compute((merged.x + merged.y).mean()).result(timeout=PATIENCE)
        if expected is None:
            expected = small_client.compute((short.x + short.y).mean()).result(timeout=PATIENCE)
        assert found == pytest.approx(expected)
