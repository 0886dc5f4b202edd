"""Say what a session over every suite has stored; exit 1 unless each run passed with its measures, or was skipped for a reason.

python .ci/smoke_rows.py benchmark.db
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter

#: Every run that passed has these, and those of a cluster the others too.
ALWAYS, OF_A_CLUSTER = ("duration", "peak_memory"), ("average_memory", "compute_time")
#: What is measured here is how long it takes until there is a cluster whose memory could be looked at.
BEFORE_A_CLUSTER = {"runtime/test_cluster_creation.py"}


def main(path: str) -> None:
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    rows = database.execute(
        "select path, name, setup_outcome, call_outcome, failure, cluster_name, duration, average_memory, peak_memory, "
        "compute_time from test_run order by path, name"
    ).fetchall()
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong, reasons = [], Counter()
    for row in rows:
        skipped = "skipped" in (row["setup_outcome"], row["call_outcome"])
        outcome = "skipped" if skipped else row["call_outcome"] or "error"
        outcomes[row["path"], outcome] += 1
        if skipped:
            reasons[row["failure"] or ""] += 1
        if outcome == "skipped" and row["failure"]:
            continue
        needed = ALWAYS + (OF_A_CLUSTER if row["cluster_name"] else ())
        if row["path"] in BEFORE_A_CLUSTER:
            needed = ("duration",)
        missing = [each for each in needed if row[each] is None]
        if outcome != "passed" or missing:
            wrong.append(f"{row['path']}::{row['name']}: {outcome}, without {missing}\n{(row['failure'] or '')[-600:]}")
    for (suite, outcome), count in sorted(outcomes.items()):
        print(f"{count:4d} {outcome:8} {suite}")
    for reason, count in reasons.most_common():
        print(f"{count:4d} skipped: {reason}")
    print(f"{len(rows)} runs, {sum(reasons.values())} skipped, {len(wrong)} wrong")
    if wrong or not rows:
        sys.exit("\n".join(wrong) or "no runs")


if __name__ == "__main__":
    main(sys.argv[1])
