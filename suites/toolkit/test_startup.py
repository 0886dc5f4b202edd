"""How long `crt` takes to say something: the processor time of a process beside that of a bare interpreter."""

from __future__ import annotations

import statistics
import sys

import pytest


@pytest.mark.parametrize("command", ["", "bench", "db", "config show", "bisect"], ids=lambda text: text or "crt")
def test_help(command, run, alternate, record_cost, record_metric, scale):
    """The help of a command and a bare interpreter in turn: budget 10 times its processor time."""
    crt = [sys.executable, "-m", "coiled_runtime_cli", *command.split(), "--help"]
    arms = {"crt": lambda: run(crt), "interpreter": lambda: run([sys.executable, "-c", "pass"])}
    arms["crt"]()  # writes the bytecode
    rounds = scale.count(smoke=2, laptop=20, full=40)
    found = alternate(arms, rounds)
    record_cost(sorted(found["crt"], key=lambda cost: cost.elapsed)[len(found["crt"]) // 2])
    # the least is what the program takes; whatever is more is the machine
    least = {name: min(each.processor for each in costs) for name, costs in found.items()}
    record_metric("least_processor_time", least["crt"], unit="s")
    record_metric("ratio_to_interpreter", least["crt"] / least["interpreter"], unit="ratio")
    assert least["crt"] > least["interpreter"]


def test_help_beside_asv(run, alternate, peer, record_cost, record_metric, record_ratio, scale):
    """`crt --help` and `asv --help` in turn."""
    asv = peer("asv==0.6.6")
    arms = {
        "crt": lambda: run([sys.executable, "-m", "coiled_runtime_cli", "--help"]),
        "asv": lambda: run([asv, "-m", "asv", "--help"]),
    }
    for arm in arms.values():
        arm()
    rounds = scale.count(smoke=1, laptop=10, full=20)
    found = alternate(arms, rounds)
    record_cost(found["crt"][-1])
    processor = {name: [each.processor for each in costs] for name, costs in found.items()}
    record_metric("processor_time_of_asv", statistics.median(processor["asv"]), unit="s")
    record_ratio("ratio_to_asv", processor["crt"], processor["asv"])


@pytest.mark.parametrize(
    "asked", ["bench --suite ", "bench test_write", "compare up"], ids=["suites", "tests", "labels"]
)
def test_completion(asked, shape_of, history, run, record_cost, record_metric, tmp_path, scale):
    """What bash asks for at a tab, in a folder with a history: budget 200 ms of processor time."""
    folder = history(shape_of(scale.count(smoke=10, laptop=250, full=250), scale.count(smoke=20, laptop=365, full=365)))
    words = f"crt {asked}"
    variables = {"_CRT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    crt = [sys.executable, "-m", "coiled_runtime_cli"]
    run(crt, folder, variables)  # writes the bytecode
    costs = [run(crt, folder, variables) for _ in range(scale.count(smoke=2, laptop=10, full=20))]
    record_cost(sorted(costs, key=lambda cost: cost.elapsed)[len(costs) // 2])
    record_metric("least_processor_time", min(each.processor for each in costs), unit="s")
    assert (tmp_path / "out").read_text().split()
