"""Allocations of processes of the cluster, by memray.

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
    """Allocations of ``where`` (scheduler, workers or all), one capture a process (`memray flamegraph FILE` draws it)."""
    draft.profiled = True
    tool = Tool("memray", ".memray", start, stop, "memray_profiles_url")
    return profiled(tool, draft, client, keep, where)


def start(run: str) -> dict[str, Any]:
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


def stop(run: str) -> dict[str, Any]:
    """End the tracking: {"path": of the capture, "size": bytes}, or {"trouble": what is wrong}."""
    import os
    import sys

    held = getattr(sys, "crt_memray", None)
    if held is None or held[0] != run:
        return {"trouble": "the process that was profiled is gone"}
    sys.crt_memray = None  # type: ignore[attr-defined]
    held[1].__exit__(None, None, None)
    return {"path": held[2], "size": os.path.getsize(held[2])}
