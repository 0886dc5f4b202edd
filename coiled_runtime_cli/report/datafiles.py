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
from coiled_runtime_cli.report.encode import codes, column, seconds, values
from coiled_runtime_cli.report.fingerprints import noted_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History, HistoryCluster, HistoryEnvironment, HistorySession, RunNote
    from coiled_runtime_cli.report.groups import Unit

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
    """Makes the data files of a history's units, and names each part by all that its files and digest are made from.

    ``numbers`` are those of the runs, as :func:`fingerprints.run_numbers` gives them.
    """

    def __init__(self, history: History, numbers: NDArray[np.uint64]) -> None:
        self._history = history
        self._numbers = numbers
        self._metrics = repr(history.metrics).encode("utf-8", "backslashreplace")
        self._notes = noted_rows(history)

    def fingerprint(self, part: Part) -> str:
        """Equal for equal content: whatever file it came from, and whatever else the history holds."""
        digest = hashlib.blake2b(self._metrics, digest_size=16)
        digest.update(repr(part.unit.series).encode("utf-8", "backslashreplace"))
        digest.update(self._numbers[part.rows].tobytes())
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


def _local(indexes: NDArray[np.int32], count: int) -> tuple[list[int], NDArray[np.int64]]:
    """The distinct indexes in their order, and for each index its place among them; -1 stays -1."""
    seen = np.zeros(count + 1, np.bool_)
    seen[indexes] = True  # -1 marks the last place, which is nobody's
    present = np.flatnonzero(seen[:count])
    place = np.full(count + 1, -1, np.int64)
    place[present] = np.arange(len(present))
    return present.tolist(), place[indexes]
