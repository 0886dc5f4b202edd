"""The hooks that measure: registered by ``--benchmark`` alone."""

from __future__ import annotations

import inspect
import math
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Benchmark, Collected, Line, SessionEnded
from coiled_runtime_cli.core.settings import SessionSettings
from coiled_runtime_cli.plugin.recorder import PhaseTimeout, Recorder, RunDraft

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest teardown (s) when tests are limited at all.
TEARDOWN_LIMIT = 60.0

#: Longest upload of the artefacts of a test (s) when tests are not limited.
UPLOAD_LIMIT = 3600.0


def register(config: pytest.Config) -> None:
    """Start recording in this process: the only one, the controller of xdist, or one of its workers."""
    if config.getoption("collectonly", default=False):
        return
    worker = getattr(config, "workerinput", None)
    controls = worker is None and bool(config.getoption("dist", "no") != "no" and config.getoption("tx", None))
    process = str(worker["workerid"]) if worker is not None else "main"
    path = config.getoption("--crt-session") or (worker or {}).get("crt_session")
    alone = path is None
    if path is None:
        settings, path = _begin_alone(config)
    else:
        settings = SessionSettings.from_json(Path(path).read_text())
    if settings.repeat:
        process = f"{process}-{settings.repeat}"
    recorder = Recorder(settings, process)
    deaths = DeathsOfWorkers(Path(settings.folder)) if worker is not None else None
    hooks = BenchmarkHooks(
        config, recorder, controls=controls, leads=worker is None, alone=alone, deaths=deaths, file=str(path)
    )
    config.pluginmanager.register(hooks, "crt-benchmark")
    if deaths is not None:
        config.pluginmanager.register(deaths, "crt-deaths")
    if worker is None and settings.parent is not None:
        _stop_when_gone(settings.parent)


def _begin_alone(config: pytest.Config) -> tuple[SessionSettings, Path]:
    from coiled_runtime_cli import session
    from coiled_runtime_cli.errors import CrtError
    from coiled_runtime_cli.plugin import given_flags

    try:
        return session.begin_from_pytest(given_flags(config), command=tuple(map(str, config.invocation_params.args)))
    except CrtError as error:
        raise pytest.UsageError(error.message + (f"\n{error.hint}" if error.hint else "")) from error


def _stop_when_gone(parent: int) -> None:
    """End this pytest when the crt that started it has died: nothing may go on unseen, on a cluster that costs money."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)  # fixtures close their clusters
        time.sleep(20)
        os._exit(130)

    threading.Thread(target=watch, name="crt-parent", daemon=True).start()


class DeathsOfWorkers:
    """Passes over a test that has killed another xdist worker: xdist hands it out again, with the rest of its module."""

    def __init__(self, folder: Path) -> None:
        self._follower = journal.Follower(folder)
        self._lines: tuple[Line, ...] = ()
        self._killers: frozenset[str] = frozenset()
        self._module: Path | None = None

    def has_killed(self, item: pytest.Item, benchmark: str) -> bool:
        if item.path != self._module:  # modules are handed out whole: this is when the tests of a dead worker can come
            self._module = item.path
            self._lines += tuple(self._follower.poll())
            self._killers = frozenset(each.benchmark for each in journal.unfinished(self._lines))
        self._item = (item, benchmark in self._killers)
        return self._item[1]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if self._item == (item, True) else None


class BenchmarkHooks:
    """Turns pytest's phases into journal lines."""

    def __init__(
        self,
        config: pytest.Config,
        recorder: Recorder,
        *,
        controls: bool,
        leads: bool,
        alone: bool,
        deaths: DeathsOfWorkers | None,
        file: str,
    ) -> None:
        self._config = config
        self.recorder = recorder
        self._controls = controls  # hands tests to xdist workers, and runs none itself
        self._leads = leads  # the controller, or the only process
        self._alone = alone  # without crt: ends the session and stores the rows itself
        self._deaths = deaths
        # without crt it is this process that the session belongs to
        self._owner = journal.Alive(Path(recorder.settings.folder), journal.OWNER) if leads and alone else None
        self._file = file
        self._errors: list[tuple[str, str]] = []
        self._sources: dict[Any, str | None] = {}
        self._interrupted = False
        self._stored = ""
        self._running: RunDraft | None = None
        self._began = self._deadline = 0.0

    def close(self) -> None:
        self.recorder.close()
        if self._owner is not None:
            self._owner.close()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Have the workers of xdist join this session: they see the command line, and not what came of it."""
        node.workerinput["crt_session"] = self._file

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._errors.append((report.nodeid, report.longreprtext[-4000:]))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self._controls:
            self.recorder.write(
                Collected(
                    benchmarks=tuple(self._identify(item).id for item in session.items), errors=tuple(self._errors)
                )
            )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        only = self.recorder.settings.only
        if only is not None:
            wanted = set(only)
            chosen = {item: None for item in items if self._identify(item).id in wanted}
            self._config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
            items[:] = chosen

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self._deaths is not None and self._deaths.has_killed(item, self._identify(item).id):
            yield
            return
        try:
            draft = self.recorder.begin(self._benchmark(item))
        except OSError as error:
            pytest.exit(self._cannot_write(error), returncode=3)
        self._running = draft
        self._began = time.monotonic()
        self._deadline = self._began + (self.recorder.settings.timeout or 0.0)
        outcome = yield
        self._running = None
        if outcome.excinfo is not None:  # type: ignore[attr-defined]
            return  # interrupted: it did not finish, and is not a run
        try:
            self._upload(draft)
        finally:
            try:
                self.recorder.finish(draft)
            except OSError as error:
                item.session.shouldstop = self._cannot_write(error)

    def _upload(self, draft: RunDraft) -> None:
        settings = self.recorder.settings
        if settings.artifacts_url is None:
            return
        from coiled_runtime_cli.plugin import artifacts

        seconds = UPLOAD_LIMIT
        if settings.timeout:  # what is left before crt takes this process for hung
            seconds = self._began + settings.timeout + min(settings.timeout, TEARDOWN_LIMIT) - time.monotonic()
        trouble = artifacts.deliver(settings, draft, seconds=max(seconds, 1.0))
        if trouble is not None:
            self.recorder.warn(trouble)

    def _cannot_write(self, error: OSError) -> str:
        # what is not recorded is not worth running
        return f"crt: cannot write the journal in {self.recorder.settings.folder}: {error.strerror or error}"

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        with self._limited():
            yield

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        draft = self._running
        if draft is None:
            yield
            return
        if draft.call_blocks:
            yield from self._measured_call(draft)
            return
        start = time.time()
        began = time.perf_counter()
        with self._limited():
            outcome = yield
        if not draft.timed:
            draft.start = start
            draft.end = start + time.perf_counter() - began
            if outcome.excinfo is None:  # type: ignore[attr-defined]
                draft.duration = draft.end - start

    def _measured_call(self, draft: RunDraft) -> Iterator[None]:
        """The call phase inside the blocks that fixtures asked for.

        A block that cannot be entered fails the test before its body runs. When the body failed, its own error is the one to
        tell: instruments that cannot reach a dead cluster afterwards say nothing new.
        """
        with self._limited():
            stack = draft.open_blocks
            try:
                for block in draft.call_blocks:
                    stack.enter_context(block)
            except BaseException:
                stack.__exit__(*sys.exc_info())
                raise
            outcome: Any = yield
            failed = outcome.excinfo is not None
            try:
                stack.__exit__(*(outcome.excinfo or (None, None, None)))
            except BaseException as error:  # noqa: BLE001 - whatever an instrument raises is the test's error now
                if not failed:
                    outcome.force_exception(error)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        # a test that used up its time still has to clean up
        self._deadline = time.monotonic() + min(self.recorder.settings.timeout or 0.0, TEARDOWN_LIMIT)
        with self._limited():
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        outcome = yield
        draft = self._running
        if draft is None:
            return
        report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
        draft.outcomes[call.when] = report.outcome
        if report.outcome == "failed":
            draft.failures.append(report.longreprtext)
            if call.excinfo is not None and isinstance(call.excinfo.value, PhaseTimeout):
                draft.timed_out = True
        elif report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            draft.failures.append(report.longrepr[2])

    def pytest_keyboard_interrupt(self) -> None:
        self._interrupted = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if not (self._leads and self._alone):
            return
        from coiled_runtime_cli import session

        settings = self.recorder.settings
        self.recorder.write(SessionEnded(id=settings.session, ended=time.time(), interrupted=self._interrupted))
        self.close()
        self._stored = session.store_after_pytest(settings)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for each in self.recorder.warnings:
            terminalreporter.write_line(f"crt: {each}")
        if self._stored:
            terminalreporter.write_line(self._stored)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Raise PhaseTimeout in this phase when the test's time is over, where the platform has interval timers.

        Set-up and body share ``timeout`` seconds.
        """
        seconds = self.recorder.settings.timeout
        if not seconds or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return

        def expire(_signal: int, _frame: Any) -> None:
            __tracebackhide__ = True
            raise PhaseTimeout(f"timed out after {seconds:g} s")

        before = signal.signal(signal.SIGALRM, expire)
        signal.setitimer(signal.ITIMER_REAL, max(self._deadline - time.monotonic(), 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _identify(self, item: pytest.Item) -> Benchmark:
        """Path, name and parameters: what collecting tells without reading a source."""
        original = getattr(item, "originalname", None) or item.name
        _, _, inside = item.nodeid.partition("::")
        path = _relative_path(item, Path(self.recorder.settings.suites))
        return Benchmark(path=path, name=inside or item.name, originalname=original)

    def _benchmark(self, item: pytest.Item) -> Benchmark:
        plain = self._identify(item)
        epoch, reason = 1, None
        marker = item.get_closest_marker("epoch")
        if marker is not None:
            epoch = int(marker.args[0] if marker.args else marker.kwargs.get("number", 1))
            reason = marker.kwargs.get("reason")
        former = []
        for each in item.iter_markers("formerly"):
            former += [str(old) if "::" in str(old) else f"{plain.path}::{old}" for old in each.args]
        callspec = getattr(item, "callspec", None)
        params = callspec.params if callspec is not None else {}
        return Benchmark(
            path=plain.path,
            name=plain.name,
            originalname=plain.originalname,
            params={name: _as_json(value) for name, value in params.items()},
            markers=tuple(sorted({each.name for each in item.iter_markers()} - {"parametrize", "usefixtures"})),
            source=self._source(item),
            epoch=epoch,
            epoch_reason=reason,
            formerly=tuple(dict.fromkeys(former)),
        )

    def _source(self, item: pytest.Item) -> str | None:
        function = getattr(item, "function", None)
        if function not in self._sources:
            try:
                self._sources[function] = inspect.getsource(function) if function is not None else None
            except (OSError, TypeError):
                self._sources[function] = None
        return self._sources[function]


def _relative_path(item: pytest.Item, suites: Path) -> str:
    try:
        return item.path.relative_to(suites).as_posix()
    except ValueError:
        return item.nodeid.partition("::")[0]


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)[:200]
