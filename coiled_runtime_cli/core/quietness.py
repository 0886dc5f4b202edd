"""What the noise of a machine, and of tests on it, means for whoever wants to measure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from coiled_runtime_cli.core.changepoint import FEWEST, noise_of
from coiled_runtime_cli.core.planning import detectable, runs_per_arm
from coiled_runtime_cli.core.quantity import seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: From where on each is worth a word: shares of all cores, of time, of the mean; and seconds.
_BUSY, _STEAL, _UNEVEN, _LATE, _SLOW_DISK, _LOW = 0.1, 0.01, 0.03, 0.001, 0.05, 0.8


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about the machine. ``advice`` is empty where it is as it should be."""

    what: str
    value: str
    advice: str = ""


def spread(times: Sequence[float]) -> float:
    """Relative standard deviation, from the median absolute deviation: one hiccup is not the rule."""
    middle = median(times)
    return 1.4826 * median(abs(each - middle) for each in times) / middle if middle > 0 else math.inf


def slowest(times: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def remarks(
    *,
    cores: int,
    load: float | None,
    busy: float | None,
    steal: float | None,
    governor: str | None,
    frequency: float | None,
    timer: Sequence[float],
    loop: Sequence[float],
    disk: Sequence[float],
) -> list[Remark]:
    """What was measured of a machine (shares from 0 to 1, times in s; None is unknown), with what to do about it."""
    found = []
    if load is not None:
        high = load > 0.5 * cores
        found.append(
            Remark("load", f"{load:.2f} on {cores} cores", "wait until it is idle: crt was not it" if high else "")
        )
    if busy is not None:
        found.append(
            Remark(
                "others' work", f"{busy:.0%} of all cores", "something else runs here: see top" if busy > _BUSY else ""
            )
        )
    if steal is not None:
        advice = "the hypervisor gives this machine's time to others: use a dedicated one" if steal > _STEAL else ""
        found.append(Remark("stolen time", f"{steal:.1%}", advice))
    advice = "" if governor in {None, "performance"} else "cpupower frequency-set -g performance keeps the clock steady"
    found.append(Remark("governor", governor or "not known", advice))
    if frequency is not None:
        low = frequency < _LOW and governor != "performance"
        found.append(Remark("clock", f"{frequency:.0%} of its maximum", "cores are clocked down" if low else ""))
    late = slowest(timer)
    found.append(
        Remark(
            "timer",
            f"{seconds_text(max(0.0, median(timer)))} late, {seconds_text(max(0.0, late))} at worst (95 %)",
            "sleeping processes wake late: waits and ticks in tests will vary" if late > _LATE else "",
        )
    )
    uneven, worst = spread(loop), slowest(loop) / median(loop) - 1
    advice = "the same computation varies: shorter tests will vary more" if max(uneven, worst / 3) > _UNEVEN else ""
    found.append(Remark("computing", f"varies by {uneven:.1%}, {worst:.0%} slower at worst (95 %)", advice))
    if disk:
        sync = slowest(disk)
        found.append(
            Remark(
                "disk",
                f"{seconds_text(median(disk))} to write and sync 1 MiB, {seconds_text(sync)} at worst (95 %)",
                "slow or shared: tests that write or spill will vary" if sync > _SLOW_DISK else "",
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNoise:
    """How a test varies from run to run, and what it takes to see an effect in it."""

    runs: int
    noise: float  # relative standard deviation from run to run, of a level
    seconds: float  # that one run takes, with setup and teardown
    five_show: float  # the smallest change that five runs an arm show four times in five
    needed: int | None  # runs an arm that show the effect asked for; None: more than anybody will make

    @property
    def planned_seconds(self) -> float | None:
        """Of both arms."""
        return None if self.needed is None else 2 * self.needed * self.seconds


def run_noise(values: NDArray[np.float64], lengths: NDArray[np.float64], effect: float) -> RunNoise | None:
    """From the measurements of a series and how long (s) its runs took; None below three usable values."""
    usable = values[np.isfinite(values) & (values > 0)]
    if len(usable) < 3:
        return None
    logs = np.log(usable)
    noise = noise_of(logs)[0] if len(logs) >= FEWEST else float(logs.std(ddof=1))
    known = lengths[np.isfinite(lengths)]
    return RunNoise(
        runs=len(usable),
        noise=noise,
        seconds=float(np.median(known)) if len(known) else 0.0,
        five_show=detectable(noise, 5),
        needed=runs_per_arm(noise, effect),
    )
