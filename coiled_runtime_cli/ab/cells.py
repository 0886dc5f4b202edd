"""A cell, measured: the tests of an experiment in one arm and one block, in a session of their own."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import bench, measuring, session
from coiled_runtime_cli.ab.definition import SETTINGS
from coiled_runtime_cli.ab.proof import check_imports
from coiled_runtime_cli.ab.record import Cell
from coiled_runtime_cli.ab.selection import selected
from coiled_runtime_cli.ab.session_settings import arm_settings
from coiled_runtime_cli.core.record import Environment, Run
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli import config
    from coiled_runtime_cli.ab.environments import Made
    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.core.experiment import Arm, Experiment


class NothingSelectedError(UsageError):
    """No test is what the experiment asks for."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the caller is told: a cell begins, a test of it has ended (``run``), or the cell has."""

    arm: str
    block: int
    run: Run | None = None
    ended: bool = False


class Measure:
    """Measures a cell each time it is called, also several at once; what runs ends early once ``stopped`` is set."""

    def __init__(
        self,
        experiment: Experiment,
        record: Record,
        made: Mapping[str, Made],
        settings: config.Config,
        engine: Engine,
        tell: Callable[[Step], None],
        command: tuple[str, ...],
        only: Sequence[str] | None,
    ) -> None:
        self._experiment = experiment
        self._record = record
        self._made = made
        self._settings = settings
        self._engine = engine
        self._tell = tell
        self._command = command
        self._only = list(only) if only is not None else None
        self._selection = selected(experiment, settings)
        self._storing = threading.Lock()
        self.stopped = threading.Event()

    def __call__(self, name: str, block: int) -> None:
        """Measure one cell. Raises ToolError where no test of it could run, or it imported what was not asked for."""
        made = self._made[name]
        prepared, spec = session.prepare(arm_settings(self._settings, made.arm, self._record.folder))
        prepared = replace(prepared, repeat=block, only=self._only)
        cell = Cell(name, block, prepared.session)
        self._record.cells.append(cell)
        self._record.write()
        self._tell(Step(name, block))
        target = bench.target(str(made.python), Path(prepared.folder))

        def follow(event: object) -> None:
            if isinstance(event, Environment):
                check_imports(made, event)
            elif isinstance(event, Run):
                self._tell(Step(name, block, event))

        count = measuring.measure(
            self._settings,
            prepared,
            spec,
            replace(target, variables=self._variables(made.arm)),
            self._selection,
            engine=self._engine,
            storing=self._storing,
            command=self._command,
            tell=follow,
            stopping=self.stopped.is_set,
        )
        if not count:
            raise NothingSelectedError(
                "no test was selected", hint=f"{SETTINGS}: suites, targets, keyword and markers choose among them"
            )
        cell.done = True
        self._record.write()
        self._tell(Step(name, block, ended=True))

    def _variables(self, arm: Arm) -> tuple[tuple[str, str], ...]:
        found = []
        if arm.config:
            # a file of its own keeps numbers numbers and lists lists; Dask reads it last
            folder = self._record.folder / f"dask-{arm.name}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "dask.yaml").write_text(json.dumps(arm.config, indent=1, default=str))
            found.append(("DASK_CONFIG", str(folder.absolute())))
        if self._experiment.datasets:
            found.append(("H2O_DATASETS", ",".join(self._experiment.datasets)))
        return tuple(found)
