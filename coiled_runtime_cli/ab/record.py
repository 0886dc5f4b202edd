"""What is known of an experiment that has begun: a crash costs the cell that ran, and the same command goes on."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import journal
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core.record import content_id
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coiled_runtime_cli.core.experiment import Experiment

#: Where an experiment keeps its record, in its folder.
RECORD = ".crt-ab"


@dataclass(slots=True)
class Cell:
    """One arm in one block. ``session``: of the last attempt. ``done``: it ended, and its runs are stored."""

    arm: str
    block: int
    session: str
    done: bool = False


class Record:
    """What is known of an experiment that has begun, in a file that is replaced whole."""

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder / RECORD
        self.file = self.folder / "record.json"
        self.definition = content_id(json.loads(json.dumps(asdict(plans.essence(experiment)), default=str)))
        self.id = journal.new_id()
        self.seed = experiment.seed if experiment.seed is not None else int.from_bytes(os.urandom(4), "big")
        self.locks: dict[str, list[str]] = {}  # what each arm was resolved to
        self.pythons: dict[str, str] = {}  # the interpreter of each arm
        self.cells: list[Cell] = []
        self.spent = 0.0
        self.ended = False
        self._lock = threading.Lock()

    def resume(self) -> bool:
        """Take up what was begun and has not ended. Raises UsageError where the experiment is not the same any more."""
        try:
            known = json.loads(self.file.read_text())
            cells = [Cell(**each) for each in known["cells"]]
            ended, definition = known["ended"], known["definition"]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.file} cannot be read: {error}", hint="--restart begins anew") from error
        if ended:
            return False
        if definition != self.definition:
            raise UsageError(
                f"the experiment in {self.folder.parent} has changed since it began",
                hint="--restart begins anew; what was measured stays in the database",
            )
        self.id, self.seed, self.spent = known["id"], known["seed"], known["spent"]
        self.locks, self.pythons, self.cells = known["locks"], known["pythons"], cells
        return True

    def write(self) -> None:
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = self.file.with_suffix(".new")
            text = json.dumps(
                {
                    "schema": 1,
                    "id": self.id,
                    "definition": self.definition,
                    "seed": self.seed,
                    "locks": self.locks,
                    "pythons": self.pythons,
                    "spent": self.spent,
                    "ended": self.ended,
                    "cells": [asdict(each) for each in self.cells],
                },
                indent=1,
            )
            try:
                new.write_text(text)
                new.replace(self.file)
            except OSError as error:
                raise ToolError(f"cannot write {self.file}: {error.strerror or error}") from error

    def is_done(self, arm: str, block: int) -> bool:
        return any(each.arm == arm and each.block == block and each.done for each in self.cells)

    def sessions(self, arm: str) -> list[str]:
        """The sessions of an arm, whole or cut short: their runs count alike."""
        return [each.session for each in self.cells if each.arm == arm]

    def blocks(self, experiment: Experiment) -> int:
        """Blocks in which every arm is done."""
        names = [each.name for each in experiment.every]
        return next(
            (number for number in range(experiment.blocks) if not all(self.is_done(name, number) for name in names)),
            experiment.blocks,
        )


@contextmanager
def held(record: Record) -> Iterator[None]:
    """Keep a second crt from running the same experiment."""
    with journal.alone(record.folder / "lock") as mine:
        if not mine:
            raise UsageError(f"another crt is running the experiment in {record.folder.parent}")
        yield
