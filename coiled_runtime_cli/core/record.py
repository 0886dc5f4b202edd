"""The records that a measured session leaves: what one journal line holds, and what the database ingests.

A journal line is one JSON object with a ``type``. Readers ignore types and fields that they do not know, so that an older
crt reads a newer journal. Units are SI base units; times are seconds since the epoch (UTC); missing is None.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

JOURNAL_SCHEMA = 1

#: The ways a benchmark can end. "error": setup or teardown failed; "crashed": its process died; "timeout": stopped by crt.
OUTCOMES = ("passed", "failed", "error", "skipped", "timeout", "crashed")

#: How the failure of a run begins whose processes had not imported one and the same code.
NOT_THE_SAME = "client, scheduler and workers do not run the same code"

#: Measured columns of a run, in the order of the ``test_run`` view.
MEASURES = (
    "duration",
    "average_memory",
    "peak_memory",
    "compute_time",
    "disk_spill_time",
    "serializing_time",
    "transfer_time",
    "scheduler_cpu_avg",
    "scheduler_memory_max",
    "worker_max_tick",
    "scheduler_max_tick",
)


def content_id(value: Any) -> str:
    """Name a JSON value by its content: the first 32 hex digits of the SHA-256 of its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed distribution, or (``imported`` set) a module imported from outside any distribution."""

    name: str
    version: str | None = None
    url: str | None = None  # of a VCS or editable install, or the folder that a module was imported from
    commit: str | None = None
    dirty: bool | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything that was installed and imported; ``id`` is the hash of the rest, so equal environments are one row."""

    type: ClassVar[str] = "environment"
    python: str  # 3.11.7.final.0, as the predecessor wrote it
    platform: str  # sys.platform: linux, darwin, win32
    packages: tuple[Package, ...] = ()

    @property
    def id(self) -> str:
        return content_id(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine that ran the session. ``fingerprint`` covers what makes timings comparable, not what varies by the hour."""

    cpu_model: str | None = None
    cores: int | None = None
    memory: int | None = None  # bytes
    machine: str | None = None  # x86_64, arm64
    system: str | None = None  # Linux, Darwin, Windows
    release: str | None = None  # kernel release
    governor: str | None = None
    load: float | None = None  # one-minute load average when the session started
    hostname: str | None = None

    @property
    def fingerprint(self) -> str:
        gibibytes = round(self.memory / 2**30) if self.memory is not None else None
        return content_id([self.cpu_model, self.cores, gibibytes, self.machine, self.system])


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    type: ClassVar[str] = "session"
    id: str
    started: float
    label: str = "local"
    scale: str = "laptop"
    cluster_kind: str = "local"
    cluster_spec: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    suites_commit: str | None = None
    suites_dirty: bool | None = None
    ci_url: str | None = None
    crt_version: str | None = None
    host: Host = field(default_factory=Host)
    schema: int = JOURNAL_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The last line of a whole session. Its absence means that the session was killed."""

    type: ClassVar[str] = "session_end"
    id: str
    ended: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster that tests ran on. ``key`` is the hash of kind and spec: the part of a series key."""

    type: ClassVar[str] = "cluster"
    kind: str
    spec: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    dask_config: dict[str, Any] = field(default_factory=dict)  # dotted keys that differ from Dask's defaults

    @property
    def key(self) -> str:
        return content_id([self.kind, self.spec])


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What was run. ``id`` (path::name) is stable; a new ``source_hash`` is a new version of the same benchmark."""

    type: ClassVar[str] = "benchmark"
    path: str  # from the suites folder, with "/": benchmarks/test_parquet.py
    name: str  # with its parameters: test_read[tasks-1]; within a class: TestX::test_read[tasks-1]
    originalname: str  # without parameters
    params: dict[str, Any] = field(default_factory=dict)
    markers: tuple[str, ...] = ()
    source: str | None = None
    epoch: int = 1
    epoch_reason: str | None = None
    formerly: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.path}::{self.name}"

    @property
    def suite(self) -> str:
        """The topic: ``parquet`` for ``benchmarks/test_parquet.py``."""
        stem = self.path.rsplit("/", 1)[-1].removesuffix(".py")
        return stem.removeprefix("test_")

    @property
    def source_hash(self) -> str | None:
        if self.source is None:
            return None
        # a source may hold what is no UTF-8: half of a surrogate pair that pytest let pass
        return hashlib.sha256(self.source.encode("utf-8", "backslashreplace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A value that a test recorded beyond the built-in columns."""

    name: str
    value: float
    unit: str = ""
    better: str = "lower"  # or "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one benchmark, finished or not."""

    type: ClassVar[str] = "run"
    uuid: str
    session: str
    benchmark: str  # Benchmark.id
    source_hash: str | None = None
    epoch: int = 1
    environment: str | None = None  # Environment.id
    cluster: str | None = None  # Cluster.key; None: no cluster was asked for
    repeat: int = 0
    outcome: str  # one of OUTCOMES
    setup_outcome: str | None = None  # passed, failed, skipped; None: not reached
    call_outcome: str | None = None
    teardown_outcome: str | None = None
    failure: str | None = None
    profiled: bool = False
    start: float | None = None
    end: float | None = None
    duration: float | None = None  # s, of the timed block; None if it raised
    average_memory: float | None = None  # bytes, sum over workers
    peak_memory: float | None = None  # bytes, sum over workers
    compute_time: float | None = None  # thread-seconds
    disk_spill_time: float | None = None  # thread-seconds
    serializing_time: float | None = None  # thread-seconds
    transfer_time: float | None = None  # thread-seconds
    scheduler_cpu_avg: float | None = None  # fraction of one core
    scheduler_memory_max: float | None = None  # bytes
    worker_max_tick: float | None = None  # s
    scheduler_max_tick: float | None = None  # s
    cluster_name: str | None = None
    cluster_id: int | None = None  # Coiled's number
    cluster_details_url: str | None = None
    coiled_software_name: str | None = None
    performance_report_url: str | None = None
    cluster_dump_url: str | None = None
    memray_profiles_url: str | None = None
    py_spy_profiles_url: str | None = None
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The tests that one pytest process is about to run, in order."""

    type: ClassVar[str] = "collected"
    benchmarks: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()  # (file, message) of modules that do not import


@dataclass(frozen=True, slots=True, kw_only=True)
class TestStarted:
    """Written before a test runs: without a Run of the same uuid, the test was running when its process died."""

    __test__: ClassVar[bool] = False  # a record, not a test class
    type: ClassVar[str] = "started"
    uuid: str
    benchmark: str
    at: float
    repeat: int = 0
    timeout: float | None = None  # s


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A long preparation (a data set that is generated, a cluster that starts): ``done`` of ``total`` units."""

    type: ClassVar[str] = "progress"
    what: str
    done: float
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What the user should know and no run says: an artefact that could not be kept, and why."""

    type: ClassVar[str] = "warning"
    text: str


Line = (
    SessionStarted
    | SessionEnded
    | Environment
    | Cluster
    | Benchmark
    | Run
    | Collected
    | TestStarted
    | Progress
    | Warned
)
_TYPES: dict[str, Any] = {kind.type: kind for kind in get_args(Line)}
#: What a column of a database can hold of a whole number.
_LARGEST = 2**63 - 1


def encode(line: Line) -> str:
    """Write a record as one JSON line without its newline. NaN and infinity are refused: missing is None."""
    fields = {"type": line.type, **dataclasses.asdict(line)}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def decode(text: str) -> Line | None:
    """Read one journal line; None for a type that this crt does not know. Raises ValueError on anything else.

    What is read can be stored: a field with a value of another kind is damage, and no record.
    """
    try:
        fields = json.loads(text)
        kind = _TYPES.get(fields["type"])
        if kind is None:
            return None
        line: Line = _record(kind, fields)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a journal line: {text[:80]!r}") from error
    return line


def _record(kind: Any, value: dict[str, Any]) -> Any:
    known = {each.name: str(each.type) for each in dataclasses.fields(kind) if each.name in value}
    return kind(**{name: _value(type_, value[name]) for name, type_ in known.items()})


def _value(kind: str, value: Any) -> Any:
    """A field of this annotation from what JSON has for it. Raises TypeError and ValueError where it is something else."""
    if value is None and kind.endswith(" | None"):
        return None
    kind = kind.removesuffix(" | None")
    if kind == "Host":
        return _record(Host, value)
    if kind == "tuple[Package, ...]":
        return tuple(_record(Package, each) for each in value)
    if kind == "tuple[Metric, ...]":
        return tuple(_record(Metric, each) for each in value)
    if kind == "tuple[tuple[str, str], ...]":
        return tuple((str(first), str(second)) for first, second in value)
    if kind == "tuple[str, ...]":
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
        value = tuple(value) if fits else value
    elif kind.startswith("dict["):
        fits = isinstance(value, dict)
    elif kind in {"str", "bool"}:
        fits = isinstance(value, str if kind == "str" else bool)
    else:
        numbers: Any = int if kind == "int" else (int, float)
        fits = isinstance(value, numbers) and not isinstance(value, bool) and _is_storable(value)
    if not fits:
        raise ValueError(f"{str(value)[:80]!r} where {kind} is expected")
    return value


def _is_storable(value: float) -> bool:
    return abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)
