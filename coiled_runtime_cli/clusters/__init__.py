"""Where benchmark work runs: on this machine, at an address, on Coiled, on any class with Dask's Cluster interface.

:func:`resolve` turns a choice into a :class:`ClusterSpec`, on the side of crt; :func:`start` turns that into a
:class:`RunningCluster`, in the environment that is measured, where neither Coiled nor YAML need to be installed.
"""

from __future__ import annotations

import socket

from coiled_runtime_cli.clusters.machine import Machine
from coiled_runtime_cli.clusters.resolve import resolve
from coiled_runtime_cli.clusters.running import ANSWER, ClusterInfo, RunningCluster, restart
from coiled_runtime_cli.clusters.shapes import load_shapes
from coiled_runtime_cli.clusters.spec import ClusterSpec, host_and_port
from coiled_runtime_cli.errors import RemoteError

__all__ = [
    "ClusterInfo",
    "ClusterSpec",
    "Machine",
    "RunningCluster",
    "check",
    "load_shapes",
    "resolve",
    "restart",
    "start",
]


def start(spec: ClusterSpec, *, name: str) -> RunningCluster:
    """Start the cluster, or connect to it. ``name`` tells it apart from others that run at the same time.

    Raises UsageError for keywords, classes and addresses that do not exist, RemoteError for a scheduler, login or
    network that does not answer, and ToolError for a cluster that does not start.
    """
    if spec.kind == "local":
        from coiled_runtime_cli.clusters import local

        return local.start(spec, name=name)
    if spec.kind == "address":
        from coiled_runtime_cli.clusters import address

        return address.start(spec, name=name)
    if spec.kind == "coiled":
        from coiled_runtime_cli.clusters import coiled

        return coiled.start(spec, name=name)
    from coiled_runtime_cli.clusters import custom

    return custom.start(spec, name=name)


def check(spec: ClusterSpec, *, elsewhere: bool = False) -> None:
    """Find out before anything starts, in bounded time, that a cluster cannot: the errors are those of :func:`start`.

    ``elsewhere``: another environment will start it, so what is installed here does not matter.
    """
    if spec.kind == "address":
        _check_address(str(spec.options["address"]))
    elif spec.kind == "coiled" and not elsewhere:
        from coiled_runtime_cli.clusters import coiled

        coiled.check_login()
    elif spec.kind == "class" and not elsewhere:
        from coiled_runtime_cli.clusters import custom

        custom.find(spec)


def _check_address(address: str) -> None:
    if address.startswith("ucx"):
        return  # its handshake is not that of a socket
    try:
        socket.create_connection(host_and_port(address), timeout=ANSWER).close()
    except OSError as error:
        raise RemoteError(
            f"no scheduler answers at {address}: {error.strerror or error}",
            hint="check that it runs there: dask scheduler --host HOST --port PORT",
        ) from error
