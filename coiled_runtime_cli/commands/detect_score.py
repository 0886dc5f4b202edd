"""`crt detect --score`: how the detector does on a history's own noise, and which threshold keeps its alarms few."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.findings import Searched
    from coiled_runtime_cli.core.history import History

#: Series that a score card is made of: more say no more.
_SCORED = 200


def show_score(
    series: Sequence[Searched], history: History, replayed: int, alarms: float, effect: float, format_: str
) -> None:
    """Replay the series, shuffled and with steps put in, and show what the detector makes of them. Raises InconclusiveError."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.changepoint import FEWEST
    from coiled_runtime_cli.core.findings_table import score_document, score_table
    from coiled_runtime_cli.core.replay import chosen_threshold, score_card
    from coiled_runtime_cli.errors import InconclusiveError

    long = [each for each in series if len(each.values) >= 4 * FEWEST]
    if not long:
        raise InconclusiveError(
            f"no series has {4 * FEWEST} runs: too few to learn their noise from", hint="measure more, or crt sync pull"
        )
    step = max(1, -(-len(long) // _SCORED))
    chosen = long[::step]
    with console.progress(None, "replaying") as bar:
        card = score_card(
            [each.values for each in chosen],
            [each.changes for each in chosen],
            replayed=replayed,
            runs_a_week=_runs_a_week(chosen, history),
            min_effect=effect,
            tell=lambda done, total: bar.update(done, total=total),
        )
    best = chosen_threshold(card, alarms)
    if format_ == "json":
        console.show_json({"schema": 1, "score": score_document(card, best)})
        return
    console.show_table(score_table(card, best), format_)
    console.note(
        f"{card.series:,} series, {card.weeks:.0f} weeks of their own noise, shuffled: whatever is found there is false; "
        "then with a step put in"
    )
    if best is None:
        console.warning(
            f"no threshold keeps {alarms:g} false alarms a week: these series are too many, or too unlike noise"
        )
    else:
        console.hint(f"--threshold {best.p_value:.0e} keeps {alarms:g} false alarms a week")


def _runs_a_week(series: Sequence[Searched], history: History) -> float:
    """How often a series is measured: the median over series."""
    from statistics import median

    found = []
    for each in series:
        start = history.runs.start[each.rows]
        weeks = (int(start[-1]) - int(start[0])) / 1e6 / 86_400 / 7
        if weeks > 0:
            found.append((len(each.rows) - 1) / weeks)
    return median(found) if found else 7.0
