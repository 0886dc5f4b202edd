from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.clusters import ClusterSpec, Machine, resolve
from coiled_runtime_cli.errors import UsageError

MACHINE = Machine(cores=4, memory=16 * 2**30)
SHAPES = {
    "default": {"region": "us-east-2", "wait_for_workers": True, "spot_policy": "spot"},
    "small_cluster": {"n_workers": 10, "worker_vm_types": ["m6i.large"]},
    "parquet_cluster": {"n_workers": 15, "region": "us-east-1"},
}


def test_local_is_sized_to_the_machine() -> None:
    spec = resolve("local", machine=MACHINE)
    assert spec.kind == spec.name == "local"
    assert spec.options == {"n_workers": 4, "threads_per_worker": 1, "memory_limit": 3 * 2**30}


def test_local_clusters_that_run_at_once_share_the_machine() -> None:
    spec = resolve("local", machine=MACHINE, parallel=2)
    assert spec.options["n_workers"] == 2
    assert 2 * spec.options["n_workers"] * spec.options["memory_limit"] <= MACHINE.memory


def test_a_definition_named_local_changes_the_local_cluster() -> None:
    spec = resolve("local", definitions={"local": {"n_workers": 2, "protocol": "tcp"}}, machine=MACHINE)
    assert spec.options["n_workers"] == 2
    assert spec.options["threads_per_worker"] == 2
    assert spec.options["memory_limit"] == 6 * 2**30
    assert spec.options["protocol"] == "tcp"


def test_a_fixed_memory_limit_is_kept_however_small_the_machine() -> None:
    tiny = Machine(cores=1, memory=2**28)
    spec = resolve("mine", definitions={"mine": {"kind": "local", "memory_limit": "1GiB"}}, machine=tiny)
    assert spec.options == {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "1GiB"}


def test_scale_of_a_local_definition_is_its_number_of_workers() -> None:
    spec = resolve("mine", definitions={"mine": {"kind": "local", "scale": 3}}, machine=MACHINE)
    assert spec.options["n_workers"] == 3
    assert "scale" not in spec.options


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ucx", "ws", "wss"])
def test_an_address_is_taken_as_it_is(scheme: str) -> None:
    spec = resolve(f"{scheme}://host.example:8786/")
    assert (spec.kind, spec.options) == ("address", {"address": f"{scheme}://host.example:8786"})


@pytest.mark.parametrize(
    "address",
    ["tcp://", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:99999", "tcp://host:port", "tcp://:8786",
     "tcp://u:p@host:1", "tcp://host:1/path", "tcp://[::1:8786", "inproc://1/2/3", "http://host:8786", "://x:1"],
)  # fmt: skip
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(address)
    assert "tcp://127.0.0.1:8786" in str(error.value.hint)


def test_a_mistyped_scheme_is_recognised() -> None:
    with pytest.raises(UsageError, match="did you mean 'tcp'"):
        resolve("tpc://host:8786")


def test_an_address_of_version_6_is_an_address() -> None:
    assert resolve("tcp://[::1]:8786").key_options() == {"host": "::1"}


def test_a_running_cluster_can_have_a_name_of_ones_own() -> None:
    spec = resolve("lab", definitions={"lab": {"kind": "address", "address": "tcp://lab:8786"}})
    assert (spec.kind, spec.name, spec.options) == ("address", "lab", {"address": "tcp://lab:8786"})
    with pytest.raises(UsageError, match="unknown keyword 'scale'"):
        resolve("lab", definitions={"lab": {"kind": "address", "address": "tcp://lab:8786", "scale": 2}})


def test_a_class_needs_no_definition() -> None:
    spec = resolve("dask.distributed.SSHCluster")
    assert (spec.kind, spec.class_path, spec.options) == ("class", "dask.distributed.SSHCluster", {})


def test_a_defined_class_keeps_its_keywords_and_its_scale() -> None:
    table = {"class": "dask_jobqueue.SLURMCluster", "cores": 4, "queue": "short", "job_name": "crt", "scale": 8}
    spec = resolve("slurm", definitions={"slurm": table})
    assert spec.class_path == "dask_jobqueue.SLURMCluster"
    assert spec.options == {"cores": 4, "queue": "short", "job_name": "crt", "scale": 8}
    assert spec.key_options() == {"class": "dask_jobqueue.SLURMCluster", "cores": 4, "queue": "short", "scale": 8}


@pytest.mark.parametrize(
    ("choice", "nearest"), [("locl", "local"), ("Coiled", "coiled"), ("slrum", "slurm"), ("nonsense", None)]
)
def test_an_unknown_cluster_is_refused_with_the_nearest_name(choice: str, nearest: str | None) -> None:
    with pytest.raises(UsageError, match="unknown cluster") as error:
        resolve(choice, definitions={"slurm": {"class": "a.B"}})
    assert (f"did you mean {nearest!r}" in error.value.message) == (nearest is not None)
    assert "local, coiled, slurm" in error.value.message
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cores": 4}, "neither kind nor class"),
        ({"kind": "lokal"}, "did you mean 'local'"),
        ({"kind": "class"}, "expected a dotted name, not None"),
        ({"class": "SLURMCluster"}, "expected a dotted name"),
        ({"class": 3}, "expected a dotted name"),
        ({"kind": "local", "class": "a.B"}, "exclude each other"),
        ({"class": "a.B", "asynchronous": True}, "asynchronous"),
        ({"class": "a.B", "scale": 0}, "scale: expected a number"),
        ({"class": "a.B", "scale": True}, "scale: expected a number"),
        ({"kind": "local", "scale": "two"}, "scale: expected a number"),
        ({"kind": "local", "n_workers": 0}, "n_workers: expected a number"),
        ({"kind": "local", "n_workers": 1, "scale": 1}, "scale and n_workers mean the same"),
        ({"kind": "local", "name": "x"}, "name is set by crt"),
        ({"kind": "coiled", "tags": {"a": "b"}}, "tags is set by crt"),
        ({"kind": "address"}, "expected tcp://HOST:PORT"),
        ({"class": "a.B", "since": dt.date(2026, 1, 1)}, "since: a text, number, list or table"),
        ({"class": "a.B", "gateway_token": "x"}, "gateway_token looks like a secret"),
        ({"class": "a.B", "connect_options": {"password": "x"}}, "connect_options.password looks like a secret"),
    ],
)
def test_a_wrong_definition_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        resolve("mine", definitions={"mine": table}, machine=MACHINE)


def test_the_value_of_a_secret_is_not_repeated() -> None:
    with pytest.raises(UsageError) as error:
        resolve("mine", definitions={"mine": {"class": "a.B", "api_key": "hunter2"}})
    assert "hunter2" not in f"{error.value.message} {error.value.hint}"


def test_local_and_coiled_keep_their_meaning() -> None:
    with pytest.raises(UsageError, match="local is always of kind 'local'"):
        resolve("local", definitions={"local": {"class": "a.B"}})


def test_layers_of_a_shape_win_in_their_order() -> None:
    override = {"default": {"region": "eu-west-1", "spot_policy": "on-demand"}, "parquet_cluster": {"n_workers": 3}}
    definitions = {"coiled": {"workspace": "team", "wait_for_workers": False}}
    spec = resolve("coiled", shape="parquet_cluster", shapes=SHAPES, override=override, definitions=definitions)
    assert spec.options == {
        "wait_for_workers": False,  # definition
        "spot_policy": "on-demand",  # default of the override
        "region": "us-east-1",  # the named shape beats both defaults
        "n_workers": 3,  # the named override beats the named shape
        "workspace": "team",
    }


_keywords = st.dictionaries(st.sampled_from("abcd"), st.integers(), max_size=4)


@given(_keywords, _keywords, _keywords, _keywords, _keywords)
def test_merging_is_the_same_as_looking_up_the_last_layer_that_says_something(
    default: dict[str, int], above: dict[str, int], named: dict[str, int], top: dict[str, int], own: dict[str, int]
) -> None:
    spec = resolve(
        "coiled",
        shape="x",
        shapes={"default": default, "x": named},
        override={"default": above, "x": top},
        definitions={"coiled": own},
    )
    layers = (own, top, named, above, default)
    expected = {
        key: next(layer[key] for layer in layers if key in layer) for key in {k for each in layers for k in each}
    }
    assert spec.options == expected


def test_without_a_shape_the_defaults_hold() -> None:
    assert resolve("coiled", shapes=SHAPES).options == SHAPES["default"]
    assert resolve("coiled", shape="default", shapes=SHAPES).options == SHAPES["default"]


def test_an_unknown_shape_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="unknown cluster shape 'parket_cluster': did you mean 'parquet_cluster'"):
        resolve("coiled", shape="parket_cluster", shapes=SHAPES)


def test_an_override_of_an_unknown_shape_is_refused() -> None:
    with pytest.raises(
        UsageError, match="override: unknown cluster shape 'smal_cluster': did you mean 'small_cluster'"
    ):
        resolve("coiled", shape="small_cluster", shapes=SHAPES, override={"smal_cluster": {}})


def test_reserved_keywords_of_an_override_are_refused() -> None:
    with pytest.raises(UsageError, match="environ is set by crt"):
        resolve("coiled", shapes=SHAPES, override={"default": {"environ": {}}})


def test_an_override_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="on Coiled clusters alone"):
        resolve("local", override={"default": {"n_workers": 2}}, machine=MACHINE)


def test_a_shape_means_nothing_to_a_local_cluster() -> None:
    assert resolve("local", shape="no_such", machine=MACHINE) == resolve("local", machine=MACHINE)


def test_a_software_environment_is_an_option_but_no_part_of_the_key() -> None:
    spec = resolve("coiled", shape="small_cluster", shapes=SHAPES, software="team/nightly")
    assert spec.options["software"] == "team/nightly"
    assert spec.key_options() == {"n_workers": 10, "region": "us-east-2", "worker_vm_types": ["m6i.large"]}


def test_the_key_of_a_local_cluster_is_its_size() -> None:
    definitions = {"local": {"dashboard_address": ":8787", "scheduler_port": 9000, "local_directory": "/scratch"}}
    named = resolve("local", definitions=definitions, machine=MACHINE)
    assert named.key_options() == resolve("local", machine=MACHINE).key_options()
    assert set(named.key_options()) == {"n_workers", "threads_per_worker", "memory_limit"}


def test_the_key_of_an_address_forgets_the_port() -> None:
    assert resolve("tcp://host:1").key_options() == resolve("tcp://host:2").key_options() == {"host": "host"}


@pytest.mark.parametrize("choice", ["local", "coiled", "tcp://host:1", "a.B"])
def test_a_specification_survives_json(choice: str) -> None:
    spec = resolve(choice, shapes=SHAPES, machine=MACHINE)
    assert ClusterSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "value", [{}, {"kind": "local"}, {"kind": "x", "name": "y"}, {"kind": "local", "name": "x", "options": 3}]
)
def test_what_is_no_specification_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a"):
        ClusterSpec.from_json(value)


def test_resolving_imports_nothing_heavy() -> None:
    heavy = ["dask", "distributed", "coiled", "yaml", "psutil", "typer", "rich"]
    code = (
        "import sys; from coiled_runtime_cli import clusters; clusters.resolve('local'); clusters.resolve('coiled');"
        f"print([each for each in {heavy!r} if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_limit_makes_local_workers_smaller_and_no_other_ones():
    local = ClusterSpec(kind="local", name="local", options={"n_workers": 2, "memory_limit": 8 * 2**30})
    assert local.with_worker_memory(2**30).options == {"n_workers": 2, "memory_limit": 2**30}
    assert local.with_worker_memory(16 * 2**30) is local
    written = ClusterSpec(kind="local", name="local", options={"memory_limit": "8 GiB"})
    assert written.with_worker_memory(2**30) is written
    elsewhere = ClusterSpec(kind="class", name="slurm", options={"memory_limit": 8 * 2**30}, class_path="a.B")
    assert elsewhere.with_worker_memory(2**30) is elsewhere
