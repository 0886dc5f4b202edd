"""One trial from its start to what is said of it."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .strikes import allowed, strike
from .trial import DISKS, Command, Ended, Trial, Workbench, reference, trial_in

if TYPE_CHECKING:
    from pathlib import Path

#: How long what was started may outlive the command (s): pytest closes its clusters.
PATIENCE = 30.0


@dataclass
class Outcome:
    command: str
    fault: str
    moment: str
    code: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def survived(self) -> bool:
        return not (self.lost or self.doubled or self.tracebacks or self.codes or self.leftovers)


def judge(outcome: Outcome, what: str, ended: Ended) -> None:
    text = ended.err + ended.out
    for sign in (
        "Traceback (most recent call last)",
        "this is a bug in crt",
        "Exception ignored",
        "Fatal Python error",
    ):
        if sign in text:
            outcome.tracebacks.append(f"{what}: {text[max(0, text.index(sign) - 200) :][-1500:]}")
            break


def one(command: Command, fault: str, bench: Workbench, number: int) -> Outcome:
    chance = random.Random(f"{bench.seed}-{command.name}-{fault}-{number}")
    name = re.sub(r"[^a-z0-9]+", "-", f"{command.name} {fault} {number}")
    disk = bench.mounts and fault in DISKS
    reference(command, bench)
    with trial_in(command, bench, name, disk=disk) as trial:
        first, moment = strike(command, fault, trial, chance)
        outcome = Outcome(command.name, fault, moment, first.code)
        judge(outcome, "struck", first)
        if first.code not in allowed(command, fault):
            outcome.codes.append(f"{first.code}: {first.err[-600:]}")
        deadline = time.monotonic() + PATIENCE
        while (left := trial.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        outcome.leftovers += [f"process {each}" for each in left]
        plain = trial.run(command.next)
        judge(outcome, "next", plain)
        if plain.code not in command.next_codes:
            outcome.codes.append(f"next command: {plain.code}: {plain.err[-600:]}")
        sort(outcome, command.between(trial))
        trial.facts["second"] = True
        if command.again:
            again = trial.run(command.arguments(trial))
            judge(outcome, "again", again)
            fine = {*command.codes, *((2, 3, 4) if fault == "half-written file" and "whole" in trial.facts else ())}
            if again.code not in fine:
                outcome.codes.append(f"again: {again.code}: {again.err[-600:]}")
        sort(outcome, command.problems(trial))
        if command.database is not None:
            database = trial.path(command.database)
            with contextlib.closing(sqlite3.connect(database)) as connection:
                if connection.execute("pragma integrity_check").fetchall() != [("ok",)]:
                    outcome.lost.append("broken: integrity_check")
            if (checked := trial.inside(["db", "check"])).code != 0:
                outcome.lost.append(f"broken: db check: {checked.err}")
        strange = [each for each in trial.folder.rglob("*") if odd(each, trial)]
        if fault != "kill":
            # Dask's folder for spilling stays, empty or with the locks that guard it
            strange += [each for each in (trial.folder / "tmp").rglob("*") if not of_dask(each)]
        outcome.leftovers += [str(each.relative_to(trial.folder)) for each in strange]
    return outcome


def of_dask(path: Path) -> bool:
    return path.name == "dask-scratch-space" or (path.parent.name == "dask-scratch-space" and path.suffix == ".lock")


def odd(path: Path, trial: Trial) -> bool:
    """A file that nobody asked for, and that the command after the fault should have removed."""
    if (trial.folder / "tmp") in path.parents:
        return False
    return path.name.endswith((".part", "-journal", "-wal", "-shm", ".tmp", ".damaged")) or (
        path.name.startswith(".crt-") and path.name != ".crt-ab"
    )


def sort(outcome: Outcome, problems: list[str]) -> None:
    for each in problems:
        kind = each.partition(":")[0]
        {"lost": outcome.lost, "broken": outcome.lost, "doubled": outcome.doubled, "leftover": outcome.leftovers}[
            kind
        ].append(each)
