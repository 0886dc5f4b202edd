"""What was measured before this moment: runs that ended while crt died, and runs of other bisections that may be taken over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coiled_runtime_cli.bisect.commits import commits_of
from coiled_runtime_cli.bisect.plan import Plan
from coiled_runtime_cli.bisect.probes import CommandProbe
from coiled_runtime_cli.db import bisections, queries

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.bisect.rig import Rig
    from coiled_runtime_cli.core.bisection import Probe


def take_up(plan: Plan, record: Record, rig: Rig, engine: Engine) -> int:
    """Keep the values of runs that had ended when crt was killed, but were not yet noted; how many there were."""

    def judge(begun: Probe) -> Probe | None:
        assert begun.session is not None
        if isinstance(rig.measure, CommandProbe):
            found = rig.measure.judged_later(begun, record.log(begun.session))
            return replace(found, message=None) if found is not None and found.outcome == "measured" else None
        value = queries.measured_in_session(engine, begun.session, plan.metric)
        if value is None or not _is_of(value, record, rig, begun.candidate):
            return None
        return replace(begun, outcome="measured", value=value.value, run=value.uuid, message=None)

    return record.take_up(judge)


def _is_of(measured: queries.Measured, record: Record, rig: Rig, candidate: int) -> bool:
    """Whether a run imported the commits of a candidate, and no others."""
    if not rig.modules:
        return True
    wanted = set(commits_of(record.bisection.candidates[candidate]).values())
    names = [folder.rpartition("/")[2] for folders in rig.modules.values() for folder in folders]
    there = {measured.commits[name] for name in names if name in measured.commits}
    return bool(there) and there <= wanted


def reuse(record: Record, engine: Engine) -> int:
    """Take over what earlier bisections of the same thing in the same environment measured; how many runs."""
    mine = Plan.from_document(record.bisection.definition)
    place = {each.name: number for number, each in enumerate(record.bisection.candidates)}
    found: list[Probe] = []
    for other in bisections.bisections(engine):
        if other.id == record.bisection.id or not _alike(mine, other.definition):
            continue
        if (
            mine.environment
            and mine.as_of is None
            and other.candidates[-1].name != record.bisection.candidates[-1].name
        ):
            continue  # their environments are of two days
        for probe in other.probes:
            name = other.candidates[probe.candidate].name if probe.candidate < len(other.candidates) else ""
            same = (
                name in place
                and other.candidates[probe.candidate].others == record.bisection.candidates[place[name]].others
            )
            if same and probe.outcome == "measured" and not probe.reused:
                found.append(replace(probe, candidate=place[name], purpose="calibrate", build=0, search=0, reused=True))
    if found:
        record.update(probes=(*found, *record.bisection.probes))
    return len(found)


#: What has to agree for a run of one bisection to tell another something.
_SAME = (
    "kind",
    "target",
    "command",
    "folder",
    "metric",
    "package",
    "python",
    "with_",
    "environment",
    "install_command",
    "as_of",
    "scale",
    "cluster",
    "suites",
    "jobs",
    "host",
)


def _alike(plan: Plan, definition: dict[str, object]) -> bool:
    try:
        other = Plan.from_document(definition)
    except ValueError:
        return False
    names = [name for name, _ in plan.repositories], [name for name, _ in other.repositories]
    return names[0] == names[1] and all(getattr(plan, name) == getattr(other, name) for name in _SAME)
