"""The arms of `crt ab run`, each against the baseline, by the runs that are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.commands.ab_asked import Asked
    from coiled_runtime_cli.core.contrast import Contrast


def contrasts(asked: Asked, record: Record, rate: float) -> dict[str, Contrast]:
    """Each arm against the baseline, the null arm first."""
    import numpy as np

    from coiled_runtime_cli import histories
    from coiled_runtime_cli.core.contrast import contrast
    from coiled_runtime_cli.core.series import CIRCUMSTANCES

    with histories.opened([asked.settings.db]) as opened:
        history = opened.history
        metrics = [opened.metric(each) for each in asked.experiment.metrics]
        number = {each.id: place for place, each in enumerate(history.sessions)}
        masks = {
            each.name: np.isin(
                history.runs.session,
                [number[one] for one in record.sessions(each.name) if one in number],
            )
            for each in asked.experiment.every
        }
    across = tuple(each for each in CIRCUMSTANCES if each != "scale")
    first, *others = asked.experiment.every
    return {
        each.name: contrast(
            history,
            masks[first.name],
            masks[each.name],
            metrics,
            smallest=asked.smallest,
            rate=rate,
            confidence=1 - rate,
            across=across,
            in_blocks=True,
        )
        for each in others
    }
