"""Break crt on purpose, at many moments, and see what is left: is a finished run lost, or there twice?

Every command that does work is run as a user types it, in a folder of its own, and something happens to it: a signal, a full or
read-only disk, a clock that jumps back, a network that fails, a locked database, a file that is half there. Then the next plain
command is run, then the same one again, and then all that is promised in docs/reliability.md is checked. One seed makes the
same plan: moments are numbers of the process's own actions (files opened to write, renamed, removed, connections, programs
started), or shares of the time that the command takes undisturbed.

    python .ci/faults.py --seed 1                         # the whole table, minutes
    python .ci/faults.py --only report --rounds 20        # one command, or one fault: --only disk
    python .ci/faults.py --write                          # the table, into docs/reliability.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from fault_trials.judging import Outcome, one
from fault_trials.making import Build, DataMake, Report
from fault_trials.measuring import Ab, Bench, BenchCluster, Bisect, Recovery
from fault_trials.proxy import Proxy
from fault_trials.serving import BenchIntoServer, MergeIntoServer
from fault_trials.sharing import SyncPublish, SyncPull, SyncPush
from fault_trials.storing import Accept, Import, Merge, Prune, Upgrade
from fault_trials.trial import CLOCKS, NETWORK, ROOT, Command, Workbench
from postgresql_server import MissingPostgresqlError, postgresql_server
from s3_servers import MissingServerError, moto_server, s3_client, seaweedfs_server

TRIALS = Path(__file__).resolve().parent / "fault_trials"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"

#: The quick ones first.
COMMANDS: tuple[Command, ...] = (
    Recovery(), SyncPush(), SyncPull(), SyncPublish(), Import(), Merge(), Prune(), Upgrade(), Accept(), Report(),
    Build(), DataMake(), MergeIntoServer(), BenchCluster(), Bench(), BenchIntoServer(), Bisect(), Ab(),
)  # fmt: skip

COLUMNS = ("command", "fault", "tries", "survived", "lost", "doubled", "tracebacks", "wrong codes", "leftovers")


def rows_of(outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for each in outcomes:
        groups[each.command, each.fault].append(each)
    found = []
    for (command, fault), group in groups.items():
        counts = [len(group), sum(each.survived for each in group)]
        counts += [
            sum(bool(getattr(each, name)) for each in group)
            for name in ("lost", "doubled", "tracebacks", "codes", "leftovers")
        ]
        found.append((command, fault, *map(str, counts)))
    return found


def table(outcomes: list[Outcome], format_: str) -> str:
    if format_ == "json":
        faults = [dict(zip(COLUMNS, row, strict=True)) for row in rows_of(outcomes)]
        failed = [vars(each) | {"survived": False} for each in outcomes if not each.survived]
        return json.dumps({"schema": 1, "faults": faults, "failures": failed}, indent=2)
    rows = [COLUMNS, *rows_of(outcomes)]
    total = [sum(int(row[place]) for row in rows[1:]) for place in range(2, len(COLUMNS))]
    rows.append(("all", "", *map(str, total)))
    if format_ == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|---|---|" + "---:|" * 7, *lines[1:]])
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write(text: str, told: str) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{told}\n\n{text}\n\n{END}{after}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="trials of each command and fault")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a command, a fault, or COMMAND:FAULT"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="begin no trial later than this; 0: as long as it takes"
    )
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and the mounts go away
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs this in the background has it ignored
    missing: set[str] = set()
    outcomes: list[Outcome] = []
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        bench = workbench(stack, options.seed)
        plan = served(stack, bench, planned(bench, options.only, missing), missing)
        for number in range(options.rounds):
            for command, fault in plan:
                if options.minutes and time.monotonic() - began > 60 * options.minutes:
                    missing.add(f"{command.name}, {fault} (round {number + 1}): out of time")
                    continue
                outcome = one(command, fault, bench, number)
                outcomes.append(outcome)
                show(outcome)
    report(options, outcomes, missing, (time.monotonic() - began) / 60, mounts=bench.mounts)
    sys.exit(0 if all(each.survived for each in outcomes) else 1)


def workbench(stack: contextlib.ExitStack, seed: int) -> Workbench:
    """A folder for all trials, removed with ``stack``, and what this machine can do to them."""
    root = Path(tempfile.mkdtemp(prefix="crt-faults-"))
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    (root / "hook").mkdir()
    shutil.copyfile(TRIALS / "striking_sitecustomize.py", root / "hook" / "sitecustomize.py")
    mounts = os.geteuid() == 0 and shutil.which("mount") is not None and can_mount(root)
    return Workbench(root, root / "hook", seed, mounts, clock_in(root))


def planned(bench: Workbench, only: list[str], missing: set[str]) -> list[tuple[Command, str]]:
    """Each command with each of its faults, as far as they are wanted and can be had here; ``missing`` gets why not."""
    plan = [
        (command, fault)
        for command in COMMANDS
        for fault in (*command.faults, *(("half-written file",) if command.half else ()))
        if wanted(command.name, fault, only)
    ]
    if bench.clock is None:
        missing.add("clocks: no C compiler for what stands before the C library")
        plan = [each for each in plan if each[1] not in CLOCKS]
    return plan


def served(
    stack: contextlib.ExitStack, bench: Workbench, plan: list[tuple[Command, str]], missing: set[str]
) -> list[tuple[Command, str]]:
    """Start the servers that the plan needs, until ``stack`` ends; what is left of the plan where there is none."""
    if any(fault in NETWORK for _, fault in plan):
        try:
            bench.server = stack.enter_context(seaweedfs_server())
        except MissingServerError:
            bench.server = stack.enter_context(moto_server())
            s3_client(bench.server).create_bucket(Bucket="history")
        bench.proxy = Proxy(bench.server)
    if any(isinstance(command, (BenchIntoServer, MergeIntoServer)) for command, _ in plan):
        try:
            bench.postgresql = stack.enter_context(postgresql_server())
        except MissingPostgresqlError as error:
            missing.add(f"what uses PostgreSQL: {error}")
            return [each for each in plan if not isinstance(each[0], (BenchIntoServer, MergeIntoServer))]
    return plan


def report(
    options: argparse.Namespace, outcomes: list[Outcome], missing: set[str], minutes: float, *, mounts: bool
) -> None:
    """Print the table, and what was not tried; with ``--write`` the table goes into the page as well."""
    print(table(outcomes, options.format))
    disk = "a small tmpfs" if mounts else "RLIMIT_FSIZE"
    print(
        f"seed {options.seed}, {options.rounds} rounds, {len(outcomes)} trials in {minutes:.1f} minutes; full disk: {disk}",
        file=sys.stderr,
    )
    for each in sorted(missing):
        print(f"not tried: {each}", file=sys.stderr)
    if options.write:
        write(
            table(outcomes, "markdown"),
            f"`python .ci/faults.py --seed {options.seed} --rounds {options.rounds} --write`: {len(outcomes)} trials in "
            f"{minutes:.0f} minutes. "
            f"A full disk was {disk}.",
        )


def wanted(command: str, fault: str, only: list[str]) -> bool:
    return not only or any(each in (command, fault, f"{command}:{fault}") for each in only)


def clock_in(root: Path) -> Path | None:
    """What a process loads to have its own time of day; None where nothing can be compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    command = [compiler, "-shared", "-fPIC", "-o", root / "clock.so", TRIALS / "clock.c", "-ldl"]
    return root / "clock.so" if subprocess.run(command, capture_output=True).returncode == 0 else None


def can_mount(root: Path) -> bool:
    probe = root / "probe"
    probe.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "crt-faults", probe], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", probe], check=True)
    return done.returncode == 0


def show(outcome: Outcome) -> None:
    word = "survived" if outcome.survived else "BROKEN"
    print(f"{outcome.command}, {outcome.fault} ({outcome.moment}): {outcome.code}, {word}", file=sys.stderr, flush=True)
    for name in ("lost", "doubled", "tracebacks", "codes", "leftovers"):
        for text in getattr(outcome, name):
            print(f"  {name}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
