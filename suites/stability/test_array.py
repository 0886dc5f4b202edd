"""Least squares over a matrix that is half as large as the memory."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("small_cluster", by_memory=True), pytest.mark.stability]

COLUMNS = 100


def test_ols(da, small_client, sizing):
    """Solve the normal equations for 100 known coefficients, then predict every sample with what came out."""
    np = pytest.importorskip("numpy", reason='arrays need NumPy: pip install "dask[array]"')
    pytest.importorskip("scipy", reason="da.linalg.solve needs SciPy: pip install scipy")
    samples = sizing.rows(sizing.data(0.5), of=8 * COLUMNS)
    chunk = min(samples, sizing.rows(sizing.chunk(6), of=8 * COLUMNS))  # a million at full scale

    random = da.random.default_rng(42)
    known = np.linspace(-1, 1, COLUMNS)
    x = random.normal(size=(samples, COLUMNS), chunks=(chunk, -1))
    y = x @ known + random.normal(size=samples, chunks=chunk)
    fitted = da.linalg.solve(x.T @ x, x.T @ y)
    residual = ((y - x @ fitted) ** 2).mean()

    found, left = da.compute(fitted, residual)
    # The noise has variance 1: each coefficient is off by about samples ** -0.5, and the residual is what noise is left.
    assert found == pytest.approx(known, abs=6 * samples**-0.5)
    assert left == pytest.approx(1 - COLUMNS / samples, abs=6 * (2 / samples) ** 0.5)
