from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, text

from coiled_runtime_cli.core.record import MEASURES
from coiled_runtime_cli.db import migrate
from coiled_runtime_cli.db.engine import make_engine, open_database
from coiled_runtime_cli.db.models import Base
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.db.view import TEST_RUN
from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.locations import migrations_folder

if TYPE_CHECKING:
    from sqlalchemy import Engine

CHECKOUT = migrations_folder().parent

#: The names that documented queries use, in their order, then what crt adds.
DOCUMENTED = [
    "uuid",
    "session_id",
    "name",
    "originalname",
    "path",
    "setup_outcome",
    "call_outcome",
    "teardown_outcome",
    "coiled_runtime_version",
    "coiled_software_name",
    "dask_version",
    "dask_expr_version",
    "distributed_version",
    "python_version",
    "platform",
    "ci_run_url",
    "start",
    "end",
    "duration",
    "average_memory",
    "peak_memory",
    "compute_time",
    "disk_spill_time",
    "serializing_time",
    "transfer_time",
    "scheduler_cpu_avg",
    "scheduler_memory_max",
    "worker_max_tick",
    "scheduler_max_tick",
    "cluster_name",
    "cluster_id",
    "cluster_details_url",
    "performance_report_url",
    "cluster_dump_url",
    "memray_profiles_url",
    "py_spy_profiles_url",
    "repeat",
    "outcome",
    "failure",
    "profiled",
    "benchmark_id",
    "epoch",
    "environment_id",
    "scale",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what migrations need of the checkout."""
    copy = tmp_path / "checkout"
    for name in ("alembic", "coiled_runtime_cli"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    return copy


def _run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_NAME", "CRT_"))}
    environment |= {"PYTHONPATH": str(folder), "HOME": str(folder), **environ}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_models_and_migrations_agree(any_database: str) -> None:
    engine = open_database(any_database)
    assert migrate.check(engine) == ()
    engine.dispose()


def test_the_scratch_database_agrees_with_the_models() -> None:
    assert migrate.check_migrations() == ()


def test_a_difference_is_told(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("alter table session add column weather text"))
        connection.execute(text("drop view test_run"))
        connection.execute(text("create view test_run as select 1 as one"))
    found = migrate.check(engine)
    assert "op.drop_column('session', 'weather')" in found
    assert "the view test_run is not what db/view.py says" in found


def test_a_database_that_is_not_at_head_is_told(tmp_path: Path) -> None:
    engine = make_engine(str(tmp_path / "new.db"))
    assert migrate.check(engine)[0].startswith("not at head: an empty database")
    assert not migrate.current(engine).is_head


def test_there_is_one_head_and_alembic_sees_the_same_revisions() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations_folder()))
    assert scripts.get_heads() == list(read_revisions().heads)
    assert len(scripts.get_heads()) == 1
    assert {script.revision for script in scripts.walk_revisions()} == read_revisions().known


def test_migrations_do_not_import_the_code_that_changes_after_them() -> None:
    for path in (migrations_folder() / "versions").glob("*.py"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if "coiled_runtime_cli" in line and not line.startswith("#")], path


def test_the_view_has_the_documented_columns(any_database: str) -> None:
    engine = open_database(any_database)
    with engine.connect() as connection:
        columns = [column["name"] for column in inspect(connection).get_columns("test_run")]
        assert columns == DOCUMENTED
        query = "select dask_version, average_memory from test_run where name = 'test_write_wide_data'"
        assert connection.execute(text(query)).all() == []
    engine.dispose()


def test_the_view_in_the_database_is_the_one_in_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        stored = connection.scalar(text("select sql from sqlite_master where name = 'test_run'"))
    assert str(stored).split() == TEST_RUN.split()


def test_every_measure_is_registered_with_its_unit(any_database: str) -> None:
    engine = open_database(any_database)
    with engine.connect() as connection:
        infos = connection.execute(text("select name, unit from metric_info where built_in order by key")).all()
    assert tuple(info.name for info in infos) == MEASURES
    assert {info.unit for info in infos} == {"s", "bytes", ""}
    engine.dispose()


def test_there_is_no_way_back(database: str) -> None:
    done = _run(CHECKOUT, "-m", "alembic", "downgrade", "base", DB_NAME=database)
    assert done.returncode != 0
    assert "no way back" in done.stderr
    assert migrate.current(make_engine(database)).is_head


def test_every_table_and_its_columns_have_the_names_of_the_convention() -> None:
    for table in Base.metadata.tables.values():
        assert all(str(each.name).startswith(("pk_", "fk_", "uq_")) for each in table.constraints), table.name
        assert all(str(each.name).startswith("ix_") for each in table.indexes), table.name


def test_an_unknown_revision_cannot_be_stamped(engine: Engine) -> None:
    with pytest.raises(UsageError, match="nosuch"):
        migrate.stamp(engine, "nosuch")
    assert migrate.current(engine).is_head


def test_a_stamped_database_is_what_it_was_declared_to_be(any_database: str) -> None:
    engine = open_database(any_database)
    migrate.stamp(engine, "base")
    assert migrate.current(engine).revisions == ()
    migrate.stamp(engine, "head")
    assert migrate.current(engine).is_head
    engine.dispose()


NEXT = '''"""the next"""
import os, signal
import sqlalchemy as sa
from alembic import op
revision: str = "aaaaaaaaaaaa"
down_revision: str | None = "{down}"
def upgrade() -> None:
    with op.batch_alter_table("benchmark") as batch:
        batch.add_column(sa.Column("weather", sa.Text(), nullable=True))
    op.create_table("half_done", sa.Column("key", sa.Integer(), primary_key=True))
    {then}
'''


def _next_migration(checkout: Path, then: str) -> None:
    (down,) = read_revisions().heads
    (checkout / "alembic" / "versions" / "next.py").write_text(NEXT.format(down=down, then=then))


OPEN = (
    "import sys; from coiled_runtime_cli.db.engine import open_database; from coiled_runtime_cli.db import migrate; "
    "print(*migrate.current(open_database(sys.argv[1])).revisions)"
)


def _content(path: str) -> list[str]:
    with sqlite3.connect(path) as connection:
        content = list(connection.iterdump())
    connection.close()
    return content


def test_a_process_killed_in_a_migration_leaves_the_old_schema(checkout: Path, database: str) -> None:
    before = _content(database)
    _next_migration(checkout, then="os.kill(os.getpid(), signal.SIGKILL)")
    assert _run(checkout, "-c", OPEN, database).returncode == -signal.SIGKILL
    assert _content(database) == before
    _next_migration(checkout, then="pass")
    done = _run(checkout, "-c", OPEN, database)
    assert done.stdout == "aaaaaaaaaaaa\n", done.stderr


def test_a_migration_that_fails_leaves_the_old_schema(checkout: Path, database: str) -> None:
    before = _content(database)
    _next_migration(checkout, then="raise RuntimeError('no')")
    assert "RuntimeError: no" in _run(checkout, "-c", OPEN, database).stderr
    assert _content(database) == before


def test_a_migration_that_breaks_references_is_taken_back(checkout: Path, database: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("insert into source (hash) values ('x')")
        connection.execute(
            "insert into benchmark (id, epoch, source_hash, path, name, originalname, suite)"
            " values ('a', 1, 'x', 'a', 'a', 'a', 'a')"
        )
    connection.close()
    before = _content(database)
    _next_migration(checkout, then="op.execute('delete from source')")
    done = _run(checkout, "-c", OPEN, database)
    assert "was taken back: it breaks references of 'benchmark'" in done.stderr
    assert _content(database) == before


def test_autogenerate_writes_what_the_models_have_beyond_the_migrations(checkout: Path) -> None:
    models = checkout / "coiled_runtime_cli" / "db" / "models.py"
    code = models.read_text().replace(
        "    crt_version: Mapped[str | None]\n", "    crt_version: Mapped[str | None]\n    seen: Mapped[Time | None]\n"
    )
    models.write_text(code)
    script = "from coiled_runtime_cli.db import migrate; print(migrate.revision('see it', autogenerate=True))"
    done = _run(checkout, "-c", script)
    assert done.returncode == 0, done.stderr
    written = Path(done.stdout.strip())
    assert written.parent == checkout / "alembic" / "versions"
    assert "sa.Column('seen', sa.DateTime(timezone=True), nullable=True)" in written.read_text()
    assert "The rules of every migration" in written.read_text()
    assert not list(checkout.glob("*.db"))
    done = _run(checkout, "-c", "from coiled_runtime_cli.db import migrate; print(migrate.check_migrations())")
    assert done.stdout == "()\n", done.stderr


def test_plain_alembic_works_in_the_checkout(checkout: Path) -> None:
    def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = _run(checkout, "-m", "alembic", *arguments, DB_NAME="own.db")
        assert done.returncode == 0, done.stderr
        return done

    models = checkout / "coiled_runtime_cli" / "db" / "models.py"
    code = models.read_text().replace(
        "    scale: Mapped[str | None]\n", "    scale: Mapped[str | None]\n    mood: Mapped[str | None]\n"
    )
    models.write_text(code)
    alembic("revision", "--autogenerate", "-m", "feel it")
    assert not (checkout / "own.db").exists()
    written = next((checkout / "alembic" / "versions").glob("*_feel_it.py"))
    assert "sa.Column('mood', sa.Text(), nullable=True)" in written.read_text()
    assert "No new upgrade operations" in alembic("check").stdout
    alembic("upgrade", "head")
    assert "(head)" in alembic("current").stdout
    with sqlite3.connect(checkout / "own.db") as connection:
        connection.execute("select mood from session")
    connection.close()


def test_an_installed_crt_writes_no_migrations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(migrate, "migrations_folder", lambda: tmp_path / "alembic")
    with pytest.raises(UsageError, match="checkout"):
        migrate.revision("x")


def test_a_migration_with_two_parents_is_no_error_for_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("revision: str = 'a'\ndown_revision: str | None = None\n")
    (tmp_path / "b.py").write_text("revision = 'b'\ndown_revision = None\n")
    (tmp_path / "c.py").write_text("revision = 'c'\ndown_revision = ('a', 'b')\n")
    found = read_revisions(tmp_path)
    assert (found.known, found.heads) == ({"a", "b", "c"}, {"c"})


def test_offline_scripts_are_refused() -> None:
    done = _run(CHECKOUT, "-m", "alembic", "upgrade", "head", "--sql")
    assert done.returncode != 0
    assert "leave --sql out" in done.stdout + done.stderr


def test_a_full_message_reaches_the_user_of_a_failed_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.util import CommandError

    from alembic import command

    def refuse(*_: object, **__: object) -> None:
        raise CommandError("no room for it")

    monkeypatch.setattr(command, "revision", refuse)
    with pytest.raises(ToolError, match="no room for it"):
        migrate.revision("x")
