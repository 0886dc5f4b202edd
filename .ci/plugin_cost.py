"""What the pytest plugin costs: CPU time of one session with it off, on, and absent, interleaved in one run.

    python .ci/plugin_cost.py [--tests 500] [--rounds 7]

Each arm is the same file of empty tests. The cost per test is the slope between a small and a large file; the cost per session
is what is left at zero tests. Budgets: 1 ms a test, 0.15 s a session, off not measurable.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PLUGIN = "coiled_runtime_cli.plugin"
ARMS: dict[str, list[str]] = {"absent": ["-p", f"no:{PLUGIN}"], "off": [], "off, again": [], "on": ["--benchmark"]}
SMALL = 10


def measure(folder: Path, count: int, arm: list[str]) -> tuple[float, float]:
    """CPU seconds and wall seconds of one pytest process."""
    import time

    file = folder / f"test_{count}.py"
    if not file.exists():
        file.write_text("".join(f"def test_{number}():\n    pass\n\n\n" for number in range(count)))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment.update(CRT_DB=str(folder / "cost.db"), XDG_CONFIG_HOME=str(folder), CRT_SUITES=str(folder))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}"]
    if arm == ARMS["on"]:
        # as crt starts it: the rows are stored by crt, not in the process that measures
        session = folder / "session.json"
        session.write_text(
            f'{{"session": "cost", "folder": "{folder}/journal", "suites": "{folder}", "data": "{folder}", "clusters": {{}}}}'
        )
        arm = [*arm, f"--crt-session={session}"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*command, *arm, str(file)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout.decode())
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken: dict[tuple[str, int], list[float]] = {}
        for round_ in range(asked.rounds + 1):
            for arm, arguments in ARMS.items():
                for count in (SMALL, asked.tests):
                    processor, _ = measure(folder, count, arguments)
                    if round_:  # the first round writes bytecode
                        taken.setdefault((arm, count), []).append(processor)
    medians = {key: statistics.median(values) for key, values in taken.items()}
    print(f"CPU, median of {asked.rounds} rounds")
    slopes = {}
    for arm in ARMS:
        slope = (medians[arm, asked.tests] - medians[arm, SMALL]) / (asked.tests - SMALL)
        slopes[arm] = slope, medians[arm, SMALL] - SMALL * slope
        print(f"  {arm:11} {slope * 1e3:7.3f} ms a test   {slopes[arm][1]:6.3f} s a session")
    for arm in ("off", "on"):
        base = "absent" if arm == "off" else "off"
        per_test, per_session = (mine - other for mine, other in zip(slopes[arm], slopes[base], strict=True))
        print(f"{arm} costs {per_test * 1e3:+.3f} ms a test and {per_session:+.3f} s a session over {base}")
    control = slopes["off, again"][0] - slopes["off"][0], slopes["off, again"][1] - slopes["off"][1]
    print(f"control (off against off): {control[0] * 1e3:+.3f} ms a test, {control[1]:+.3f} s a session")


if __name__ == "__main__":
    main()
