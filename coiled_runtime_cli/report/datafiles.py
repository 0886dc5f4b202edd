"""The payloads of the data files: the runs of a unit, their details, sessions and environments.

Each is loaded when a page needs it: the runs with the chart, their details with the first click on one, and so on.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core.history import NO_TIME
from coiled_runtime_cli.report.digest import KEY_PACKAGES
from coiled_runtime_cli.report.encode import codes, column, milliseconds, values

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryCluster, HistoryEnvironment, HistorySession, RunNote
    from coiled_runtime_cli.report.groups import Unit

#: The columns that make a run what it is, beside its UUID, in the order of their fingerprint.
_COLUMNS = ("outcome", "setup", "call", "teardown", "repeat", "profiled", "start", "end")


class DataFiles:
    """Makes the data files of a history's units, and names each unit by all that its files and digest are made from."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._sessions = [
            _token((each.id, each.label, each.started, each.host_fingerprint)) for each in history.sessions
        ]
        self._environments = [_token(each) for each in history.environments]
        self._clusters = [_token(each) for each in history.clusters]
        self._benchmarks = [_token(dataclasses.replace(each, source=None)) for each in history.benchmarks]
        self._metrics = _token(history.metrics)
        self._notes = _noted_rows(history)
        self._contents = _contents(history)

    def fingerprint(self, unit: Unit) -> str:
        """Equal for equal content: whatever file it came from, and whatever else the history holds."""
        runs, rows = self._history.runs, unit.rows
        digest = hashlib.blake2b(self._metrics, digest_size=16)
        digest.update(runs.uuid[rows].tobytes())
        digest.update(self._contents[rows].tobytes())
        for indexes, tokens in (
            (runs.session[rows], self._sessions),
            (runs.environment[rows], self._environments),
            (runs.cluster[rows], self._clusters),
            (runs.benchmark[rows], self._benchmarks),
        ):
            present, local = _local(indexes, len(tokens))
            digest.update(b"".join(tokens[each] for each in present))
            digest.update(local.tobytes())
        for row, note in self._unit_notes(unit).items():
            digest.update(f"{row}{note!r}".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def runs(self, unit: Unit) -> dict[str, Any]:
        """What the charts of a unit need: its runs by time, with the sessions and environments that they point to."""
        history, runs, rows = self._history, self._history.runs, unit.rows
        sessions, session = _local(runs.session[rows], len(history.sessions))
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
                for each in unit.series
            ],
            "sessions": {
                "id": [history.sessions[each].id for each in sessions],
                "label": [history.sessions[each].label for each in sessions],
                "started": column(np.array([_time(history.sessions[each].started) for each in sessions], np.float64)),
            },
            "environments": [_environment(history.environments[each]) for each in environments],
            "session": column(codes(session, len(sessions))),
            "environment": column(codes(environment, max(65_000, len(environments)))),
            "series_of": column(codes(unit.series_of, len(unit.series))),
            "outcome": column(runs.outcome[rows]),
            "profiled": column(runs.profiled[rows].astype(np.uint8)),
            "repeat": column(runs.repeat[rows].astype(np.uint16)),
            "time": column(milliseconds(runs.start[rows], NO_TIME)),
            "metrics": {
                key: column(values(array[rows])) for key, array in runs.values.items() if np.isfinite(array[rows]).any()
            },
        }

    def details(self, unit: Unit) -> dict[str, Any]:
        """What a click on a run shows beyond that, row by row."""
        history, runs, rows = self._history, self._history.runs, unit.rows
        clusters, cluster = _local(runs.cluster[rows], len(history.clusters))
        return {
            "uuid": {"t": "u1", "b": _bytes(runs.uuid[rows])},
            "end": column(milliseconds(runs.end[rows], NO_TIME)),
            "setup": column(runs.setup[rows]),
            "call": column(runs.call[rows]),
            "teardown": column(runs.teardown[rows]),
            "cluster": column(codes(cluster, max(65_000, len(clusters)))),
            "clusters": [_cluster(history.clusters[each]) for each in clusters],
            "notes": {
                str(row): {"failure": note.failure, "artefacts": note.artefacts}
                for row, note in self._unit_notes(unit).items()
            },
        }

    def _unit_notes(self, unit: Unit) -> dict[int, RunNote]:
        """The notes of a unit by the place of their run in it."""
        if not len(self._notes):
            return {}
        places = np.flatnonzero(np.isin(unit.rows, self._notes, assume_unique=True))
        uuids = self._history.runs.uuid[unit.rows[places]]
        return {place: self._history.notes[uuid.tobytes()] for place, uuid in zip(places.tolist(), uuids, strict=True)}


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
        month = "unknown" if session.started is None else f"{session.started:%Y-%m}"
        months.setdefault(month, {})[session.id] = session_document(session)
    return months


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
    fields = ("name", "cluster_id", "details_url", "kind", "software_name", "spec", "dask_config")
    return {name: getattr(cluster, name) for name in fields}


def _bytes(uuids: NDArray[np.void]) -> str:
    return base64.b64encode(uuids.tobytes()).decode()


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
