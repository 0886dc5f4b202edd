"""A history of runs as columns: what reports and detectors read, whatever it was stored in.

Rows are runs by (start, uuid). Everything that many runs share is a tuple that they point into, in an order that depends on
the content alone, so that the same runs give the same history from whichever databases they come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from coiled_runtime_cli.core.bisection import Bisection
    from coiled_runtime_cli.core.record import Package

#: Setup, call and teardown of a run: codes of the ``setup``, ``call`` and ``teardown`` columns.
PHASE_OUTCOMES = (None, "passed", "failed", "skipped")

#: ``start`` and ``end`` of a run whose time is unknown: the value of numpy's NaT.
NO_TIME = -(2**63)


def uuid_text(raw: NDArray[np.void] | np.void) -> str:
    """The usual spelling of a UUID of 16 bytes."""
    text = raw.tobytes().hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySession:
    id: str
    started: datetime | None
    ended: datetime | None
    interrupted: bool
    label: str | None
    scale: str | None
    host_fingerprint: str | None
    host: dict[str, Any]  # cpu_model, cores, memory (bytes), ... as recorded; empty where nothing is known
    command: tuple[str, ...]
    suites_commit: str | None
    suites_dirty: bool | None
    ci_url: str | None
    crt_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEnvironment:
    id: str
    python: str | None  # 3.11.7.final.0
    platform: str | None
    packages: tuple[Package, ...]  # by name


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCluster:
    """A cluster as runs saw it. ``spec_id`` is the part of a series key, ``spec`` what was asked for."""

    id: str
    kind: str | None
    spec_id: str | None
    spec: dict[str, Any]
    name: str | None
    cluster_id: int | None
    details_url: str | None
    software_name: str | None
    dask_config: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBenchmark:
    """One version (epoch and source) of a benchmark. ``id`` is the current one, ``former`` the one it ran under, if another."""

    id: str  # path::name
    former: str | None
    epoch: int
    epoch_reason: str | None
    path: str
    name: str
    originalname: str
    suite: str
    params: dict[str, Any]
    markers: tuple[str, ...]
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryMetric:
    """A measure or a recorded metric. ``key`` is its name, with the unit where two metrics share a name."""

    key: str
    name: str
    unit: str
    better: str  # lower, higher
    display_unit: str
    display_scale: float  # a value is shown as value / display_scale display_units
    built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunColumns:
    """One row per run, by (start, uuid); rows without a start come first. All arrays have length n."""

    uuid: NDArray[np.void]  # V16: the bytes of the UUID
    session: NDArray[np.int32]  # index into History.sessions
    benchmark: NDArray[np.int32]  # index into History.benchmarks
    environment: NDArray[np.int32]  # index into History.environments, -1: unknown
    cluster: NDArray[np.int32]  # index into History.clusters, -1: none was asked for
    outcome: NDArray[np.uint8]  # index into record.OUTCOMES
    setup: NDArray[np.uint8]  # index into PHASE_OUTCOMES, as are the next two
    call: NDArray[np.uint8]
    teardown: NDArray[np.uint8]
    repeat: NDArray[np.int16]
    profiled: NDArray[np.bool_]
    start: NDArray[np.int64]  # microseconds since the epoch (UTC), or NO_TIME
    end: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]  # by metric key, in the metric's unit; NaN: missing

    def __len__(self) -> int:
        return len(self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNote:
    """What few runs have: why they failed, and where their artefacts are (performance_report, cluster_dump, memray, py_spy)."""

    failure: str | None = None
    artefacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Runs with what they point to. Sessions and environments are ordered by (started or first use, id), the rest by id."""

    sessions: tuple[HistorySession, ...]
    environments: tuple[HistoryEnvironment, ...]
    clusters: tuple[HistoryCluster, ...]
    benchmarks: tuple[HistoryBenchmark, ...]
    metrics: tuple[HistoryMetric, ...]  # the built-in ones in the order of MEASURES, then by key
    runs: RunColumns
    notes: dict[bytes, RunNote]  # by the bytes of the run's UUID; most runs have none
    bisections: tuple[Bisection, ...] = ()
