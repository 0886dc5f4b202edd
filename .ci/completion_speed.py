"""Measure what the Tab key costs: CPU time of N interleaved answers, start-up included, with cached bytecode.

    python .ci/completion_speed.py [N]

In a folder with a database its names are part of it. The budget is 200 ms; exits 1 where the fastest answer of one is over
it. Not a test: a shared machine is allowed to be slow.
"""

from __future__ import annotations

import os
import subprocess
import sys

BUDGET = 200.0  # ms
LINES = (
    "",
    "bench --su",
    "bench --suite ",
    "bench test_",
    "compare ",
    "data make ",
    "bisect --good ",
    "diff ",
    "sync pu",
)


def cpu_milliseconds(words: list[str]) -> float:
    """User and system time of one answer and of what it starts, from the kernel."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, "-m", "coiled_runtime_cli", *words],
        stdout=subprocess.DEVNULL,
        env={**environment, "_CRT_COMPLETE": "zsh"},
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    times: dict[str, list[float]] = {line: [] for line in LINES}
    for number in range(runs + 1):
        for line in LINES:
            took = cpu_milliseconds(line.split(" "))
            times[line] += [took] if number else []  # the first one writes the bytecode
    over = False
    for line, measured in times.items():
        over |= min(measured) > BUDGET
        print(
            f"crt {line + '<TAB>':24} {min(measured):6.0f} ms at least, {sorted(measured)[len(measured) // 2]:6.0f} in the middle"
        )
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
