"""`crt detect --confirm`: suspects, decided by fresh runs beside the last good environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.confirm import Suspect
    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.histories import Opened

#: Runs of the level before a suspicion that repeats are held against, where nothing better can be had.
_LEVEL = 20


def measure_again(opened: Opened, suspects: Sequence[Finding], limit: float | None) -> bool:
    """Measure the suspects again, keep what they turn out to be, and say so; False if there was none."""
    import sys

    from coiled_runtime_cli import confirm, console, session
    from coiled_runtime_cli.core.quantity import counted, ratio_text
    from coiled_runtime_cli.db import findings as kept

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = [each for each in suspects if each.key.python in {None, here}]
    if len(chosen) < len(suspects):
        rest = len(suspects) - len(chosen)
        console.note(f"{counted(rest, 'suspect')} of another Python: run crt with that one to decide them")
    if not chosen:
        console.note("no suspect to be measured again")
        return False
    host = session.read_host().fingerprint
    with console.progress(None, "confirm") as bar:
        decided = confirm.decide(
            _suspects(opened, chosen, host),
            opened.settings,
            opened.engines[0],
            max_time=limit,
            command=("crt", *sys.argv[1:]),
            tell=lambda text: bar.update(0, text=text),
        )
    for each in decided:
        compared, word = each.confirmation.compared, each.confirmation.word or "inconclusive"
        assert compared.ratio is not None
        told = ratio_text(compared.ratio)
        if compared.low is not None and compared.high is not None:
            told += f" ({ratio_text(compared.low)} to {ratio_text(compared.high)})"
            if word != "inconclusive":
                kept.conclude(opened.engines[0], each.finding, word, (compared.ratio, compared.low, compared.high))
        way = "interleaved with the last good environment" if each.interleaved else "against what was measured then"
        name = each.finding.key.benchmark.partition("::")[2] or each.finding.key.benchmark
        console.note(
            f"{name} {each.finding.metric.key}: {word}: {told}, suspected {ratio_text(each.finding.ratio)}; "
            f"{compared.n[1]} runs, {way}"
        )
    if len(decided) < len(chosen):
        console.warning(f"{counted(len(chosen) - len(decided), 'suspect')} could not be measured again")
    return bool(decided)


def _suspects(opened: Opened, findings: Sequence[Finding], host: str) -> list[Suspect]:
    """What is known of the last good run of each, and the runs of the level that it ended."""
    import numpy as np

    from coiled_runtime_cli.confirm import Suspect
    from coiled_runtime_cli.core.grouping import rows_by_series, series_of
    from coiled_runtime_cli.core.record import OUTCOMES

    history = opened.history
    runs = history.runs
    row_of = {bytes(each): place for place, each in enumerate(runs.uuid.tolist())}
    keys, of = series_of(history)
    number_of = {key: number for number, key in enumerate(keys)}
    passed = rows_by_series(of, np.flatnonzero((runs.outcome == OUTCOMES.index("passed")) & ~runs.profiled))
    found = []
    for each in findings:
        row = row_of[bytes.fromhex(each.last_good.uuid.replace("-", ""))]
        rows = passed[number_of[each.key]]
        values = runs.values[each.metric.key][rows[rows <= row]]
        level = values[np.isfinite(values) & (values > 0)][-_LEVEL:]
        environment = history.environments[runs.environment[row]] if runs.environment[row] >= 0 else None
        found.append(
            Suspect(
                finding=each,
                packages=environment.packages if environment is not None else None,
                python=environment.python if environment is not None else None,
                level=tuple(level.tolist()),
                here=each.key.host in {None, host},
            )
        )
    return found
