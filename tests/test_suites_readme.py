"""The list of the suites is what the suites say, and nothing of the predecessor's is missing without a word."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coiled_runtime_cli import suites

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "suites" / "README.md").read_text(encoding="utf-8")

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


def present():
    """The tests below suites/, as path and name."""
    return {(each.path, test) for each in suites.find(ROOT / "suites") for test in each.tests}


def former():
    """Path and name, without parameters, of each test that a suite's source names in a text: in ``formerly``, that is."""
    found = set()
    for file in (ROOT / "suites").rglob("test_*.py"):
        path = file.relative_to(ROOT / "suites").as_posix()
        for each in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                named = re.match(r"(?:([\w/]+\.py)::)?(test_\w+)", each.value)
                if named:
                    found.add((named[1] or path, named[2]))
    return found


@pytest.mark.parametrize("path", PREDECESSOR)
def test_what_the_predecessor_measured_is_measured_or_it_is_said_why_not(path):
    """Under its path and name, as a former name of another, or by name in the README's list of what is not here."""
    absent = README.partition("## Not here")[2].partition("\n## ")[0]
    for name in PREDECESSOR[path]:
        told = f"`{path}::{name}`" in absent
        assert (path, name) in present() | former() or told, f"{path}::{name}"
        assert not (told and (path, name) in present()), f"{path}::{name} is here, and said not to be"


def test_the_tables_are_what_the_suites_say():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "suites_readme.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_test_says_what_it_does():
    rows = re.findall(r"^\| `(test_\w+)`[^|]*\| ([^|]*) \|", README, flags=re.MULTILINE)
    assert len(rows) > 100
    assert [name for name, workload in rows if not workload.strip()] == []


def numbers_of_bytes(tree):
    """Powers of two, and texts such as "100 MiB"; to divide by one only changes the unit."""
    powers = (ast.LShift, ast.Pow)
    units = {
        id(each.right) for each in ast.walk(tree) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.FloorDiv)
    }
    for each in ast.walk(tree):
        if isinstance(each, ast.BinOp) and isinstance(each.op, powers) and id(each) not in units:
            if (
                isinstance(each.left, ast.Constant)
                and each.left.value in {1, 2, 1024}
                and isinstance(each.right, ast.Constant)
            ):
                yield each
        elif isinstance(each, ast.Constant) and re.fullmatch(r"\d+(\.\d+)? ?[KMGT]i?B", str(each.value)):
            yield each


def test_no_test_has_a_number_of_bytes_of_its_own():
    """Sizes are for core/scale.py, and for the recipes of the data sets."""
    found = [
        f"{file.relative_to(ROOT)}:{each.lineno}: {ast.unparse(each)}"
        for file in sorted((ROOT / "suites").rglob("*.py"))
        for each in numbers_of_bytes(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_number_of_bytes_would_be_found():
    source = "a = 2**20\nb = 1 << 30\nc = memory // 2**20\nd = '100 MiB'\ne = x**2\n"
    assert [each.lineno for each in numbers_of_bytes(ast.parse(source))] == [1, 2, 4]
