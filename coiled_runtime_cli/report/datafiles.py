"""The payloads of the data files: the runs of a unit, their details, sessions and environments.

Each is loaded when a page needs it: the runs with the chart, their details with the first click on one, and so on.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core.history import NO_TIME
from coiled_runtime_cli.report.digest import KEY_PACKAGES
from coiled_runtime_cli.report.encode import codes, column, seconds, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryCluster, HistoryEnvironment, HistorySession, RunNote
    from coiled_runtime_cli.report.groups import Unit

#: The columns that make a run what it is, beside its UUID, in the order of their fingerprint.
_COLUMNS = ("outcome", "setup", "call", "teardown", "repeat", "profiled", "start", "end")


_CLUSTER_FIELDS = ("name", "cluster_id", "details_url", "kind", "software_name", "dask_config")

#: Runs of a unit by which its files grow: the file with what is older is not touched by a new session.
_STEP = 1_024


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """The runs of a unit from ``start`` to ``stop``, in two files: what charts need, and what else is known of them."""

    unit: Unit
    start: int
    stop: int

    @property
    def rows(self) -> NDArray[np.int64]:
        return self.unit.rows[self.start : self.stop]

    @property
    def name(self) -> str:
        """No unit's name ends like that of an older part: each ends with a hash."""
        return self.unit.name if self.stop == len(self.unit.rows) else f"{self.unit.name}.before"

    @property
    def names(self) -> tuple[str, str]:
        """Of the files, as a page asks for them."""
        return f"b/{self.name}", f"r/{self.name}"


def parts(unit: Unit) -> tuple[Part, ...]:
    """The parts of a unit by time: all full steps but the last, and the newest runs."""
    count = len(unit.rows)
    edge = (count - 1) // _STEP * _STEP
    return (Part(unit, 0, edge), Part(unit, edge, count)) if edge > 0 else (Part(unit, 0, count),)


class DataFiles:
    """Makes the data files of a history's units, and names each part by all that its files and digest are made from."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._sessions = _Tokens(
            history.sessions, lambda each: (each.id, each.label, each.started, each.host_fingerprint)
        )
        self._environments = _Tokens(history.environments)
        # its spec is told by the id of that
        self._clusters = _Tokens(history.clusters, attrgetter("id", "spec_id", *_CLUSTER_FIELDS))
        self._benchmarks = _Tokens(history.benchmarks, lambda each: dataclasses.replace(each, source=None))
        self._metrics = _token(history.metrics)
        self._notes = _noted_rows(history)
        self._contents = _contents(history)

    def fingerprint(self, part: Part) -> str:
        """Equal for equal content: whatever file it came from, and whatever else the history holds."""
        runs, rows = self._history.runs, part.rows
        digest = hashlib.blake2b(self._metrics, digest_size=16)
        digest.update(_token(part.unit.series))
        digest.update(runs.uuid[rows].tobytes())
        digest.update(self._contents[rows].tobytes())
        for indexes, tokens in (
            (runs.session[rows], self._sessions),
            (runs.environment[rows], self._environments),
            (runs.cluster[rows], self._clusters),
            (runs.benchmark[rows], self._benchmarks),
        ):
            present, local = _local(indexes, len(tokens))
            digest.update(b"".join(map(tokens.of, present)))
            digest.update(local.tobytes())
        for row, note in self._part_notes(part).items():
            digest.update(f"{row}{note!r}".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def payloads(self, part: Part) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and content of the part's files."""
        for name, make in zip(part.names, (self._runs, self._details), strict=True):
            payload = make(part)
            payload["before"] = f"{name}.before" if part.start else None
            yield name, payload

    def _runs(self, part: Part) -> dict[str, Any]:
        """What the charts of a unit need: runs by time, with the environments that they point to."""
        history, runs, rows = self._history, self._history.runs, part.rows
        environments, environment = _local(runs.environment[rows], len(history.environments))
        return {
            "series": [
                {
                    "benchmark": each.benchmark,
                    "name": each.name,
                    "trace": each.trace,
                    "epoch": each.epoch,
                    "former": each.former,
                }
                for each in part.unit.series
            ],
            "label": history.sessions[runs.session[rows[0]]].label,
            "environments": [_environment(history.environments[each]) for each in environments],
            "environment": column(codes(environment, len(environments))),
            "series_of": column(codes(part.unit.series_of[part.start : part.stop], len(part.unit.series))),
            "outcome": column(runs.outcome[rows]),
            "profiled": column(runs.profiled[rows].astype(np.uint8)),
            "repeat": column(runs.repeat[rows].astype(np.uint16)),
            "time": column(seconds(runs.start[rows], NO_TIME)),
            "metrics": {
                key: column(values(array[rows])) for key, array in runs.values.items() if np.isfinite(array[rows]).any()
            },
        }

    def _details(self, part: Part) -> dict[str, Any]:
        """What a click on a run shows beyond that, row by row."""
        history, runs, rows = self._history, self._history.runs, part.rows
        clusters, cluster = _local(runs.cluster[rows], len(history.clusters))
        sessions, session = _local(runs.session[rows], len(history.sessions))
        started = [history.sessions[each].started for each in sessions]
        return {
            "uuid": {"t": "u1", "b": base64.b64encode(runs.uuid[rows].tobytes())},
            "end": column(seconds(runs.end[rows], NO_TIME)),
            "setup": column(runs.setup[rows]),
            "call": column(runs.call[rows]),
            "teardown": column(runs.teardown[rows]),
            "session": column(codes(session, len(sessions))),
            "sessions": [
                [history.sessions[each].id, _month(moment)] for each, moment in zip(sessions, started, strict=True)
            ],
            "cluster": column(codes(cluster, len(clusters))),
            "clusters": [_cluster(history.clusters[each]) for each in clusters],
            "notes": {
                str(row): {"failure": note.failure, "artefacts": note.artefacts}
                for row, note in self._part_notes(part).items()
            },
        }

    def _part_notes(self, part: Part) -> dict[int, RunNote]:
        """The notes of a part by the place of their run in it."""
        if not len(self._notes):
            return {}
        places = np.flatnonzero(np.isin(part.rows, self._notes, assume_unique=True))
        uuids = self._history.runs.uuid[part.rows[places]]
        return {place: self._history.notes[uuid.tobytes()] for place, uuid in zip(places.tolist(), uuids, strict=True)}


class _Tokens:
    """A token for each thing that a part points to, made when it is asked for."""

    def __init__(self, things: Sequence[Any], told: Callable[[Any], Any] | None = None) -> None:
        self._things, self._told = things, told
        self._known: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._things)

    def of(self, index: int) -> bytes:
        if index not in self._known:
            thing = self._things[index]
            self._known[index] = _token(thing if self._told is None else self._told(thing))
        return self._known[index]


def session_document(session: HistorySession) -> dict[str, Any]:
    """Everything that is known of a session, for the panel of a run."""
    started, ended = _time(session.started), _time(session.ended)
    return {
        "id": session.id,
        "started": None if math.isnan(started) else started,
        "ended": None if math.isnan(ended) else ended,
        "interrupted": session.interrupted,
        "label": session.label,
        "scale": session.scale,
        "host_fingerprint": session.host_fingerprint,
        "host": session.host,
        "command": session.command,
        "suites_commit": session.suites_commit,
        "suites_dirty": session.suites_dirty,
        "ci_url": session.ci_url,
        "crt_version": session.crt_version,
    }


def sessions_by_month(history: History) -> dict[str, dict[str, Any]]:
    """File name below ``sessions/`` -> the sessions that started in that month (UTC) by id."""
    months: dict[str, dict[str, Any]] = {}
    for session in history.sessions:
        months.setdefault(_month(session.started), {})[session.id] = session_document(session)
    return months


def _month(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m}"


def environment_document(environment: HistoryEnvironment) -> dict[str, Any]:
    packages = [
        {key: value for key, value in dataclasses.asdict(each).items() if value is not None and value is not False}
        for each in environment.packages
    ]
    return {
        "id": environment.id,
        "python": environment.python,
        "platform": environment.platform,
        "packages": packages,
    }


def _time(moment: datetime | None) -> float:
    return float("nan") if moment is None else moment.timestamp() * 1000


def _environment(environment: HistoryEnvironment) -> dict[str, Any]:
    """What is shown of an environment beside a point."""
    key = [each for each in environment.packages if each.name in KEY_PACKAGES]
    return {
        "id": environment.id,
        "python": environment.python,
        "versions": {each.name: each.version for each in key},
        "commits": {each.name: each.commit for each in key if each.commit},
    }


def _cluster(cluster: HistoryCluster) -> dict[str, Any]:
    return {"spec": cluster.spec, **{name: getattr(cluster, name) for name in _CLUSTER_FIELDS}}


def _contents(history: History) -> NDArray[np.uint64]:
    """A number per run that changes with any of its columns: a multiply and a shift per column, as in FNV-1a and its kin."""
    runs = history.runs
    columns = [getattr(runs, name) for name in _COLUMNS] + list(runs.values.values())
    contents = np.full(len(runs), 0xCBF29CE484222325, np.uint64)
    for array in columns:
        bits = np.ascontiguousarray(array).view(np.uint64) if array.dtype.itemsize == 8 else array.astype(np.uint64)
        np.bitwise_xor(contents, bits, out=contents)
        np.multiply(contents, np.uint64(0x9E3779B97F4A7C15), out=contents)
        np.bitwise_xor(contents, contents >> np.uint64(29), out=contents)
    return contents


def _noted_rows(history: History) -> NDArray[np.int64]:
    """Rows that have a note, in order. Compared by half of the UUID first, since few rows have one."""
    if not history.notes:
        return np.zeros(0, np.int64)
    uuid = np.ascontiguousarray(history.runs.uuid)
    half = uuid.view("<u8")[::2]
    wanted = np.frombuffer(b"".join(history.notes), "<u8")[::2]
    likely = np.flatnonzero(np.isin(half, wanted))
    return likely[[uuid[row].tobytes() in history.notes for row in likely.tolist()]]


def _local(indexes: NDArray[np.int32], count: int) -> tuple[list[int], NDArray[np.int64]]:
    """The distinct indexes in their order, and for each index its place among them; -1 stays -1."""
    seen = np.zeros(count + 1, np.bool_)
    seen[indexes] = True  # -1 marks the last place, which is nobody's
    present = np.flatnonzero(seen[:count])
    place = np.full(count + 1, -1, np.int64)
    place[present] = np.arange(len(present))
    return present.tolist(), place[indexes]


def _token(value: Any) -> bytes:
    return hashlib.blake2b(repr(value).encode("utf-8", "backslashreplace"), digest_size=12).digest()
