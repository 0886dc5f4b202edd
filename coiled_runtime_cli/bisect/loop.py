"""Ask the search, measure, tell it, until it answers. What measures is given: a real probe, or a seeded fake."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from coiled_runtime_cli.core.search import Answer
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coiled_runtime_cli.core.bisection import Probe
    from coiled_runtime_cli.core.search import Ask, Search

#: Attempts at a run that ends in an error; and candidates in a row at which all of them fail before it is no accident.
_ATTEMPTS, _IN_A_ROW = 2, 3

#: Outcomes after which a candidate is stepped over.
_STEPPED_OVER = frozenset({"unbuildable", "failed", "timeout", "error"})


class Measure(Protocol):
    """Runs a candidate once. An outcome is a value, never an exception, but for what makes any run impossible (CrtError)."""

    def __call__(self, ask: Ask, slot: int) -> Probe: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What the caller is told: an ask begins in a slot, or a run of it has ended (``probe``)."""

    ask: Ask
    slot: int
    probe: Probe | None = None


def replay(search: Search, probes: Sequence[Probe]) -> None:
    """Tell a search what was measured before, in that order."""
    for each in probes:
        if each.outcome == "measured" and each.value is not None:
            search.tell(each.candidate, [math.log(each.value)], purpose=each.purpose, build=each.build)
        elif each.outcome in _STEPPED_OVER - {"error"} and each.candidate not in search.built:
            search.tell_broken(each.candidate)  # an error may be mended by now: it is tried again


def bisect(
    search: Search,
    measure: Measure,
    *,
    jobs: int = 1,
    deadline: float | None = None,
    tell: Callable[[Step], None],
    stop: threading.Event | None = None,
    prefetch: Callable[[Sequence[int]], None] | None = None,
    ends: tuple[str, str] = ("good", "bad"),
) -> Answer:
    """Measure what the search asks for until it answers. ``tell`` hears of every run, in the calling thread.

    No ask begins that would end after ``deadline`` (of time.monotonic) if it takes as long as the longest before it.
    Raises ToolError where an end cannot be measured, or nothing can any more; what was told stays told. A KeyboardInterrupt
    sets ``stop``, which a measurement has to heed. ``prefetch`` is told which candidates may be asked for soon. ``ends`` are what
    the older and the newer end are called.
    """
    stop = stop or threading.Event()
    longest = 0.0
    erring: list[Probe] = []
    while not isinstance(asks := search.next(), Answer):
        if deadline is not None and search.runs and time.monotonic() + longest > deadline:
            return search.give_up("the time is up")
        if prefetch is not None:
            prefetch(search.likely_next())
        began = time.monotonic()
        for ask, probes in _measured(asks, measure, jobs, tell, stop):
            logs = [math.log(each.value) for each in probes if each.outcome == "measured" and each.value is not None]
            if logs:
                search.tell(ask.candidate, logs, purpose=ask.purpose, build=ask.build)
                erring = []
                continue
            last = probes[-1]
            if ask.candidate in {0, search.last}:
                raise ToolError(_about_an_end(ends[ask.candidate > 0], last))
            search.tell_broken(ask.candidate)
            erring = [*erring, last] if last.outcome == "error" else []
            if len(erring) >= _IN_A_ROW:
                raise ToolError(
                    f"{len(erring)} candidates in a row could not be measured: {last.message}",
                    hint="crt bisect --resume goes on when that is mended",
                )
        longest = max(longest, time.monotonic() - began)
    return asks


def _about_an_end(end: str, probe: Probe) -> str:
    what = {
        "unbuildable": "cannot be built",
        "failed": "fails",
        "timeout": "takes too long",
        "error": "could not be measured",
    }[probe.outcome]
    where = f"\nits output is in {probe.log}" if probe.log else ""
    return f"the {end} end {what}: {probe.message or 'no reason is known'}{where}"


def _measured(
    asks: Sequence[Ask], measure: Measure, jobs: int, tell: Callable[[Step], None], stop: threading.Event
) -> list[tuple[Ask, list[Probe]]]:
    """Every ask with its runs, in the order of the asks. One that is lost to an error does not take the others with it."""
    if jobs == 1 or len(asks) == 1:
        return [(ask, _runs_of(ask, 0, measure, tell, stop)) for ask in asks]
    told: list[Step] = []
    lock = threading.Lock()

    def keep(step: Step) -> None:
        with lock:
            told.append(step)

    def pass_on() -> None:
        with lock:
            steps, told[:] = list(told), []
        for each in steps:
            tell(each)

    failure: BaseException | None = None
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_runs_of, ask, slot % jobs, measure, keep, stop): ask for slot, ask in enumerate(asks)}
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
                pass_on()
                for each in done:
                    failure = failure or each.exception()
        except BaseException:
            stop.set()
            for each in waiting:
                each.cancel()
            wait(waiting)
            pass_on()  # what had ended before is kept
            raise
    pass_on()
    if failure is not None:
        raise failure
    return [(ask, each.result()) for each, ask in futures.items()]


def _runs_of(ask: Ask, slot: int, measure: Measure, tell: Callable[[Step], None], stop: threading.Event) -> list[Probe]:
    """The runs of an ask; it ends with the first that has no value, after a second attempt where that may help."""
    tell(Step(ask, slot))
    probes: list[Probe] = []
    for _ in range(ask.runs):
        for _ in range(_ATTEMPTS):
            if stop.is_set():
                raise KeyboardInterrupt
            probe = measure(ask, slot)
            probes.append(probe)
            tell(Step(ask, slot, probe))
            if probe.outcome != "error":
                break
        if probe.outcome != "measured":
            break
    return probes
