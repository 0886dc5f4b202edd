"""Two sides of a history, some of whose tests have nothing to compare."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "commands"))
import histories

from coiled_runtime_cli.core.contrast import contrast
from coiled_runtime_cli.core.contrast_comment import comment
from coiled_runtime_cli.core.contrast_table import contrast_document, contrast_notes, contrast_table, overalls
from coiled_runtime_cli.core.record import Run
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest

ARMS = ("AB_baseline", "AB_newer")


def test_a_test_that_never_passed_in_one_block_on_both_sides_is_not_compared_and_named(tmp_path):
    engine = open_database(str(tmp_path / "benchmark.db"))
    for block in range(2):
        for place, arm in enumerate(ARMS):
            failing = {"flaky"} if block != place else set()
            session = histories.session(
                arm, 2 * block + place, {"flaky": 1.0, "steady": 1.0}, version="1", failing=failing
            )
            ingest(engine, [replace(each, repeat=block) if isinstance(each, Run) else each for each in session])
    history = read_history([engine])
    engine.dispose()
    labels = np.array([each.label for each in history.sessions])[history.runs.session]
    metrics = [each for each in history.metrics if each.key == "duration"]
    found = contrast(history, labels == ARMS[0], labels == ARMS[1], metrics, in_blocks=True)
    assert [each.key.benchmark for each in found.paired] == ["benchmarks/test_x.py::test_steady"]
    assert found.incomparable == (("benchmarks/test_x.py::test_flaky", "duration"),)
    whole = overalls(found, metrics)
    assert len(contrast_table(found, whole, ARMS).rows) == 1
    assert any("test_flaky (duration)" in each.text for each in contrast_notes(found, ARMS))
    document = contrast_document(found, whole)
    assert document["not_comparable"] == ["benchmarks/test_x.py::test_flaky"]
    assert "test_steady" in comment({"schema": 1, "arms": [{"name": "newer", **document}], "blocks": 2})
