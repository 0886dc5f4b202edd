"""Measure what `crt --help` costs beside a bare interpreter: CPU time of N interleaved runs, with cached bytecode.

    python .ci/startup.py [N]

The budget is 100 ms of CPU where a bare interpreter takes 10: a page is over it when its fastest run took ten times as long as
the fastest bare one. Exits 1 then. Not a test: a shared machine is allowed to be slow.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

BUDGET = 10.0  # times the CPU of a bare interpreter
CRT = [sys.executable, "-m", "coiled_runtime_cli"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import typer": [sys.executable, "-c", "import typer"],
    "crt --help": [*CRT, "--help"],
    "crt bench --help": [*CRT, "bench", "--help"],
    "crt db --help": [*CRT, "db", "--help"],
    "crt config show --help": [*CRT, "config", "show", "--help"],
}


def cpu_milliseconds(command: list[str]) -> float:
    """User and system time of one run, from the kernel."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        cpu_milliseconds(command)  # writes the bytecode
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(cpu_milliseconds(command))
    lines = [f"{f'CPU ms over {runs} runs':28} {'min':>10} {'median':>7}"]
    slow = []
    for name, measured in times.items():
        median = statistics.median(measured)
        over = name.startswith("crt") and min(measured) > BUDGET * min(times["python -c pass"])
        slow += [name] if over else []
        lines.append(f"{name:28} {min(measured):10.1f} {median:7.1f}{'  over the budget' if over else ''}")
    lines.append(f"budget {BUDGET:.0f} times a bare interpreter: {'over' if slow else 'kept'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
