"""Where processes of the cluster spend processor time, by py-spy.

What runs in a process that is profiled is sent by value. A process has one such profiler, though it may hold a scheduler and
workers: what runs is noted in `sys`, with the run that it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.plugin.instruments.profiler import Tool, profiled

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import RunDraft


def record(draft: RunDraft, client: Client, keep: Keep, where: str) -> AbstractContextManager[None]:
    """Where ``where`` (scheduler, workers or all) spent processor time, one file for https://speedscope.app a process."""
    draft.profiled = True
    tool = Tool("py-spy", ".speedscope.json", start, stop, "py_spy_profiles_url")
    return profiled(tool, draft, client, keep, where)


async def start(run: str) -> dict[str, Any]:
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


async def stop(run: str) -> dict[str, Any]:
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
