"""What happens to a command: signals, disks, clocks, locks, networks, killed processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from .sharing import SyncPush
from .trial import CLOCKS, DISKS, NETWORK, SIGNALS, Command, Ended, Trial, reference

if TYPE_CHECKING:
    from pathlib import Path


def strike(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    """Run the command under the fault; how it ended, and when the fault came."""
    if fault in SIGNALS:
        return with_signal(command, fault, trial, chance)
    if fault in DISKS:
        return with_disk(command, fault, trial, chance)
    if fault in CLOCKS:
        return with_clock(command, fault, trial, chance)
    if fault in NETWORK:
        return with_network(command, fault, trial, chance)
    if fault == "locked database":
        return with_lock(command, trial, chance)
    if fault == "killed test process":
        return with_killed_tests(command, trial, chance)
    if fault == "killed server":
        return with_killed_server(command, trial, chance)
    if fault == "half-written file":
        name = command.cut(trial, chance)
        return trial.run(command.arguments(trial)), f"{name}"
    (trial.folder / "what").write_text(fault)
    return trial.run(command.arguments(trial)), "in the second of three tests"


def with_signal(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    seconds, actions, _ = reference(command, trial.bench)
    what = {"kill": "9", "ctrl-c": "2g", "ctrl-c to the process": "2", "ctrl-c twice": "2", "sigterm": "15"}[fault]
    number = {"9": signal.SIGKILL, "15": signal.SIGTERM}.get(what, signal.SIGINT)
    second = chance.choice((0.0, 0.01, 0.1, 0.5)) if fault.endswith("twice") else None
    if chance.random() < 0.6 and actions:
        at = chance.randint(1, actions)
        later = str(at + chance.randint(1, 4)) if second is not None and chance.random() < 0.6 else ""
        process = trial.start(command.arguments(trial), plan=f"|{at}|{what}|{later}")
        if second is not None and not later:
            _after(process, second + seconds * at / actions, number)
        return trial.ended(process), f"action {at}{f' and {later}' if later else ''} of {actions}"
    # before Python has come as far as crt it says itself what it thinks of a signal
    moment = chance.uniform(0, seconds)
    begun = trial.folder / "begun"
    process = trial.start(command.arguments(trial), FAULT_BEGUN=str(begun))
    while not begun.exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    for wait in (0.0, *(() if second is None else (second,))):
        time.sleep(wait)
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if what == "2g" else os.kill)(process.pid, number)
    return trial.ended(process), f"{moment:.2f} s of {seconds:.2f}"


def with_disk(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    _, _, growth = reference(command, trial.bench)
    if fault == "disk full":
        room = int(chance.uniform(0, 1.1) * growth) // 4096 * 4096
        if not trial.bench.mounts:
            return trial.run(command.arguments(trial), limit=str(max(room, 4096))), f"files of {room} bytes at most"
        place = os.statvfs(trial.folder)
        _remount(trial.folder, f"size={(place.f_blocks - place.f_bfree) * place.f_frsize + room}")
        try:
            return trial.run(command.arguments(trial)), f"{room} of {growth} bytes left"
        finally:
            _remount(trial.folder, "size=512m")
    everything = (trial.folder, *trial.folder.rglob("*"))
    if trial.bench.mounts:
        _remount(trial.folder, "ro")
    else:
        for each in everything:
            each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        return trial.run(command.arguments(trial)), "from the start"
    finally:
        if trial.bench.mounts:
            _remount(trial.folder, "rw")
        else:
            for each in everything:
                each.chmod(0o755 if each.is_dir() else 0o644)


def with_clock(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    seconds, _, _ = reference(command, trial.bench)
    offset = trial.folder / "clock"
    faked = {"LD_PRELOAD": str(trial.bench.clock), "FAULT_CLOCK": str(offset)}
    if fault == "clock back":
        days = chance.choice((1, 40, 400, 9000))
        offset.write_text(f"-{days * 86_400}")
        return trial.run(command.arguments(trial), **faked), f"{days} days"
    offset.write_text("0")
    moment = chance.uniform(0, seconds)
    process = trial.start(command.arguments(trial), **faked)
    time.sleep(moment)
    offset.write_text(f"-{3 * 86_400}")
    return trial.ended(process), f"3 days at {moment:.2f} s"


def with_lock(command: Command, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    held = chance.uniform(0.2, 2.0)
    lock = sqlite3.connect(trial.path(str(command.database)), isolation_level=None)
    lock.execute("begin exclusive")
    process = trial.start(command.arguments(trial))
    time.sleep(held)
    lock.execute("rollback")
    lock.close()
    return trial.ended(process), f"{held:.1f} s"


def with_network(command: Command, fault: str, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    assert isinstance(command, SyncPush)
    bench = trial.bench
    assert bench.proxy is not None
    trial.facts["endpoint"] = bench.server
    command.seed_remote(trial)
    if fault == "no DNS":
        trial.facts["endpoint"] = "http://no-such-host.invalid:8333"
        apart = chance.random() < 0.5 and bench.mounts
        done = trial.run(command.arguments(trial), wrap="unshare -n" if apart else "")
        trial.facts["endpoint"] = bench.server
        return done, "no network at all" if apart else "an address that nobody knows"
    trial.facts["endpoint"] = bench.proxy.address
    bench.proxy.chance = random.Random(chance.random())
    bench.proxy.fault, bench.proxy.rate = fault, chance.choice((0.1, 0.3, 0.6, 1.0))
    try:
        return trial.run(command.arguments(trial)), f"{bench.proxy.rate:.0%} of the requests"
    finally:
        bench.proxy.fault = ""
        trial.facts["endpoint"] = bench.server


def with_killed_tests(command: Command, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    target = chance.randint(1, 29)
    process = trial.start(command.arguments(trial))
    log = trial.folder / "started.log"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < target):
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, IndexError, OSError):
        os.kill(int(log.read_text().splitlines()[-1].split()[0]), signal.SIGKILL)
    return trial.ended(process), f"in test {target} of 30"


def with_killed_server(command: Command, trial: Trial, chance: random.Random) -> tuple[Ended, str]:
    seconds, _, _ = reference(command, trial.bench)
    server = trial.bench.postgresql
    assert server is not None
    arguments = command.arguments(trial)
    moment, away = chance.uniform(0, seconds), chance.choice((0.0, 0.5, 3.0))
    process = trial.start(arguments)
    time.sleep(moment)
    server.kill()
    try:
        time.sleep(away)
    finally:
        server.start()
    return trial.ended(process), f"{moment:.2f} s of {seconds:.2f}, away {away:.1f} s"


def _after(process: subprocess.Popen[bytes], seconds: float, number: int) -> None:
    def send() -> None:
        time.sleep(seconds)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    threading.Thread(target=send, daemon=True).start()


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def allowed(command: Command, fault: str) -> set[int]:
    usual = set(command.codes)
    if fault == "kill":
        return usual | {-9}
    if fault in SIGNALS:
        # what comes while Python ends, the work being done, ends it: a shell says 130 and 143
        return usual | {130, -15 if fault == "sigterm" else -2}
    if fault == "disk full":
        return usual | set(command.full_disk_codes)
    if fault == "read-only folder":
        return usual | {2, 3, 4}
    if fault in NETWORK:
        return {4} if fault == "no DNS" else usual | {4}
    if fault == "half-written file":
        return usual | {2, 3, 4}
    if fault == "killed test process":
        return {1}
    if fault == "killed server":
        return usual | {4}
    return usual
