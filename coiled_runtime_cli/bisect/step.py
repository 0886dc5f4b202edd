"""The commit that is checked out, measured a few times: one step of a bisection that git drives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from coiled_runtime_cli import journal, session
from coiled_runtime_cli.bisect import rig
from coiled_runtime_cli.bisect.record import Record
from coiled_runtime_cli.core.bisection import Bisection
from coiled_runtime_cli.core.search import SEARCH, Ask
from coiled_runtime_cli.db import bisections

if TYPE_CHECKING:
    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Candidate


@dataclass(frozen=True, slots=True)
class Step:
    """``value`` is the median of the runs; None where one of them has none, and ``message`` says why."""

    value: float | None
    unit: str
    message: str | None = None


def measure(planned: tuple[Plan, Candidate], settings: Config, *, runs: int) -> Step:
    """Measure one candidate. The runs of a benchmark are stored like those of any bisection. Raises CrtErrors."""
    plan, candidate = planned
    engine = session.open_history(settings)[0]
    try:
        begun = Bisection(
            id=journal.new_id(),
            started=time.time(),
            repository=candidate.repository,
            benchmark=plan.target,
            command=plan.command,
            metric=plan.metric,
            unit=rig.unit_of(plan.metric),
            candidates=(candidate,),
            definition=plan.to_document(),
        )
        kept = Record(engine, begun, rig.cache_of(settings) / "logs" / begun.id)
        made = rig.make(plan, kept, settings, engine, tell=lambda _: None, command=("crt", "bisect-step"))
        try:
            values = []
            for _ in range(runs):
                probe = made.measure(Ask(0, 1, SEARCH), 0)
                if probe.value is None:
                    return Step(None, kept.bisection.unit, f"{probe.outcome}: {probe.message}")
                values.append(probe.value)
        finally:
            made.close()
            bisections.remove(engine, begun.id)  # git keeps this one
        return Step(median(values), made.measure.unit or kept.bisection.unit)
    finally:
        engine.dispose()
