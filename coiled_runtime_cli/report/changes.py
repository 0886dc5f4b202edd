"""The changes of a history as findings: which way, how sure, since when, what moved, and which belong together."""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from coiled_runtime_cli.core import detect, forge
from coiled_runtime_cli.report.figures.history import kind_of
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import ChangeView, LinkView, MovedView, SparkView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.core.history import History, HistoryEnvironment
    from coiled_runtime_cli.report.digest import ChangeDigest, UnitDigest
    from coiled_runtime_cli.report.groups import Groups, Unit
    from coiled_runtime_cli.report.views import MetricView

#: Packages that are named beside a change, and findings that are listed as alike.
_MOVED, _ALIKE = 12, 20

_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    view: ChangeView
    function: int
    unit: str
    series: int
    good: int
    bad: int


class Changes:
    """Every finding of the history, the newest first."""

    def __init__(
        self,
        history: History,
        groups: Groups,
        digests: Sequence[UnitDigest],
        metrics: Mapping[str, MetricView],
        hrefs: Mapping[int, str],
        suites: Mapping[str, str],
    ) -> None:
        self._history = history
        self._groups = groups
        self._metrics = metrics
        self._hrefs = hrefs
        self._suites = suites
        self._environments = {each.id: each for each in history.environments}
        self._diffs: dict[tuple[str | None, str | None], tuple[MovedView, ...]] = {}
        self._hosts = {each.id: each.host_fingerprint for each in history.sessions}
        self._newest = max((each.last for each in digests if each.last is not None), default=0)
        self._found = self._alike(self._findings(digests))
        self._by_id = {each.view.id: each for each in self._found}
        self._by_function: dict[int, list[_Found]] = {}
        for each in self._found:
            self._by_function.setdefault(each.function, []).append(each)
        #: How to link to commits of the packages that the history knows, for the browser.
        self.forges = forge.templates()
