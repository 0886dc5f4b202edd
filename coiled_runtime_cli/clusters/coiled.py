"""Clusters in the cloud, through Coiled."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coiled_runtime_cli.clusters.running import (
    ANSWER,
    CLUSTER_ERRORS,
    ClusterInfo,
    OwnedCluster,
    expected_workers,
    failed_to_start,
)
from coiled_runtime_cli.errors import RemoteError, ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.clusters.spec import ClusterSpec

_SERVER = "https://cloud.coiled.io"


class CoiledCluster(OwnedCluster):
    """A coiled.Cluster; its workers have the packages that are installed here, unless ``software`` is named."""

    def info(self) -> ClusterInfo:
        identity = getattr(self.cluster, "cluster_id", None)
        return ClusterInfo(
            cluster_id=identity if isinstance(identity, int) else None,
            details_url=getattr(self.cluster, "details_url", None),
            software=self.spec.options.get("software"),
        )


def check_login() -> None:
    """Raises ToolError without the coiled package, RemoteError without a login; asks nobody, so it returns at once."""
    import dask

    try:
        import coiled  # noqa: F401  it adds its own defaults and the saved login to Dask's configuration
    except ImportError as error:
        raise ToolError("a Coiled cluster needs the coiled package", hint="python -m pip install coiled") from error
    if not dask.config.get("coiled.token", None):
        raise RemoteError("no login for Coiled was found", hint="coiled login")


def start(spec: ClusterSpec, *, name: str) -> CoiledCluster:
    """Start the cluster. Raises RemoteError without login or network, UsageError for wrong keywords, else ToolError."""
    check_login()
    import coiled
    from coiled.errors import ClusterCreationError, DoesNotExist, ServerError
    from coiled.exceptions import AuthenticationError, CoiledException

    _check_server()
    try:
        cluster = coiled.Cluster(name=name, **_keywords(spec))
    except AuthenticationError as error:
        raise RemoteError(f"Coiled refused the login: {error}", hint="coiled login") from error
    except OSError as error:
        raise RemoteError(f"Coiled cannot be reached: {error}") from error
    except (ClusterCreationError, DoesNotExist, ServerError, CoiledException, *CLUSTER_ERRORS) as error:
        raise failed_to_start(error, spec) from error
    return CoiledCluster(cluster, spec, name=name, expected_workers=expected_workers(spec))


def _keywords(spec: ClusterSpec) -> dict[str, Any]:
    return {"show_widget": False, **spec.options}


def _check_server() -> None:
    """Find out in bounded time that there is no way to Coiled: its own client tries for minutes."""
    import dask

    server = str(dask.config.get("coiled.server", None) or _SERVER)
    parts = urlsplit(server if "://" in server else f"https://{server}")
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER).close()
    except (OSError, ValueError) as error:
        raise RemoteError(f"Coiled cannot be reached at {server}: {error}", hint="check the network") from error
