"""Clusters that somebody else runs: connected to, never scaled or stopped."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from coiled_runtime_cli.clusters.running import ANSWER, RunningCluster, answers, ask, cause
from coiled_runtime_cli.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from distributed import Client

    from coiled_runtime_cli.clusters.spec import ClusterSpec


class RemoteCluster(RunningCluster):
    """The cluster of a scheduler that runs somewhere."""

    def __init__(self, spec: ClusterSpec, *, name: str) -> None:
        self.name = name
        self.spec = spec
        self.address = str(spec.options["address"])
        self.expected_workers = None

    def client(self) -> Client:
        from distributed import Client

        try:
            return Client(self.address, timeout=ANSWER)
        except (OSError, RuntimeError, asyncio.TimeoutError) as error:
            raise _unreachable(self.address, error) from error

    def wait(self, client: Client, timeout: float) -> None:
        """Wait for a first worker, then note in ``spec`` what there is: timings on another size are no comparison."""
        super().wait(client, timeout)
        try:
            identity = client.sync(client.scheduler.identity, callback_timeout=ANSWER)
        except (OSError, RuntimeError, asyncio.TimeoutError) as error:
            raise _unreachable(self.address, error) from error
        workers = list(identity["workers"].values())
        found = {
            "n_workers": len(workers),
            "threads": sum(int(each["nthreads"]) for each in workers),
            "memory": sum(int(each.get("memory_limit") or 0) for each in workers),
        }
        self.spec = dataclasses.replace(self.spec, options={**self.spec.options, **found})

    def alive(self) -> bool:
        return answers(self.address, timeout=ANSWER)

    def close(self) -> None:
        """Leave it as it is: others use it too."""


def start(spec: ClusterSpec, *, name: str) -> RemoteCluster:
    """Connect. Raises RemoteError when no scheduler answers in time, UsageError for an address that Dask refuses."""
    address = str(spec.options["address"])
    try:
        ask(address, timeout=ANSWER, op="ncores", workers=[])
    except (OSError, RuntimeError, asyncio.TimeoutError) as error:
        raise _unreachable(address, error) from error
    except (ImportError, TypeError, ValueError) as error:
        certificates = "set distributed.comm.tls.ca-file, .client.cert and .client.key in Dask's configuration"
        raise UsageError(
            f"{address}: {cause(error)}", hint=certificates if address.startswith(("tls", "wss")) else None
        ) from error
    return RemoteCluster(spec, name=name)


def _unreachable(address: str, error: BaseException) -> RemoteError:
    return RemoteError(
        f"no scheduler answers at {address}: {cause(error)}",
        hint="check that it runs there: dask scheduler --host HOST --port PORT",
    )
