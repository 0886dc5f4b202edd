"""The pytest plugin: options and fixtures always, measuring only with ``--benchmark``.

Nothing but the standard library and pytest is imported until a fixture asks for more, so that the plugin works in any
environment that a benchmark is to be measured in.
"""

from __future__ import annotations

import pytest

#: Its fixtures, by the modules' names: pytest registers what it finds there.
pytest_plugins = [
    "coiled_runtime_cli.plugin.fixtures.recording",
    "coiled_runtime_cli.plugin.fixtures.measuring",
    "coiled_runtime_cli.plugin.fixtures.artifacts",
    "coiled_runtime_cli.plugin.fixtures.clusters",
    "coiled_runtime_cli.plugin.fixtures.workload",
]

MARKERS = (
    'formerly(*ids): earlier ids of this benchmark; a bare name means the same file: formerly("test_old[1]")',
    'epoch(number, reason="..."): the meaning of this benchmark changed; its series starts anew',
    (
        'cluster(shape, by_memory=False): the cluster shape of the module, a name in clusters.yaml: cluster("parquet_cluster"), '
        "whose local workers are small where the data follow from the memory of the cluster (by_memory)"
    ),
    "max_threads(number): skipped on a cluster with more threads, where it says nothing",
    "client(shape, upload_file=None, worker_plugin=None): what the `client` fixture starts for this test alone",
    "stability: proves that something does not break; its time matters less",
    "workflows: an end-to-end workflow, long",
    "geo_execution: a geospatial workload, executed",
    "geo_submission: a geospatial workload, its graph built and submitted to a scheduler without workers",
    "shuffle_p2p: needs the p2p shuffle",
    "shuffle_tasks: uses the task-based shuffle",
    "tpch_dask: TPC-H with Dask",
    "tpch_nondask: TPC-H with another engine than Dask",
    "tpch_correctness: TPC-H, for its answers alone",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crt", "benchmarks (crt)")
    group.addoption("--benchmark", action="store_true", help="Measure the tests and record every run.")
    group.addoption("--crt-session", metavar="FILE", help="Settings of the session, as written by `crt bench`.")
    group.addoption("--crt-db", metavar="PATH|URL", help="Database of the rows. Default: crt's configuration.")
    group.addoption("--crt-scale", metavar="SCALE", help="smoke, laptop, full or a number. Default: configuration.")
    group.addoption("--crt-cluster", metavar="CLUSTER", help="local, coiled, an address or a configured name.")
    group.addoption("--crt-label", metavar="LABEL", help="The runtime under test.")
    group.addoption("--crt-timeout", metavar="SECONDS", type=float, help="Longest time of one test.")
    group.addoption("--performance-report", action="store_true", help="Keep Dask's performance report of each test.")
    group.addoption("--crt-artifacts", metavar="PATH|URL", help="Where artefacts go. Default: beside the database.")
    group.addoption(
        "--memray",
        choices=("scheduler", "workers", "all", "none"),
        default="none",
        help="Profile memory with memray.",
    )
    group.addoption(
        "--py-spy",
        choices=("scheduler", "workers", "all", "none"),
        default="none",
        help="Profile processor time with py-spy.",
    )
    group.addoption(
        "--cluster-dump",
        choices=("always", "fail", "never"),
        default="never",
        help="Keep a dump of the cluster's state after each test.",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--benchmark"):
        from coiled_runtime_cli.plugin.hooks import register

        register(config)


def given_flags(config: pytest.Config) -> dict[str, object]:
    """The settings that this plugin's own options give, as crt's configuration takes them; None: not given."""
    names = ("db", "scale", "cluster", "label", "timeout", "artifacts")
    return {name: config.getoption(f"--crt-{name}") for name in names}


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    hooks = config.pluginmanager.get_plugin("crt-benchmark")
    if hooks is not None:
        hooks.close()
