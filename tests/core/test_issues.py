"""What is decided about issues, and what their bodies remember and show, with names that mean harm."""

import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from test_mention import HOSTILE, rendered

from coiled_runtime_cli.core import issues
from coiled_runtime_cli.core.findings import Finding, Moved, RunAt
from coiled_runtime_cli.core.history import HistoryMetric
from coiled_runtime_cli.core.series import SeriesKey

METRIC = HistoryMetric(
    key="duration", name="duration", unit="s", better="lower", display_unit="s", display_scale=1.0, built_in=True
)
DAY = datetime(2026, 10, 15, tzinfo=timezone.utc)
WORDS = issues.Words(page=lambda _: "https://site.example/benchmark/x.html")


def finding(
    identity="aaaa00000001",
    *,
    name="test_a",
    cause=1,
    state="new",
    day=0,
    metric=METRIC,
    held=7,
    moved=(),
    label="main",
):
    key = SeriesKey(
        benchmark=f"benchmarks/test_x.py::{name}",
        epoch=0,
        label=label,
        scale="laptop",
        cluster=None,
        python="3.11",
        host="abc",
    )
    start = DAY + timedelta(days=day)
    return Finding(
        id=identity,
        key=key,
        metric=metric,
        kind="regression",
        before=10.0,
        after=12.0,
        ratio=1.2,
        low=1.18,
        high=1.22,
        p_value=1e-9,
        q=1e-8,
        state=state,
        held=held,
        last_good=RunAt("00000000-0000-0000-0000-000000000001", start - timedelta(days=1)),
        first_bad=RunAt("00000000-0000-0000-0000-000000000002", start),
        moved=moved,
        cause=cause,
    )


def tracked(action, number, **changes):
    """The issue that an action leaves behind."""
    first = issues.Tracked(
        number=number,
        title=action.title,
        body=action.body,
        open=True,
        reason=None,
        url=f"https://github.com/o/p/issues/{number}",
        memory=action.memory,
    )
    return replace(first, **changes)


def opened(findings, number=1, **changes):
    (action,) = issues.plan(findings, [], WORDS)
    assert action.what == "opened"
    return tracked(action, number, **changes)


def kinds(actions):
    return [(each.what, each.number) for each in actions]


def test_a_body_remembers_what_it_told_of():
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    assert issues.remembered(issue.body) == issue.memory
    assert issues.remembered(issue.body.replace("\n", "\r\n")) == issue.memory
    known = issues.known([issue])
    assert [each.id for each in known] == ["aaaa00000001", "aaaa00000002"]
    assert known[0].key == finding().key
    assert known[0].since == DAY
    assert not known[0].accepted


@pytest.mark.parametrize(
    "body",
    ["", "<!-- crt:finding aaaa -->", "<!-- crt:finding aaaa -->\n<!-- crt:memory AAAA -->", "<!-- crt:memory x -->"],
)
def test_a_body_that_is_not_ours_or_damaged_remembers_nothing(body):
    assert issues.remembered(body) is None


@given(st.text(alphabet="abcdefghABCDEFGH0123456789_=-", max_size=80))
def test_a_memory_that_somebody_made_up_is_none_or_well_formed(text):
    found = issues.remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {text} -->")
    assert found is None or found.members


def test_a_memory_that_would_unpack_without_end_is_none():
    import base64
    import zlib

    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 40_000_000, 9)).decode()
    assert issues.remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {bomb} -->") is None


def test_a_memory_that_nests_without_end_is_none():
    import base64
    import zlib

    nested = base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000, 9)).decode()
    assert issues.remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {nested} -->") is None


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_names_are_the_body_has_only_our_own_marks(name):
    metric = replace(METRIC, key=name, display_unit=name)
    moved = (Moved(name=name, before=name, after=name, url="https://github.com/a/b/compare/1...2"),)
    issue = opened([finding(name=name, label=name, metric=metric, moved=moved)])
    found = rendered(issue.body)
    assert set(found.tags) <= {
        *("p", "table", "thead", "tbody", "tr", "th", "td", "code", "a", "ul", "li", "pre"),
    }
    assert len(found.comments) == 2
    assert "@" not in found.outside
    assert "evil" not in found.outside
    assert "#12" not in found.outside
    assert issues.remembered(issue.body) == issue.memory
    assert "\n" not in issue.title
    assert "`" not in issue.title
    # a comment that tells of it is as harmless
    (updated,) = issues.plan([finding(), finding("aaaa00000009", name=name)], [opened([finding()])], WORDS)
    (comment,) = updated.comments
    told = rendered(comment.partition("\n")[2])
    assert set(told.tags) <= {"p", "ul", "li", "code"}
    assert "@" not in told.outside


def test_a_body_never_outgrows_what_github_takes():
    moved = tuple(Moved(name=f"p{each}" * 40, before="1", after="2") for each in range(100))
    many = [finding(f"{each:012x}", name=f"test_{each}[{'x' * 180}]", moved=moved) for each in range(1_000)]
    issue = opened(many)
    assert len(issue.body) < 65_536
    assert len(issue.title) < 256
    assert len(issue.memory.members) == 300


def test_two_causes_are_two_issues_and_each_keeps_its_own_though_they_seem_one_later():
    first, second = finding(), finding("aaaa00000002", name="test_b", cause=2, day=-20)
    one, two = issues.plan([first, second], [], WORDS)
    there = [tracked(one, 1), tracked(two, 2)]
    actions = issues.plan([first, replace(second, cause=1)], there, WORDS)
    assert kinds(actions) == [("kept", 1), ("kept", 2)]
    joined = issues.plan([first, replace(second, cause=1), finding("aaaa00000003", name="test_c")], there, WORDS)
    assert kinds(joined) == [("updated", 1), ("kept", 2)]


def test_the_same_change_under_two_ids_is_a_duplicate():
    """Two jobs whose histories differ by a run may put its beginning at different runs."""
    older, younger = opened([finding()]), opened([finding("aaaa00000002", day=1)], 2)
    actions = issues.plan([finding()], [older, younger], WORDS)
    assert kinds(actions) == [("closed", 2), ("kept", 1)]
    later = opened([finding("aaaa00000002", day=30)], 2)
    assert kinds(issues.plan([finding()], [older, later], WORDS)) == [("kept", 1), ("kept", 2)]


def test_two_steps_of_one_test_within_days_end_in_one_issue_and_stay_there():
    first, second = finding(), finding("aaaa00000002", day=2, cause=2)
    one, two = issues.plan([first, second], [], WORDS)
    there = [tracked(one, 1), tracked(two, 2)]
    closing, kept = issues.plan([first, second], there, WORDS)
    assert (closing.what, closing.number, kept.number) == ("closed", 2, 1)
    assert kept.what == "updated"
    there = [
        replace(there[0], body=kept.body, title=kept.title or there[0].title, memory=kept.memory),
        replace(there[1], open=False, reason="not_planned", body=closing.body, memory=closing.memory),
    ]
    assert kinds(issues.plan([first, second], there, WORDS)) == [("kept", 1)]


@pytest.mark.parametrize("state", ["fixed", "accepted", "noise"])
def test_an_issue_is_closed_when_none_of_its_findings_is_open(state):
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    half = [finding(state=state), finding("aaaa00000002", name="test_b")]
    assert "closed" not in dict(kinds(issues.plan(half, [issue], WORDS)))
    whole = [replace(each, state=state) for each in half]
    (action,) = issues.plan(whole, [issue], WORDS)
    assert (action.what, action.why) == ("closed", state)
    assert action.reason == ("completed" if state == "fixed" else "not_planned")


def test_a_search_of_a_part_closes_nothing():
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    (action,) = issues.plan([finding(state="fixed")], [issue], WORDS, partial=True)
    assert action.what == "kept"
    (action,) = issues.plan([], [issue], WORDS)
    assert action.what == "kept"


def test_a_suspect_opens_nothing_and_closes_nothing():
    assert issues.plan([finding(state="suspect")], [], WORDS) == []
    (action,) = issues.plan([finding(state="suspect")], [opened([finding()])], WORDS)
    assert action.what == "kept"


def test_an_issue_that_was_closed_as_not_planned_says_so_to_the_next_search():
    issue = opened([finding()], open=False, reason="not_planned")
    assert [each.accepted for each in issues.known([issue])] == [True]
    stored = issues.known([opened([finding()])])
    assert [each.accepted for each in issues.merged(stored, issues.known([issue]))] == [True]
