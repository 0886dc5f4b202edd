"""`crt doctor`: real folders, databases, programs and limits; and the commands that it names are typed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import SessionStarted

CHECKOUT = Path(__file__).parents[2]


def examined(crt, *flags, code=0, **options):
    """The findings by check; a check with several has the worst."""
    done = crt.run("doctor", "--format", "json", *flags, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["exit_code"] == code
    order = ["ok", "note", "warning", "problem"]
    return {each["check"]: each for each in sorted(document["findings"], key=lambda each: order.index(each["state"]))}


def typed(crt, command):
    """A command as a user would paste it."""
    words = shlex.split(command)
    done = crt.run(*words[1:]) if words[0] == "crt" else None
    if done is None:
        done = subprocess.run(
            ["bash", "-c", command], cwd=crt.folder, env=crt.environment, capture_output=True, text=True
        )
    assert done.returncode == 0, command + done.stdout + done.stderr


def files(folder):
    return sorted(str(each) for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def test_in_an_empty_folder_there_is_no_problem_and_nothing_is_written(crt, tmp_path):
    before = files(tmp_path)
    found = examined(crt)
    assert {"configuration", "Python", "packages", "pytest plugin", "git", "uv", "conda", "browser", "suites"} <= set(
        found
    )
    assert {"database", "journals", "memory", "/dev/shm", "ulimit -n", "clock", "Coiled", "AWS login", "remote"} <= set(
        found
    )
    assert any(each.startswith("disk") for each in found)
    assert any(each.startswith("noise") for each in found)
    assert found["packages"]["state"] == "ok"
    assert found["pytest plugin"]["state"] == "ok"
    assert (found["database"]["state"], found["remote"]["state"]) == ("note", "note")
    assert files(tmp_path) == before


def test_the_table_is_followed_by_the_commands_whole(inside):
    done = inside.run("doctor")
    assert done.returncode == 0
    table, _, commands = done.stdout.partition("\n\n")
    assert "0 problems" in table.splitlines()[-1]
    assert "\ncoiled login\n" in commands
    markdown = inside.run("doctor", "--format", "markdown").stdout
    assert markdown.startswith("| check | state | seen | to mend |")
    assert "| coiled login |" in markdown


def test_without_git_it_says_what_installs_it(crt, tmp_path):
    (tmp_path / "bin").mkdir()
    found = examined(crt, code=3, environment={"PATH": str(tmp_path / "bin")})
    assert found["git"]["state"] == "problem"
    program = found["git"]["mend"].removeprefix("sudo ").split()[0]
    assert found["git"]["mend"].endswith(" git")
    # it names what is there, though PATH does not have it
    assert program == "conda" or shutil.which(
        program, path="/usr/bin:/bin:/usr/local/bin:/sbin:/usr/sbin:/opt/homebrew/bin"
    )


def test_a_git_that_does_not_start_is_a_problem(crt, tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "git"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 9\n")
    program.chmod(0o755)
    found = examined(crt, code=3, environment={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    assert "does not start: broken" in found["git"]["seen"]


def test_a_wrong_configuration_is_the_first_thing_to_mend_and_the_rest_is_looked_at(crt):
    (crt.folder / "crt.toml").write_text("scael = 'smoke'\n")
    found = examined(crt, code=2)
    assert "did you mean" in found["configuration"]["seen"]
    typed_words = shlex.split(found["configuration"]["mend"])
    assert typed_words[:3] == ["crt", "config", "show"]
    assert found["git"]["state"] == "ok"
    assert "database" not in found


def test_suites_that_are_not_there_are_set_up_by_the_command_that_it_names(crt):
    crt.environment.pop("CRT_SUITES")
    folder = crt.folder / "mine"
    folder.mkdir()
    (folder / "crt.toml").write_text("suites = 'speed'\n")
    crt.folder = folder
    found = examined(crt, code=2)
    assert "no folder of suites" in found["suites"]["seen"]
    typed(crt, found["suites"]["mend"])
    assert examined(crt)["suites"]["seen"].startswith("1 test in")


def test_an_older_schema_is_upgraded_by_the_command_that_it_names(crt):
    database = crt.folder / "benchmark.db"
    environment = {**crt.environment, "DB_NAME": str(database)}
    command = [sys.executable, "-m", "alembic", "upgrade", "heads-1"]
    # as an earlier crt has left it: there is no way back from a newer one
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    found = examined(crt)
    assert found["database"]["state"] == "warning"
    assert "older schema" in found["database"]["seen"]
    typed(crt, found["database"]["mend"])
    assert examined(crt)["database"]["state"] == "ok"


def test_what_is_no_database_is_a_problem_of_the_configuration(inside):
    (inside.folder / "benchmark.db").write_text("this is no database, and long enough for one" * 100)
    assert "not a SQLite database" in examined(inside, code=2)["database"]["seen"]


def test_a_database_in_a_folder_that_is_not_there_is_one_mkdir_away(inside):
    database = str(inside.folder / "deep" / "er" / "benchmark.db")
    found = examined(inside, "--db", database, code=2)
    typed(inside, found["database"]["mend"])
    assert examined(inside, "--db", database)["database"]["state"] == "note"


#: root without the right to pass over permissions; anybody else has none.
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def as_anybody(crt, *flags):
    """`crt doctor` as a user whom permissions bind."""
    as_root = os.geteuid() == 0
    if as_root and shutil.which("setpriv") is None:
        pytest.skip("root writes anywhere, and there is no setpriv")
    done = subprocess.run(
        [*(PLAIN if as_root else []), *crt.command("doctor", "--format", "json", *flags)],
        cwd=crt.folder,
        env=crt.environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["findings"]}


@pytest.fixture
def read_only(tmp_path):
    folder = tmp_path / "read only"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_to_is_a_problem(crt, read_only):
    read_only.chmod(0o555)
    code, found = as_anybody(crt, "--db", str(read_only / "benchmark.db"))
    assert code == 3
    assert found["database"]["state"] == "problem"
    assert found["database"]["seen"] == f"{read_only} is not writable"
    assert found["database"]["mend"] == 'export DB_NAME="$HOME/benchmark.db"'


def test_a_database_that_may_not_be_written_to_is_made_writable_by_the_command_that_it_names(crt, read_only):
    database = read_only / "benchmark.db"
    assert crt.run("db", "upgrade", "--db", database).returncode == 0
    database.chmod(0o444)
    code, found = as_anybody(crt, "--db", str(database))
    assert code == 3
    assert found["database"]["seen"] == f"{database} is not writable"
    typed(crt, found["database"]["mend"])
    code, found = as_anybody(crt, "--db", str(database))
    assert (code, found["database"]["state"]) == (0, "ok")


def test_a_remote_that_may_only_be_read_is_a_problem_and_nothing_is_left_there(crt, read_only):
    read_only.chmod(0o555)
    code, found = as_anybody(crt, "--remote", str(read_only))
    assert code == 4
    assert found["remote"]["seen"].startswith("read only: ")
    assert "Permission denied" in found["remote"]["seen"]
    assert found["remote"]["mend"] == f"ls -ld '{read_only}'"
    assert list(read_only.iterdir()) == []


def test_sessions_that_died_are_stored_by_the_command_that_it_names(inside):
    identity = journal.new_id()
    writer = journal.Writer(inside.folder / "crt-runs" / identity, "crt")
    writer.write(
        SessionStarted(
            id=identity,
            started=time.time(),
            label="local",
            scale="smoke",
            cluster_kind="local",
            cluster_spec={},
            command=("crt",),
            crt_version="0",
        )
    )
    writer.own()
    assert "being measured right now" in examined(inside)["journals"]["seen"]
    writer.close()
    found = examined(inside)
    assert found["journals"]["state"] == "warning"
    assert "1 session ended" in found["journals"]["seen"]
    typed(inside, found["journals"]["mend"])
    assert examined(inside)["journals"]["state"] == "ok"
    assert inside.rows("select label from session") == [("local",)]


def test_few_open_files_are_a_warning_with_a_limit_that_the_shell_takes(crt):
    command = ["bash", "-c", 'ulimit -S -n 256 && exec "$@"', "bash", *crt.command("doctor", "--format", "json")]
    done = subprocess.run(command, cwd=crt.folder, env=crt.environment, capture_output=True, text=True)
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["ulimit -n"]["state"] == "warning"
    mend = found["ulimit -n"]["mend"]
    told = subprocess.run(["bash", "-c", f"ulimit -S -n 256; {mend} && ulimit -n"], capture_output=True, text=True)
    assert told.stdout.strip() == mend.split()[-1]


def test_a_local_cluster_is_started_and_closed_on_request(crt):
    found = examined(crt, "--cluster")
    assert found["local cluster"]["state"] == "ok"
    assert "started, worked and closed" in found["local cluster"]["seen"]


def test_a_local_cluster_that_cannot_start_is_a_problem(crt):
    (crt.folder / "crt.toml").write_text("[clusters.local]\nn_workers = 4000\n")
    found = examined(crt, "--cluster", code=3)
    assert "a worker needs" in found["local cluster"]["seen"]


def test_a_scheduler_that_is_configured_and_does_not_answer_is_a_problem(inside):
    found = examined(inside, code=4, environment={"CRT_CLUSTER": "tcp://127.0.0.1:1"})
    assert "no scheduler answers" in found["cluster"]["seen"]
    assert "(CRT_CLUSTER)" in found["cluster"]["seen"]


def test_a_login_of_coiled_is_needed_by_whoever_measures_there(crt):
    assert examined(crt)["Coiled"]["state"] == "note"
    found = examined(crt, code=4, environment={"CRT_CLUSTER": "coiled"})
    assert found["Coiled"]["mend"] == "coiled login"
    found = examined(crt, environment={"DASK_COILED__TOKEN": "a-b"})
    assert found["Coiled"]["seen"].startswith("a login is there")
    assert "a-b" not in json.dumps(found)


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (401, 4)])
def test_online_coiled_is_asked_whether_it_takes_the_login(crt, answer, code):
    class Coiled(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers["Authorization"]))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Coiled) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"DASK_COILED__TOKEN": "a-b", "DASK_COILED__SERVER": f"http://127.0.0.1:{server.server_port}"}
        offline = examined(crt, environment=environment)
        assert server.asked == []
        found = examined(crt, "--online", code=code, environment=environment)
        server.shutdown()
    assert offline["Coiled"]["state"] == "ok"
    assert server.asked == [("/api/v2/user/me", "ApiToken a-b")]
    assert found["Coiled"]["state"] == ("problem" if code else "ok")


def test_a_folder_that_is_the_remote_is_listed_written_and_read_and_left_as_it_was(inside, tmp_path):
    remote = tmp_path / "team"
    remote.mkdir()
    found = examined(inside, "--remote", str(remote))
    assert found["remote"]["state"] == "ok"
    assert "listed, written, read, removed" in found["remote"]["seen"]
    assert list(remote.iterdir()) == []


def test_a_remote_that_is_not_mounted_is_a_problem_and_the_command_makes_a_new_one(inside, tmp_path):
    (inside.folder / "crt.toml").write_text(f"[sync]\nremote = '{tmp_path / 'team' / 'bench marks'}'\n")
    found = examined(inside, code=4)
    assert "no such folder" in found["remote"]["seen"]
    assert "crt.toml" in found["remote"]["seen"]
    typed(inside, found["remote"]["mend"])
    assert examined(inside)["remote"]["state"] == "ok"


def test_a_remote_that_is_no_folder_is_a_problem_of_the_configuration(inside, tmp_path):
    (tmp_path / "file").write_text("")
    assert examined(inside, "--remote", str(tmp_path / "file"), code=2)["remote"]["state"] == "problem"


def test_the_key_of_a_remote_that_is_misspelt_is_told(inside):
    (inside.folder / "crt.toml").write_text("[sync]\nremoet = 'x'\n")
    assert "did you mean" in examined(inside, code=2)["configuration"]["seen"]
