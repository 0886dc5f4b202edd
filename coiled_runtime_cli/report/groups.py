"""How the runs of a history fall into functions, runtimes, units and series.

A *function* is a test without its parameters, with one page. A *runtime* is what a series key has beyond benchmark and epoch:
label, scale, cluster, Python, host. A *unit* is what one function did in one runtime: one data file. A *series* is one
benchmark and epoch within a unit: exactly the runs that may be compared.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core.grouping import codes
from coiled_runtime_cli.core.history import NO_TIME, PHASE_OUTCOMES
from coiled_runtime_cli.core.series import EXPERIMENTS, SeriesKey, series_key
from coiled_runtime_cli.report.views import RuntimeView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryCluster

#: Longest readable part of a file's name; what is cut or replaced is told apart by a hash.
_SLUG = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A test without its parameters. ``benchmarks`` are indexes into History.benchmarks."""

    slug: str
    path: str
    name: str
    suite: str
    benchmarks: tuple[int, ...]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One benchmark at one epoch within a unit; ``trace`` is what tells it from its siblings: its parameters."""

    benchmark: str  # id
    name: str
    trace: str
    epoch: int
    former: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The runs of a function in a runtime: ``rows`` of the history by time, ``series_of`` each an index into ``series``."""

    function: int
    runtime: int
    name: str  # of the data file
    rows: NDArray[np.int64]
    series: tuple[Series, ...]
    series_of: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    functions: tuple[Function, ...]  # by path, name
    runtimes: tuple[RuntimeView, ...]  # the last measured first, then the busiest
    runtime_of: NDArray[np.int32]  # by run
    function_of: NDArray[np.int32]  # by run
    units: tuple[Unit, ...]  # by function, then by runtime


def group(history: History) -> Groups:
    functions, function_by_benchmark = _functions(history)
    runtimes, runtime_of = _runtimes(history)
    runs = history.runs
    function_of = function_by_benchmark[runs.benchmark] if len(runs) else np.zeros(0, np.int32)
    return Groups(
        functions=functions,
        runtimes=runtimes,
        runtime_of=runtime_of,
        function_of=function_of,
        units=tuple(_units(history, functions, runtimes, function_of, runtime_of)),
    )


def slug(text: str, *, always: bool = False) -> str:
    """A name for a file or an address: safe everywhere, readable, and different for different texts.

    A hash is added where the text itself could not serve (or ``always``): on file systems that ignore case, ``A`` is ``a``.
    """
    readable = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:_SLUG].strip("-.")
    if readable and readable == text and not always:
        return readable
    token = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{readable}-{token}" if readable else token


def is_experiment(runtime: RuntimeView) -> bool:
    """Whether its runs were made to compare: their environments change on purpose, and what changes with them is no news."""
    return (runtime.label or "").startswith(EXPERIMENTS)


def function_slug(path: str, name: str) -> str:
    """The name of a test's page: of its file's path and its name without parameters."""
    return slug(f"{path.removesuffix('.py').replace('/', '.')}.{name}")


def moment(microseconds: int) -> datetime | None:
    return None if microseconds == NO_TIME else datetime.fromtimestamp(microseconds / 1e6, timezone.utc)


def _functions(history: History) -> tuple[tuple[Function, ...], NDArray[np.int32]]:
    members: dict[tuple[str, str], list[int]] = {}
    for index, benchmark in enumerate(history.benchmarks):
        members.setdefault((benchmark.path, benchmark.originalname), []).append(index)
    functions: list[Function] = []
    of = np.zeros(len(history.benchmarks), np.int32)
    for path, name in sorted(members):
        indexes = members[path, name]
        of[indexes] = len(functions)
        functions.append(
            Function(
                slug=function_slug(path, name),
                path=path,
                name=name,
                suite=history.benchmarks[indexes[0]].suite,
                benchmarks=tuple(indexes),
            )
        )
    return tuple(functions), of


def _runtimes(history: History) -> tuple[tuple[RuntimeView, ...], NDArray[np.int32]]:
    runs = history.runs
    sessions, session_code = codes((each.label, each.scale, each.host_fingerprint) for each in history.sessions)
    clusters, cluster_code = codes([*((each.spec_id, each.kind) for each in history.clusters), (None, None)])
    pythons, python_code = codes([*(each.python for each in history.environments), None])
    if not len(runs):
        return (), np.zeros(0, np.int32)
    # index -1 takes the last entry, which stands for none
    mixed = (session_code[runs.session] * len(clusters) + cluster_code[_clusters_of_runs(history, session_code)]) * len(
        pythons
    )
    mixed += python_code[runs.environment]
    distinct, of, counts = np.unique(mixed, return_inverse=True, return_counts=True)
    last = np.full(len(distinct), NO_TIME, np.int64)
    np.maximum.at(last, of, runs.start)
    merged: dict[SeriesKey, list[int]] = {}
    for index, code in enumerate(distinct.tolist()):
        rest, python = divmod(code, len(pythons))
        session, cluster = divmod(rest, len(clusters))
        label, scale, host = sessions[session]
        spec, kind = clusters[cluster]
        key = series_key(
            benchmark="",
            epoch=0,
            label=label,
            scale=scale,
            cluster=spec,
            cluster_kind=kind,
            python=pythons[python],
            host=host,
        )
        merged.setdefault(key, []).append(index)
    total = {key: int(counts[members].sum()) for key, members in merged.items()}
    latest = {key: int(last[members].max()) for key, members in merged.items()}
    # the last measured day first; within it the busiest: one session of a day is not more than another
    keys = sorted(merged, key=lambda key: (-(latest[key] // 86_400_000_000), -total[key], _order(key)))
    texts = _texts(keys, history)
    views = tuple(
        RuntimeView(
            id=slug("-".join(filter(None, [key.label, key.python and f"py{key.python}", _digest(key)]))),
            text=texts[key],
            label=key.label,
            scale=key.scale,
            python=key.python,
            cluster=key.cluster,
            host=key.host,
            runs=total[key],
            last=moment(latest[key]),
        )
        for key in keys
    )
    position = np.zeros(len(distinct), np.int32)
    for rank, key in enumerate(keys):
        position[merged[key]] = rank
    return views, position[of.reshape(-1)]


def _clusters_of_runs(history: History, kind_of_session: NDArray[np.int64]) -> NDArray[np.int32]:
    """The cluster of each run: an index into History.clusters, -1 for none.

    A run that ended before it could ask for a cluster, such as one skipped for want of a library, counts where it would have
    been: where the same test ran in its session, else where it runs in sessions of that kind (label, scale, host), else with most
    runs of its file in its session, else with most runs of the session.
    """
    runs = history.runs
    before = (runs.cluster < 0) & (runs.setup > PHASE_OUTCOMES.index("passed"))
    if not before.any():
        return runs.cluster
    tests, test_of = codes(each.id for each in history.benchmarks)
    paths, path_of = codes(each.path for each in history.benchmarks)
    session, test = runs.session.astype(np.int64), test_of[runs.benchmark]
    cluster: NDArray[np.int32] = runs.cluster.copy()
    # the nearest place comes last, and has the last word; the runs of a place that were on no cluster have a say as well
    for place in (
        session,
        session * len(paths) + path_of[runs.benchmark],
        kind_of_session[runs.session] * len(tests) + test,
        session * len(tests) + test,
    ):
        known = ~before & np.isin(place, place[before])
        if not known.any():
            continue
        pairs, counts = np.unique(
            place[known] * (len(history.clusters) + 1) + runs.cluster[known] + 1, return_counts=True
        )
        where, which = np.divmod(pairs, len(history.clusters) + 1)
        order = np.lexsort((counts, where))  # the last of each place is its busiest
        where, which = where[order], which[order]
        found = np.searchsorted(where, place[before], side="right") - 1
        there = (found >= 0) & (where[found] == place[before])
        cluster[np.flatnonzero(before)[there]] = which[found[there]] - 1
    return cluster


def _order(key: SeriesKey) -> tuple[str, ...]:
    return tuple(each or "" for each in (key.label, key.scale, key.python, key.cluster, key.host))


def _digest(key: SeriesKey) -> str:
    return hashlib.sha256("\0".join(_order(key)).encode("utf-8", "backslashreplace")).hexdigest()[:6]


def _texts(keys: Sequence[SeriesKey], history: History) -> dict[SeriesKey, str]:
    """What to call each runtime: its label, and whatever else differs among those of this history."""
    clusters = {each.spec_id: each for each in history.clusters if each.spec_id is not None}
    hosts = {each.host_fingerprint: each.host for each in history.sessions if each.host_fingerprint is not None}
    varies = {
        name: len({getattr(key, name) for key in keys}) > 1 for name in ("scale", "cluster", "python", "host", "label")
    }
    texts: dict[SeriesKey, str] = {}
    for key in keys:
        parts = [key.label or "no label"]
        if key.python is not None and varies["python"]:
            parts.append(f"Python {key.python}")
        if key.scale is not None and varies["scale"]:
            parts.append(f"{key.scale} scale")
        if varies["cluster"]:
            parts.append(_cluster_text(clusters.get(key.cluster or "")))
        if key.host is not None and varies["host"]:
            parts.append(_host_text(hosts.get(key.host) or {}, key.host))
        texts[key] = " · ".join(parts)
    taken: dict[str, int] = {}
    for text in texts.values():
        taken[text] = taken.get(text, 0) + 1
    return {key: f"{text} · {_digest(key)}" if taken[text] > 1 else text for key, text in texts.items()}


def _cluster_text(cluster: HistoryCluster | None) -> str:
    if cluster is None:
        return "no cluster"
    workers = cluster.spec.get("n_workers")
    size = f" of {workers}" if isinstance(workers, int) else ""
    return f"{cluster.kind or 'unknown'} cluster{size}"


def _host_text(host: dict[str, Any], fingerprint: str) -> str:
    name = host.get("hostname") or host.get("cpu_model")
    return str(name) if name else f"host {fingerprint[:6]}"


def _units(
    history: History,
    functions: Sequence[Function],
    runtimes: Sequence[RuntimeView],
    function_of: NDArray[np.int32],
    runtime_of: NDArray[np.int32],
) -> Iterable[Unit]:
    runs = history.runs
    if not len(runs):
        return
    mixed = function_of.astype(np.int64) * len(runtimes) + runtime_of
    order = np.argsort(mixed, kind="stable")
    edges = np.flatnonzero(np.diff(mixed[order])) + 1
    # versions of one benchmark that share an epoch are one series: a new source alone does not part it
    series_of_version, series = _series(history)
    for rows in np.split(order, edges):
        code = int(mixed[rows[0]])
        function, runtime = divmod(code, len(runtimes))
        present, local = np.unique(series_of_version[runs.benchmark[rows]], return_inverse=True)
        yield Unit(
            function=function,
            runtime=runtime,
            name=f"{functions[function].slug}/{runtimes[runtime].id}",
            rows=rows,
            series=tuple(series[each] for each in present),
            series_of=local.reshape(-1).astype(np.int32),
        )


def _series(history: History) -> tuple[NDArray[np.int32], list[Series]]:
    """For each benchmark version the index of its series, and the series by id and epoch."""
    members: dict[tuple[str, int], list[int]] = {}
    for index, benchmark in enumerate(history.benchmarks):
        members.setdefault((benchmark.id, benchmark.epoch), []).append(index)
    of = np.zeros(len(history.benchmarks), np.int32)
    series = []
    for number, key in enumerate(sorted(members)):
        versions = [history.benchmarks[index] for index in members[key]]
        of[members[key]] = number
        name, function = versions[0].name, versions[0].originalname
        inside = name.removeprefix(function)
        bracketed = len(inside) > 2 and inside.startswith("[") and inside.endswith("]")
        trace = inside[1:-1] if bracketed else name
        series.append(
            Series(
                benchmark=key[0],
                name=name,
                trace=f"{trace} (epoch {key[1]})" if key[1] > 1 else trace,
                epoch=key[1],
                former=next((each.former for each in versions if each.former), None),
            )
        )
    return of, series
