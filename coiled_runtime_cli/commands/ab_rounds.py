"""The rounds of `crt ab run` under a bar: each arm in each block, until it is known why there are no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import console
from coiled_runtime_cli.ab import blocks
from coiled_runtime_cli.commands.ab_contrasts import contrasts
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core.quantity import seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

    from coiled_runtime_cli.ab.cells import Step
    from coiled_runtime_cli.ab.environments import Made
    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.commands.ab_asked import Asked
    from coiled_runtime_cli.console import Progress


class Rounds:
    """The rounds that are left of an experiment. ``runs``: of tests, ended now; ``cells``: rounds that are done, in all."""

    def __init__(self, asked: Asked, record: Record) -> None:
        self.asked = asked
        self.record = record
        self.runs = 0
        self.cells = 0

    def measure(self, made: Mapping[str, Made], engine: Engine, command: tuple[str, ...]) -> str:
        """Run what is left. Says why it ended, as :func:`blocks.run` does."""
        count = len(self.asked.experiment.looks)
        self.cells = sum(each.done for each in self.record.cells)
        total = self.asked.experiment.blocks * len(self.asked.experiment.every)

        def decided(look: int) -> bool:
            found = contrasts(self.asked, self.record, plans.rate_at(look, count, self.asked.rate))
            return all(
                each.verdict.word in {"worse", "better", "same"}
                for name, one in found.items()
                if name != plans.NULL
                for each in one.paired
            )

        try:
            with console.progress(total, "ab") as bar:
                return blocks.run(
                    self.asked.experiment,
                    self.record,
                    made,
                    self.asked.settings,
                    engine,
                    tell=lambda step: self._follow(step, bar),
                    decided=decided,
                    command=command,
                )
        except KeyboardInterrupt:
            console.note(f"interrupted: {self.cells} of {total} rounds are done; the same command goes on")
            raise

    def _follow(self, step: Step, bar: Progress) -> None:
        where = f"block {step.block + 1} {step.arm}"
        if step.ended:
            self.cells += 1
            bar.update(self.cells)
        elif step.run is None:
            bar.update(self.cells, text=where)
        else:
            self.runs += 1
            name = step.run.benchmark.partition("::")[2]
            bar.update(self.cells, text=f"{where} {name}")
            if step.run.outcome not in {"passed", "skipped"}:
                took = f" in {seconds_text(step.run.duration)}" if step.run.duration is not None else ""
                bar.log(f"{where}: {name}: {step.run.outcome}{took}")
