"""The tables. ``key`` is a row's number in this database alone; ``id`` (of a run: ``uuid``) is its name everywhere.

Text that many runs share lives once, in the rows that they point to: a million runs stay at a few hundred megabytes.
The schema is owned by the migrations in ``alembic/``; a change here goes with a new one.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Float, ForeignKey, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out.

    SQLite keeps ``YYYY-MM-DD HH:MM:SS.ffffff`` in UTC, which sorts as text; PostgreSQL keeps ``timestamptz``.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a datetime without a time zone cannot be stored: {value!r}")
        utc = value.astimezone(timezone.utc)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


Key = Annotated[int, mapped_column(primary_key=True, comment="number of the row in this database alone")]
Time = Annotated[datetime, mapped_column(UTCDateTime)]
Seconds = Annotated[float, mapped_column(Float(53), comment="s")]
ThreadSeconds = Annotated[float, mapped_column(Float(53), comment="thread-seconds")]
Bytes = Annotated[float, mapped_column(Float(53), comment="bytes")]
Fraction = Annotated[float, mapped_column(Float(53), comment="fraction of one core")]
# SQL NULL, never JSON null: None says that nothing is known
Document = Annotated[Any, mapped_column(JSON(none_as_null=True))]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, Any: JSON(none_as_null=True)}  # noqa: RUF012 - read by SQLAlchemy, as documented


class Environment(Base):
    """Everything that was installed and imported. Known by its id alone, the rest is NULL until a journal tells it."""

    __tablename__ = "environment"

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(unique=True, comment="hash of the content")
    python: Mapped[str | None] = mapped_column(comment="3.11.7.final.0")
    python_minor: Mapped[str | None] = mapped_column(comment="3.11, part of a series key")
    platform: Mapped[str | None] = mapped_column(comment="sys.platform")
    dask_version: Mapped[str | None]
    distributed_version: Mapped[str | None]
    dask_expr_version: Mapped[str | None]
    packages: Mapped[Document | None] = mapped_column(
        comment="array of {name, version, url, commit, dirty, imported}, without what is missing"
    )


class ClusterSpec(Base):
    """A kind of cluster with its specification: the part of a series key."""

    __tablename__ = "cluster_spec"

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(unique=True, comment="hash of kind and spec")
    kind: Mapped[str | None] = mapped_column(comment="local, coiled, address, or the name of a class")
    spec: Mapped[Document | None]


class Session(Base):
    """One measuring session. Known by its id alone, ``label`` and what follows it are NULL."""

    __tablename__ = "session"
    __table_args__ = (Index(None, "label", "scale", "started"), Index(None, "started"))

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(unique=True, comment="UUIDv7")
    started: Mapped[Time | None] = mapped_column(comment="UTC")
    ended: Mapped[Time | None] = mapped_column(comment="UTC; of an interrupted session the last time seen")
    interrupted: Mapped[bool] = mapped_column(comment="it was stopped or killed before its end")
    label: Mapped[str | None] = mapped_column(comment="the runtime under test")
    scale: Mapped[str | None]
    cluster_spec_key: Mapped[int | None] = mapped_column(ForeignKey("cluster_spec.key"), comment="what was asked for")
    environment_key: Mapped[int | None] = mapped_column(ForeignKey("environment.key"), comment="of its first run")
    host_fingerprint: Mapped[str | None] = mapped_column(comment="part of a series key on local clusters")
    host: Mapped[Document | None] = mapped_column(comment="cpu_model, cores, memory (bytes), ... load, hostname")
    command: Mapped[Document | None] = mapped_column(comment="array of arguments")
    suites_commit: Mapped[str | None]
    suites_dirty: Mapped[bool | None]
    ci_url: Mapped[str | None]
    crt_version: Mapped[str | None]


class Cluster(Base):
    """One cluster that runs of a session shared."""

    __tablename__ = "cluster"

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(unique=True, comment="hash of the session and of what the runs say of the cluster")
    session_key: Mapped[int] = mapped_column(ForeignKey("session.key"), index=True)
    cluster_spec_key: Mapped[int | None] = mapped_column(ForeignKey("cluster_spec.key"))
    name: Mapped[str | None]
    cluster_id: Mapped[int | None] = mapped_column(BigInteger, comment="Coiled's number")
    details_url: Mapped[str | None]
    software_name: Mapped[str | None] = mapped_column(comment="Coiled software environment")
    dask_config: Mapped[Document | None] = mapped_column(comment="dotted keys that differ from Dask's defaults")


class Source(Base):
    """The text of a benchmark, once for all its parameters. The empty hash stands for a source that nobody knows."""

    __tablename__ = "source"

    hash: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str | None]


class Benchmark(Base):
    """One version of a benchmark: its id is stable, each epoch and source is a row. Placeholders lack ``params``."""

    __tablename__ = "benchmark"
    __table_args__ = (UniqueConstraint("id", "epoch", "source_hash"), Index(None, "name"))

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(comment="path::name")
    epoch: Mapped[int] = mapped_column(comment="runs of different epochs are not comparable")
    source_hash: Mapped[str] = mapped_column(ForeignKey("source.hash"))
    path: Mapped[str] = mapped_column(comment="from the suites folder")
    name: Mapped[str] = mapped_column(comment="with parameters")
    originalname: Mapped[str] = mapped_column(comment="without parameters")
    suite: Mapped[str]
    params: Mapped[Document | None]
    markers: Mapped[Document | None]
    epoch_reason: Mapped[str | None]
    formerly: Mapped[Document | None] = mapped_column(comment="array of the ids that it had before")


class Alias(Base):
    """A former id of a benchmark. Nothing in history is rewritten: queries resolve names through these rows."""

    __tablename__ = "alias"

    former: Mapped[str] = mapped_column(primary_key=True, comment="path::name of once")
    current: Mapped[str] = mapped_column(primary_key=True, comment="path::name that it has become")
    declared: Mapped[Time] = mapped_column(comment="start (UTC) of the newest session that says so")


class Run(Base):
    """One execution of one benchmark, finished or not: what belongs to it alone."""

    __tablename__ = "run"
    __table_args__ = (Index(None, "benchmark_key", "session_key"),)

    key: Mapped[Key]
    uuid: Mapped[str] = mapped_column(unique=True)
    session_key: Mapped[int] = mapped_column(ForeignKey("session.key"), index=True)
    benchmark_key: Mapped[int] = mapped_column(ForeignKey("benchmark.key"))
    environment_key: Mapped[int | None] = mapped_column(ForeignKey("environment.key"))
    cluster_key: Mapped[int | None] = mapped_column(ForeignKey("cluster.key"), comment="NULL: none was asked for")
    repeat: Mapped[int] = mapped_column(comment="index of the round")
    profiled: Mapped[bool] = mapped_column(comment="slowed down by a profiler: no part of any series")
    outcome: Mapped[str] = mapped_column(comment="passed, failed, error, skipped, timeout, crashed")
    setup_outcome: Mapped[str | None] = mapped_column(comment="passed, failed, skipped; NULL: not reached")
    call_outcome: Mapped[str | None]
    teardown_outcome: Mapped[str | None]
    start: Mapped[Time | None] = mapped_column(comment="UTC")
    end: Mapped[Time | None] = mapped_column(comment="UTC")
    duration: Mapped[Seconds | None]
    average_memory: Mapped[Bytes | None]
    peak_memory: Mapped[Bytes | None]
    compute_time: Mapped[ThreadSeconds | None]
    disk_spill_time: Mapped[ThreadSeconds | None]
    serializing_time: Mapped[ThreadSeconds | None]
    transfer_time: Mapped[ThreadSeconds | None]
    scheduler_cpu_avg: Mapped[Fraction | None]
    scheduler_memory_max: Mapped[Bytes | None]
    worker_max_tick: Mapped[Seconds | None]
    scheduler_max_tick: Mapped[Seconds | None]
    failure: Mapped[str | None]
    performance_report_url: Mapped[str | None]
    cluster_dump_url: Mapped[str | None]
    memray_profiles_url: Mapped[str | None]
    py_spy_profiles_url: Mapped[str | None]


class MetricInfo(Base):
    """What a measure or a recorded metric is. One name with another unit or direction is another metric."""

    __tablename__ = "metric_info"
    __table_args__ = (UniqueConstraint("name", "unit", "better"),)

    key: Mapped[Key]
    name: Mapped[str]
    unit: Mapped[str]
    better: Mapped[str] = mapped_column(comment="lower or higher")
    display_unit: Mapped[str]
    display_scale: Mapped[float] = mapped_column(Float(53), comment="units per display unit: 2**30 for bytes as GiB")
    built_in: Mapped[bool] = mapped_column(comment="a column of run, not a row of metric")


class Metric(Base):
    """A value that a test recorded beyond the built-in columns."""

    __tablename__ = "metric"

    run_key: Mapped[int] = mapped_column(ForeignKey("run.key"), primary_key=True)
    metric_info_key: Mapped[int] = mapped_column(ForeignKey("metric_info.key"), primary_key=True)
    value: Mapped[float] = mapped_column(Float(53))


class Bisection(Base):
    """One search for the change that made a benchmark slower, as it stands: see core/bisection.py for the document."""

    __tablename__ = "bisection"

    key: Mapped[Key]
    id: Mapped[str] = mapped_column(unique=True)
    started: Mapped[Time] = mapped_column(comment="UTC")
    ended: Mapped[Time | None] = mapped_column(comment="UTC")
    status: Mapped[str] = mapped_column(comment="running, found, no-change, inconclusive, interrupted")
    repository: Mapped[str | None]
    benchmark: Mapped[str | None] = mapped_column(comment="id of the benchmark; NULL: a command was measured")
    metric: Mapped[str]
    document: Mapped[Any] = mapped_column(JSON(none_as_null=True))


class AppliedSegment(Base):
    """A segment whose session is in this database, or was until it was pruned: it is not fetched again."""

    __tablename__ = "applied_segment"

    key: Mapped[str] = mapped_column(primary_key=True, comment="of the object in a remote")
    session: Mapped[str] = mapped_column(comment="id of the session")


class PushedSegment(Base):
    """A session that is in a remote, whole. To lose such a row costs a push that finds everything there."""

    __tablename__ = "pushed_segment"

    remote: Mapped[str] = mapped_column(primary_key=True, comment="as its users name it, without credentials")
    session: Mapped[str] = mapped_column(primary_key=True, comment="id of the session")
    key: Mapped[str] = mapped_column(comment="of the object in the remote")


class RemoteCatalog(Base):
    """The catalog of a remote of which every segment is in this database: see core/catalog.py."""

    __tablename__ = "remote_catalog"

    remote: Mapped[str] = mapped_column(primary_key=True)
    etag: Mapped[str]
    through: Mapped[date] = mapped_column(comment="the last day (UTC) that it tells of")


class Finding(Base):
    """A change that was reported, and what a person has said of it. What it is worth today is found out anew each time."""

    __tablename__ = "finding"

    id: Mapped[str] = mapped_column(primary_key=True)
    benchmark: Mapped[str] = mapped_column(comment="id; this and what follows up to host is the series")
    epoch: Mapped[int]
    label: Mapped[str | None]
    scale: Mapped[str | None]
    cluster: Mapped[str | None]
    python: Mapped[str | None]
    host: Mapped[str | None]
    metric: Mapped[str]
    kind: Mapped[str] = mapped_column(comment="regression, improvement, variance, tail or bimodal")
    first_bad: Mapped[str] = mapped_column(comment="UUID of the first run after the change")
    since: Mapped[Time] = mapped_column(comment="its start (UTC)")
    before: Mapped[float] = mapped_column(Float(53), comment="in the unit of the metric")
    after: Mapped[float] = mapped_column(Float(53))
    reported: Mapped[Time] = mapped_column(comment="when it was reported first (UTC)")
    accepted: Mapped[Time | None] = mapped_column(comment="when a person accepted it (UTC)")
    reason: Mapped[str | None]
    checked: Mapped[Time | None] = mapped_column(comment="when fresh runs were made to decide it (UTC)")
    verdict: Mapped[str | None] = mapped_column(comment="what they said: confirmed or noise")
    measured: Mapped[float | None] = mapped_column(Float(53), comment="the ratio that they gave")
    measured_low: Mapped[float | None] = mapped_column(Float(53), comment="of its interval")
    measured_high: Mapped[float | None] = mapped_column(Float(53))
