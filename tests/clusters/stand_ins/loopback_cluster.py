"""Cluster classes as others write them, which start real schedulers and workers on this machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from distributed import SpecCluster
from distributed.deploy.spec import ProcessInterface


class _Launched(ProcessInterface):
    """One ``python -m distributed.cli.X`` on a "host", as SSHCluster starts them."""

    process: asyncio.subprocess.Process | None = None

    async def launch(self, module: str, *arguments: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"distributed.cli.{module}", *arguments, stderr=asyncio.subprocess.DEVNULL
        )

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        await super().close()


class LoopbackScheduler(_Launched):
    async def start(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scheduler.json"
            await self.launch(
                "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file),
            )  # fmt: skip
            self.address = await _address_in(file)
        await super().start()


class LoopbackWorker(_Launched):
    def __init__(self, scheduler: str, host: str, name: Any = None, nthreads: int = 1) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.scheduler, self.host, self.name, self.nthreads = scheduler, host, name, nthreads

    async def start(self) -> None:
        await self.launch(
            "dask_worker", self.scheduler, "--host", self.host, "--nthreads", str(self.nthreads), "--no-nanny",
            "--no-dashboard", "--name", str(self.name), "--local-directory", tempfile.gettempdir(),
        )  # fmt: skip
        await super().start()


def LoopbackSSHCluster(hosts: list[str], nthreads: int = 1, asynchronous: bool = False) -> SpecCluster:  # noqa: N802
    """As SSHCluster: a scheduler, and one worker on each host; of fixed size."""
    workers = {
        number: {"cls": LoopbackWorker, "options": {"host": host, "nthreads": nthreads}}
        for number, host in enumerate(hosts)
    }
    return SpecCluster(workers, {"cls": LoopbackScheduler, "options": {}}, asynchronous=asynchronous, silence_logs=50)


class QueueCluster(SpecCluster):
    """As a job queue: starts empty, and grows when asked to."""

    def __init__(self, cores: int = 1) -> None:
        worker = {"cls": LoopbackWorker, "options": {"host": "127.0.0.1", "nthreads": cores}}
        super().__init__({}, {"cls": LoopbackScheduler, "options": {}}, worker=worker, silence_logs=50)


class PlainCluster:
    """Written without Dask's base classes: no timeout in ``close``, no security, and a size that never changes."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "scheduler.json"
        self.processes = [
            _run("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0",
                 "--no-dashboard", "--scheduler-file", str(file)),
        ]  # fmt: skip
        self.scheduler_address = asyncio.run(_address_in(file))
        self.processes.append(_run("dask_worker", self.scheduler_address, "--no-nanny", "--no-dashboard"))

    status = None

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.folder.cleanup()


class BrokenCluster:
    def __init__(self) -> None:
        raise RuntimeError("the queue is full")


class NoCluster:
    """Has nothing of a cluster."""


NUMBER = 7


def _run(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *arguments], stderr=subprocess.DEVNULL)


async def _address_in(file: Path) -> str:
    import json

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return str(json.loads(file.read_text())["address"])
        except (OSError, ValueError):
            await asyncio.sleep(0.05)
    raise TimeoutError("the scheduler did not start")
