"""From journal records to rows: each session in one transaction, each run once, whatever was lost or is told again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from coiled_runtime_cli.core import record
from coiled_runtime_cli.core.series import python_minor
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.apply import declare
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.kinds import chunks
from coiled_runtime_cli.db.marks import forget_pushed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Columns of ``run`` that are fields of the record under the same name.
_RUN_FIELDS = (
    "uuid",
    "repeat",
    "profiled",
    "outcome",
    "setup_outcome",
    "call_outcome",
    "teardown_outcome",
    *record.MEASURES,
    "failure",
    "performance_report_url",
    "cluster_dump_url",
    "memray_profiles_url",
    "py_spy_profiles_url",
)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest did. ``runs_known`` were there already; ``interrupted`` sessions have no end in the lines."""

    sessions: tuple[str, ...] = ()
    runs_new: int = 0
    runs_known: int = 0
    interrupted: tuple[str, ...] = ()


def ingest(engine: Engine, lines: Iterable[record.Line]) -> Ingested:
    """Store the records of one or more sessions, in any order, whole or in part, as often as they come.

    The first run of a uuid wins. What a run refers to and no line describes is a row that a later ingest completes.
    Raises CrtErrors as :func:`database_errors` does; then the session being written is not in the database at all.
    """
    told = _Told.sort(lines)
    sessions = told.session_ids()
    new = known = 0
    with database_errors(engine):
        if not sessions:
            with writing(engine) as connection:
                _Writer(connection, told).shared()
        for session in sessions:
            with writing(engine) as connection:
                added, met = _Writer(connection, told, alone=len(sessions) == 1).session(session)
            new, known = new + added, known + met
    return Ingested(
        sessions=sessions,
        runs_new=new,
        runs_known=known,
        interrupted=tuple(each for each in sessions if each not in told.ends),
    )


@dataclass(slots=True)
class _Told:
    """The lines by kind; of records that contradict each other the first counts."""

    sessions: dict[str, record.SessionStarted] = field(default_factory=dict)
    ends: dict[str, record.SessionEnded] = field(default_factory=dict)
    environments: dict[str, record.Environment] = field(default_factory=dict)
    specs: dict[str, record.Cluster] = field(default_factory=dict)
    configs: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)
    benchmarks: dict[tuple[str, int, str], record.Benchmark] = field(default_factory=dict)
    runs: dict[str, list[record.Run]] = field(default_factory=dict)

    @classmethod
    def sort(cls, lines: Iterable[record.Line]) -> _Told:
        told = cls()
        for line in lines:
            if isinstance(line, record.Run):
                told.runs.setdefault(_text(line.session), []).append(line)
            elif isinstance(line, record.Benchmark):
                told.benchmarks.setdefault((_text(line.id), line.epoch, line.source_hash or ""), line)
            elif isinstance(line, record.Environment):
                told.environments.setdefault(line.id, line)
            elif isinstance(line, record.Cluster):
                told.specs.setdefault(line.key, line)
                told.configs.setdefault((line.key, line.name), line.dask_config)
            elif isinstance(line, record.SessionStarted):
                told.sessions.setdefault(_text(line.id), line)
            elif isinstance(line, record.SessionEnded):
                told.ends.setdefault(_text(line.id), line)
        return told

    def session_ids(self) -> tuple[str, ...]:
        return tuple(sorted({*self.sessions, *self.ends, *self.runs}))


class _Writer:
    """Writes one session within a transaction, keeping the keys of what it has stored or met."""

    def __init__(self, connection: Connection, told: _Told, *, alone: bool = False) -> None:
        self._connection = connection
        self._told = told
        self._alone = alone  # the lines tell of one session: whatever they describe is its own
        self._sources: set[str] = set()

    def session(self, session: str) -> tuple[int, int]:
        """Store the session and its runs; return how many runs were new and how many known."""
        told = self._told.runs.get(session, [])
        runs: dict[str, record.Run] = {}
        for run in told:
            runs.setdefault(_text(run.uuid), run)
        known = self._known(runs)
        new = [run for uuid, run in runs.items() if uuid not in known]
        session_key = self._store_session(session)
        if self._alone:
            self.shared()
        environments = self._environment_keys({run.environment for run in new if run.environment is not None})
        benchmarks = self._benchmark_keys({_version(run) for run in new})
        clusters = self._cluster_keys(session, session_key, new)
        self._insert(
            models.Run,
            [
                {
                    **{name: _value(getattr(run, name)) for name in _RUN_FIELDS},
                    "session_key": session_key,
                    "benchmark_key": benchmarks[_version(run)],
                    "environment_key": None if run.environment is None else environments[run.environment],
                    "cluster_key": clusters.get(_cluster_id(session, run) or ""),
                    "start": _time(run.start),
                    "end": _time(run.end),
                }
                for run in new
            ],
        )
        self._store_metrics(new)
        self._store_aliases(session)
        self._settle(session, session_key)
        if new:
            forget_pushed(self._connection, [session])
        return len(new), len(told) - len(new)

    def shared(self) -> None:
        """Store everything that the lines describe beside sessions and runs."""
        self._environment_keys(self._told.environments)
        self._benchmark_keys(self._told.benchmarks)
        self._spec_keys({key: (cluster.kind, cluster.spec) for key, cluster in self._told.specs.items()})

    def _known(self, uuids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for chunk in chunks(list(uuids)):
            found.update(self._connection.scalars(select(models.Run.uuid).where(models.Run.uuid.in_(chunk))))
        return found

    def _store_session(self, session: str) -> int:
        row = self._connection.execute(
            select(models.Session.key, models.Session.label).where(models.Session.id == session)
        ).first()
        line = self._told.sessions.get(session)
        values: dict[str, Any] = {}
        if line is not None and (row is None or row.label is None):
            asked = record.Cluster(kind=line.cluster_kind, spec=line.cluster_spec)
            values = {
                "started": _time(line.started),
                "label": _text(line.label),
                "scale": _text(line.scale),
                "cluster_spec_key": self._spec_keys({asked.key: (asked.kind, asked.spec)})[asked.key],
                "host_fingerprint": line.host.fingerprint,
                "host": _present(dataclasses.asdict(line.host)),
                "command": list(line.command),
                "suites_commit": _value(line.suites_commit),
                "suites_dirty": line.suites_dirty,
                "ci_url": _value(line.ci_url),
                "crt_version": _value(line.crt_version),
            }
        if row is None:
            self._insert(models.Session, [{"id": session, "interrupted": True, **values}])
            return self._keys(models.Session, models.Session.id, [session])[session]
        if values:
            self._connection.execute(update(models.Session).where(models.Session.key == row.key).values(**values))
        return int(row.key)

    def _settle(self, session: str, session_key: int) -> None:
        """Derive from all runs of the session what no order of ingests may change: its environment and its end."""
        runs = models.Run.session_key == session_key
        row = self._connection.execute(
            select(
                models.Session.started, models.Session.ended, models.Session.interrupted, models.Session.label
            ).where(models.Session.key == session_key)
        ).one()
        seen = self._connection.execute(
            select(func.min(models.Run.start), func.max(models.Run.start), func.max(models.Run.end)).where(runs)
        ).one()
        environment = self._connection.scalar(
            select(models.Run.environment_key)
            .where(runs, models.Run.environment_key.is_not(None))
            .order_by(models.Run.start, models.Run.uuid)
            .limit(1)
        )
        line = self._told.ends.get(session)
        started = row.started if row.label is not None else seen[0]
        times = [row.ended, started, seen[1], seen[2], None if line is None else _time(line.ended)]
        self._connection.execute(
            update(models.Session)
            .where(models.Session.key == session_key)
            .values(
                started=started,
                ended=max((each for each in times if each is not None), default=None),
                interrupted=row.interrupted and (line is None or line.interrupted),
                environment_key=environment,
            )
        )

    def _environment_keys(self, ids: Iterable[str]) -> dict[str, int]:
        wanted = sorted(set(ids))
        table = models.Environment
        full = {
            row.id: row.python is not None
            for chunk in chunks(wanted)
            for row in self._connection.execute(select(table.id, table.python).where(table.id.in_(chunk)))
        }
        told = {
            each: _environment_row(self._told.environments[each]) for each in wanted if each in self._told.environments
        }
        # one executemany needs the same columns in each of its rows
        self._insert(table, [told[each] for each in wanted if each not in full and each in told])
        self._insert(table, [{"id": each} for each in wanted if each not in full and each not in told])
        for each, row in told.items():
            if full.get(each) is False:
                self._connection.execute(update(table).where(table.id == each).values(**row))
        return self._keys(table, table.id, wanted)

    def _benchmark_keys(self, versions: Iterable[tuple[str, int, str]]) -> dict[tuple[str, int, str], int]:
        wanted = sorted(set(versions))
        told = {each: self._told.benchmarks[each] for each in wanted if each in self._told.benchmarks}
        self._store_sources({each[2]: told[each].source if each in told else None for each in wanted})
        table = models.Benchmark
        keys: dict[tuple[str, int, str], int] = {}
        lacking: dict[tuple[str, int, str], set[str]] = {}
        columns = (table.key, table.id, table.epoch, table.source_hash, table.params, table.formerly)

        def look() -> None:
            for chunk in chunks(sorted({each[0] for each in wanted})):
                for row in self._connection.execute(select(*columns).where(table.id.in_(chunk))):
                    keys[row.id, row.epoch, row.source_hash] = row.key
                    lacking[row.id, row.epoch, row.source_hash] = {
                        name for name in ("params", "formerly") if getattr(row, name) is None
                    }

        look()
        for each, line in told.items():
            values = _benchmark_row(line, each)
            if each in keys and lacking[each] == {"formerly"}:  # from a time when nobody asked for it
                values = {"formerly": values["formerly"]}
            if each in keys and lacking[each]:
                self._connection.execute(update(table).where(table.key == keys[each]).values(**values))
        missing = [each for each in wanted if each not in keys]
        self._insert(table, [_benchmark_row(told[each], each) for each in missing if each in told])
        self._insert(table, [_placeholder_row(each) for each in missing if each not in told])
        if missing:
            look()
        return keys

    def _store_sources(self, sources: Mapping[str, str | None]) -> None:
        table = models.Source
        stored: dict[str, bool] = {}
        for chunk in chunks(sorted(sources)):
            for row in self._connection.execute(select(table.hash, table.text.is_(None)).where(table.hash.in_(chunk))):
                stored[row[0]] = not row[1]
        self._insert(
            table, [{"hash": each, "text": _value(sources[each])} for each in sorted(sources) if each not in stored]
        )
        for each, text in sources.items():
            if text is not None and stored.get(each) is False:
                self._connection.execute(update(table).where(table.hash == each).values(text=_text(text)))

    def _spec_keys(self, specs: Mapping[str, tuple[str, dict[str, Any]] | None]) -> dict[str, int]:
        table = models.ClusterSpec
        full = {
            row.id: row.kind is not None
            for chunk in chunks(sorted(specs))
            for row in self._connection.execute(select(table.id, table.kind).where(table.id.in_(chunk)))
        }
        for each in sorted(specs):
            told = specs[each]
            values = {"kind": None, "spec": None} if told is None else {"kind": _text(told[0]), "spec": told[1]}
            if each not in full:
                self._insert(table, [{"id": each, **values}])
            elif told is not None and not full[each]:
                self._connection.execute(update(table).where(table.id == each).values(**values))
        return self._keys(table, table.id, sorted(specs))

    def _cluster_keys(self, session: str, session_key: int, runs: Sequence[record.Run]) -> dict[str, int]:
        used = {cluster: run for run in runs if (cluster := _cluster_id(session, run)) is not None}
        described = self._told.specs
        specs = self._spec_keys(
            {
                run.cluster: (described[run.cluster].kind, described[run.cluster].spec)
                if run.cluster in described
                else None
                for run in used.values()
                if run.cluster is not None
            }
        )
        table = models.Cluster
        stored = self._keys(table, table.id, sorted(used))
        self._insert(
            table,
            [
                {
                    "id": each,
                    "session_key": session_key,
                    "cluster_spec_key": None if used[each].cluster is None else specs[used[each].cluster or ""],
                    "name": _value(used[each].cluster_name),
                    "cluster_id": used[each].cluster_id,
                    "details_url": _value(used[each].cluster_details_url),
                    "software_name": _value(used[each].coiled_software_name),
                }
                for each in sorted(used)
                if each not in stored
            ],
        )
        self._complete_configs(session_key)
        return self._keys(table, table.id, sorted(used))

    def _complete_configs(self, session_key: int) -> None:
        table, spec = models.Cluster, models.ClusterSpec
        query = (
            select(table.key, table.name, spec.id)
            .join(spec, spec.key == table.cluster_spec_key)
            .where(table.session_key == session_key, table.dask_config.is_(None))
        )
        for row in self._connection.execute(query).all():
            if (config := self._told.configs.get((row.id, row.name))) is not None:
                self._connection.execute(update(table).where(table.key == row.key).values(dask_config=config))

    def _store_metrics(self, runs: Sequence[record.Run]) -> None:
        measured = {_text(run.uuid): run for run in runs if run.metrics}
        if not measured:
            return
        run_keys = self._keys(models.Run, models.Run.uuid, list(measured))
        kinds = self._metric_keys(metric for run in measured.values() for metric in run.metrics)
        values = {
            (run_keys[uuid], kinds[_kind(metric)]): metric.value
            for uuid, run in measured.items()
            for metric in reversed(run.metrics)  # the first of a name counts
        }
        self._insert(
            models.Metric,
            [{"run_key": run, "metric_info_key": kind, "value": value} for (run, kind), value in values.items()],
        )

    def _metric_keys(self, metrics: Iterable[record.Metric]) -> dict[tuple[str, str, str], int]:
        wanted = sorted({_kind(metric) for metric in metrics})
        stored = self._metric_infos()
        self._insert(
            models.MetricInfo,
            [
                {
                    "name": name,
                    "unit": unit,
                    "better": better,
                    "display_unit": unit,
                    "display_scale": 1.0,
                    "built_in": False,
                }
                for name, unit, better in wanted
                if (name, unit, better) not in stored
            ],
        )
        return self._metric_infos()

    def _metric_infos(self) -> dict[tuple[str, str, str], int]:
        table = models.MetricInfo
        rows = self._connection.execute(select(table.key, table.name, table.unit, table.better))
        return {(row.name, row.unit, row.better): row.key for row in rows}

    def _store_aliases(self, session: str) -> None:
        line = self._told.sessions.get(session)
        mentioned = {_version(run) for run in self._told.runs.get(session, [])}
        declared = _time(line.started) if line is not None else None
        if declared is None:
            return
        pairs = {
            (_text(former), _text(benchmark.id))
            for version, benchmark in self._told.benchmarks.items()
            if self._alone or version in mentioned
            for former in benchmark.formerly
            if former != benchmark.id
        }
        for former, current in sorted(pairs):
            declare(self._connection, former, current, declared)

    def _insert(self, table: type[models.Base], rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(insert(table), list(rows))

    def _keys(self, table: Any, column: Any, ids: Sequence[str]) -> dict[str, int]:
        return {
            name: key
            for chunk in chunks(ids)
            for name, key in self._connection.execute(select(column, table.key).where(column.in_(chunk)))
        }


def _version(run: record.Run) -> tuple[str, int, str]:
    return _text(run.benchmark), run.epoch, run.source_hash or ""


def _kind(metric: record.Metric) -> tuple[str, str, str]:
    return _text(metric.name), _text(metric.unit), metric.better


def _cluster_id(session: str, run: record.Run) -> str | None:
    told = [run.cluster, run.cluster_name, run.cluster_id, run.cluster_details_url, run.coiled_software_name]
    return None if all(each is None for each in told) else record.content_id([session, *told])


def _environment_row(environment: record.Environment) -> dict[str, Any]:
    return {
        "id": environment.id,
        "python": _text(environment.python),
        "python_minor": python_minor(environment.python),
        "platform": _text(environment.platform),
        "dask_version": _version_of(environment, "dask"),
        "distributed_version": _version_of(environment, "distributed"),
        "dask_expr_version": _version_of(environment, "dask-expr"),
        "packages": [_present(dataclasses.asdict(each), but={"imported": False}) for each in environment.packages],
    }


def _version_of(environment: record.Environment, name: str) -> str | None:
    """The version of what was imported, where that is not the installed distribution."""
    found = [each for each in environment.packages if each.name.lower().replace("_", "-") == name]
    found.sort(key=lambda package: not package.imported)
    return _value(found[0].version) if found else None


def _benchmark_row(benchmark: record.Benchmark, version: tuple[str, int, str]) -> dict[str, Any]:
    return {
        "id": version[0],
        "epoch": version[1],
        "source_hash": version[2],
        "path": _text(benchmark.path),
        "name": _text(benchmark.name),
        "originalname": _text(benchmark.originalname),
        "suite": _text(benchmark.suite),
        "params": benchmark.params,
        "markers": list(benchmark.markers),
        "epoch_reason": _value(benchmark.epoch_reason),
        "formerly": [_text(each) for each in benchmark.formerly],
    }


def _placeholder_row(version: tuple[str, int, str]) -> dict[str, Any]:
    path, _, name = version[0].partition("::")
    guess = record.Benchmark(path=path, name=name, originalname=name.partition("[")[0].rpartition("::")[2])
    return {**_benchmark_row(guess, version), "params": None, "markers": None, "formerly": None}


def _present(fields: Mapping[str, Any], *, but: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Leave out what is missing, and what equals a default in ``but``: reading the record back restores both."""
    defaults = but or {}
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not (name in defaults and value == defaults[name])
    }


def _time(seconds: float | None) -> datetime | None:
    """A moment that no calendar has is as good as none."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None


def _value(value: Any) -> Any:
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Write out what no database takes as text: NUL, and the lone surrogates that stand for undecodable bytes."""
    if value.isascii() and "\0" not in value:
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
