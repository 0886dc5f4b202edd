"""What one pytest process records: the state of the running test, and the journal that it goes to."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Benchmark, Cluster, Line, Metric, Progress, Run, TestStarted, Warned

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from coiled_runtime_cli.core.settings import SessionSettings

#: Failure texts are kept from their end, where pytest puts the error; more than this tells nobody anything.
_FAILURE_LIMIT = 20_000

_COLLIDED = (
    "asked for tasks under keys that the scheduler still had with other dependencies; it may lose some, and such a test fails "
    "by chance (dask/dask#9888): persist what two computations share, or compute them at once"
)


@dataclass(slots=True)
class RunDraft:
    """The run of the test that is running; instruments and tests fill it in. Units as in :class:`Run`."""

    uuid: str
    benchmark: Benchmark
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    average_memory: float | None = None
    peak_memory: float | None = None
    compute_time: float | None = None
    disk_spill_time: float | None = None
    serializing_time: float | None = None
    transfer_time: float | None = None
    scheduler_cpu_avg: float | None = None
    scheduler_memory_max: float | None = None
    worker_max_tick: float | None = None
    scheduler_max_tick: float | None = None
    cluster: Cluster | None = None
    cluster_name: str | None = None
    cluster_id: int | None = None
    cluster_details_url: str | None = None
    coiled_software_name: str | None = None
    performance_report_url: str | None = None
    cluster_dump_url: str | None = None
    memray_profiles_url: str | None = None
    py_spy_profiles_url: str | None = None
    profiled: bool = False
    key_collisions: int = 0
    timed: bool = False  # a timed block was asked for: the call phase as a whole is then not the duration
    timed_out: bool = False
    metrics: dict[str, Metric] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    call_blocks: list[AbstractContextManager[Any]] = field(default_factory=list)
    open_blocks: ExitStack = field(default_factory=ExitStack)  # those of the body that is running

    def outcome(self) -> str:
        if self.timed_out:
            return "timeout"
        if "failed" in (self.outcomes.get("setup"), self.outcomes.get("teardown")):
            return "error" if self.outcomes.get("call") != "failed" else "failed"
        return self.outcomes.get("call") or self.outcomes.get("setup") or "error"


class Recorder:
    """Writes the journal lines of this process. One for each pytest process, made by ``--benchmark``."""

    def __init__(self, settings: SessionSettings, process: str) -> None:
        self.settings = settings
        self.current: RunDraft | None = None
        self._process = process
        self._writer: journal.Writer | None = None
        self._written: set[str] = set()
        self._environment: str | None = None
        self._elsewhere: tuple[str, ...] = ()
        self._modules = -1
        self.warnings: list[str] = []

    def write(self, line: Line) -> None:
        if self._writer is None:
            self._writer = journal.Writer(Path(self.settings.folder), self._process)
        self._writer.write(line)

    def write_once(self, key: str, line: Line) -> None:
        if key not in self._written:
            self.write(line)
            self._written.add(key)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def begin(self, benchmark: Benchmark) -> RunDraft:
        self.write_once(f"benchmark {benchmark.id}", benchmark)
        draft = RunDraft(journal.new_id(), benchmark)
        self.write(
            TestStarted(
                uuid=draft.uuid,
                benchmark=benchmark.id,
                at=time.time(),
                repeat=self.settings.repeat,
                timeout=self.settings.timeout,
            )
        )
        self.current = draft
        return draft

    def finish(self, draft: RunDraft) -> None:
        environment = self._current_environment()
        if draft.cluster is not None:
            self.write_once(f"cluster {draft.cluster.key}", draft.cluster)
        outcome = draft.outcome()
        failure = "\n\n".join(draft.failures)[-_FAILURE_LIMIT:] or None
        if draft.key_collisions:
            self.warn(f"{draft.benchmark.id} {_COLLIDED}")
            if failure is not None and outcome not in ("passed", "skipped"):
                failure = f"The test {_COLLIDED}.\n\n{failure}"  # before it: the last line is what people are shown
        self.write(
            Run(
                uuid=draft.uuid,
                session=self.settings.session,
                benchmark=draft.benchmark.id,
                source_hash=draft.benchmark.source_hash,
                epoch=draft.benchmark.epoch,
                environment=environment,
                cluster=draft.cluster.key if draft.cluster is not None else None,
                repeat=self.settings.repeat,
                outcome=outcome,
                setup_outcome=draft.outcomes.get("setup"),
                call_outcome=draft.outcomes.get("call"),
                teardown_outcome=draft.outcomes.get("teardown"),
                failure=failure,
                metrics=tuple(draft.metrics.values()),
                **{name: getattr(draft, name) for name in _COPIED},
            )
        )
        self.current = None

    def progress(self, what: str, done: float, total: float | None = None) -> None:
        self.write(Progress(what=what, done=done, total=total))

    def warn(self, text: str) -> None:
        """Tell the user, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.write(Warned(text=text))

    def _current_environment(self) -> str:
        """The environment's id. It is looked at again whenever a module has been imported since."""
        if self._environment is None or len(sys.modules) != self._modules:
            from coiled_runtime_cli.plugin import identity

            self._modules = len(sys.modules)
            elsewhere = identity.imported_elsewhere(Path(self.settings.suites), self.settings.watched)
            if self._environment is None or elsewhere != self._elsewhere:
                environment = identity.read_environment(elsewhere)
                self._elsewhere, self._environment = elsewhere, environment.id
                self.write_once(f"environment {environment.id}", environment)
        return self._environment


#: What a draft and its run have in common.
_COPIED = tuple(
    name
    for name in RunDraft.__slots__
    if name in Run.__slots__ and name not in ("uuid", "benchmark", "cluster", "metrics")
)


class PhaseTimeout(pytest.fail.Exception):  # type: ignore[name-defined, misc, unused-ignore]
    """Raised in the test by the timer. Not an Exception, so that code under test cannot swallow it."""
