"""Does a cluster get stuck? Merges, again and again, with all workers restarted in between."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("test_repeated_merge_spill", by_memory=True), pytest.mark.stability]

#: The most that one answer may take (s): whoever waits longer waits forever.
PATIENCE = 120


@pytest.fixture
def years(dd, scale):
    """Five years and the first three of them. At full scale a year has 26 fortnights, elsewhere fewer and shorter ones."""
    import dask.datasets
    import pandas as pd

    parts = scale.count(smoke=1, laptop=2, full=26)
    length = pd.Timedelta(days=scale.count(smoke=2, laptop=7, full=14))
    start = pd.Timestamp("2020-01-01")

    def series(number):
        end = str(start + number * parts * length)
        return dask.datasets.timeseries(str(start), end, freq="1s", partition_freq=f"{length.days}D", seed=42)

    return series(5), series(3)


def test_repeated_merge_spill(years, small_client, scale):
    """Restart, the mean of five years, and their merge with three; ten times at full scale, each answer within two minutes."""
    from coiled_runtime_cli.clusters import restart

    long, short = years
    expected = None
    for _ in range(scale.count(smoke=1, laptop=2, full=10)):
        restart(small_client, timeout=PATIENCE / 3)
        mean = small_client.compute((long.x + long.y).mean()).result(timeout=PATIENCE)
        assert mean == pytest.approx(0, abs=0.01)  # of numbers between -1 and 1

        merged = long.merge(short)  # by all columns: what is left is the shorter one
        found = small_client.compute((merged.x + merged.y).mean()).result(timeout=PATIENCE)
        if expected is None:
            expected = small_client.compute((short.x + short.y).mean()).result(timeout=PATIENCE)
        assert found == pytest.approx(expected)
