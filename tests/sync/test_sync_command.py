"""`crt sync` and its neighbours as a user types them: on folders, on a real S3 server, and where things go wrong."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "db"))
sys.path.insert(0, str(Path(__file__).parent))
from recorded import lines
from s3_servers import KEYS

from coiled_runtime_cli import sharing
from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.record import SessionStarted
from coiled_runtime_cli.core.segment import Segment
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


def fill(path: Path, *sessions: int, days_ago: int = 1) -> None:
    """Sessions that started some days ago, with four runs each."""
    engine = open_database(str(path))
    noon = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    started = (noon - timedelta(days=days_ago)).timestamp()
    for number in sessions:
        told = lines(number)
        object.__setattr__(next(each for each in told if isinstance(each, SessionStarted)), "started", started)
        ingest(engine, told)
    engine.dispose()


def rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select * from test_run order by uuid").fetchall()


@pytest.fixture
def folder(crt: Any) -> Path:
    return Path(crt.folder)


def test_two_people_share_a_folder(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "a share" / "benchmarks"
    remote.parent.mkdir()
    fill(folder / "mine.db", 1, 2)
    fill(folder / "yours.db", 2, 3)
    for name in ("mine", "yours"):
        done = inside.run("sync", "push", "--db", f"{name}.db", "--remote", remote)
        assert done.returncode == 0, done.stderr
    assert "1 session pushed" in done.stdout
    assert "1 were there already" in done.stdout
    for name in ("mine", "yours"):
        assert (
            inside.run(
                "sync", "pull", "--db", f"{name}.db", "--remote", f"file://{remote}".replace(" ", "%20")
            ).returncode
            == 0
        )
    assert rows(folder / "mine.db") == rows(folder / "yours.db")
    assert len(rows(folder / "mine.db")) == 12
    told = inside.json("sync", "status", "--db", "mine.db", "--remote", remote, "--format", "json")
    assert (told["schema"], told["pending"], told["missing"], told["pushed"], told["pulled"]) == (1, 0, 0, 3, 3)


def test_push_works_with_nothing_but_a_database(inside: Any, folder: Path, tmp_path: Path) -> None:
    fill(folder / "benchmark.db", 1)
    done = inside.run("sync", "push")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "data" / "crt" / "remote") in done.stdout
    assert "a folder on this machine" in done.stderr
    again = inside.run("sync", "push")
    assert (again.returncode, again.stdout.startswith("nothing to push")) == (0, True)
    done = inside.run("sync", "pull", "--db", "other.db")
    assert "1 session pulled" in done.stdout
    assert rows(folder / "other.db") == rows(folder / "benchmark.db")


def test_the_remote_is_configured_once(inside: Any, folder: Path, tmp_path: Path) -> None:
    fill(folder / "benchmark.db", 1)
    (folder / "crt.toml").write_text('[sync]\nremote = "shared"\n')
    done = inside.run("sync", "push")
    assert (done.returncode, (folder / "shared" / "segments").is_dir()) == (0, True), done.stderr
    assert "a folder on this machine" not in done.stderr
    done = inside.run("sync", "push", environment={"CRT_SYNC_REMOTE": str(tmp_path / "other")})
    assert (done.returncode, (tmp_path / "other" / "segments").is_dir()) == (0, True), done.stderr
    shown = inside.run("config", "show", "--origin", environment={"CRT_SYNC_REMOTE": str(tmp_path / "other")})
    assert "CRT_SYNC_REMOTE" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["push"], 2, "no database at"),
        (["pull"], 4, "no remote is named"),
        (["status", "--db", "fine.db", "--remote", "/no/such/share"], 4, "no such folder"),
        (["push", "--db", "fine.db", "--remote", "/no/such/share"], 4, "is it mounted"),
        (["push", "--db", "fine.db", "--remote", "fine.db"], 2, "is no folder"),
        (["push", "--db", "fine.db", "--remote", "ftp://host/x"], 2, "unknown kind of remote ftp://"),
        (["push", "--db", "fine.db", "--remote", "s3://key:secret@bucket/x"], 2, "credentials in it"),
        (
            ["push", "--db", "fine.db", "--remote", "s3://bucket/x", "--endpoint-url", "http://a:b@host"],
            2,
            "credentials in it",
        ),
        (["push", "--db", "fine.db", "--remote", "s3://UPPER_case!"], 2, "names no bucket"),
        (["push", "--db", "fine.db", "--remote", "s3://bucket/../x"], 2, "names no bucket"),
        (["push", "--db", "fine.db", "--remote", "share", "--region", "x"], 2, "--region is of buckets"),
        (["push", "--db", "fine.db", "--region", "x"], 2, "--region is of a bucket"),
        (["push", "--db", "fine.db", "--session", "nosuch"], 2, "unknown session 'nosuch'"),
        (["push", "--db", "fine.db", "--session", "s1", "--all"], 2, "contradict"),
        (["push", "--db", "fine.db", "--profile", "nosuch", "--remote", "s3://bucket/x"], 2, "nosuch"),
        (["publish", "--keep", "soon", "--remote", "."], 2, "'soon' is no time to keep"),
        (["publish", "--keep", "3d", "--remote", "."], 2, "14 days are the least"),
        (["verify", "--remote", "/no/such/share"], 4, "no such folder"),
        (["push", "--db", "fine.db", "--remot", "x"], 2, "did you mean --remote"),
        (["puhs"], 2, "puhs"),
    ],
)
def test_a_mistake_is_one_message_and_its_exit_code(
    inside: Any, folder: Path, arguments: list[str], code: int, says: str
) -> None:
    fill(folder / "fine.db", 1)
    done = inside.run("sync", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret@" not in done.stdout + done.stderr
    assert done.stdout == ""


def test_a_wrong_key_in_the_configuration_is_named(inside: Any, folder: Path) -> None:
    fill(folder / "benchmark.db", 1)
    (folder / "crt.toml").write_text('[sync]\nremot = "shared"\n')
    done = inside.run("sync", "push")
    assert (done.returncode, "did you mean 'remote'" in done.stderr) == (2, True), done.stderr
    done = inside.run("sync", "push", environment={"CRT_SYNC_REMOT": "x"})
    assert (done.returncode, "CRT_SYNC_REMOTE" in done.stderr) == (2, True), done.stderr


def test_a_dry_run_changes_nothing(inside: Any, folder: Path, tmp_path: Path) -> None:
    fill(folder / "benchmark.db", 1)
    done = inside.run("sync", "push", "--dry-run")
    assert (done.returncode, "1 session would be pushed" in done.stdout) == (0, True), done.stderr
    assert not (tmp_path / "data").exists()
    inside.run("sync", "push")
    done = inside.run("sync", "pull", "--dry-run", "--db", "new.db")
    assert (done.returncode, "1 session would be pulled" in done.stdout) == (0, True), done.stderr
    assert not (folder / "new.db").exists()


def test_published_once_it_serves_everyone(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", 1, 2)
    fill(folder / "benchmark.db", 3, days_ago=100)
    inside.run("sync", "push", "--remote", remote)
    told = inside.json("sync", "publish", "--remote", remote, "--keep", "90d", "--format", "json")
    assert (told["runs"], told["archived"], told["keep_days"], told["catalog"]) == (8, 1, 90, True)
    assert len(rows(remote / "benchmark.db")) == 8
    fill(folder / "benchmark.db", 4)
    inside.run("sync", "push", "--remote", remote)
    told = inside.json("sync", "pull", "--remote", remote, "--db", "new.db", "--format", "json")
    assert (told["published_runs"], told["pulled"], told["runs"], told["pending"]) == (8, 1, 12, 0)
    again = inside.json("sync", "pull", "--remote", remote, "--db", "new.db", "--format", "json")
    assert (again["pulled"], again["requests"] <= 3) == (0, True)
    assert (
        inside.json("sync", "pull", "--archived", "--remote", remote, "--db", "new.db", "--format", "json")["pulled"]
        == 1
    )
    assert rows(folder / "new.db") == rows(folder / "benchmark.db")
    assert "90 days" in inside.run("sync", "status", "--remote", remote).stdout
    done = inside.run("sync", "verify", "--remote", remote)
    assert (done.returncode, "3 sessions" in done.stdout) == (0, True)


def test_the_predecessor_s_database_is_not_overwritten(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", 1)
    inside.run("sync", "push", "--remote", remote)
    with closing(sqlite3.connect(remote / "benchmark.db")) as connection, connection:
        connection.execute("create table test_run (id integer primary key, name text)")
    before = (remote / "benchmark.db").read_bytes()
    done = inside.run("sync", "publish", "--remote", remote)
    assert (done.returncode, "crt db import" in done.stderr) == (2, True), done.stderr
    assert (remote / "benchmark.db").read_bytes() == before
    # and nobody begins with it
    done = inside.run("sync", "pull", "--remote", remote, "--db", "new.db")
    assert (done.returncode, "is not used" in done.stderr) == (0, True), done.stderr
    assert len(rows(folder / "new.db")) == 4
    assert inside.run("sync", "publish", "--replace", "--remote", remote).returncode == 0
    assert len(rows(remote / "benchmark.db")) == 4


def test_damage_is_named_and_moved_aside_and_mended(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", 1, 2)
    inside.run("sync", "push", "--remote", remote)
    bad = next(remote.glob("segments/v1/*/s1-*"))
    bad.write_bytes(b"\x1f\x8b" + b"x" * (bad.stat().st_size - 2))
    done = inside.run("sync", "pull", "--remote", remote, "--db", "new.db")
    assert done.returncode == 4
    assert "s1-" in done.stderr
    assert "crt sync verify --quarantine" in done.stderr
    assert len(rows(folder / "new.db")) == 4
    assert inside.run("sync", "verify", "--remote", remote).returncode == 4
    assert bad.exists()
    assert inside.run("sync", "verify", "--quarantine", "--remote", remote).returncode == 4
    assert not bad.exists()
    assert inside.run("sync", "pull", "--remote", remote, "--db", "new.db").returncode == 0
    done = inside.run("sync", "push", "--all", "--remote", remote)
    assert "1 session pushed" in done.stdout, done.stderr
    assert inside.run("sync", "verify", "--remote", remote).returncode == 0
    assert inside.json("sync", "pull", "--remote", remote, "--db", "new.db", "--format", "json")["pulled"] == 1


def test_a_segment_that_no_database_can_hold_is_damage_too(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", 1, 2)
    inside.run("sync", "push", "--remote", remote)
    file = next(remote.glob("segments/v1/*/s1-*"))
    sound = core.from_bytes(core.unpack(file.relative_to(remote).as_posix(), file.read_bytes()))
    metric = ["rows", "", "lower", 1.0]
    changes: list[dict[str, Any]] = [{"metrics": None}, {"metrics": [metric, metric]}, {"duration": 10**400}]
    tables = [{**sound.tables, "run": [{**row, **each} for row in sound.tables["run"]]} for each in changes]
    for number, each in enumerate([*tables, {**sound.tables, "source": []}]):
        bad = dataclasses.replace(sound, session={**sound.session, "id": f"bad{number}"}, tables=each)
        raw = core.to_bytes(bad)
        (remote / core.key_of(bad, raw)).write_bytes(core.pack(raw))
    done = inside.run("sync", "pull", "--remote", remote, "--db", "new.db")
    assert done.returncode == 4, done.stderr
    assert "crt sync verify --quarantine" in done.stderr
    assert len(rows(folder / "new.db")) == 8  # the rest came
    assert inside.run("sync", "verify", "--quarantine", "--remote", remote).returncode == 4
    assert len(list(remote.glob("quarantine/segments/v1/*/bad*"))) == 4
    assert inside.run("sync", "pull", "--remote", remote, "--db", "new.db").returncode == 0


def test_a_newer_history_says_what_to_type(inside: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", 1)
    inside.run("sync", "push", "--remote", remote)
    future = Segment(revision="ffffffffffff", session={"id": "f"}, tables={"run": [{"uuid": "u"}]})
    raw = core.to_bytes(future)
    target = remote / core.key_of(future, raw)
    target.parent.mkdir()
    target.write_bytes(core.pack(raw))
    done = inside.run("sync", "pull", "--remote", remote, "--db", "new.db")
    assert done.returncode == 4
    assert "pip install --upgrade" in done.stderr
    assert len(rows(folder / "new.db")) == 4  # the rest came


def test_bench_pushes_the_session_that_it_measured(crt: Any, folder: Path, tmp_path: Path) -> None:
    crt.suite("benchmarks/test_x.py", "def test_a():\n    pass\n")
    done = crt.run("bench", "--suite", "x", "--push", "--remote", "/no/such/share")
    assert (done.returncode, "is it mounted" in done.stderr) == (4, True)
    assert not (folder / "benchmark.db").exists()  # said before anything was measured
    done = crt.run("bench", "--suite", "x", "--push", "--remote", tmp_path / "remote")
    assert done.returncode == 0, done.stderr
    assert "1 runs pushed to" in done.stderr
    assert len(list((tmp_path / "remote").glob("segments/v1/*/*.jsonl.gz"))) == 1
    assert crt.run("bench", "--suite", "x", "--remote", "x").returncode == 2


def test_a_bucket_is_shared(inside: Any, folder: Path, seaweedfs: str) -> None:
    environment = {**KEYS, "AWS_REGION": "us-east-1", "CRT_SYNC_ENDPOINT_URL": seaweedfs}
    remote = f"s3://history/commands-{time.time_ns()}"
    fill(folder / "benchmark.db", 1, 2)

    def sync(*arguments: str) -> Any:
        done = inside.run("sync", *arguments, "--remote", remote, "--format", "json", environment=environment)
        assert done.returncode == 0, done.stderr
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
        return json.loads(done.stdout)

    assert sync("push")["pushed"] == 2
    told = sync("push")
    assert (told["pushed"], told["requests"], told["bytes"]) == (0, 0, 0)
    assert sync("publish")["runs"] == 8
    assert sync("pull", "--db", "new.db")["runs"] == 8
    told = sync("pull", "--db", "new.db")
    assert (told["pulled"], told["requests"] <= 3) == (0, True)
    assert rows(folder / "new.db") == rows(folder / "benchmark.db")
    assert sync("verify")["damaged"] == {}
    assert sync("status")["pending"] == 0
    with closing(sqlite3.connect(folder / "benchmark.db")) as connection:
        assert not any("test-secret" in str(row) for row in connection.iterdump())


def test_a_store_without_conditional_writes_is_found_out(inside: Any, folder: Path, rclone: str) -> None:
    environment = {**KEYS, "AWS_REGION": "us-east-1", "CRT_SYNC_ENDPOINT_URL": rclone}
    remote = "s3://history/benchmarks"
    fill(folder / "benchmark.db", 1, 2)

    def sync(*arguments: str) -> Any:
        return inside.run("sync", *arguments, "--remote", remote, environment=environment)

    assert sync("push").returncode == 0
    done = sync("publish")
    assert (done.returncode, "--single-publisher" in done.stderr) == (2, True), done.stderr
    done = sync("publish", "--single-publisher")
    assert (done.returncode, "no conditional writes" in done.stderr) == (0, True), done.stderr
    for _ in range(2):
        done = sync("pull", "--db", "new.db")
        assert done.returncode == 0, done.stderr
    assert rows(folder / "new.db") == rows(folder / "benchmark.db")
    # what is pushed twice is one object all the same: it has the same bytes
    with closing(sqlite3.connect(folder / "benchmark.db")) as connection, connection:
        connection.execute("delete from pushed_segment")
    assert sync("push").returncode == 0
    assert sync("verify").returncode == 0


def test_without_credentials_bucket_or_server_it_says_so(inside: Any, folder: Path, seaweedfs: str) -> None:
    fill(folder / "benchmark.db", 1)
    there = {**KEYS, "AWS_REGION": "us-east-1", "CRT_SYNC_ENDPOINT_URL": seaweedfs, "AWS_EC2_METADATA_DISABLED": "true"}
    nobody = {"CRT_SYNC_ENDPOINT_URL": seaweedfs, "AWS_EC2_METADATA_DISABLED": "true"}
    for command, environment, remote, says in (
        ("push", nobody, "s3://history/x", "aws sso login"),
        ("pull", there, "s3://no-such-bucket/x", "there is no bucket no-such-bucket"),
        ("push", {**there, "AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://history/x", "AWS_ACCESS_KEY_ID"),
        ("push", {**there, "CRT_SYNC_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://history/x", "is the network there"),
    ):
        done = inside.run("sync", command, "--remote", remote, environment=environment)
        assert done.returncode == 4, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_pull_from_a_server_that_never_answers(crt: Any, folder: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(9)
        fill(folder / "benchmark.db", 1)
        environment = {**crt.environment, **KEYS, "AWS_REGION": "us-east-1"}
        crt.environment.update(environment)
        process = crt.start(
            "sync", "push", "--remote", "s3://bucket/x", "--endpoint-url", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_a_full_history_through_a_terminal_fits_eighty_columns(crt: Any, folder: Path, tmp_path: Path) -> None:
    import pexpect

    fill(folder / "benchmark.db", 1)
    crt.run("sync", "push")
    child = pexpect.spawn(
        sys.executable,
        ["-m", "coiled_runtime_cli", "sync", "status"],
        cwd=str(folder),
        env={**crt.environment, "NO_COLOR": "1", "TERM": "xterm"},
        dimensions=(40, 80),
        encoding="utf-8",
        timeout=60,
    )
    text = child.read()
    child.wait()
    assert child.exitstatus == 0
    assert "\x1b[3" not in text
    assert max(len(line) for line in text.splitlines()) <= 80, text


@pytest.mark.slow
def test_killed_at_any_moment_the_next_one_completes_it(crt: Any, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    fill(folder / "benchmark.db", *range(1, 200))
    chance = random.Random(7)

    def run_killed(*arguments: str) -> None:
        for _ in range(3):
            process = crt.start("sync", *arguments, "--remote", str(remote))
            try:
                process.communicate(timeout=chance.uniform(0.4, 1.6))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        done = crt.run("sync", *arguments, "--remote", str(remote))
        assert done.returncode == 0, done.stderr

    run_killed("push")
    assert len(list(remote.glob("segments/v1/*/*.jsonl.gz"))) == 199
    run_killed("pull", "--db", "new.db")
    assert rows(folder / "new.db") == rows(folder / "benchmark.db")
    run_killed("publish")
    assert rows(remote / "benchmark.db") == rows(folder / "benchmark.db")
    run_killed("pull", "--db", "begun.db")
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    name = f"{sharing._scratch_prefix()}{ended.stdout.strip()}-x"
    (folder / name).mkdir()
    run_killed("pull", "--db", "begun.db")
    assert rows(folder / "begun.db") == rows(folder / "benchmark.db")
    with closing(sqlite3.connect(folder / "begun.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    # the copy of a published database that was being fetched when its process was killed goes with the next one
    assert {path.name for path in folder.iterdir() if "crt" in path.name} <= {"crt-runs"}


def test_a_disk_that_is_full_costs_nothing_that_is_there(crt: Any, folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    fill(folder / "benchmark.db", *range(1, 60))
    crt.run("sync", "push", "--remote", tmp_path / "remote")
    crt.run("db", "upgrade", "--db", "new.db")
    command = [*crt.command("sync", "pull", "--db", "new.db", "--remote", tmp_path / "remote")]
    small = f"ulimit -f {(folder / 'new.db').stat().st_size // 1024 + 40}; trap '' XFSZ; exec \"$@\""
    done = subprocess.run(
        ["bash", "-c", small, "bash", *command],
        cwd=folder,
        env=crt.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    done = crt.run("sync", "pull", "--db", "new.db", "--remote", tmp_path / "remote")
    assert done.returncode == 0, done.stderr
    assert rows(folder / "new.db") == rows(folder / "benchmark.db")
