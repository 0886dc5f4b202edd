"""What each page shows, as values: built from a history, handed to the templates, compared in tests.

Text is plain text, whatever it holds: the templates escape it. Links are relative to the page that shows them.
Times are aware UTC datetimes, values are in SI base units beside the text that a person reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core import detect

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    """``label`` is what a person calls it; a stored value is shown as ``value / scale`` in ``unit``."""

    key: str
    label: str
    unit: str
    scale: float
    better: str  # lower, higher


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    text: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """What every page has: the header, the navigation, the footer. ``root`` leads from the page to the site's folder."""

    title: str
    root: str  # "" or "../"
    page: str  # index, suite, benchmark, compare, bars, tpch, bisect
    path: str  # of the page from the site's folder
    metrics: tuple[MetricView, ...]
    metric: str  # key of the default one
    suites: tuple[LinkView, ...]
    has_tpch: bool
    bisections: tuple[LinkView, ...]
    runs: int
    sessions: int
    first: datetime | None
    last: datetime | None
    version: str  # of crt
    assets: dict[str, str]  # file in static/ -> its name with a token that changes with its content
    inline: dict[str, str] | None = None  # the texts of the assets, where the page has to stand alone
    alone: bool = False  # there is no other page to go to


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkView:
    """A line of at most 32 points: each an x and y in 0..100 (y down). ``at`` is the x of the change."""

    points: tuple[tuple[int, int], ...]
    at: int | None = None
    label: str = ""  # for who cannot see it


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedView:
    """A package, the Python or the host that differs between the last good and the first bad run."""

    name: str
    before: str | None
    after: str | None
    url: str | None = None  # the forge's view of what lies between


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    id: str
    kind: str  # regression, improvement
    state: str  # new, confirmed, fixed, accepted, suspect, noise
    metric: MetricView
    benchmark: str  # id
    name: str
    suite: str
    href: str
    runtime: str  # label, python and whatever else tells its series from others
    since: datetime
    before: str  # "1.24 s"
    after: str
    ratio: float
    low: float | None
    high: float | None
    q: float  # false discovery rate at which it is still a finding
    last_good: datetime
    spark: SparkView
    moved: tuple[MovedView, ...]
    more_moved: int = 0  # packages that moved beyond those in ``moved``
    alike: tuple[LinkView, ...] = ()  # other findings with the same range and direction

    @property
    def is_open(self) -> bool:
        """Whether somebody should look at it, as ``crt detect`` has it: neither accepted, nor fixed, nor a mere suspicion."""
        return self.state in detect.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleView:
    """A benchmark of the last session that failed, was slow or was missing."""

    name: str
    suite: str
    href: str
    what: str  # "failed", "1.8x its usual 2.1 s", "last ran 2026-11-02"
    detail: str | None = None  # of a failure: its last line


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """The last session of one runtime."""

    runtime: str
    session: str
    started: datetime | None
    ended: datetime | None
    interrupted: bool
    ci_url: str | None
    versions: tuple[tuple[str, str], ...]  # ("dask", "2026.8.0")
    passed: int
    runs: int
    outcomes: tuple[tuple[str, int], ...]  # other than passed: ("failed", 2)
    failed: tuple[TroubleView, ...]
    slow: tuple[TroubleView, ...]
    missing: tuple[TroubleView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRow:
    """A benchmark function in a list: all its parameters and runtimes together."""

    name: str
    path: str
    href: str
    series: int
    runs: int
    failed: int  # of its series, those whose last run did not pass
    last: datetime | None
    value: float | None  # its level now, of the busiest series, in seconds
    value_text: str
    change: float | None  # level now over level a month before, geometric mean over its series
    regressions: int  # findings that are open
    improvements: int
    spark: SparkView


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteView:
    """A test module: ``functions`` and what they amount to."""

    name: str
    path: str
    href: str
    functions: tuple[FunctionRow, ...]
    tests: int
    runs: int
    failed: int
    last: datetime | None
    regressions: int
    improvements: int
    spark: SparkView  # geometric mean of its tests' durations, each relative to its own


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    changes: tuple[ChangeView, ...]  # the newest first
    older: int  # findings of the history that are not in ``changes``
    window: int  # days before the last run that ``changes`` covers
    searched: int  # series x metrics that have enough runs to be searched for changes
    health: tuple[HealthView, ...]  # by runtime, the last measured first
    suites: tuple[SuiteView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """One series of a benchmark function: its state in the page's table, for each metric."""

    name: str  # of the test
    trace: str  # its parameters, or the test's name without any
    runtime: str
    unit: str  # the data file that has its runs
    index: int  # of the series in that file
    epoch: int
    runs: int
    failed: int
    last: datetime | None
    last_outcome: str | None
    levels: dict[str, str]  # metric key -> level now, as text
    intervals: dict[str, str]
    changes: dict[str, tuple[str, float] | None]  # metric key -> (kind, ratio) of its last finding


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeView:
    """What a series has beyond its benchmark: how its runs were made."""

    id: str  # in data files and URLs
    text: str  # what tells it from the others of this history
    label: str | None
    scale: str | None
    python: str | None
    cluster: str | None
    host: str | None
    runs: int
    last: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionView:
    name: str
    path: str
    suite: LinkView
    summary: str | None  # first paragraph of its docstring
    metrics: tuple[MetricView, ...]  # that it has values of
    runtimes: tuple[RuntimeView, ...]  # the busiest first; those of this function
    series: tuple[SeriesRow, ...]
    changes: tuple[ChangeView, ...]
    epochs: tuple[tuple[int, str | None, datetime | None], ...]  # epoch, reason, first run; more than one to be shown
    former: tuple[str, ...]  # ids it had before
    source: str | None  # highlighted HTML, safe
    source_text: str | None
    markers: tuple[str, ...]
    page: dict[str, Any]  # for the browser: see encode.py


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectionView:
    title: str
    status: str
    answer: str  # one sentence
    culprit: LinkView | None
    subject: str | None
    repository: str | None
    benchmark: str | None
    metric: str
    confidence: str | None
    effect: str | None
    started: datetime
    took: str | None
    candidates: tuple[tuple[str, str | None, str | None, str, str | None], ...]  # name, subject, date, probability, url
    probes: tuple[tuple[str, str, str, str, str], ...]  # time, candidate, purpose, outcome, value
    message: str | None
    values: dict[str, Any]  # Plotly figure: values by candidate
    posterior: dict[str, Any]  # Plotly figure
    culprit_index: int | None = None  # into ``candidates``
    probabilities: tuple[float | None, ...] = ()  # of the candidates, to sort by
