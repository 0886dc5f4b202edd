"""Artefacts of a run: performance report, memray and py-spy profiles, cluster dump. But for the last they cost accuracy.

A run with any of these is marked as profiled, and never enters a comparison. What cannot be had (a library that is missing on
a worker, a cluster that died, a full disk) is said, and costs no run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import RunDraft

#: How long the scheduler may take to write a report, or to collect the state of the cluster (s).
_LONG = 300.0

#: What is fetched at once of a profile (bytes).
_PIECE = 16 * 2**20

_SCHEDULER = "scheduler"


@contextmanager
def performance_report(draft: RunDraft, client: Client | None, keep: Keep) -> Iterator[None]:
    """Dask's own report as HTML, which opens without a network. Without ``client`` that of the newest one."""
    import time

    import distributed

    name = "performance-report.html"
    asked = client if client is not None else distributed.get_client()
    draft.profiled = True
    start, count = time.time(), None
    with _unharmed(keep, "no performance report"):
        asked.get_task_stream(start=0, stop=0)  # from here on tasks are noted
        count = asked.run_on_scheduler(_samples, callback_timeout=ANSWER_TIMEOUT)
    with _ends(lambda: _write_report(draft, asked, keep, name, start=start, last_count=count)):
        yield


def _write_report(
    draft: RunDraft, client: Client, keep: Keep, name: str, *, start: float, last_count: int | None
) -> None:
    if last_count is None:
        return
    with _unharmed(keep, "no performance report"):
        _check_answers(client)
        html = client.sync(
            client.scheduler.performance_report,
            start=start,
            last_count=last_count,
            code=draft.benchmark.source or "",
            mode="inline",
            callback_timeout=_LONG,
        )
        with keep.file(name) as path:
            path.write_text(html, encoding="utf-8")
        draft.performance_report_url = keep.url(name)


def memray(draft: RunDraft, client: Client, keep: Keep, where: str) -> AbstractContextManager[None]:
    """Allocations of ``where`` (scheduler, workers or all), one capture a process (`memray flamegraph FILE` draws it)."""
    draft.profiled = True
    tool = _Tool("memray", ".memray", start_memray, stop_memray, "memray_profiles_url")
    return _profiled(tool, draft, client, keep, where)


def py_spy(draft: RunDraft, client: Client, keep: Keep, where: str) -> AbstractContextManager[None]:
    """Where ``where`` (scheduler, workers or all) spent processor time, one file for https://speedscope.app a process."""
    draft.profiled = True
    tool = _Tool("py-spy", ".speedscope.json", start_py_spy, stop_py_spy, "py_spy_profiles_url")
    return _profiled(tool, draft, client, keep, where)


def cluster_dump(draft: RunDraft, client: Client, keep: Keep) -> None:
    """The state of scheduler and workers, as `Client.dump_cluster_state` writes it."""
    from distributed import cluster_dump as dumps

    name, kind = "cluster-dump", ".msgpack.gz"
    with _unharmed(keep, "no cluster dump"):
        _check_answers(client)
        with keep.file(name + kind) as path:
            written = path.with_name(path.name + kind)
            try:
                client.sync(
                    dumps.write_state,
                    partial(client.scheduler.get_cluster_state, exclude=()),
                    str(path),
                    "msgpack",
                    callback_timeout=_LONG,
                )
                written.replace(path)
            finally:
                written.unlink(missing_ok=True)
        draft.cluster_dump_url = keep.url(name + kind)


@dataclass(frozen=True, slots=True)
class _Tool:
    """A profiler that runs within each profiled process, or beside it."""

    name: str
    suffix: str  # of its files
    start: Callable[..., Any]
    stop: Callable[..., Any]
    column: str  # of the run that says where its files are


@contextmanager
def _profiled(tool: _Tool, draft: RunDraft, client: Client, keep: Keep, where: str) -> Iterator[None]:
    began: list[str] = []
    with _unharmed(keep, f"no profile of {tool.name}"):
        for place, answer in _ask(client, where, tool.start, draft.uuid).items():
            if isinstance(answer, dict) and "began" in answer:
                began.append(place)
            elif not isinstance(answer, dict) or "shared" not in answer:
                keep.say(_missing(tool, place, answer))
    end = partial(_end, tool, draft, client, keep, where, began)
    with _ends(partial(end, fetch=True), hurried=partial(end, fetch=False)):
        yield


def _end(
    tool: _Tool, draft: RunDraft, client: Client, keep: Keep, where: str, began: list[str], *, fetch: bool
) -> None:
    if not began:
        return
    with _unharmed(keep, f"no profile of {tool.name}"):
        _check_answers(client)
        ended = _ask(client, where, tool.stop, draft.uuid, places=began)
        if fetch:
            _fetch(tool, draft, client, keep, ended)


@contextmanager
def _ends(end: Callable[[], None], hurried: Callable[[], None] | None = None) -> Iterator[None]:
    """Call ``end`` after the block, however it ends; ``hurried`` where the user interrupts it."""
    try:
        yield
    except KeyboardInterrupt:
        if hurried is not None:
            hurried()
        raise
    except BaseException:
        end()
        raise
    else:
        end()


def _fetch(tool: _Tool, draft: RunDraft, client: Client, keep: Keep, ended: dict[str, Any]) -> None:
    workers = sorted(place for place in ended if place != _SCHEDULER)
    for place, answer in ended.items():
        if not isinstance(answer, dict) or not answer.get("size"):
            keep.say(_missing(tool, place, answer))
            continue
        title = place if place == _SCHEDULER else f"worker-{workers.index(place)}"
        with _unharmed(keep, f"no profile of {tool.name} of {title}"):
            with keep.file(f"{tool.name}/{title}{tool.suffix}") as path, path.open("wb") as stream:
                while (offset := stream.tell()) < answer["size"]:
                    piece = _ask_one(client, place, read_piece, answer["path"], offset, _PIECE)
                    if not piece:
                        raise OSError(f"the file of {place} ended early")
                    stream.write(piece)
            setattr(draft, tool.column, keep.url(f"{tool.name}/"))
        with _unharmed(keep, f"a file of {tool.name} could not be removed"):
            _ask_one(client, place, forget, answer["path"])


def _missing(tool: _Tool, place: str, answer: object) -> str:
    from coiled_runtime_cli.plugin.artifacts import one_line

    why = one_line(answer) if isinstance(answer, BaseException) else "nothing was recorded"
    if isinstance(answer, dict):
        why = str(answer.get("trouble") or why)
    kind = "the scheduler" if place == _SCHEDULER else "a worker"  # not which one: it is said once, not for each
    return f"no profile of {tool.name} of {kind}: {why}"


@contextmanager
def _unharmed(keep: Keep, what: str) -> Iterator[None]:
    """Whatever goes wrong in the block is said, and is over."""
    from coiled_runtime_cli.clusters.running import CLUSTER_ERRORS
    from coiled_runtime_cli.plugin.artifacts import one_line

    try:
        yield
    except CLUSTER_ERRORS as error:
        keep.say(f"{what}: {one_line(error)}")


def _check_answers(client: Client) -> None:
    """A scheduler that is gone is not waited for."""
    if client.status != "running":
        raise OSError("the scheduler is gone")


def _ask(
    client: Client, where: str, function: Callable[..., Any], *arguments: object, places: list[str] | None = None
) -> dict[str, Any]:
    """The answers of ``where``, or of ``places`` alone, by address; one that did not answer has the error for an answer."""
    found: dict[str, Any] = {}
    workers = None if places is None else [each for each in places if each != _SCHEDULER]
    if where in {"workers", "all"} and workers != []:
        found |= client.run(
            function, *arguments, workers=workers, on_error="return", callback_timeout=2 * ANSWER_TIMEOUT
        )
    if where in {_SCHEDULER, "all"} and (places is None or _SCHEDULER in places):
        found[_SCHEDULER] = client.run_on_scheduler(function, *arguments, callback_timeout=2 * ANSWER_TIMEOUT)
    return found


def _ask_one(client: Client, place: str, function: Callable[..., Any], *arguments: object) -> Any:
    if place == _SCHEDULER:
        return client.run_on_scheduler(function, *arguments, callback_timeout=ANSWER_TIMEOUT)
    return client.run(function, *arguments, workers=[place], callback_timeout=ANSWER_TIMEOUT)[place]


# What follows is sent by value, and runs in the processes that are profiled. A process has one profiler of a kind, though it
# may hold a scheduler and workers: what runs is noted in `sys`, with the run that it is of.


def _samples(dask_scheduler: Any = None) -> int:
    return dask_scheduler.monitor.count  # type: ignore[no-any-return]


def start_memray(run: str) -> dict[str, Any]:
    """Track the allocations of this process: {"began": True}, or {"shared": True}, or {"trouble": why not}."""
    import os
    import shutil
    import sys
    import tempfile

    held = getattr(sys, "crt_memray", None)
    if held is not None and held[0] == run:
        return {"shared": True}
    if held is not None:  # of a run whose end nobody could tell
        held[1].__exit__(None, None, None)
        shutil.rmtree(os.path.dirname(held[2]), ignore_errors=True)
        sys.crt_memray = None  # type: ignore[attr-defined]
    try:
        import memray
    except ImportError:
        return {"trouble": "memray is not installed there"}
    path = os.path.join(tempfile.mkdtemp(prefix="crt-"), "capture")
    try:
        tracker = memray.Tracker(path)
        tracker.__enter__()
    except (OSError, RuntimeError) as error:  # no room, or someone else tracks
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        return {"trouble": str(error)}
    sys.crt_memray = (run, tracker, path)  # type: ignore[attr-defined]
    return {"began": True}


def stop_memray(run: str) -> dict[str, Any]:
    """End the tracking: {"path": of the capture, "size": bytes}, or {"trouble": what is wrong}."""
    import os
    import sys

    held = getattr(sys, "crt_memray", None)
    if held is None or held[0] != run:
        return {"trouble": "the process that was profiled is gone"}
    sys.crt_memray = None  # type: ignore[attr-defined]
    held[1].__exit__(None, None, None)
    return {"path": held[2], "size": os.path.getsize(held[2])}


async def start_py_spy(run: str) -> dict[str, Any]:
    """Have py-spy record this process: {"began": True}, or {"shared": True}, or {"trouble": why not}."""
    import asyncio
    import ctypes
    import os
    import shutil
    import subprocess
    import sys
    import tempfile
    import time

    held = getattr(sys, "crt_py_spy", None)
    if held is not None and held[0] == run:
        return {"shared": True}
    if held is not None:  # of a run whose end nobody could tell
        held[1].kill()
        held[1].wait()
        shutil.rmtree(held[2], ignore_errors=True)
        sys.crt_py_spy = None  # type: ignore[attr-defined]
    program = os.path.join(os.path.dirname(sys.executable), "py-spy")
    found = program if os.path.exists(program) else shutil.which("py-spy")
    if found is None:
        return {"trouble": "py-spy is not installed there"}
    try:  # where a process may look at its children only: this one lets itself be looked at (PR_SET_PTRACER, any)
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
    except (AttributeError, OSError, TypeError):
        pass
    folder = tempfile.mkdtemp(prefix="crt-")
    command = [found, "record", "--pid", str(os.getpid()), "--format", "speedscope", "--duration", "86400"]
    said = os.path.join(folder, "said")
    try:
        with open(said, "wb") as stream:
            process = subprocess.Popen(
                [*command, "--output", os.path.join(folder, "profile")],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        return {"trouble": str(error)}
    sys.crt_py_spy = (run, process, folder)  # type: ignore[attr-defined]
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with open(said, "rb") as stream:
            if b"Sampling" in stream.read():  # asked to end before that, it would write nothing
                break
        await asyncio.sleep(0.02)
    return {"began": True}


async def stop_py_spy(run: str) -> dict[str, Any]:
    """End the recording: {"path": of the speedscope file, "size": bytes}, or {"trouble": what py-spy said}."""
    import asyncio
    import os
    import shutil
    import signal
    import sys
    import time

    held = getattr(sys, "crt_py_spy", None)
    if held is None or held[0] != run:
        return {"trouble": "the process that was profiled is gone"}
    sys.crt_py_spy = None  # type: ignore[attr-defined]
    _, process, folder = held
    deadline = time.monotonic() + 25
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
    path = os.path.join(folder, "profile")
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if size:
        return {"path": path, "size": size}
    with open(os.path.join(folder, "said"), "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    shutil.rmtree(folder, ignore_errors=True)
    if "ermission" in said:
        return {"trouble": "py-spy may not look at processes here: it needs root, or the capability SYS_PTRACE"}
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return {"trouble": lines[-1] if lines else "py-spy recorded nothing"}


def read_piece(path: str, offset: int, length: int) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def forget(path: str) -> None:
    """Remove the folder that a profile was written in."""
    import os
    import shutil

    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
