"""Histories of several databases as one: in one numbering and order that depend on what was measured alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from coiled_runtime_cli.core.history import History, HistoryMetric, RunColumns, RunNote
from coiled_runtime_cli.core.record import MEASURES
from coiled_runtime_cli.core.series import current_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.bisection import Bisection
    from coiled_runtime_cli.core.history import (
        HistoryBenchmark,
        HistoryCluster,
        HistoryEnvironment,
        HistorySession,
    )
    from coiled_runtime_cli.core.series import Alias
    from coiled_runtime_cli.db.mirror import Rows

Thing = TypeVar("Thing")

#: Columns that mean the same in every database.
_PLAIN = ("uuid", "outcome", "setup", "call", "teardown", "repeat", "profiled", "start", "end")

_ARTEFACTS = ("performance_report", "cluster_dump", "memray", "py_spy")

#: Values that say that nothing is known.
_EMPTY: tuple[Any, ...] = (None, (), {})

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(slots=True)
class Part:
    """What one database holds; its rows point to the rest by their keys in it."""

    rows: Rows
    names: dict[str, dict[int, str]]  # by table and key: what says in all databases that two rows are the same
    sessions: dict[int, HistorySession]
    environments: dict[int, HistoryEnvironment]
    clusters: dict[int, HistoryCluster]
    benchmarks: dict[int, HistoryBenchmark]
    infos: dict[int, tuple[str, str, str, str, float, bool]]  # name, unit, better, display unit, its scale, built in
    aliases: list[Alias]
    bisections: list[Bisection]


def merge(
    parts: Sequence[Part],
    *,
    since: datetime | None = None,
    labels: Collection[str] | None = None,
    suites: Collection[str] | None = None,
) -> History:
    """One history of the runs that fit; of a run that several parts have, the first part's is taken."""
    sessions, session_of = _union([(part.names["session"], part.sessions) for part in parts])
    environments, environment_of = _union([(part.names["environment"], part.environments) for part in parts])
    clusters, cluster_of = _union([(part.names["cluster"], part.clusters) for part in parts])
    versions, version_of = _union([(part.names["benchmark"], part.benchmarks) for part in parts])
    benchmarks, benchmark_of = _currently_called(parts, versions, version_of)
    metrics, columns = _metrics(parts)

    def pointed(name: str, places: Sequence[dict[int, int]]) -> NDArray[np.int32]:
        return _joined([_renumbered(getattr(part.rows, name), of) for part, of in zip(parts, places, strict=True)])

    session, benchmark = pointed("session", session_of), pointed("benchmark", benchmark_of)
    wanted = np.array(
        [
            (since is None or (each.started is not None and each.started >= since))
            and (labels is None or each.label in labels)
            for each in sessions
        ]
        + [False],  # index -1: a run whose session the database has lost
        np.bool_,
    )
    topical = np.array([*(suites is None or each.suite in suites for each in benchmarks), False], np.bool_)
    fit = wanted[session] & topical[benchmark]
    uuid = _joined([part.rows.uuid for part in parts])
    start = _joined([part.rows.start for part in parts])
    order = _ordered(start, uuid, fit, several=len(parts) > 1)

    def taken(array: NDArray[Any]) -> NDArray[Any]:
        return array if order is None else array[order]

    whole: dict[str, NDArray[Any]] = {
        name: taken(_joined([getattr(part.rows, name) for part in parts])) for name in _PLAIN
    }
    values = {key: taken(_joined([column(number) for number in range(len(parts))])) for key, column in columns.items()}
    kept_sessions, whole["session"] = _kept(sessions, taken(session), _started, also=wanted[:-1])
    kept_benchmarks, whole["benchmark"] = _kept(benchmarks, taken(benchmark), _benchmark_order)
    kept_clusters, whole["cluster"] = _kept(clusters, taken(pointed("cluster", cluster_of)), lambda each: each.id)
    used = taken(pointed("environment", environment_of))
    first = _first_use(used, len(environments))
    numbers = {each.id: number for number, each in enumerate(environments)}
    kept_environments, whole["environment"] = _kept(environments, used, lambda each: (first[numbers[each.id]], each.id))
    return History(
        sessions=kept_sessions,
        environments=kept_environments,
        clusters=kept_clusters,
        benchmarks=kept_benchmarks,
        metrics=metrics,
        runs=RunColumns(**whole, values=values),
        notes=_notes(parts, uuid, order),
        bisections=_bisections(parts),
    )


def halves(uuid: NDArray[np.void]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The two halves of UUIDs as numbers that sort as their bytes do."""
    pairs = np.ascontiguousarray(uuid).view(">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _union(
    parts: Sequence[tuple[Mapping[int, str], Mapping[int, Thing]]],
) -> tuple[list[Thing], list[dict[int, int]]]:
    """The distinct things of all parts by their names, and for each part the place of each key."""
    accounts: dict[str, list[Thing]] = {}
    place: dict[str, int] = {}
    places: list[dict[int, int]] = []
    for names, things in parts:
        for key, thing in things.items():
            told = accounts.setdefault(names[key], [])
            if thing not in told:
                told.append(thing)
            place.setdefault(names[key], len(place))
        places.append({key: place[names[key]] for key in things})
    return [_completed(told) for told in accounts.values()], places


def _completed(accounts: list[Thing]) -> Thing:
    """One account of several: the fullest, with what it lacks from the next ones. Of a session the one that saw its end."""
    if len(accounts) == 1:
        return accounts[0]

    def rank(thing: Any) -> tuple[Any, ...]:
        ended = getattr(thing, "ended", None) or _LONG_AGO
        return _fullness(thing), not getattr(thing, "interrupted", False), ended, repr(thing)

    best, *others = sorted(accounts, key=rank, reverse=True)
    known: dict[str, Any] = {}
    for each in dataclasses.fields(best):  # type: ignore[arg-type]  # every thing is a dataclass
        values = [getattr(account, each.name) for account in (best, *others)]
        known[each.name] = next((value for value in values if value not in _EMPTY), values[0])
    return replace(best, **known)  # type: ignore[type-var]


def _fullness(thing: Any) -> int:
    return sum(getattr(thing, each.name) not in _EMPTY for each in dataclasses.fields(thing))


def _benchmark_order(each: HistoryBenchmark) -> tuple[Any, ...]:
    return each.id, each.epoch, each.former or "", repr(each)


def _started(each: HistorySession) -> tuple[datetime, str]:
    return each.started or _LONG_AGO, each.id


def _currently_called(
    parts: Sequence[Part], versions: Sequence[HistoryBenchmark], places: Sequence[dict[int, int]]
) -> tuple[list[HistoryBenchmark], list[dict[int, int]]]:
    """The versions under their current ids, equal ones once; what one is called now says the newest row that says so."""
    names = current_ids([alias for part in parts for alias in part.aliases])
    called: dict[str, HistoryBenchmark] = {}
    for each in sorted(versions, key=lambda one: (one.epoch, _fullness(one), repr(one))):
        called[each.id] = each
    benchmarks: list[HistoryBenchmark] = []
    place: dict[str, int] = {}
    moved: list[int] = []
    for each in versions:
        now = _renamed(each, names.get(each.id, each.id), called)
        moved.append(place.setdefault(repr(now), len(benchmarks)))
        if moved[-1] == len(benchmarks):
            benchmarks.append(now)
    return benchmarks, [{key: moved[number] for key, number in of.items()} for of in places]


def _renamed(each: HistoryBenchmark, current: str, called: dict[str, HistoryBenchmark]) -> HistoryBenchmark:
    if current == each.id:
        return each
    now = called.get(current)
    if now is None:
        return replace(each, id=current, former=each.id)
    return replace(
        each,
        id=current,
        former=each.id,
        path=now.path,
        name=now.name,
        originalname=now.originalname,
        suite=now.suite,
        params=now.params,
    )


def _renumbered(keys: NDArray[np.int64], place: dict[int, int]) -> NDArray[np.int32]:
    """Keys of a database as places in the union; -1 for none, and for what the database does not have."""
    known = np.array([-1, *sorted(place)], np.int64)
    numbers = np.array([-1, *(place[key] for key in sorted(place))], np.int32)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, numbers[at], np.int32(-1))


def _metrics(
    parts: Sequence[Part],
) -> tuple[tuple[HistoryMetric, ...], dict[str, Callable[[int], NDArray[np.float64]]]]:
    """The metrics, and for each what gives its column in a part."""
    infos: dict[tuple[str, str, str], tuple[str, float, bool]] = {}
    for part in parts:
        for name, unit, better, display_unit, scale, built_in in part.infos.values():
            shown = (display_unit, scale, built_in)
            infos[name, unit, better] = max(shown, infos.get((name, unit, better), shown))
    built_in_ones = {identity for identity, (*_, own) in infos.items() if own and identity[0] in MEASURES}
    recorded = {
        part.infos[key][:3] for part in parts for key in np.unique(part.rows.metric_info).tolist() if key in part.infos
    }
    keys: dict[str, tuple[str, str, str]] = {}
    for identity in sorted(built_in_ones, key=lambda each: (MEASURES.index(each[0]), each)):
        keys.setdefault(identity[0], identity)
    names = [identity[0] for identity in {*keys.values(), *recorded}]
    for identity in sorted(recorded - set(keys.values())):
        name, unit, better = identity
        key = name if names.count(name) == 1 or not unit else f"{name} [{unit}]"
        while key in keys:
            key += f" ({better} is better)"
        keys[key] = identity
    own = [key for key, identity in keys.items() if identity in built_in_ones]
    metrics: list[HistoryMetric] = []
    columns: dict[str, Callable[[int], NDArray[np.float64]]] = {}
    for key in [*own, *sorted(keys.keys() - set(own))]:
        name, unit, better = keys[key]
        display_unit, scale, _ = infos[keys[key]]
        metrics.append(
            HistoryMetric(
                key=key,
                name=name,
                unit=unit,
                better=better,
                display_unit=display_unit,
                display_scale=scale,
                built_in=key in own,
            )
        )
        columns[key] = _measured(parts, MEASURES.index(name)) if key in own else _recorded(parts, keys[key])
    return tuple(metrics), columns


def _measured(parts: Sequence[Part], place: int) -> Callable[[int], NDArray[np.float64]]:
    return lambda number: parts[number].rows.values[place]


def _recorded(parts: Sequence[Part], identity: tuple[str, str, str]) -> Callable[[int], NDArray[np.float64]]:
    def column(number: int) -> NDArray[np.float64]:
        part = parts[number]
        rows = part.rows
        found = np.full(len(rows.key), np.nan)
        if len(rows.key):
            keys = [key for key, info in part.infos.items() if info[:3] == identity]
            mine = np.isin(rows.metric_info, keys)
            run = rows.metric_run[mine]
            place = np.minimum(np.searchsorted(rows.key, run), len(rows.key) - 1)
            known = rows.key[place] == run
            found[place[known]] = rows.metric_value[mine][known]
        return found

    return column


def _ordered(
    start: NDArray[np.int64], uuid: NDArray[np.void], fit: NDArray[np.bool_], *, several: bool
) -> NDArray[np.int64] | None:
    """The rows that fit, each run once, by start and then by UUID; None where that is all of them as they are."""
    rows = np.flatnonzero(fit)
    first, second = halves(uuid) if several else (None, None)
    if first is not None and second is not None:
        by_uuid = rows[np.lexsort((rows, second[rows], first[rows]))]
        same = (first[by_uuid][1:] == first[by_uuid][:-1]) & (second[by_uuid][1:] == second[by_uuid][:-1])
        rows = np.sort(by_uuid[np.concatenate(([True], ~same))]) if len(by_uuid) else by_uuid
    moments = start[rows]
    if not bool((moments[1:] > moments[:-1]).all()):  # no differences: they overflow at NO_TIME
        place = np.argsort(moments, kind="stable")
        rows, moments = rows[place], moments[place]
        twins = moments[1:] == moments[:-1]
        if twins.any():
            tied = np.flatnonzero(np.concatenate((twins, [False])) | np.concatenate(([False], twins)))
            first, second = halves(uuid[rows[tied]])
            rows[tied] = rows[tied][np.lexsort((second, first, moments[tied]))]
    if len(rows) == len(fit) and bool((rows[1:] > rows[:-1]).all()):
        return None
    return rows


def _first_use(codes: NDArray[np.int32], count: int) -> list[int]:
    """The row that first points to each of ``count`` things."""
    first = np.full(count + 1, len(codes), np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of several writes to one place the last one stays
    found: list[int] = first.tolist()
    return found


def _kept(
    things: Sequence[Thing],
    codes: NDArray[np.int32],
    order: Callable[[Thing], Any],
    *,
    also: NDArray[np.bool_] | None = None,
) -> tuple[tuple[Thing, ...], NDArray[np.int32]]:
    """The things that rows point to (and those of ``also``) in their order, and the rows' new codes."""
    seen = np.zeros(len(things) + 1, np.bool_)
    seen[codes] = True
    keep = seen[: len(things)] if also is None else seen[: len(things)] | also
    places = sorted(np.flatnonzero(keep).tolist(), key=lambda place: order(things[place]))
    table = np.full(len(things) + 1, -1, np.int32)
    table[places] = np.arange(len(places), dtype=np.int32)
    return tuple(things[place] for place in places), table[codes]


def _notes(parts: Sequence[Part], uuid: NDArray[np.void], order: NDArray[np.int64] | None) -> dict[bytes, RunNote]:
    """The notes of the runs that were taken; of two accounts the one of the row that was taken."""
    taken = np.ones(len(uuid), np.bool_)
    if order is not None:
        taken[:] = False
        taken[order] = True
    notes: dict[bytes, RunNote] = {}
    before = 0
    for part in parts:
        keys = np.array([note[0] for note in part.rows.notes], np.int64)
        places = np.searchsorted(part.rows.key, keys)
        for place, (_, failure, *urls) in zip(places.tolist(), part.rows.notes, strict=True):
            if taken[before + place]:
                artefacts = {name: url for name, url in zip(_ARTEFACTS, urls, strict=True) if url}
                notes[uuid[before + place].tobytes()] = RunNote(failure=failure, artefacts=artefacts)
        before += len(part.rows.key)
    return dict(sorted(notes.items()))


def _bisections(parts: Sequence[Part]) -> tuple[Bisection, ...]:
    found = {each.id: each for part in reversed(parts) for each in part.bisections}
    return tuple(sorted(found.values(), key=lambda each: (each.started, each.id)))
