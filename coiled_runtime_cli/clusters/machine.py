"""The machine that a local cluster runs on, and how the cluster is sized to it.

Only facts that do not change from hour to hour count (cores and total memory, never free memory), so that two runs on
one machine get the same cluster and can be compared.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coiled_runtime_cli.core.quantity import bytes_text
from coiled_runtime_cli.errors import UsageError

#: What scheduler, client and operating system keep of the memory.
RESERVED = 0.2

#: A worker is given this much, or there are fewer workers: what is imported takes some 200 MiB in each.
COMFORTABLE = 512 * 2**20

#: Below this a worker pauses before its first task.
LEAST = 256 * 2**20

_UNLIMITED = 2**60  # cgroup v1 writes a page-rounded 2**63 for "no limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``cores`` that this process may use, and ``memory`` (bytes) that it may fill."""

    cores: int
    memory: int

    @classmethod
    def detect(cls, root: Path = Path("/")) -> Machine:
        """Read this machine, within the limits of a container. ``root`` is where /proc and /sys are.

        Raises UsageError where neither the operating system nor psutil tells the memory.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = _total_memory(root)
        for group in _control_groups(root):
            quota = _quota(group)
            if quota is not None:
                cores = min(cores, max(1, int(quota)))
            memory = min(memory, _memory_limit(group))
        return cls(cores=cores, memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Workers, threads of each, and the memory limit of each (bytes)."""

    workers: int
    threads: int
    memory: int


def size(
    machine: Machine,
    *,
    parallel: int = 1,
    workers: int | None = None,
    threads: int | None = None,
    least: int = LEAST,
) -> Size:
    """Size one of ``parallel`` equal clusters to the machine; ``workers`` and ``threads`` are what the user has fixed.

    Raises UsageError when a worker would get less than ``least`` bytes, too little to work at all.
    """
    share = max(1, machine.cores // parallel)
    memory = int(machine.memory * (1 - RESERVED)) // parallel
    if workers is None:
        workers = max(1, share // threads) if threads is not None else _workers(share)
        while workers > 1 and round_down(memory // workers) < COMFORTABLE:
            workers -= 1
    limit = round_down(memory // workers)
    if limit < least:
        raise UsageError(
            f"{parallel} x {workers} workers on {bytes_text(machine.memory)} would get {bytes_text(limit)} each; "
            f"a worker needs {bytes_text(least)}",
            hint="use fewer processes (-n) or fewer workers, or set memory_limit in [clusters.local]",
        )
    return Size(workers=workers, threads=threads or max(1, share // workers), memory=limit)


def _workers(cores: int) -> int:
    """One worker a core up to four, then some more workers than threads in each, using as many cores as divide well."""
    if cores <= 4:
        return cores
    for used in range(cores, 0, -1):
        for workers in range(1, used + 1):
            if used % workers == 0 and workers * workers >= used:
                if workers * workers <= 4 * used:
                    return workers
                break
    return 1


def round_down(value: int) -> int:
    """Round to four binary digits, downwards, so that small changes of the total vanish: 9.4 GiB is 9 GiB."""
    step = 1 << max(0, value.bit_length() - 4)
    return value // step * step


def _total_memory(root: Path) -> int:
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        pass
    try:
        import psutil
    except ImportError as error:
        raise UsageError(
            "cannot find out how much memory this machine has",
            hint="python -m pip install psutil, or set n_workers and memory_limit in [clusters.local]",
        ) from error
    return int(psutil.virtual_memory().total)


def _control_groups(root: Path) -> list[Path]:
    """The folders of the control groups of this process and of their parents, of version 1 and 2."""
    mounts = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: dict[Path, None] = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in {"", "memory", "cpu", "cpu,cpuacct"} & {controllers, *controllers.split(",")}:
            base = mounts / controller
            group = base / path.strip("/")
            # Inside a container the path can be the host's, and only the mount point itself exists.
            while group != base and base in group.parents:
                found[group] = None
                group = group.parent
            found[base] = None
    return list(found)


def _numbers(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _quota(group: Path) -> float | None:
    """Cores' worth of time that the group may use; None: no limit."""
    both = _numbers(group / "cpu.max") or [
        *_numbers(group / "cpu.cfs_quota_us"),
        *_numbers(group / "cpu.cfs_period_us"),
    ]
    try:
        quota, period = (float(each) for each in both)
    except ValueError:  # "max", or no such files
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory_limit(group: Path) -> int:
    for name in ("memory.max", "memory.limit_in_bytes"):
        written = _numbers(group / name)
        if written and written[0].isdecimal() and 0 < int(written[0]) < _UNLIMITED:
            return int(written[0])
    return _UNLIMITED
