"""What a step of a bisection costs beside its measurement: another commit made importable, and the loop around it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "measured"
version = "1.{day}"

[tool.setuptools]
packages = ["measured"]
"""

#: A package of pure Python that takes 10 ms, from a day on 20 ms. It sleeps: what it costs is known.
MODULE = """import time

DAY = {day}


def work():
    time.sleep({seconds})
"""


@pytest.fixture
def project(tmp_path, repository):
    """``project(days, change)``: a repository with a commit a day, and these; from ``change`` on, work takes twice as long."""

    def make(days, change):
        trees = []
        for day in range(days):
            module = MODULE.format(day=day, seconds=0.02 if day >= change else 0.01)
            modules = {f"measured/part_{number}.py": f"DAY = {day}\n" for number in range(20)}
            trees.append({"pyproject.toml": PROJECT.format(day=day), "measured/__init__.py": module, **modules})
        folder = tmp_path / "measured project"
        return folder, repository(folder, trees)

    return make


@pytest.fixture
def workshop(project, tmp_path, scale):
    """``ready(number)`` makes a commit importable, as a bisection does; and the commits."""
    pytest.importorskip("numpy")
    from coiled_runtime_cli import git
    from coiled_runtime_cli.bisect.commits import Clone, between, commits_of
    from coiled_runtime_cli.bisect.projects import Part, mirror, read_project
    from coiled_runtime_cli.bisect.workshop import Workshop

    folder, names = project(128, 64)
    clone = git.Repository(folder)
    line = between([Clone("measured", clone)], names[0], names[-1])
    cache = tmp_path / "cache"
    source = mirror(clone, cache)
    part = Part("measured", source, read_project(source, line[-1].name, python=None, cache=cache))
    made = Workshop([part], python=sys.executable, python_version="any", cache=cache, key="timed")
    yield (lambda number: made.ready(commits_of(line[number]), build=0, slot=0)), folder, names
    made.close()


def test_switch(workshop, record_metric, measured, scale):
    """Another commit of a package of pure Python, made importable: budget 0.1 s."""
    ready, _, names = workshop
    took = []
    ready(0)
    with measured():
        for step in range(scale.count(smoke=3, laptop=60, full=60)):
            number = 37 * (step + 1) % len(names)
            began = time.perf_counter()
            found = ready(number)
            took.append(time.perf_counter() - began)
            assert f"DAY = {number}\n" in Path(found.path[0], "measured", "__init__.py").read_text()
    record_metric("switch", statistics.median(took), unit="s")
    record_metric("slowest_switch", max(took), unit="s")


def test_switch_beside_installing(workshop, alternate, tmp_path, record_metric, record_ratio, measured, scale):
    """The same by `uv pip install`, by a fresh environment of uv, and by pip, in turn."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("no uv here: pip install uv")
    ready, folder, names = workshop
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    count = iter(range(10_000))

    def timed(commands):
        began = time.perf_counter()
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"installing needs a package index: {done.stderr.strip().splitlines()[-1]}")
        return time.perf_counter() - began

    def url():
        return f"measured @ git+{folder.as_uri()}@{names[31 * (next(count) + 1) % len(names)]}"

    def switch():
        began = time.perf_counter()
        ready(31 * (next(count) + 1) % len(names))
        return time.perf_counter() - began

    def fresh():
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        made = [uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "fresh")]
        return timed(
            [made, [uv, "pip", "install", "-q", "--python", str(tmp_path / "fresh" / "bin" / "python"), url()]]
        )

    timed([[uv, "venv", "-q", "--seed", "--python", sys.executable, str(environment)]])
    arms = {
        "crt": switch,
        "uv": lambda: timed([[uv, "pip", "install", "-q", "--python", str(python), url()]]),
        "fresh": fresh,
        "pip": lambda: timed([[str(python), "-m", "pip", "install", "-q", "--force-reinstall", url()]]),
    }
    arms["uv"]()  # fetches what builds it
    rounds = scale.count(smoke=1, laptop=5, full=9)
    with measured():
        found = alternate(arms, rounds)
    for name, values in found.items():
        record_metric(f"switch_by_{name}", statistics.median(values), unit="s")
    for name in ("uv", "fresh", "pip"):
        record_ratio(f"ratio_to_{name}", found["crt"], found[name])


def test_command(project, crt, record_cost, record_metric, scale):
    """`crt bisect` of a whole range with a command that sleeps: what a run costs beyond the command itself."""
    days = scale.count(smoke=8, laptop=128, full=128)
    folder, names = project(days, days // 2)
    command = "import measured; [measured.work() for _ in range(10)]"
    options = ["--good", names[0], "--bad", names[-1], "--repo", str(folder), "--no-verify"]
    cost = crt("bisect", *options, "--", sys.executable, "-c", command)
    record_cost(cost)
    assert cost.told["status"] == "found"
    assert cost.told["culprit"]["commit"] == names[days // 2]
    runs = cost.told["runs"]
    record_metric("runs", runs, unit="runs")
    record_metric("elapsed_per_run", cost.elapsed / runs, unit="s")


def test_search(record_metric, measured, scale):
    """Simulated searches of 128 commits, noise 5 %, one change of 20 %: budgets 99 % right, 20 runs at the median."""
    pytest.importorskip("numpy")
    from coiled_runtime_cli.bisect.simulation import Cell, trial

    cell = Cell(128, noise=0.05, effect=0.2)
    with measured():
        trials = [trial(cell, 100_000 + number) for number in range(scale.count(smoke=5, laptop=100, full=500))]
    record_metric("right", statistics.mean(each.right for each in trials), unit="ratio", better="higher")
    record_metric("runs", statistics.median(each.runs - each.verifying for each in trials), unit="runs")
    record_metric("runs_with_verification", statistics.median(each.runs for each in trials), unit="runs")
    assert sum(each.named and not each.right for each in trials) <= max(1, len(trials) // 20)
