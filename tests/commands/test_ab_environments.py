"""`crt ab run` with environments that are really made: resolved, built and imported."""

import json

import pytest


@pytest.mark.slow
def test_two_releases_of_dask_on_the_parquet_suite_each_imported_as_asked_for(crt):
    from coiled_runtime_cli.locations import suites_folder

    crt.environment["CRT_SUITES"] = str(suites_folder())
    folder = crt.folder / "ab"
    folder.mkdir()
    (folder / "baseline.toml").write_text('packages = ["dask==2026.7.0"]\n')
    (folder / "newer.toml").write_text('packages = ["dask==2026.8.0"]\n')
    (folder / "experiment.toml").write_text('suites = ["parquet"]\nscale = "smoke"\nblocks = 2\n')
    done = crt.run("ab", "run", "ab", "--format", "json", timeout=1800)
    if "cannot be fetched" in done.stderr:
        pytest.skip("packages cannot be fetched here")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["arms"][0]["packages"]["dask"] == "2026.8.0"
    assert len(found["arms"][0]["comparisons"]) >= 10
    assert found["null"]["tests"] >= 10
    versions = crt.rows(
        "select distinct coiled_runtime_version, dask_version, distributed_version from test_run order by 1"
    )
    assert versions == [
        ("AB_baseline", "2026.7.0", "2026.7.0"),
        ("AB_newer", "2026.8.0", "2026.8.0"),
        ("AB_null", "2026.7.0", "2026.7.0"),
    ]
