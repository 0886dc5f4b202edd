"""Fresh runs of suspects: the environment of the last good run, made again, and the one that is here, interleaved.

Where the last good environment cannot be made again, the tests are repeated as they are today, and held against the runs of
the level before; that shows that today's runs are off again, but not that nothing else than the environment moved.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import clusters, console, environments, measuring, session, suites, temporary
from coiled_runtime_cli.ab import blocks
from coiled_runtime_cli.ab.cells import NothingSelectedError
from coiled_runtime_cli.ab.environments import Made
from coiled_runtime_cli.ab.record import Record
from coiled_runtime_cli.ab.selection import selected
from coiled_runtime_cli.ab.session_settings import arm_settings
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core import rebuild
from coiled_runtime_cli.core.confirmation import LOOKS, Confirmation, confirm
from coiled_runtime_cli.errors import CrtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.ab.cells import Step
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.record import Package

GOOD, TODAY = "last_good", "today"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A finding to be decided. ``packages`` and ``python`` are those of its last good run; ``level``: its values before, by run.

    ``here`` says that they were measured on this machine.
    """

    finding: Finding
    packages: tuple[Package, ...] | None
    python: str | None
    level: tuple[float, ...]
    here: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """``interleaved``: with the environment of the last good run; else today's repeats against what was measured then."""

    finding: Finding
    confirmation: Confirmation
    interleaved: bool


def decide(
    suspects: Sequence[Suspect],
    settings: Config,
    engine: Engine,
    *,
    max_time: float | None,
    command: tuple[str, ...],
    tell: Callable[[str], None],
) -> list[Decided]:
    """Measure the suspects again. Those of one environment and scale are measured together. Raises CrtErrors.

    A suspect that could not be measured (its test is gone, or failed) is absent.
    """
    found: list[Decided] = []
    groups: dict[tuple[object, ...], list[Suspect]] = {}
    for each in suspects:
        groups.setdefault((each.packages, each.python, each.finding.key.scale), []).append(each)
    for members in groups.values():
        found += _Group(members, settings, engine, max_time, command, tell).decide()
    return found


class _Group:
    def __init__(
        self,
        members: Sequence[Suspect],
        settings: Config,
        engine: Engine,
        max_time: float | None,
        command: tuple[str, ...],
        tell: Callable[[str], None],
    ) -> None:
        first = members[0]
        self._members = members
        self._settings = replace(settings, scale=first.finding.key.scale or settings.scale)
        self._engine = engine
        self._max_time = max_time
        self._command = command
        self._tell = tell
        self._values: dict[tuple[str, str, str], list[float]] = {}  # by arm, benchmark and metric

    def decide(self) -> list[Decided]:
        suites.find(self._settings.suites)  # without a folder of suites no test is there, and none is gone
        there = {each for each in self._benchmarks() if self._is_there(each)}
        self._members = [each for each in self._members if each.finding.key.benchmark in there]
        if not self._members:
            return []
        good = self._good()
        if good is None and not all(each.here for each in self._members):
            console.warning("what was measured elsewhere cannot be held against repeats here: it is left as it was")
            self._members = [each for each in self._members if each.here]
            if not self._members:
                return []
        arms = [plans.Arm(name=TODAY, python=sys.executable)]
        pythons = {TODAY: Path(sys.executable)}
        if good is not None:
            arms.insert(0, plans.Arm(name=GOOD))
            pythons[GOOD] = good
        experiment = plans.Experiment(
            arms=tuple(arms),
            blocks=LOOKS[-1],
            places=LOOKS,
            # whole files: of a test whose parameters are gone, or of a file that does not import, pytest would run nothing
            targets=tuple(dict.fromkeys(each.partition("::")[0] for each in self._benchmarks())),
            max_time=self._max_time,
            against_itself=False,
        )
        for arm in arms:
            clusters.check(session.prepare(arm_settings(self._settings, arm, Path.cwd()))[1], elsewhere=True)
        made = {
            arm.name: Made(arm, pythons[arm.name], "", (), {})  # what it imports was proved by its lock
            for arm in arms
        }
        with temporary.folder("crt-confirm-") as scratch, contextlib.suppress(NothingSelectedError):
            record = Record(Path(scratch), experiment)
            blocks.run(
                experiment,
                record,
                made,
                self._settings,
                self._engine,
                tell=self._follow,
                decided=lambda look: all(self._confirmation(each, LOOKS[look], good).word for each in self._measured()),
                command=self._command,
                only=self._benchmarks(),
            )
        decided = []
        for each in self._members:
            confirmation = self._confirmation(each, LOOKS[-1], good)
            if confirmation.compared.ratio is not None:
                decided.append(Decided(each.finding, confirmation, good is not None))
        return decided

    def _benchmarks(self) -> list[str]:
        return list(dict.fromkeys(each.finding.key.benchmark for each in self._members))

    def _measured(self) -> list[Suspect]:
        """Those that have run today: of the others more blocks would say no more."""
        return [
            each
            for each in self._members
            if (TODAY, each.finding.key.benchmark, each.finding.metric.name) in self._values
        ]

    def _is_there(self, benchmark: str) -> bool:
        """Whether there is a test of this name, its parameters aside; the user is told where there is none."""
        path, separator, name = benchmark.partition("::")
        target = f"{path}{separator}{name.partition('[')[0]}"
        try:
            selected(plans.Experiment(arms=(), targets=(target,)), self._settings)
        except UsageError as error:
            console.note(f"{benchmark} is gone: {error.message}")
            return False
        return True

    def _good(self) -> Path | None:
        """The interpreter of the environment of the last good run; None, and the user is told why, where it cannot be made."""
        first = self._members[0]
        if first.packages is None:
            console.note("the environment of the last good run is not known: today's runs are repeated instead")
            return None
        try:
            locked = rebuild.requirements(first.packages)
            self._tell("the environment of the last good run")
            return environments.build(locked, python=_minor(first.python), cache=self._settings.environments)
        except (rebuild.RebuildError, CrtError) as error:
            told = error.message if isinstance(error, CrtError) else str(error)
            console.note(f"the environment of the last good run cannot be made again: {told.splitlines()[0]}")
            console.note("today's runs are repeated instead")
            return None

    def _follow(self, step: Step) -> None:
        self._tell(f"block {step.block + 1} {step.arm}")
        if step.run is not None and step.run.outcome == "passed" and not step.run.profiled:
            for each in self._members:
                metric = each.finding.metric.name
                value = measuring.metric_value(step.run, metric)
                if step.run.benchmark == each.finding.key.benchmark and value is not None:
                    self._values.setdefault((step.arm, step.run.benchmark, metric), []).append(value)

    def _confirmation(self, suspect: Suspect, runs: int, good: Path | None) -> Confirmation:
        finding = suspect.finding
        name = finding.key.benchmark, finding.metric.name
        today = self._values.get((TODAY, *name), [])[:runs]
        before = self._values.get((GOOD, *name), [])[:runs] if good is not None else list(suspect.level)
        confirmation = confirm(before, today, finding.ratio)
        # against many runs of then, it is the runs of today that are counted
        enough = len(today) >= LOOKS[-1] and confirmation.word is None
        return replace(confirmation, word="inconclusive") if enough else confirmation


def _minor(python: str | None) -> str | None:
    """3.11.7.final.0 as uv asks for it: 3.11, the patch release being whichever is there."""
    return None if python is None else ".".join(python.split(".")[:2])
