"""What is decided about issues."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from issue_examples import WORDS, finding, opened, tracked

from coiled_runtime_cli.core.issues import plan


def kinds(actions):
    return [(each.what, each.number) for each in actions]


def test_two_causes_are_two_issues_and_each_keeps_its_own_though_they_seem_one_later():
    first, second = finding(), finding("aaaa00000002", name="test_b", cause=2, day=-20)
    one, two = plan([first, second], [], WORDS)
    there = [tracked(one, 1), tracked(two, 2)]
    actions = plan([first, replace(second, cause=1)], there, WORDS)
    assert kinds(actions) == [("kept", 1), ("kept", 2)]
    joined = plan([first, replace(second, cause=1), finding("aaaa00000003", name="test_c")], there, WORDS)
    assert kinds(joined) == [("updated", 1), ("kept", 2)]


def test_the_same_change_under_two_ids_is_a_duplicate():
    """Two jobs whose histories differ by a run may put its beginning at different runs."""
    older, younger = opened([finding()]), opened([finding("aaaa00000002", day=1)], 2)
    actions = plan([finding()], [older, younger], WORDS)
    assert kinds(actions) == [("closed", 2), ("kept", 1)]
    later = opened([finding("aaaa00000002", day=30)], 2)
    assert kinds(plan([finding()], [older, later], WORDS)) == [("kept", 1), ("kept", 2)]


def test_two_steps_of_one_test_within_days_end_in_one_issue_and_stay_there():
    first, second = finding(), finding("aaaa00000002", day=2, cause=2)
    one, two = plan([first, second], [], WORDS)
    there = [tracked(one, 1), tracked(two, 2)]
    closing, kept = plan([first, second], there, WORDS)
    assert (closing.what, closing.number, kept.number) == ("closed", 2, 1)
    assert kept.what == "updated"
    there = [
        replace(there[0], body=kept.body, title=kept.title or there[0].title, memory=kept.memory),
        replace(there[1], open=False, reason="not_planned", body=closing.body, memory=closing.memory),
    ]
    assert kinds(plan([first, second], there, WORDS)) == [("kept", 1)]


@pytest.mark.parametrize("state", ["fixed", "accepted", "noise"])
def test_an_issue_is_closed_when_none_of_its_findings_is_open(state):
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    half = [finding(state=state), finding("aaaa00000002", name="test_b")]
    assert "closed" not in dict(kinds(plan(half, [issue], WORDS)))
    whole = [replace(each, state=state) for each in half]
    (action,) = plan(whole, [issue], WORDS)
    assert (action.what, action.why) == ("closed", state)
    assert action.reason == ("completed" if state == "fixed" else "not_planned")


def test_a_search_of_a_part_closes_nothing():
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    (action,) = plan([finding(state="fixed")], [issue], WORDS, partial=True)
    assert action.what == "kept"
    (action,) = plan([], [issue], WORDS)
    assert action.what == "kept"


def test_a_suspect_opens_nothing_and_closes_nothing():
    assert plan([finding(state="suspect")], [], WORDS) == []
    (action,) = plan([finding(state="suspect")], [opened([finding()])], WORDS)
    assert action.what == "kept"
