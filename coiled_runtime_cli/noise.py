"""How quiet this machine is at this moment: a few seconds of looking, and of timing what should always take the same."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

#: How often each thing is timed, and how long the machine is watched while crt does nothing (s).
_SLEEPS, _LOOPS, _WRITES, _WATCH = 200, 60, 20, 1.0

#: Bytes that are written and forced to the disk.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNoise:
    """What cannot be found out here is None. Times in seconds, shares from 0 to 1."""

    cores: int
    load: float | None  # one-minute average
    busy: float | None  # share of all cores that others used while crt did nothing
    steal: float | None  # share of time that the hypervisor gave to others
    governor: str | None
    frequency: float | None  # the lowest of all cores, as a share of its maximum
    timer: tuple[float, ...]  # by which sleeps of 1 ms were too long
    loop: tuple[float, ...]  # of a computation that is always the same
    disk: tuple[float, ...]  # of 1 MiB written and synced; (): nothing was written


def measure(folder: Path | None, *, tell: Callable[[str], None], share: float = 1.0) -> HostNoise:
    """Look at this machine for about 3 s, or a ``share`` of that; ``folder`` is where a file of 1 MiB is written, if anywhere.

    Raises ToolError if it cannot be.
    """
    tell("watching")
    before = _cpu_times()
    time.sleep(_WATCH * share)
    busy, steal = _shares(before, _cpu_times())
    tell("timer")
    timer = tuple(_timed(lambda: time.sleep(0.001)) - 0.001 for _ in range(round(_SLEEPS * share)))
    tell("computing")
    _timed(_compute)
    loop = tuple(_timed(_compute) for _ in range(round(_LOOPS * share)))
    tell("disk")
    return HostNoise(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        busy=busy,
        steal=steal,
        governor=_read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        frequency=_frequency(),
        timer=timer,
        loop=loop,
        disk=() if folder is None else _disk(folder),
    )


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _compute() -> int:
    total = 0
    for number in range(60_000):
        total += number * number
    return total


def _disk(folder: Path) -> tuple[float, ...]:
    block = os.urandom(_BLOCK)
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:

            def write() -> None:
                stream.seek(0)
                stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())

            return tuple(_timed(write) for _ in range(_WRITES))
    except OSError as error:
        raise ToolError(f"cannot write to {folder}: {error.strerror or error}") from error


def _cpu_times() -> tuple[int, ...] | None:
    """user, nice, system, idle, iowait, irq, softirq, steal: in ticks, of all cores (proc(5))."""
    text = _read(Path("/proc/stat"))
    if text is None:
        return None
    return tuple(int(each) for each in text.partition("\n")[0].split()[1:9])


def _shares(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> tuple[float | None, float | None]:
    if before is None or after is None or len(before) < 8:
        return None, None
    spent = [late - early for early, late in zip(before, after, strict=True)]
    total = sum(spent)
    if total <= 0:
        return None, None
    return 1 - (spent[3] + spent[4]) / total, spent[7] / total


def _frequency() -> float | None:
    found = []
    for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"):
        now, most = _read(folder / "scaling_cur_freq"), _read(folder / "cpuinfo_max_freq")
        if now is not None and most is not None and now.isdecimal() and most.isdecimal() and int(most):
            found.append(int(now) / int(most))
    return min(found, default=None)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
