"""The machine: disks, memory, limits, and whether a cluster starts on it."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import clusters, config, session
from coiled_runtime_cli.core import doctor as judge
from coiled_runtime_cli.core.doctor import MACHINE, Finding, Place
from coiled_runtime_cli.core.quantity import counted, seconds_text
from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long a cluster that has started may take for a task (s).
_TASK = 30.0


def disks(settings: config.Config | None) -> Iterator[Finding]:
    """Each file system that crt would write to."""
    wanted = {"here": Path.cwd()}
    if settings is not None:
        file = config.sqlite_file(settings.db)
        wanted = {
            "database": settings.runs if file is None else file.absolute().parent,
            "data": settings.data,
            "environments": settings.environments,
        }
    places: dict[int, Place] = {}
    for what, folder in wanted.items():
        there = next((each for each in (folder, *folder.absolute().parents) if each.is_dir()), None)
        if there is None:
            continue
        device, free = there.stat().st_dev, shutil.disk_usage(there).free
        known = places.get(device)
        places[device] = Place((*(known.what if known else ()), what), known.folder if known else str(there), free)
    yield from map(judge.disk, places.values())


def check() -> Iterator[Finding]:
    try:
        usable = clusters.Machine.detect().memory
    except CrtError as error:
        yield Finding("memory", "problem", error.message, error.hint or "", error.exit_code)
    else:
        yield judge.memory(session.read_host().memory, usable)
    shared = Path("/dev/shm")  # noqa: S108  it is looked at, and not written to
    yield judge.shared_memory(shutil.disk_usage(shared).total if shared.is_dir() else None)
    try:
        import resource
    except ImportError:  # Windows
        return
    yield judge.open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def set_clock() -> str:
    """A command that has the clock follow the network's time."""
    return "sudo timedatectl set-ntp true" if shutil.which("timedatectl") else "sudo ntpdate pool.ntp.org"


def local_cluster(settings: config.Config) -> Finding:
    """Start a cluster as crt bench does, have it work, and close it."""
    began = time.monotonic()
    try:
        spec = session.prepare(replace(settings, cluster="local"))[1]
        with clusters.start(spec, name=f"crt-doctor-{os.getpid()}") as running, running.client() as client:
            workers = len(client.scheduler_info()["workers"])
            if client.submit(sum, [20, 22]).result(timeout=_TASK) != 42:
                raise AssertionError("a sum is wrong")
    except CrtError as error:
        return Finding("local cluster", "problem", error.message, error.hint or "crt noise", MACHINE)
    except (OSError, TimeoutError) as error:
        return Finding("local cluster", "problem", f"a task did not end: {error}", "crt noise", MACHINE)
    took = seconds_text(time.monotonic() - began)
    return Finding("local cluster", "ok", f"{counted(workers, 'worker')} started, worked and closed in {took}")
