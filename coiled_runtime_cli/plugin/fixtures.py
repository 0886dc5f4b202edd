"""The fixtures that benchmarks use. Without ``--benchmark`` those that measure do nothing, and a suite is ordinary tests."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import math
import re
import shutil
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from coiled_runtime_cli.plugin import ready_cluster

if TYPE_CHECKING:
    # Imported for types alone: this module is loaded in every run of pytest, measured or not.
    from collections.abc import Callable, Iterator

    from distributed import Client

    from coiled_runtime_cli.clusters import RunningCluster
    from coiled_runtime_cli.core.scale import Scale, Sizing
    from coiled_runtime_cli.core.settings import SessionSettings
    from coiled_runtime_cli.datasets import Dataset
    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import Recorder, RunDraft

Block: TypeAlias = "AbstractContextManager[None]"


@pytest.fixture(scope="session")
def crt_recorder(pytestconfig: pytest.Config) -> Recorder | None:
    """What records in this process; None without ``--benchmark``."""
    hooks = pytestconfig.pluginmanager.get_plugin("crt-benchmark")
    return None if hooks is None else hooks.recorder


@pytest.fixture(scope="session")
def _settings(pytestconfig: pytest.Config, crt_recorder: Recorder | None) -> SessionSettings:
    if crt_recorder is not None:
        return crt_recorder.settings
    from coiled_runtime_cli import session
    from coiled_runtime_cli.plugin import given_flags

    return session.settings_without_recording(given_flags(pytestconfig))


# What a test records


@pytest.fixture
def test_run_benchmark(crt_recorder: Recorder | None) -> RunDraft | None:
    """The run of this test, to be filled in; None without ``--benchmark``."""
    return crt_recorder.current if crt_recorder is not None else None


# `test_run_benchmark` is a name that suites know; pytest must not take the function for a test.
test_run_benchmark.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def record_metric(test_run_benchmark: RunDraft | None) -> Callable[..., None]:
    """``record_metric(name, value, unit="", better="lower")``: store a value beyond the built-in columns.

    Recorded twice in one test, the last value counts. Raises ValueError for a value that is no finite number, for a direction
    other than "lower" or "higher", and for the name of a built-in column.
    """
    from coiled_runtime_cli.core.record import MEASURES, Metric

    def record(name: str, value: float, unit: str = "", *, better: str = "lower") -> None:
        if better not in ("lower", "higher"):
            raise ValueError(f'better is "lower" or "higher", not {better!r}')
        if name in MEASURES:
            raise ValueError(f"{name!r} is a built-in measure: choose another name")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"metric {name!r} is {value!r}: not a finite number")
        if test_run_benchmark is not None:
            test_run_benchmark.metrics[name] = Metric(name=name, value=number, unit=unit, better=better)

    return record


@pytest.fixture
def benchmark_db_engine(_settings: SessionSettings, crt_recorder: Recorder | None) -> Iterator[Any]:
    """An engine on the session's database, for reading earlier runs; None without ``--benchmark``.

    Rows of this session are not there yet: nothing writes to the database while tests run.
    """
    if crt_recorder is None or _settings.database is None:
        yield None
        return
    pytest.importorskip("sqlalchemy", reason="reading the database needs SQLAlchemy: pip install sqlalchemy alembic")
    from coiled_runtime_cli.db.engine import open_database

    engine = open_database(_settings.database)
    yield engine
    engine.dispose()


@pytest.fixture
def benchmark_db_session(benchmark_db_engine: Any) -> Iterator[Any]:
    """A SQLAlchemy session on :func:`benchmark_db_engine`, rolled back at the end."""
    if benchmark_db_engine is None:
        yield None
        return
    from sqlalchemy.orm import Session

    with Session(benchmark_db_engine) as database:
        yield database
        database.rollback()


# Measuring a block


@pytest.fixture
def benchmark_time(test_run_benchmark: RunDraft | None) -> Callable[[], Block]:
    """``with benchmark_time():`` stores the wall time of the block as the run's duration."""
    if test_run_benchmark is None:
        return contextlib.nullcontext
    from coiled_runtime_cli.plugin.instruments import wall

    return lambda: wall.measure(test_run_benchmark)


@pytest.fixture
def auto_benchmark_time(benchmark_time: Callable[[], Block], test_run_benchmark: RunDraft | None) -> None:
    """Times the whole body of the test."""
    if test_run_benchmark is not None:
        # entered when the test's own body starts and left when it ends: other fixtures stay outside
        test_run_benchmark.call_blocks.append(benchmark_time())


@pytest.fixture
def stop_measuring(test_run_benchmark: RunDraft | None) -> Callable[[], None]:
    """``stop_measuring()``: the rest of the test's body is not measured, such as reading back what was written.

    It ends what `small_client`, `client` and `auto_benchmark_time` measure; a block of the test's own ends by itself.
    """
    if test_run_benchmark is None:
        return lambda: None
    return test_run_benchmark.open_blocks.close


def _with_client(
    draft: RunDraft | None, load: Callable[[], Callable[[RunDraft, Client], Block]]
) -> Callable[[Client], Block]:
    if draft is None:
        return lambda client: contextlib.nullcontext()  # noqa: ARG005
    measure = load()
    return lambda client: measure(draft, client)


@pytest.fixture
def benchmark_memory(test_run_benchmark: RunDraft | None) -> Callable[[Client], Block]:
    """``with benchmark_memory(client):`` stores average and peak memory of the workers (bytes)."""

    def load() -> Callable[[RunDraft, Client], Block]:
        from coiled_runtime_cli.plugin.instruments import memory

        return memory.measure

    return _with_client(test_run_benchmark, load)


@pytest.fixture
def sample_memory(benchmark_memory: Callable[[Client], Block]) -> Callable[[Client], Block]:
    """The earlier name of :func:`benchmark_memory`."""
    return benchmark_memory


@pytest.fixture
def benchmark_task_durations(test_run_benchmark: RunDraft | None) -> Callable[[Client], Block]:
    """``with benchmark_task_durations(client):`` stores compute, spill, deserialisation and transfer time (thread-seconds)."""

    def load() -> Callable[[RunDraft, Client], Block]:
        from coiled_runtime_cli.plugin.instruments import tasks

        return tasks.measure

    return _with_client(test_run_benchmark, load)


@pytest.fixture
def benchmark_scheduler(test_run_benchmark: RunDraft | None) -> Callable[[Client], Block]:
    """``with benchmark_scheduler(client):`` stores scheduler load and memory, and the largest event-loop delays."""

    def load() -> Callable[[RunDraft, Client], Block]:
        from coiled_runtime_cli.plugin.instruments import scheduler

        return scheduler.measure

    return _with_client(test_run_benchmark, load)


@pytest.fixture
def get_cluster_info(test_run_benchmark: RunDraft | None) -> Callable[[Any], Block]:
    """``with get_cluster_info(cluster):`` stores name, id and address of the cluster's page after the block."""

    @contextmanager
    def block(cluster: Any) -> Iterator[None]:
        yield
        if test_run_benchmark is not None:
            ready_cluster.note(test_run_benchmark, cluster)

    return block


@pytest.fixture
def span(request: pytest.FixtureRequest) -> Callable[[], Block]:
    """``with span():`` groups the block's tasks under the test's name on the dashboard (distributed 2023.6 or newer)."""

    def block() -> Block:
        try:
            from distributed import span as distributed_span
        except ImportError:
            return contextlib.nullcontext()
        return distributed_span(request.node.name)  # type: ignore[no-any-return, unused-ignore]

    return block


@pytest.fixture
def benchmark_all(
    benchmark_memory: Callable[[Client], Block],
    benchmark_task_durations: Callable[[Client], Block],
    benchmark_scheduler: Callable[[Client], Block],
    benchmark_time: Callable[[], Block],
    span: Callable[[], Block],
    performance_report: Callable[..., Block],
    memray_profile: Callable[[Client], Block],
    py_spy_profile: Callable[[Client], Block],
) -> Callable[[Client], Block]:
    """``with benchmark_all(client):`` measures everything; time is innermost, so that no instrument counts."""

    @contextmanager
    def block(client: Client) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(performance_report(client))
            stack.enter_context(memray_profile(client))
            stack.enter_context(py_spy_profile(client))
            stack.enter_context(benchmark_memory(client))
            stack.enter_context(benchmark_task_durations(client))
            stack.enter_context(benchmark_scheduler(client))
            stack.enter_context(span())
            stack.enter_context(benchmark_time())
            yield

    return block


# Artefacts, each with its flag


@pytest.fixture
def _keep(
    _settings: SessionSettings, crt_recorder: Recorder | None, test_run_benchmark: RunDraft | None
) -> Keep | None:
    """Where artefacts of this test go; None where none are kept."""
    if crt_recorder is None or test_run_benchmark is None or not _settings.artifacts:
        return None
    from coiled_runtime_cli.plugin import artifacts

    return artifacts.Keep(artifacts.folder_of(_settings, test_run_benchmark), crt_recorder.warn)


def _lacks(what: str) -> None:
    from coiled_runtime_cli.core.artifacts import EXTRA

    pytest.skip(f"{what}: {EXTRA}")


@pytest.fixture
def performance_report(
    pytestconfig: pytest.Config, _keep: Keep | None, test_run_benchmark: RunDraft | None
) -> Callable[..., Block]:
    """``with performance_report():`` keeps Dask's report of the block, with ``--performance-report``."""
    if _keep is None or test_run_benchmark is None or not pytestconfig.getoption("--performance-report"):
        return lambda client=None: contextlib.nullcontext()  # noqa: ARG005
    if importlib.util.find_spec("bokeh") is None:
        _lacks("a performance report needs bokeh")
    from coiled_runtime_cli.plugin.instruments import profile

    return lambda client=None: profile.performance_report(test_run_benchmark, client, _keep)


@pytest.fixture
def memray_profile(
    pytestconfig: pytest.Config, _keep: Keep | None, test_run_benchmark: RunDraft | None
) -> Callable[[Client], Block]:
    """``with memray_profile(client):`` keeps allocations, with ``--memray scheduler|workers|all``."""
    where = pytestconfig.getoption("--memray")
    if _keep is None or test_run_benchmark is None or where == "none":
        return lambda client: contextlib.nullcontext()  # noqa: ARG005
    if importlib.util.find_spec("memray") is None:
        _lacks("a memory profile needs memray")
    from coiled_runtime_cli.plugin.instruments import profile

    return lambda client: profile.memray(test_run_benchmark, client, _keep, where)


@pytest.fixture
def py_spy_profile(
    pytestconfig: pytest.Config, _keep: Keep | None, test_run_benchmark: RunDraft | None
) -> Callable[[Client], Block]:
    """``with py_spy_profile(client):`` keeps processor profiles, with ``--py-spy scheduler|workers|all``."""
    where = pytestconfig.getoption("--py-spy")
    if _keep is None or test_run_benchmark is None or where == "none":
        return lambda client: contextlib.nullcontext()  # noqa: ARG005
    from coiled_runtime_cli import process

    if process.installed_program("py-spy") is None:
        _lacks("a processor profile needs py-spy")
    from coiled_runtime_cli.plugin.instruments import profile

    return lambda client: profile.py_spy(test_run_benchmark, client, _keep, where)


@pytest.fixture
def upload_cluster_dump(
    pytestconfig: pytest.Config, _keep: Keep | None, test_run_benchmark: RunDraft | None
) -> Callable[[Client], Block]:
    """``with upload_cluster_dump(client):`` keeps the cluster's state after the block, with ``--cluster-dump always|fail``."""
    when = pytestconfig.getoption("--cluster-dump")
    if _keep is None or test_run_benchmark is None or when == "never":
        return lambda client: contextlib.nullcontext()  # noqa: ARG005

    @contextmanager
    def block(client: Client) -> Iterator[None]:
        from coiled_runtime_cli.plugin.instruments import profile

        try:
            yield
        except (KeyboardInterrupt, pytest.skip.Exception):
            raise
        except BaseException:
            profile.cluster_dump(test_run_benchmark, client, _keep)
            raise
        if when == "always":
            profile.cluster_dump(test_run_benchmark, client, _keep)

    return block


# Clusters and clients


def _suffix() -> str:
    """Hex digits that tell two things of one name apart."""
    from coiled_runtime_cli.journal import new_id

    return new_id()[-12:]


@pytest.fixture(scope="module")
def small_cluster(
    request: pytest.FixtureRequest, _settings: SessionSettings, crt_recorder: Recorder | None
) -> Iterator[RunningCluster]:
    """The module's cluster. Its shape is named by ``pytestmark = pytest.mark.cluster("...")``, else "small_cluster"."""
    marker = request.node.get_closest_marker("cluster")
    shape = str(marker.args[0]) if marker is not None and marker.args else "small_cluster"
    by_memory = marker is not None and bool(marker.kwargs.get("by_memory"))
    name = f"{Path(str(request.node.name)).stem.replace('_', '-')}-{_suffix()}"
    with ready_cluster.start(_settings, crt_recorder, shape=shape, name=name, by_memory=by_memory) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sizing(small_cluster: RunningCluster, scale: Scale) -> Sizing:
    """Sizes in proportion to the module's cluster: ``sizing.data(0.5)`` is half of its memory, in bytes."""
    with small_cluster.client() as client:
        return ready_cluster.sizing_of(client, scale)


@pytest.fixture
def _fits(request: pytest.FixtureRequest, small_cluster: RunningCluster) -> None:
    """Skip a test that says nothing on a cluster of so many threads."""
    marker = request.node.get_closest_marker("max_threads")
    if marker is None:
        return
    with small_cluster.client() as client:
        threads = sum(client.nthreads().values())
    if threads > marker.args[0]:
        pytest.skip(f"says nothing on more than {marker.args[0]} threads, and the cluster has {threads}")


@pytest.fixture
def small_client(
    request: pytest.FixtureRequest,
    _fits: None,
    small_cluster: RunningCluster,
    benchmark_all: Callable[[Client], Block],
    upload_cluster_dump: Callable[[Client], Block],
    test_run_benchmark: RunDraft | None,
    _settings: SessionSettings,
) -> Iterator[Client]:
    """A client on the module's cluster with fresh workers; the whole body of the test is measured.

    At smoke scale, which proves that suites run, workers that an earlier test has left in order are kept: a second a test.
    """
    if not small_cluster.alive():
        pytest.fail(
            f"the cluster {small_cluster.name} of this module has died; the next module gets a new one", pytrace=False
        )
    with small_cluster.client() as client:
        ready_cluster.freshen_between_tests(
            small_cluster, client, failed=request.session.testsfailed, may_keep=_settings.scale == "smoke"
        )
        if _settings.watched:  # these workers may be newer than the cluster
            ready_cluster.check_identity(client, _settings)
        ready_cluster.measure_call(
            test_run_benchmark, small_cluster, upload_cluster_dump(client), benchmark_all(client)
        )
        yield client


@pytest.fixture
def client(
    request: pytest.FixtureRequest,
    _settings: SessionSettings,
    crt_recorder: Recorder | None,
    benchmark_all: Callable[[Client], Block],
    upload_cluster_dump: Callable[[Client], Block],
    test_run_benchmark: RunDraft | None,
) -> Iterator[Client]:
    """A client on a cluster of this test alone: ``@pytest.mark.client("shape", upload_file=..., worker_plugin=...)``."""
    marker = request.node.get_closest_marker("client")
    shape = str(marker.args[0]) if marker is not None and marker.args else "small_cluster"
    options = dict(marker.kwargs) if marker is not None else {}
    name = f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')[:40]}-{_suffix()}"
    with ready_cluster.start(_settings, crt_recorder, shape=shape, name=name) as cluster, cluster.client() as opened:
        if options.get("upload_file") is not None:
            opened.upload_file(options["upload_file"])
        if options.get("worker_plugin") is not None:
            opened.register_plugin(options["worker_plugin"])
        ready_cluster.freshen(cluster, opened)
        ready_cluster.measure_call(test_run_benchmark, cluster, upload_cluster_dump(opened), benchmark_all(opened))
        yield opened


# What a test works on


@pytest.fixture(scope="session")
def scale(_settings: SessionSettings) -> Scale:
    """How large the work is: ``scale.count(smoke=..., laptop=..., full=...)``."""
    from coiled_runtime_cli.core.scale import Scale

    return Scale.parse(_settings.scale)


@pytest.fixture(scope="session")
def dataset(_settings: SessionSettings, scale: Scale, crt_recorder: Recorder | None) -> Callable[[str], Dataset]:
    """``dataset(name)``: the data set at this scale, generated once and verified. Use it in a module-scoped fixture."""
    from coiled_runtime_cli import datasets

    def prepare(name: str) -> Dataset:
        def progress(done: float, total: float) -> None:
            if crt_recorder is not None:
                crt_recorder.progress(f"data set {name}", done, total)

        try:
            return datasets.prepare(name, scale=scale, cache=Path(_settings.data), progress=progress)
        except datasets.MissingLibrary as error:
            pytest.skip(error.message + (f" ({error.hint})" if error.hint else ""))

    return prepare


@pytest.fixture
def scratch_url(
    request: pytest.FixtureRequest, _settings: SessionSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty place of this test's own, removed afterwards: a folder, or a URL below the configured ``scratch``."""
    name = f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')[:60]}-{_suffix()}"
    if _settings.scratch and "://" in _settings.scratch:
        fsspec = pytest.importorskip("fsspec", reason="a scratch URL needs fsspec: pip install fsspec")
        url = f"{_settings.scratch.rstrip('/')}/{name}"
        try:
            yield url
        finally:
            system, path = fsspec.core.url_to_fs(url)
            with contextlib.suppress(FileNotFoundError):
                system.rm(path, recursive=True)
        return
    if _settings.scratch:
        folder = Path(_settings.scratch) / name
        folder.mkdir(parents=True)
    else:
        folder = tmp_path_factory.mktemp("scratch", numbered=True) / name
        folder.mkdir()
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3_url(scratch_url: str) -> str:
    """The earlier name of :func:`scratch_url`."""
    return scratch_url


@pytest.fixture(params=["uncompressible", "compressible"])
def new_array(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``new_array(shape, chunks="auto")``: seeded random floats; the compressible ones shrink to about 42 % in storage.

    Each call has a seed of its own, the same in every run: two arrays of one seed and shape would be computed once.
    """
    kind = request.param
    seeds = itertools.count()

    def make(shape: tuple[int, ...], chunks: Any = "auto") -> Any:
        da = pytest.importorskip("dask.array", reason='arrays need NumPy: pip install "dask[array]"')
        array = da.random.default_rng(next(seeds)).random(shape, chunks=chunks)
        return array.map_blocks(_zero_every_second, dtype=array.dtype) if kind == "compressible" else array

    return make


def _zero_every_second(block: Any) -> Any:
    block = block.copy()
    block.reshape(-1)[::2] = 0
    return block


@pytest.fixture(params=["tasks", "p2p"])
def shuffle_method(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each way of shuffling in turn, set in Dask's configuration; p2p needs distributed 2023.2.1 or newer."""
    import dask

    method = str(request.param)
    if method == "p2p":
        import distributed

        numbers = tuple(int(each) for each in re.findall(r"\d+", distributed.__version__)[:3])
        if numbers < (2023, 2, 1):
            pytest.skip("the p2p shuffle needs distributed 2023.2.1 or newer")
    # both spellings: the key was renamed in 2023.4
    with dask.config.set(
        {"dataframe.shuffle.method": method, "dataframe.shuffle.algorithm": method, "shuffle": method}
    ):
        yield method


@pytest.fixture(params=[0.1, 1])
def memory_multiplier(request: pytest.FixtureRequest) -> float:
    """How large the data is, as a part of the cluster's memory."""
    return float(request.param)
