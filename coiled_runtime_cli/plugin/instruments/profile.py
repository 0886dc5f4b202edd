"""Artefacts of a run: performance report, memray and py-spy profiles, cluster dump. They cost the run its accuracy.

A run with any of them is marked as profiled, and never enters a comparison.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import Client

    from coiled_runtime_cli.plugin.recorder import RunDraft


@contextmanager
def performance_report(draft: RunDraft, folder: Path) -> Iterator[None]:
    """Dask's own report as HTML."""
    pytest.importorskip("bokeh", reason="a performance report needs bokeh: pip install bokeh")
    from distributed import performance_report as report

    draft.profiled = True
    path = _prepared(folder) / "performance-report.html"
    with report(filename=str(path)):
        yield
    draft.performance_report_url = path.as_uri()


def start_memray(name: str, dask_scheduler: Any = None) -> str:
    """Track allocations of the scheduler's process into a temporary file. Sent by value."""
    import os
    import tempfile

    import memray

    path = os.path.join(tempfile.mkdtemp(prefix="crt-"), name)
    tracker = memray.Tracker(path, native_traces=False)
    tracker.__enter__()
    dask_scheduler.crt_memray = (tracker, path)
    return path


def stop_memray(dask_scheduler: Any = None) -> bytes:
    import os
    import shutil

    tracker, path = dask_scheduler.crt_memray
    tracker.__exit__(None, None, None)
    with open(path, "rb") as stream:
        data = stream.read()
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    return data


@contextmanager
def memray(draft: RunDraft, client: Client, folder: Path) -> Iterator[None]:
    """Allocations of the scheduler, as a memray capture (`memray flamegraph FILE` draws it)."""
    pytest.importorskip("memray", reason="a memory profile needs memray: pip install memray")
    draft.profiled = True
    client.run_on_scheduler(start_memray, "scheduler.memray", callback_timeout=ANSWER_TIMEOUT)
    try:
        yield
    finally:
        data = client.run_on_scheduler(stop_memray, callback_timeout=ANSWER_TIMEOUT)
        path = _prepared(folder) / "scheduler.memray"
        path.write_bytes(data)
        draft.memray_profiles_url = path.as_uri()


def start_py_spy() -> tuple[int, str]:
    """Record the calling process with py-spy into a temporary file: (pid of py-spy, file). Sent by value."""
    import os
    import subprocess
    import sys
    import tempfile

    path = os.path.join(tempfile.mkdtemp(prefix="crt-"), "profile.json")
    program = os.path.join(os.path.dirname(sys.executable), "py-spy")
    command = [program, "record", "--pid", str(os.getpid()), "--format", "speedscope", "--duration", "86400"]
    process = subprocess.Popen(
        [*command, "--output", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return process.pid, path


def stop_py_spy(pid: int, path: str) -> bytes:
    """End the recording and give its speedscope JSON; empty if py-spy was not allowed to look."""
    import os
    import shutil
    import signal
    import time

    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
        except ChildProcessError:
            break
        time.sleep(0.05)
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""
    finally:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)


@contextmanager
def py_spy(draft: RunDraft, client: Client, folder: Path, where: str) -> Iterator[None]:
    """Processor profiles of ``where`` (scheduler, workers or all), one speedscope file for each process."""
    draft.profiled = True
    scheduler = client.run_on_scheduler(start_py_spy) if where in ("scheduler", "all") else None
    workers = client.run(start_py_spy) if where in ("workers", "all") else {}
    try:
        yield
    finally:
        target = _prepared(folder)
        if scheduler is not None:
            (target / "scheduler.speedscope.json").write_bytes(client.run_on_scheduler(stop_py_spy, *scheduler))
        for index, (address, (pid, path)) in enumerate(sorted(workers.items())):
            data = client.run(stop_py_spy, pid, path, workers=[address])[address]
            (target / f"worker-{index}.speedscope.json").write_bytes(data)
        draft.py_spy_profiles_url = target.as_uri()


def cluster_dump(draft: RunDraft, client: Client, folder: Path) -> None:
    """The state of scheduler and workers, as `Client.dump_cluster_state` writes it."""
    path = _prepared(folder) / "cluster-dump"
    client.dump_cluster_state(str(path))
    draft.cluster_dump_url = path.with_name(path.name + ".msgpack.gz").as_uri()


def _prepared(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
