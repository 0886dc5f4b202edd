"""What a bisection knows, kept in the database at every step: after any end it goes on where it was, and repeats nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.bisection import Bisection, Probe, Verdict
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.search import CALIBRATE
from coiled_runtime_cli.db import bisections
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from coiled_runtime_cli.core.search import Answer


#: How a bisection stands that can go on; and the file that says so beside its log, to whom its database is not at hand.
OPEN_STATUSES = frozenset({"running", "interrupted"})
OPEN = "open"


class Record:
    """One bisection in its database. Every change is written before anything else happens; safe between threads.

    Without an engine it is kept nowhere: nobody goes on with it. ``folder`` is for its log.
    """

    def __init__(self, engine: Engine | None, bisection: Bisection, folder: Path) -> None:
        self._engine = engine
        self.bisection = bisection
        self.folder = folder
        self._lock = threading.Lock()
        self._since = time.monotonic()

    def update(self, **fields: Any) -> None:
        with self._lock:
            self._update(**fields)

    def _update(self, **fields: Any) -> None:
        now = time.monotonic()
        spent = self.bisection.spent + now - self._since
        self._since = now
        self.bisection = replace(self.bisection, spent=spent, **fields)
        if self._engine is not None:
            bisections.store(self._engine, self.bisection)

    def begin(self, probe: Probe) -> None:
        with self._lock:
            stamped = replace(probe, search=len(self.bisection.verdicts))
            self._update(begun=(*self.bisection.begun, stamped))

    def end(self, begun: Probe, ended: Probe) -> None:
        with self._lock:
            ended = replace(ended, search=len(self.bisection.verdicts))
            rest = tuple(each for each in self.bisection.begun if each.session != begun.session)
            self._update(begun=rest, probes=(*self.bisection.probes, ended))

    def take_up(self, judge: Callable[[Probe], Probe | None]) -> int:
        """Keep the values of what had ended before crt could note it; how many there were.

        ``judge`` says how a probe that was begun has ended, None for one that was cut short.
        """
        found = [ended for each in self.bisection.begun if (ended := judge(each)) is not None]
        self.update(begun=(), probes=(*self.bisection.probes, *found))
        return len(found)

    def log(self, name: str) -> Path:
        """A file, or a folder, for what a probe printed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"cannot write to {self.folder}: {error.strerror or error}") from error
        return self.folder / name

    @contextlib.contextmanager
    def marked_open(self) -> Iterator[None]:
        """Say beside the log that the bisection can go on, until it has an answer."""
        mark = self.log(OPEN)
        if self._engine is not None:
            mark.touch()
        yield
        if self.bisection.status not in OPEN_STATUSES:
            mark.unlink(missing_ok=True)

    def between(self, first: int, last: int) -> list[Probe]:
        """The probes of a range of candidates, numbered from its first one on, in the order of measuring.

        What an earlier search measured tells this one what levels there are, and nothing of how far it is.
        """
        now = len(self.bisection.verdicts)
        return [
            replace(
                each,
                candidate=each.candidate - first,
                purpose=each.purpose if each.search == now else CALIBRATE,
                build=each.build if each.search == now else -1 - each.search,
            )
            for each in self.bisection.probes
            if first <= each.candidate <= last
        ]

    def believe(self, first: int, posterior: Sequence[float]) -> None:
        """Note how probable each candidate after ``first`` is; what is outside of the range stays as it is."""
        with self._lock:
            chances = dict(enumerate(posterior, first + 1))
            candidates = tuple(
                replace(each, probability=round(float(chances[place]), 9)) if place in chances else each
                for place, each in enumerate(self.bisection.candidates)
            )
            self._update(candidates=candidates)

    def conclude(self, first: int, last: int, answer: Answer) -> Verdict:
        """Keep the answer for a range. The first change that is found is that of the bisection, else its last answer."""
        verdict = Verdict(
            first=first,
            last=last,
            status=answer.status,
            culprits=tuple(first + each for each in answer.candidates) if answer.status == "found" else (),
            confidence=round(answer.confidence, 9) if answer.status != "no-change" else None,
            effect=answer.effect if self.bisection.metric != "failure" else None,  # it passes, or it does not
            message=answer.reason or None,
        )
        with self._lock:
            fields: dict[str, Any] = {"verdicts": (*self.bisection.verdicts, verdict)}
            if not any(each.status == "found" for each in self.bisection.verdicts):
                fields |= {
                    "culprit": verdict.culprits[0] if len(verdict.culprits) == 1 else None,
                    "confidence": verdict.confidence,
                    "effect": verdict.effect,
                    "message": verdict.message,
                }
            self._update(**fields)
        return verdict


def find(engine: Engine, name: str | None) -> Bisection:
    """The bisection of an id, or of the beginning or end of one; None: the newest that has not ended.

    Raises UsageError where there is none, or several.
    """
    known = bisections.bisections(engine)
    if name is None:
        open_ = [each for each in known if each.status in OPEN_STATUSES]
        if not open_:
            raise UsageError("no bisection is open", hint="crt bisect --list shows those that have ended")
        return open_[-1]
    found = [each for each in known if each.id.startswith(name) or each.id.endswith(name)]
    if not found:
        told = unknown("bisection", name, [short(each) for each in reversed(known)])
        raise UsageError(told, hint="crt bisect --list shows them")
    if len(found) > 1:
        raise UsageError(f"{name} may be {' or '.join(short(each) for each in found[:4])}", hint="write more of it")
    return found[0]


def short(bisection: Bisection) -> str:
    """The part of an id that people read and type: its last 8 digits, which are random."""
    return bisection.id[-8:]
