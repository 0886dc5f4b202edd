"""What `crt ab run` has found: its tables or its document, what is to be said beside them, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from coiled_runtime_cli import console
from coiled_runtime_cli.commands.ab_contrasts import contrasts
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.errors import InconclusiveError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.ab.environments import Made
    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.commands.ab_asked import Asked
    from coiled_runtime_cli.core.contrast import Contrast
    from coiled_runtime_cli.core.history import HistoryMetric


def finish(asked: Asked, record: Record, made: Mapping[str, Made], *, why: str, rate: float, runs: int) -> None:
    """Compare the arms at this error rate, show what was found, and exit by it. ``why`` it ended, after how many runs now."""
    from coiled_runtime_cli.core.contrast_table import (
        contrast_document,
        contrast_notes,
        contrast_table,
        fails_gate,
        overalls,
    )

    found = contrasts(asked, record, rate)
    null = found.pop(plans.NULL)
    metrics = {name: _compared_metrics(each) for name, each in {**found, plans.NULL: null}.items()}
    false = [each for each in null.paired if each.verdict.word in {"worse", "better"}]
    if asked.format == "json":
        console.show_json(
            {
                "schema": 1,
                "experiment": record.id,
                "seed": record.seed,
                "database": asked.settings.db,
                "blocks": record.blocks(asked.experiment),
                "ended": why,
                "rate": rate,
                "arms": [
                    {
                        "name": name,
                        "label": f"AB_{name}",
                        "python": made[name].python_version,
                        "packages": made[name].versions,
                        **contrast_document(each, overalls(each, metrics[name])),
                    }
                    for name, each in found.items()
                ],
                "null": {
                    "tests": len(null.paired),
                    "false_verdicts": len(false),
                    **contrast_document(null, overalls(null, metrics[plans.NULL])),
                },
            }
        )
    else:
        for number, (name, each) in enumerate(found.items()):
            if len(found) > 1:
                heading = f"### {name}\n" if asked.format in {"markdown", "github"} else f"{name}:"
                console.result(f"\n{heading}" if number else heading)
            names = (plans.BASELINE, name)
            if each.paired:
                whole = overalls(each, metrics[name])
                console.show_table(contrast_table(each, whole, names, confidence=1 - rate), asked.format)
            for note in contrast_notes(each, names):
                (console.warning if note.warns else console.note)(note.text)
        console.note(f"{why}; {runs} runs now; stored as {', '.join(f'AB_{name}' for name in made)}")
        told = (
            f"null arm: {len(false)} of {len(null.paired)} comparisons of the baseline with itself are called changed"
        )
        if len(false) > max(1, rate * len(null.paired)):
            console.warning(f"{told}, though nothing differs: what is above is worth as little (crt noise says why)")
        else:
            console.note(told)
    if any(fails_gate(each, asked.gate) for each in found.values()):
        raise typer.Exit(1)
    if not any(each.paired for each in found.values()):
        raise ToolError(
            "no test passed in both of two arms: there is nothing to compare",
            hint="crt bench NODEID --python INTERPRETER shows why a test fails",
        )
    if all(one.verdict.word == "few" for each in found.values() for one in each.paired):
        raise InconclusiveError("one run of each arm tells nothing from chance", hint="--blocks 5 or more")


def _compared_metrics(found: Contrast) -> list[HistoryMetric]:
    """The metrics of a contrast, in its order of first appearance."""
    return list({each.metric.key: each.metric for each in found.paired}.values())
