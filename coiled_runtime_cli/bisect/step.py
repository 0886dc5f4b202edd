"""The commit that is checked out, measured a few times: one step of a bisection that git drives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from coiled_runtime_cli import journal
from coiled_runtime_cli.bisect import rig
from coiled_runtime_cli.bisect.record import Record
from coiled_runtime_cli.core.bisection import Bisection
from coiled_runtime_cli.core.search import SEARCH, Ask

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Candidate


@dataclass(frozen=True, slots=True)
class Step:
    """``value`` is the median of the runs; None where one of them has none, and ``message`` says why."""

    value: float | None
    unit: str
    message: str | None = None


def measure(planned: tuple[Plan, Candidate], settings: Config, engine: Engine, *, runs: int) -> Step:
    """Measure one candidate. The runs of a benchmark are stored like those of any bisection. Raises CrtErrors."""
    plan, candidate = planned
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
    record = Record(None, begun, rig.logs_of(settings, begun.id))  # git keeps this one
    with rig.held(record, settings):
        made = rig.make(plan, record, settings, engine, tell=lambda _: None, command=("crt", "bisect-step"))
        try:
            values = []
            for _ in range(runs):
                probe = made.measure(Ask(0, 1, SEARCH), 0)
                if probe.value is None:
                    return Step(None, begun.unit, f"{probe.outcome}: {probe.message}")
                values.append(probe.value)
        finally:
            made.close()
        return Step(median(values), made.measure.unit or begun.unit)
