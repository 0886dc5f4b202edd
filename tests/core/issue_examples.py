"""Findings, and the issues that they are told of in."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from coiled_runtime_cli.core.findings import Finding, RunAt
from coiled_runtime_cli.core.history import HistoryMetric
from coiled_runtime_cli.core.issue_memory import Tracked
from coiled_runtime_cli.core.issue_text import Words
from coiled_runtime_cli.core.issues import plan
from coiled_runtime_cli.core.series import SeriesKey

METRIC = HistoryMetric(
    key="duration", name="duration", unit="s", better="lower", display_unit="s", display_scale=1.0, built_in=True
)
DAY = datetime(2026, 10, 15, tzinfo=timezone.utc)
WORDS = Words(page=lambda _: "https://site.example/benchmark/x.html")


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
    first = Tracked(
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
    (action,) = plan(findings, [], WORDS)
    assert action.what == "opened"
    return tracked(action, number, **changes)
