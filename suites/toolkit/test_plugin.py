"""What the pytest plugin costs a test and a session, beside pytest without it and beside pytest-benchmark."""

from __future__ import annotations

import json
import os
import statistics
import sys

import pytest

PLUGIN = "coiled_runtime_cli.plugin"
FEW = 10

EMPTY = "def test_{number}():\n    pass\n\n\n"
#: One round of one call: the least that pytest-benchmark can be asked for.
PEDANTIC = "def test_{number}(benchmark):\n    benchmark.pedantic(int, rounds=1, iterations=1)\n\n\n"
#: A test that crt times.
TIMED = "def test_{number}(benchmark_time):\n    with benchmark_time():\n        int()\n\n\n"


@pytest.fixture
def session(run, tmp_path):
    """``session(name, body, count, arguments)``: the processor time (s) of a pytest of so many tests."""

    def measure(name, body, count, arguments=(), python=sys.executable):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        file = folder / f"test_{count}.py"
        if not file.exists():
            file.write_text("".join(body.format(number=number) for number in range(count)))
        options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}"]
        return run([python, "-m", "pytest", *options, *arguments, file], folder).processor

    return measure


@pytest.fixture
def as_crt_starts_it(tmp_path):
    """The flag of a session that crt began: it stores the rows, not the process that measures."""
    file = tmp_path / "session.json"
    text = {"session": "cost", "folder": str(tmp_path / "journal"), "suites": str(tmp_path), "data": str(tmp_path)}
    file.write_text(json.dumps({**text, "clusters": {}}))
    return f"--crt-session={file}"


@pytest.fixture
def recorded(tmp_path):
    """``recorded()``: the runs that the sessions with the plugin on have written down."""
    from coiled_runtime_cli import journal
    from coiled_runtime_cli.core.record import Run

    return lambda: [line for line in journal.read(tmp_path / "journal").lines if isinstance(line, Run)]


def line(few, many, count):
    """What a test costs and what a session costs at no test (s): the line through two medians."""
    slope = (statistics.median(many) - statistics.median(few)) / (count - FEW)
    return slope, statistics.median(few) - FEW * slope


@pytest.mark.parametrize("body", [EMPTY, TIMED], ids=["unmeasured", "timed"])
def test_cost(body, session, as_crt_starts_it, recorded, alternate, record_metric, benchmark_time, scale):
    """Plugin absent, off, off again and on, in turn: budgets 1 ms a test and 0.15 s a session, off not measurable."""
    count, rounds = scale.count(smoke=50, laptop=500, full=1000), scale.count(smoke=1, laptop=7, full=11)
    arms = {"absent": ["-p", f"no:{PLUGIN}"], "off": [], "off again": [], "on": ["--benchmark", as_crt_starts_it]}
    if body is TIMED:
        del arms["absent"]  # its fixture would be missing
    parts = {
        (name, number): lambda name=name, number=number: session(name, body, number, arms[name])
        for name in arms
        for number in (FEW, count)
    }
    for part in parts.values():
        part()  # writes the bytecode
    with benchmark_time():
        found = alternate(parts, rounds)
    lines = {name: line(found[name, FEW], found[name, count], count) for name in arms}
    for label, one, other in (("on", "on", "off"), ("off", "off", "absent"), ("control", "off again", "off")):
        if other in lines:
            record_metric(f"{label}_per_test", lines[one][0] - lines[other][0], unit="s")
            record_metric(f"{label}_per_session", lines[one][1] - lines[other][1], unit="s")
    runs = recorded()
    assert len(runs) == (rounds + 1) * (FEW + count)
    assert {run.outcome for run in runs} == {"passed"}


def test_cost_beside_pytest_benchmark(session, as_crt_starts_it, alternate, peer, record_metric, benchmark_time, scale):
    """A test that is timed once, by crt and by pytest-benchmark, each against the same pytest without it."""
    count, rounds = scale.count(smoke=50, laptop=500, full=1000), scale.count(smoke=1, laptop=7, full=11)
    other = peer("pytest-benchmark==5.3.1")
    arms = {
        "crt": (TIMED, ["--benchmark", as_crt_starts_it], sys.executable),
        "without crt": (EMPTY, ["-p", f"no:{PLUGIN}"], sys.executable),
        "pytest-benchmark": (PEDANTIC, ["--benchmark-json=out.json"], other),
        "without pytest-benchmark": (EMPTY, ["-p", "no:benchmark"], other),
    }
    parts = {
        (name, number): lambda name=name, number=number: session(name, arms[name][0], number, *arms[name][1:])
        for name in arms
        for number in (FEW, count)
    }
    for part in parts.values():
        part()
    with benchmark_time():
        found = alternate(parts, rounds)
    lines = {name: line(found[name, FEW], found[name, count], count) for name in arms}
    cost = {name: lines[name][0] - lines[f"without {name}"][0] for name in ("crt", "pytest-benchmark")}
    record_metric("per_test", cost["crt"], unit="s")
    record_metric("per_test_of_pytest_benchmark", cost["pytest-benchmark"], unit="s")
    if cost["pytest-benchmark"] > 0:
        record_metric("ratio_to_pytest_benchmark", cost["crt"] / cost["pytest-benchmark"], unit="ratio")
