"""What the benchmarks of the suites are called, and were called before; nothing of the predecessor's is missing unsaid."""

import ast
import json
import subprocess
import sys
from collections import defaultdict

import pytest

from coiled_runtime_cli import suites
from coiled_runtime_cli.locations import suites_folder

README = (suites_folder() / "README.md").read_text(encoding="utf-8")

#: Collects below the current folder, and says of each test what it is and what it was.
COLLECT = """
import json, sys, pytest
from pathlib import Path

class Names:
    def pytest_collection_finish(self, session):
        found = []
        for item in session.items:
            path = item.path.relative_to(Path.cwd()).as_posix()
            former = [str(old) for mark in item.iter_markers("formerly") for old in mark.args]
            found.append([f"{path}::{item.nodeid.partition('::')[2]}",
                          [old if "::" in old else f"{path}::{old}" for old in former]])
        Path(sys.argv[1]).write_text(json.dumps(found))

raise SystemExit(pytest.main(["-p", "coiled_runtime_cli.plugin", "--collect-only", "-q"], plugins=[Names()]))
"""


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """The former ids of each benchmark, by its id."""
    file = tmp_path_factory.mktemp("names") / "names.json"
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(file)], cwd=suites_folder(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(file.read_text())
    assert found
    return found


def test_no_two_benchmarks_have_one_id(benchmarks):
    ids = [name for name, _ in benchmarks]
    assert sorted(ids) == sorted(set(ids))


def test_a_former_id_belongs_to_one_benchmark(benchmarks):
    heirs = defaultdict(set)
    for name, former in benchmarks:
        for each in former:
            heirs[each].add(name)
    assert {old: sorted(names) for old, names in heirs.items() if len(names) > 1} == {}


def test_a_former_id_is_no_present_one(benchmarks):
    present = {name for name, _ in benchmarks}
    assert sorted(each for _, former in benchmarks for each in former if each in present) == []


def test_a_former_id_names_a_test_in_a_file(benchmarks):
    former = [each for _, former in benchmarks for each in former]
    odd = [each for each in former if not each.partition("::")[0].endswith(".py") or "::test_" not in each]
    assert odd == []


def functions(file):
    """The tests of a file, those in classes too."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def test_every_test_says_in_a_line_what_it_does():
    silent = [
        f"{file.relative_to(suites_folder())}::{node.name}"
        for file in sorted(suites_folder().rglob("test_*.py"))
        for node in functions(file)
        if not (ast.get_docstring(node) or "").partition("\n")[0].strip().endswith((".", ":", "?"))
    ]
    assert silent == []


#: Every test that the predecessor had at any time, by the path that it had last.
PREDECESSOR = {
    "benchmarks/test_array.py": (
        "test_basic_sum", "test_vorticity", "test_double_diff", "test_dot_product", "test_map_overlap_sample",
    ),
    "benchmarks/test_csv.py": ("test_csv_basic",),
    "benchmarks/test_custom.py": ("test_jobqueue",),
    "benchmarks/test_dataframe.py": ("test_dataframe_align", "test_filter", "test_dataframe_cow_chain", "test_shuffle"),
    "benchmarks/test_futures.py": (
        "test_single_future", "test_large_map", "test_large_map_first_work", "test_memory_efficient",
    ),
    "benchmarks/test_h2o.py": tuple(f"test_q{number}" for number in range(1, 10)),
    "benchmarks/test_join.py": ("test_join_big", "test_join_big_small", "test_set_index", "test_set_index_on_uber_lyft"),
    "benchmarks/test_parquet.py": (
        "test_read_spark_generated_data", "test_read_hive_partitioned_data", "test_write_wide_data",
        "test_download_throughput",
    ),
    "benchmarks/test_rechunk.py": (
        "test_tiles_to_rows", "test_swap_axes", "test_swap_axes_in_memory", "test_swap_axes_out_of_core",
        "test_adjacent_groups", "test_heal_oversplit",
    ),
    "benchmarks/test_spill.py": ("test_spilling", "test_dot_product_spill"),
    "benchmarks/test_work_stealing.py": (
        "test_trivial_workload_should_not_cause_work_stealing", "test_work_stealing_on_inhomogeneous_workload",
        "test_work_stealing_on_scaling_up", "test_work_stealing_on_straggling_worker",
    ),
    "benchmarks/test_xarray.py": (
        "test_xarray_groupby_reduction", "test_quadratic_mean", "test_anom_mean", "test_climatic_mean",
    ),
    "benchmarks/test_xgboost.py": ("test_preprocess", "test_optuna_hpo"),
    "benchmarks/test_zarr.py": (
        "test_filter_then_average", "test_access_slices", "test_sum_residuals", "test_select_scalar",
    ),
    "benchmarks/test_coiled.py": ("test_default_cluster_spinup_time",),
    "benchmarks/test_xarray_reduction.py": ("test_xarray_reduction",),
    "benchmarks/test_deltalake.py": ("test_column_agg", "test_group_agg", "test_group_median"),
    "benchmarks/test_arrow.py": ("test_unique", "test_contains", "test_startswith", "test_filter", "test_value_counts"),
    "stability/test_array.py": ("test_ols", "test_rechunk_in_memory", "test_rechunk_out_of_memory"),
    "stability/test_deadlock.py": ("test_repeated_merge_spill",),
    "stability/test_install_plugins.py": ("test_private_pip_install",),
    "stability/test_shuffle.py": ("test_shuffle_simple", "test_shuffle_parquet"),
    "stability/test_spill.py": ("test_spilling", "test_tensordot_stress"),
    "runtime/test_build.py": ("test_latest_coiled", "test_install_dist", "test_version_warning_packages"),
    "runtime/test_cluster_creation.py": ("test_default_cluster_spinup_time",),
    "runtime/test_coiled.py": (
        "test_quickstart_csv", "test_quickstart_parquet", "test_reconnect", "test_cluster_reconnect",
    ),
    "runtime/test_xgboost.py": ("test_xgboost_distributed_training",),
    "workflows/test_embarrassingly_parallel.py": ("test_embarrassingly_parallel",),
    "workflows/test_from_csv_to_parquet.py": ("test_from_csv_to_parquet",),
    "workflows/test_pytorch_optuna.py": ("test_hpo",),
    "workflows/test_snowflake.py": ("test_etl_into_snowflake", "test_read"),
    "workflows/test_uber_lyft.py": ("test_exploratory_analysis",),
    "workflows/test_xgboost_optuna.py": ("test_hpo",),
    "workflows/test_image_analysis.py": ("test_BBBC039",),
    "workflows/test_rechunk.py": ("test_rechunk_simple", "test_rechunk_full_shuffle"),
    "geospatial/test_atmospheric_circulation.py": ("test_atmospheric_circulation",),
    "geospatial/test_climatology.py": ("test_rechunk_map_blocks", "test_highlevel_api"),
    "geospatial/test_cloud_optimize.py": ("test_cloud_optimize",),
    "geospatial/test_rechunking.py": ("test_era5_rechunking",),
    "geospatial/test_regridding.py": ("test_xesmf",),
    "geospatial/test_satellite_filtering.py": ("test_satellite_filtering",),
    "geospatial/test_zonal_average.py": ("test_nwm",),
    "geospatial/test_landsat_analysis.py": ("test_landsat_data_preparation",),
    **{
        f"tpch/test_{engine}.py": tuple(f"test_query_{number:02d}" for number in range(1, 23))
        for engine in ("dask", "duckdb", "polars", "pyspark")
    },
    "tpch/test_optimization.py": ("test_optimization", "test_delay_computation_start"),
    "tpch/test_correctness.py": ("test_dask_results",),
}  # fmt: skip


def listed():
    """The tests that `crt bench --list` shows, as path and name."""
    return {(each.path, test) for each in suites.find(suites_folder()) for test in each.tests}


def without_parameters(benchmark):
    """Path and name of a benchmark's id."""
    path, _, name = benchmark.partition("::")
    return path, name.partition("[")[0]


@pytest.mark.parametrize("path", PREDECESSOR)
def test_what_the_predecessor_measured_is_measured_or_it_is_said_why_not(benchmarks, path):
    """Under its path and name, as a former name of another, or by name in the README's list of what is not here."""
    absent = README.partition("## Not here")[2].partition("\n## ")[0]
    present = listed()
    former = {without_parameters(each) for _, those in benchmarks for each in those}
    for name in PREDECESSOR[path]:
        told = f"`{path}::{name}`" in absent
        assert (path, name) in present | former or told, f"{path}::{name}"
        assert not (told and (path, name) in present), f"{path}::{name} is here, and said not to be"
