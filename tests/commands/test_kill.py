"""Sessions killed at random moments: no finished run is lost, and none is stored twice."""

import contextlib
import os
import random
import signal
import time

import psutil
import pytest

SUITE = """
    import os, pathlib, pytest
    LOG = pathlib.Path(os.environ["STARTED_LOG"])

    @pytest.mark.parametrize("number", range(100))
    def test_{name}(number, request):
        # a test that starts proves that the one before it, in this process, has finished
        with LOG.open("a") as stream:
            stream.write(f"{{os.getpid()}} {{request.node.name}}\\n")
"""


def finished_before_another_started(log):
    """Names of the tests after which their process started another: those are finished, whatever happened then."""
    last, finished = {}, set()
    for line in log.read_text().splitlines() if log.exists() else []:
        process, name = line.split(maxsplit=1)
        if process in last:
            finished.add(last[process])
        last[process] = name
    return finished


def kill(pid, *, everything):
    """SIGKILL to crt alone, or to it and all that it started, the children first or last by chance."""
    try:
        processes = [psutil.Process(pid)]
        if everything:
            processes += processes[0].children(recursive=True)
    except psutil.NoSuchProcess:
        return
    random.shuffle(processes)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_two_hundred_tests_killed_twenty_times_lose_no_finished_run_and_double_none(crt, tmp_path):
    generator = random.Random(20)
    for name in "ab":
        crt.suite(f"test_{name}.py", SUITE.format(name=name))
    assert crt.run("db", "upgrade").returncode == 0
    seen = 0
    killed_in_the_middle = 0
    for round_ in range(20):
        log = tmp_path / f"started-{round_}.log"
        label = f"round {round_}"
        crt.environment["STARTED_LOG"] = str(log)
        child = crt.start("bench", "test_a.py", "test_b.py", "-n", "2", "--label", label)
        # from before the first test to after the last one
        target = generator.randrange(0, 205)
        deadline = time.monotonic() + 90
        while child.poll() is None and time.monotonic() < deadline:
            if log.exists() and log.read_bytes().count(b"\n") >= target:
                break
            time.sleep(0.002)
        time.sleep(generator.random() * 0.05)
        kill(child.pid, everything=generator.random() < 0.5)
        child.communicate(timeout=60)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(
            str(crt.folder) in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])
        ):
            time.sleep(0.1)
        finished = finished_before_another_started(log)
        assert crt.run("db", "current").returncode == 0
        passed = f"from test_run where coiled_runtime_version = '{label}' and outcome = 'passed'"
        stored = dict(crt.rows(f"select name, count(*) {passed} group by name"))
        assert finished <= set(stored), f"lost in {label}: {sorted(finished - set(stored))[:5]}"
        assert set(stored.values()) <= {1}, f"doubled in {label}"
        killed_in_the_middle += 0 < len(stored) < 200
        seen += len(stored)
    assert crt.rows("select count(*), count(distinct uuid) from test_run where outcome = 'passed'") == [(seen, seen)]
    assert killed_in_the_middle >= 5, "the kills came too early or too late to prove anything"
