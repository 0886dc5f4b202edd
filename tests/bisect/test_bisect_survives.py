"""A bisection that is killed, interrupted, or left without room goes on where it was."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import slowpoke

#: Notes, at its very end, that it has run.
COUNTED = slowpoke.COMMAND + "open('count.txt', 'a').write(f'{slowpoke.NUMBER}\\n')\n"


def command(crt, repository, *flags):
    (crt.folder / "repro.py").write_text(COUNTED)
    return [
        "bisect", *flags, "--good", "v0", "--bad", "v1", "--repo", repository.folder, "--metric", "stdout",
        "--format", "json", "--", sys.executable, "repro.py",
    ]  # fmt: skip


def counted(crt):
    file = crt.folder / "count.txt"
    return len(file.read_text().splitlines()) if file.exists() else 0


def probes(crt):
    rows = crt.rows("select document from bisection")
    return [each for (document,) in rows for each in json.loads(document)["probes"]]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(crt):
    done = crt.run("bisect", "--resume", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 16, 9)
    running = crt.start(*command(crt, repository), start_new_session=True)
    until(lambda: counted(crt) >= 3)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "crt bisect --resume" in errors
    assert "Traceback" not in errors
    known = len(probes(crt))
    assert known >= 2
    found = finish(crt)
    assert found["culprit"]["commit"] == repository.hashes[9]
    measured = sum(each["outcome"] == "measured" for each in found["probes"])
    assert counted(crt) - measured in (0, 1)  # the run that was interrupted may have counted itself just before
    done = crt.run("bisect", "--resume")
    assert done.returncode == 2
    assert "no bisection is open" in done.stderr


@pytest.mark.slow
def test_a_finished_run_that_crt_did_not_live_to_note_is_not_made_again(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2, seconds=(0.4, 0.9))
    running = crt.start(*command(crt, repository))
    until(lambda: counted(crt) == 2)
    # stopped while the third runs: what is started goes on to its end, and crt never hears of it
    until(lambda: len(probes(crt)) == 2)
    time.sleep(0.2)
    os.kill(running.pid, signal.SIGSTOP)
    until(lambda: counted(crt) == 3)
    time.sleep(0.5)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert len(probes(crt)) == 2
    found = finish(crt)
    assert found["culprit"]["commit"] == repository.hashes[2]
    assert counted(crt) == len(found["probes"])


@pytest.mark.slow
def test_killed_again_and_again_it_measures_nothing_twice(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 48, 31, seconds=(0.1, 0.25))
    chance = random.Random(7)
    running = crt.start(*command(crt, repository))
    kills = 0
    for _ in range(5):
        # killed at any moment, and yet never before something new was measured: it has to come to its end
        known = counted(crt)
        until(lambda known=known, running=running: counted(crt) > known or running.poll() is not None)
        time.sleep(chance.uniform(0.0, 0.6))
        if running.poll() is not None:
            break
        running.kill()
        running.communicate()
        kills += 1
        running = crt.start("bisect", "--resume", "--format", "json")
    running.communicate(timeout=120)
    assert running.returncode in {0, 2}, kills  # 2: it had just ended when it was killed
    (document,) = crt.json("bisect", "--list", "--format", "json")["bisections"]
    assert document["status"] == "found"
    assert document["culprit"]["commit"] == repository.hashes[31]
    measured = sum(each["outcome"] == "measured" for each in document["probes"])
    assert kills >= 3
    logs = Path(crt.environment["XDG_CACHE_HOME"]) / "crt" / "environments" / "bisect" / "logs"
    # every run that ended is known, and there was none beside; a kill may cut one short after its last line
    assert len(list(logs.glob("*/*/result.json"))) == measured
    assert counted(crt) - measured <= kills


def test_a_second_crt_does_not_take_part(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2, seconds=(0.5, 1))
    running = crt.start(*command(crt, repository))
    until(lambda: counted(crt) >= 1)
    other = crt.run("bisect", "--resume")
    assert other.returncode == 2
    assert "another crt is running the bisection" in other.stderr
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)


def test_nothing_is_left_running_when_crt_is_killed(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2, seconds=(600, 600))
    running = crt.start(*command(crt, repository))
    mark = str(crt.folder / "repro.py")

    def there():
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if (each / "cwd").resolve() == crt.folder and b"repro.py" in (each / "cmdline").read_bytes():
                    found.append(each)
            except OSError:
                continue
        return [each for each in found if int(each.name) != running.pid]

    until(lambda: len(there()) == 1)
    running.kill()
    running.communicate()
    until(lambda: not there(), 20)
    assert mark


def cache_of(crt):
    return Path(crt.environment["XDG_CACHE_HOME"]) / "crt" / "environments" / "bisect"


def prune(crt, folder):
    """From a folder that knows of no database."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        crt.command("bisect", "--prune"), cwd=folder, env=crt.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "removed" in done.stdout
    return done.stderr


@pytest.mark.slow
def test_prune_removes_what_can_be_made_again_when_a_bisection_has_ended(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 6, 2)
    assert crt.run(*command(crt, repository)).returncode == 0
    cache = cache_of(crt)
    assert any((cache / "worktrees").iterdir())
    prune(crt, crt.folder / "elsewhere")
    assert not (cache / "worktrees").exists()
    assert not list((cache / "logs").iterdir())
    assert crt.run(*command(crt, repository)).returncode == 0
    done = crt.run("bisect", "--prune")
    assert done.returncode == 0
    assert not list((cache / "logs").iterdir())


@pytest.mark.slow
def test_prune_takes_nothing_from_a_bisection_that_is_running(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 16, 9, seconds=(0.2, 0.5), compiled=True)
    running = crt.start(*command(crt, repository))
    for known in range(3):
        until(lambda known=known: counted(crt) > known)
        assert "a bisection is running" in prune(crt, crt.folder / "elsewhere")
    output, errors = running.communicate()
    assert running.returncode == 0, errors
    found = json.loads(output)
    assert found["culprit"]["commit"] == repository.hashes[9]
    assert {each["outcome"] for each in found["probes"]} == {"measured"}
    assert all(Path(each["log"]).exists() for each in found["probes"])


@pytest.mark.slow
def test_prune_keeps_the_log_of_a_bisection_that_another_database_can_go_on_with(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2, seconds=(0.4, 0.9))
    running = crt.start(*command(crt, repository, "--db", "other.db"))
    until(lambda: counted(crt) >= 1)
    running.kill()
    running.communicate()
    assert crt.run("db", "upgrade").returncode == 0
    for folder in (crt.folder, crt.folder / "elsewhere"):
        assert "1 log of bisections that can go on" in prune(crt, folder)
    (log,) = (cache_of(crt) / "logs").iterdir()
    assert list(log.glob("*/request.json"))
    assert crt.run("bisect", "--resume", "--db", "other.db").returncode == 0
    prune(crt, crt.folder)
    assert not log.exists()


def test_what_a_killed_session_has_left_is_said_when_a_bisection_stores_it(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 1, 1)
    crt.suite("test_long.py", "import time\ndef test_a(): ...\ndef test_b(): time.sleep(600)\n")

    def kill():
        running = crt.start("bench", "--suite", "long")
        journals = crt.folder.glob
        until(lambda: sum(each.read_text().count('"type":"started"') for each in journals("crt-runs/*/*.jsonl")) == 2)
        running.kill()
        running.communicate()

    kill()
    done = crt.run(*command(crt, repository))
    assert done.returncode == 0, done.stderr
    assert "recovered" in done.stderr
    kill()
    step = ["bisect-step", "--repo", repository.folder, "--above", "60s", "--runs", "1"]
    done = crt.run(*step, "--", sys.executable, "repro.py")
    assert done.returncode == 0, done.stderr
    assert "recovered" in done.stderr
