"""create the schema

Revision ID: 8f757665a50a
Revises:
Create Date: 2026-11-22 22:13:00.584370
"""

# The rules of every migration:
#
# - It changes the schema, not the history: no UPDATE or DELETE of measured rows, no reading across rows to decide.
#   A test that was renamed declares it with @pytest.mark.formerly, one that changed its meaning with @pytest.mark.epoch.
# - It runs in one transaction with all the others that are missing, on SQLite and on PostgreSQL: no COMMIT, nothing
#   CONCURRENTLY. A process that is killed in the middle leaves the old schema.
# - A million runs pass in seconds. A new column is NULL in old rows, or has a server default.
# - A table that the view test_run reads is changed between DROP VIEW test_run and CREATE VIEW with the new text, written
#   out here. The same text goes to coiled_runtime_cli/db/view.py; columns of the view are added, never taken away.
# - It does not import coiled_runtime_cli: that code will have changed when the migration runs.
# - Once it is on main it is never edited and never removed. There is no way back: downgrade() raises, and a mistake is
#   mended by the next migration.
# - One head: of two migrations with the same parent, the one that is merged later is first made to follow the other.
from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision: str = "8f757665a50a"
down_revision: str | tuple[str, ...] | None = None
branch_labels: str | None = None
depends_on: str | None = None


# name, unit, unit and scale (units per display unit) for tables and charts
MEASURES = [
    ("duration", "s", "s", 1.0),
    ("average_memory", "bytes", "GiB", 2.0**30),
    ("peak_memory", "bytes", "GiB", 2.0**30),
    ("compute_time", "s", "s", 1.0),
    ("disk_spill_time", "s", "s", 1.0),
    ("serializing_time", "s", "s", 1.0),
    ("transfer_time", "s", "s", 1.0),
    ("scheduler_cpu_avg", "", "%", 0.01),
    ("scheduler_memory_max", "bytes", "GiB", 2.0**30),
    ("worker_max_tick", "s", "ms", 0.001),
    ("scheduler_max_tick", "s", "ms", 0.001),
]

TEST_RUN = """
CREATE VIEW test_run AS
SELECT
    run.uuid AS uuid,
    session.id AS session_id,
    benchmark.name AS name,
    benchmark.originalname AS originalname,
    benchmark.path AS path,
    run.setup_outcome AS setup_outcome,
    run.call_outcome AS call_outcome,
    run.teardown_outcome AS teardown_outcome,
    session.label AS coiled_runtime_version,
    cluster.software_name AS coiled_software_name,
    environment.dask_version AS dask_version,
    environment.dask_expr_version AS dask_expr_version,
    environment.distributed_version AS distributed_version,
    environment.python AS python_version,
    environment.platform AS platform,
    session.ci_url AS ci_run_url,
    run.start AS "start",
    run."end" AS "end",
    run.duration AS duration,
    run.average_memory AS average_memory,
    run.peak_memory AS peak_memory,
    run.compute_time AS compute_time,
    run.disk_spill_time AS disk_spill_time,
    run.serializing_time AS serializing_time,
    run.transfer_time AS transfer_time,
    run.scheduler_cpu_avg AS scheduler_cpu_avg,
    run.scheduler_memory_max AS scheduler_memory_max,
    run.worker_max_tick AS worker_max_tick,
    run.scheduler_max_tick AS scheduler_max_tick,
    cluster.name AS cluster_name,
    cluster.cluster_id AS cluster_id,
    cluster.details_url AS cluster_details_url,
    run.performance_report_url AS performance_report_url,
    run.cluster_dump_url AS cluster_dump_url,
    run.memray_profiles_url AS memray_profiles_url,
    run.py_spy_profiles_url AS py_spy_profiles_url,
    run.repeat AS repeat,
    run.outcome AS outcome,
    run.failure AS failure,
    run.profiled AS profiled,
    benchmark.id AS benchmark_id,
    benchmark.epoch AS epoch,
    environment.id AS environment_id,
    session.scale AS scale
FROM run
JOIN session ON session.key = run.session_key
JOIN benchmark ON benchmark.key = run.benchmark_key
LEFT JOIN environment ON environment.key = run.environment_key
LEFT JOIN cluster ON cluster.key = run.cluster_key
"""


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("former", sa.Text(), nullable=False, comment="path::name of once"),
        sa.Column("current", sa.Text(), nullable=False, comment="path::name that it has become"),
        sa.Column(
            "declared",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="start (UTC) of the newest session that says so",
        ),
        sa.PrimaryKeyConstraint("former", "current", name=op.f("pk_alias")),
    )
    op.create_table(
        "cluster_spec",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("id", sa.Text(), nullable=False, comment="hash of kind and spec"),
        sa.Column("kind", sa.Text(), nullable=True, comment="local, coiled, address, or the name of a class"),
        sa.Column("spec", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_cluster_spec")),
        sa.UniqueConstraint("id", name=op.f("uq_cluster_spec_id")),
    )
    op.create_table(
        "environment",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("id", sa.Text(), nullable=False, comment="hash of the content"),
        sa.Column("python", sa.Text(), nullable=True, comment="3.11.7.final.0"),
        sa.Column("python_minor", sa.Text(), nullable=True, comment="3.11, part of a series key"),
        sa.Column("platform", sa.Text(), nullable=True, comment="sys.platform"),
        sa.Column("dask_version", sa.Text(), nullable=True),
        sa.Column("distributed_version", sa.Text(), nullable=True),
        sa.Column("dask_expr_version", sa.Text(), nullable=True),
        sa.Column(
            "packages",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="array of {name, version, url, commit, dirty, imported}, without what is missing",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_environment")),
        sa.UniqueConstraint("id", name=op.f("uq_environment_id")),
    )
    metric_info = op.create_table(
        "metric_info",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("better", sa.Text(), nullable=False, comment="lower or higher"),
        sa.Column("display_unit", sa.Text(), nullable=False),
        sa.Column(
            "display_scale",
            sa.Float(precision=53),
            nullable=False,
            comment="units per display unit: 2**30 for bytes as GiB",
        ),
        sa.Column("built_in", sa.Boolean(), nullable=False, comment="a column of run, not a row of metric"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_metric_info")),
        sa.UniqueConstraint("name", "unit", "better", name=op.f("uq_metric_info_name_unit_better")),
    )
    op.create_table(
        "source",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_source")),
    )
    op.create_table(
        "benchmark",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("id", sa.Text(), nullable=False, comment="path::name"),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="runs of different epochs are not comparable"),
        sa.Column("source_hash", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False, comment="from the suites folder"),
        sa.Column("name", sa.Text(), nullable=False, comment="with parameters"),
        sa.Column("originalname", sa.Text(), nullable=False, comment="without parameters"),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("markers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("epoch_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["source_hash"], ["source.hash"], name=op.f("fk_benchmark_source_hash_source")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_benchmark")),
        sa.UniqueConstraint("id", "epoch", "source_hash", name=op.f("uq_benchmark_id_epoch_source_hash")),
    )
    with op.batch_alter_table("benchmark", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_benchmark_name"), ["name"], unique=False)

    op.create_table(
        "session",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("id", sa.Text(), nullable=False, comment="UUIDv7"),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True, comment="UTC"),
        sa.Column(
            "ended",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="UTC; of an interrupted session the last time seen",
        ),
        sa.Column("interrupted", sa.Boolean(), nullable=False, comment="it was stopped or killed before its end"),
        sa.Column("label", sa.Text(), nullable=True, comment="the runtime under test"),
        sa.Column("scale", sa.Text(), nullable=True),
        sa.Column("cluster_spec_key", sa.Integer(), nullable=True, comment="what was asked for"),
        sa.Column("environment_key", sa.Integer(), nullable=True, comment="of its first run"),
        sa.Column("host_fingerprint", sa.Text(), nullable=True, comment="part of a series key on local clusters"),
        sa.Column(
            "host",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="cpu_model, cores, memory (bytes), ... load, hostname",
        ),
        sa.Column("command", sa.JSON(none_as_null=True), nullable=True, comment="array of arguments"),
        sa.Column("suites_commit", sa.Text(), nullable=True),
        sa.Column("suites_dirty", sa.Boolean(), nullable=True),
        sa.Column("ci_url", sa.Text(), nullable=True),
        sa.Column("crt_version", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["cluster_spec_key"], ["cluster_spec.key"], name=op.f("fk_session_cluster_spec_key_cluster_spec")
        ),
        sa.ForeignKeyConstraint(
            ["environment_key"], ["environment.key"], name=op.f("fk_session_environment_key_environment")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_session")),
        sa.UniqueConstraint("id", name=op.f("uq_session_id")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_label_scale_started"), ["label", "scale", "started"], unique=False)
        batch_op.create_index(batch_op.f("ix_session_started"), ["started"], unique=False)

    op.create_table(
        "cluster",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column(
            "id", sa.Text(), nullable=False, comment="hash of the session and of what the runs say of the cluster"
        ),
        sa.Column("session_key", sa.Integer(), nullable=False),
        sa.Column("cluster_spec_key", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("cluster_id", sa.BigInteger(), nullable=True, comment="Coiled's number"),
        sa.Column("details_url", sa.Text(), nullable=True),
        sa.Column("software_name", sa.Text(), nullable=True, comment="Coiled software environment"),
        sa.Column(
            "dask_config",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="dotted keys that differ from Dask's defaults",
        ),
        sa.ForeignKeyConstraint(
            ["cluster_spec_key"], ["cluster_spec.key"], name=op.f("fk_cluster_cluster_spec_key_cluster_spec")
        ),
        sa.ForeignKeyConstraint(["session_key"], ["session.key"], name=op.f("fk_cluster_session_key_session")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_cluster")),
        sa.UniqueConstraint("id", name=op.f("uq_cluster_id")),
    )
    with op.batch_alter_table("cluster", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cluster_session_key"), ["session_key"], unique=False)

    op.create_table(
        "run",
        sa.Column("key", sa.Integer(), nullable=False, comment="number of the row in this database alone"),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("session_key", sa.Integer(), nullable=False),
        sa.Column("benchmark_key", sa.Integer(), nullable=False),
        sa.Column("environment_key", sa.Integer(), nullable=True),
        sa.Column("cluster_key", sa.Integer(), nullable=True, comment="NULL: none was asked for"),
        sa.Column("repeat", sa.Integer(), nullable=False, comment="index of the round"),
        sa.Column("profiled", sa.Boolean(), nullable=False, comment="slowed down by a profiler: no part of any series"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="passed, failed, error, skipped, timeout, crashed"),
        sa.Column("setup_outcome", sa.Text(), nullable=True, comment="passed, failed, skipped; NULL: not reached"),
        sa.Column("call_outcome", sa.Text(), nullable=True),
        sa.Column("teardown_outcome", sa.Text(), nullable=True),
        sa.Column("start", sa.DateTime(timezone=True), nullable=True, comment="UTC"),
        sa.Column("end", sa.DateTime(timezone=True), nullable=True, comment="UTC"),
        sa.Column("duration", sa.Float(precision=53), nullable=True, comment="s"),
        sa.Column("average_memory", sa.Float(precision=53), nullable=True, comment="bytes"),
        sa.Column("peak_memory", sa.Float(precision=53), nullable=True, comment="bytes"),
        sa.Column("compute_time", sa.Float(precision=53), nullable=True, comment="thread-seconds"),
        sa.Column("disk_spill_time", sa.Float(precision=53), nullable=True, comment="thread-seconds"),
        sa.Column("serializing_time", sa.Float(precision=53), nullable=True, comment="thread-seconds"),
        sa.Column("transfer_time", sa.Float(precision=53), nullable=True, comment="thread-seconds"),
        sa.Column("scheduler_cpu_avg", sa.Float(precision=53), nullable=True, comment="fraction of one core"),
        sa.Column("scheduler_memory_max", sa.Float(precision=53), nullable=True, comment="bytes"),
        sa.Column("worker_max_tick", sa.Float(precision=53), nullable=True, comment="s"),
        sa.Column("scheduler_max_tick", sa.Float(precision=53), nullable=True, comment="s"),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("performance_report_url", sa.Text(), nullable=True),
        sa.Column("cluster_dump_url", sa.Text(), nullable=True),
        sa.Column("memray_profiles_url", sa.Text(), nullable=True),
        sa.Column("py_spy_profiles_url", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["benchmark_key"], ["benchmark.key"], name=op.f("fk_run_benchmark_key_benchmark")),
        sa.ForeignKeyConstraint(["cluster_key"], ["cluster.key"], name=op.f("fk_run_cluster_key_cluster")),
        sa.ForeignKeyConstraint(
            ["environment_key"], ["environment.key"], name=op.f("fk_run_environment_key_environment")
        ),
        sa.ForeignKeyConstraint(["session_key"], ["session.key"], name=op.f("fk_run_session_key_session")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_run")),
        sa.UniqueConstraint("uuid", name=op.f("uq_run_uuid")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_run_benchmark_key_session_key"), ["benchmark_key", "session_key"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_run_session_key"), ["session_key"], unique=False)

    op.create_table(
        "metric",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("metric_info_key", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["metric_info_key"], ["metric_info.key"], name=op.f("fk_metric_metric_info_key_metric_info")
        ),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_metric_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "metric_info_key", name=op.f("pk_metric")),
    )
    op.bulk_insert(
        metric_info,
        [
            {
                "name": name,
                "unit": unit,
                "better": "lower",
                "display_unit": display_unit,
                "display_scale": display_scale,
                "built_in": True,
            }
            for name, unit, display_unit, display_scale in MEASURES
        ],
    )
    op.execute(TEST_RUN)


def downgrade() -> None:
    raise NotImplementedError("crt's schema has no way back: restore a copy of the database")
