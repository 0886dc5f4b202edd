"""The view ``test_run``: one wide row per run with the column names that documented queries use.

This is what the view is today. The migration that last made it holds the same text, frozen; ``crt db check`` compares.
"""

from __future__ import annotations

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
""".strip()
