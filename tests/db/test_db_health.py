"""What `crt doctor` says of a PostgreSQL server."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from coiled_runtime_cli.db.engine import make_engine, open_database
from coiled_runtime_cli.db.health import look


def test_a_server_is_empty_then_current_and_takes_rows(new_postgresql: Any) -> None:
    target = str(new_postgresql())
    empty = look(target)
    assert (empty.revisions, empty.is_current, empty.refusal) == ((), False, None)
    open_database(target).dispose()
    filled = look(target)
    assert filled.is_current
    assert filled.refusal is None


def test_a_user_who_may_only_read_is_told(inside: Any, new_postgresql: Any) -> None:
    target = str(new_postgresql())
    engine = open_database(target)
    with engine.begin() as connection:
        connection.execute(text("create role reader login"))
        connection.execute(text("grant select on all tables in schema public to reader"))
    try:
        reader = make_engine(target).url.set(username="reader").render_as_string(hide_password=False)
        done = inside.run("doctor", "--format", "json", "--db", reader)
        assert done.returncode == 4, done.stderr
        found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
        assert found["database"]["seen"].endswith("its user may not write")
    finally:
        with engine.begin() as connection:
            connection.execute(text("drop owned by reader"))
            connection.execute(text("drop role reader"))
        engine.dispose()


def test_a_server_that_does_not_answer_is_a_problem(inside: Any) -> None:
    done = inside.run("doctor", "--format", "json", "--db", "postgresql://nobody:secret@127.0.0.1:9/none")
    assert done.returncode == 4, done.stderr
    assert "secret" not in done.stdout + done.stderr
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert "cannot reach" in found["database"]["seen"]
