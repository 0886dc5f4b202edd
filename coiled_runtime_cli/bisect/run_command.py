"""Runs one command to its end and writes what it took: exit code, time, peak memory of all its processes.

Started by `crt bisect` as ``python run_command.py REQUEST``, as a process of its own: when crt is killed the command ends, and
what had been measured by then stays. Standard library, and psutil for the memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

#: How often memory is looked at, and whether crt is still there (s).
_LOOK = 0.05


def main(request_file: str) -> None:
    """Reads a JSON object: command, folder, output, errors, result (files), timeout (s), parent (pid), variables."""
    request = json.loads(Path(request_file).read_text())
    with Path(request["output"]).open("wb") as output, Path(request["errors"]).open("wb") as errors:
        try:
            child = subprocess.Popen(
                request["command"],
                cwd=request["folder"],
                env={**os.environ, **request["variables"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            _write(request["result"], {"error": f"cannot start {request['command'][0]}: {error.strerror or error}"})
            return
        began = time.perf_counter()
        signal.signal(signal.SIGINT, lambda *_: _leave(child.pid))
        watch = _Watch(child.pid, request["timeout"], request["parent"])
        watch.start()
        child.wait()
        took = time.perf_counter() - began
        watch.stop.set()
        watch.join()
        _end_group(child.pid)  # nothing that it left behind disturbs the next one
    # ru_maxrss: of the largest process alone, in KiB (bytes on macOS); for what ends before it was looked at
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    result = {
        "returncode": child.returncode,
        "duration": took,
        "peak_memory": max(watch.peak, largest),
        "timed_out": watch.timed_out,
        "at": time.time() - took,
    }
    _write(request["result"], result)


class _Watch(threading.Thread):
    """Sums the resident memory of a command and all that it started; ends them when their time, or crt, is over."""

    def __init__(self, pid: int, timeout: float, parent: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._deadline = time.monotonic() + timeout
        self._parent = parent
        self.peak = 0  # bytes
        self.timed_out = False
        self.stop = threading.Event()

    def run(self) -> None:
        import psutil

        try:
            top = psutil.Process(self._pid)
        except psutil.Error:
            return
        while not self.stop.wait(_LOOK):
            self.peak = max(self.peak, _memory(top))
            if os.getppid() != self._parent:
                _leave(self._pid)
            if time.monotonic() > self._deadline and not self.timed_out:
                self.timed_out = True
                _end_group(self._pid)


def _memory(top: Any) -> int:
    import psutil

    total = 0
    try:
        processes = [top, *top.children(recursive=True)]
    except psutil.Error:
        return 0
    for each in processes:
        try:
            total += each.memory_info().rss
        except psutil.Error:
            continue
    return total


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _leave(pid: int) -> None:
    """End without a result, and the command with it: crt is gone, or does not want it any more."""
    _end_group(pid)
    os._exit(1)


def _write(file: str, result: dict[str, Any]) -> None:
    new = Path(file + ".new")
    new.write_text(json.dumps(result))
    new.replace(file)


if __name__ == "__main__":
    main(sys.argv[1])
