"""Findings of a history whose truth is known, and which of them are those that were told of before."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "commands"))
import histories

from coiled_runtime_cli.core.findings import Known, find
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest

#: Runs at each level: the second step is 7 runs after the first.
LEVELS = ((1.0, 24), (1.2, 7), (1.5, 12))


@pytest.fixture
def search(tmp_path):
    """Find what is slower in a test that has made two steps, given what is known of it."""
    engine = open_database(str(tmp_path / "benchmark.db"))
    effects = [level for level, runs in LEVELS for _ in range(runs)]
    for number, effect in enumerate(effects):
        ingest(engine, histories.session("upstream", number, {"slower": effect}, version="1"))
    history = read_history([engine])
    engine.dispose()
    metrics = [each for each in history.metrics if each.key == "duration"]

    def found(*known):
        return sorted(find(history, metrics, known=known).findings, key=lambda each: each.first_bad.start)

    return found


def known(finding, **changes):
    told = Known(
        id=finding.id,
        key=finding.key,
        metric=finding.metric.key,
        kind=finding.kind,
        first_bad=finding.first_bad.uuid,
        since=finding.first_bad.start,
    )
    return replace(told, **changes)


def test_a_second_step_within_a_few_runs_of_an_accepted_one_is_new(search):
    first, second = search()
    assert first.id != second.id
    again = search(known(first, accepted=True))
    assert [(each.id, each.state) for each in again] == [(first.id, "accepted"), (second.id, second.state)]
    assert second.state == "confirmed"


def test_a_change_that_has_moved_by_a_few_runs_keeps_its_id_and_its_neighbour_its_own(search):
    first, second = search()
    # told of two runs before where it is now thought to have begun, at a run that is there no more
    moved = known(second, id="abcdef012345", first_bad="gone", since=second.last_good.start)
    assert [each.id for each in search(moved)] == [first.id, "abcdef012345"]
    assert [each.id for each in search(moved, known(first))] == [first.id, "abcdef012345"]


def test_the_same_first_bad_run_counts_for_more_than_a_near_moment(search):
    first, second = search()
    told = [
        known(first, id="aaaa00000001", since=second.first_bad.start),
        known(second, id="aaaa00000002", since=first.first_bad.start),
    ]
    assert [each.id for each in search(*told)] == ["aaaa00000001", "aaaa00000002"]


def test_the_id_of_a_change_that_has_moved_on_is_not_given_again(search):
    first, second = search()
    moved_on = known(second, id=first.id)  # it was first told of at the run where another change is found now
    ids = [each.id for each in search(moved_on)]
    assert ids[1] == first.id
    assert ids[0] not in {first.id, second.id}
