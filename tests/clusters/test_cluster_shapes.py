from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from coiled_runtime_cli.clusters import load_shapes, resolve
from coiled_runtime_cli.errors import UsageError

FILE = Path(__file__).parents[2] / "suites" / "clusters.yaml"

#: Name, workers, machine type: the sizes that published results of these suites were measured on.
PUBLISHED = [
    ("small_cluster", 10, "m6i.large"),
    ("parquet_cluster", 15, "m5.xlarge"),
    ("spill_cluster", 5, "m6i.large"),
    ("group_reduction_cluster", 20, "m6i.xlarge"),
    ("embarrassingly_parallel", 100, "m6i.xlarge"),
    ("xgboost_optuna", 50, "m6i.xlarge"),
    ("uber_lyft", 20, "m6i.xlarge"),
    ("uber_lyft_large", 50, "m6i.xlarge"),
    ("snowflake", 20, "m6i.xlarge"),
    ("from_csv_to_parquet", 10, "m6i.xlarge"),
    ("pytorch_optuna", 10, "g4dn.xlarge"),
    ("tpch_cluster", 32, "m6i.xlarge"),
    ("test_work_stealing_on_scaling_up", 1, "t3.medium"),
    ("test_work_stealing_on_straggling_worker", 10, "t3.medium"),
    ("test_repeated_merge_spill", 20, "m6i.large"),
]


@pytest.mark.parametrize(("shape", "workers", "machine"), PUBLISHED)
def test_each_shape_is_there_with_its_size(shape: str, workers: int, machine: str) -> None:
    options = resolve("coiled", shape=shape, shapes=load_shapes(FILE)).options
    assert options["n_workers"] == workers
    assert options["worker_vm_types"] == [machine]
    assert options["scheduler_vm_types"] == ["m6i.large"]


def test_no_shape_is_there_that_nothing_tests() -> None:
    assert set(load_shapes(FILE)) == {"default", *(name for name, _, _ in PUBLISHED)}


def test_every_shape_is_asked_for_by_a_suite() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in FILE.parent.rglob("*.py"))
    asked = set(re.findall(r"mark\.(?:cluster|client)\(\s*\"(\w+)\"", sources))
    assert {name for name, _, _ in PUBLISHED} == asked


def test_every_keyword_is_one_of_the_installed_coiled_cluster() -> None:
    coiled = pytest.importorskip("coiled")
    known = inspect.signature(coiled.Cluster).parameters
    used = {key for keywords in load_shapes(FILE).values() for key in keywords}
    assert used <= set(known)
    assert {"name", "environ", "tags", "show_widget", "software"} <= set(known)  # those that crt sets itself


def test_every_option_of_a_scheduler_or_worker_is_one_of_dask() -> None:
    from distributed import Scheduler, Worker

    for keywords in load_shapes(FILE).values():
        assert set(keywords.get("scheduler_options", {})) <= set(inspect.signature(Scheduler).parameters)
        assert set(keywords.get("worker_options", {})) <= set(inspect.signature(Worker).parameters)


def write(folder: Path, text: str) -> Path:
    path = folder / "shapes of mine.yaml"
    path.write_text(text)
    return path


def test_a_syntax_error_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "default:\n  a: 1\nsmall_cluster: [1,\n")
    with pytest.raises(UsageError, match=r"shapes of mine\.yaml, line 4: is not valid YAML"):
        load_shapes(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected shapes by name"),
        ("just a text", "expected shapes by name"),
        ("small_cluster: 3\n", "small_cluster: expected keywords, not 3"),
        ("small_cluster: {1: 2}\n", "small_cluster: expected keywords"),
        ("small_cluster: {name: x}\n", "small_cluster: name is set by crt"),
        ("small_cluster: {environ: {}}\n", "small_cluster: environ is set by crt"),
        ("default: {tags: {}}\n", "default: tags is set by crt"),
        ("default: {since: 2026-01-01}\n", "not JSON serializable"),
        ("default: {a: .nan}\n", "default: "),
        ("default: {a: !!python/object:os.system x}\n", "is not valid YAML"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_shapes(write(tmp_path, text))


def test_an_empty_file_has_no_shapes(tmp_path: Path) -> None:
    assert load_shapes(write(tmp_path, "# nothing yet\n")) == {}
    assert load_shapes(write(tmp_path, "small_cluster:\n")) == {"small_cluster": {}}


def test_a_missing_or_binary_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_shapes(tmp_path / "absent.yaml")
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load_shapes(path)
