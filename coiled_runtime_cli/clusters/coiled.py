"""Clusters in the cloud, through Coiled."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from coiled_runtime_cli.clusters.running import (
    ANSWER,
    CLUSTER_ERRORS,
    ClusterInfo,
    OwnedCluster,
    check_keywords,
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

    options = {"show_widget": False, **spec.options}
    check_keywords(coiled.Cluster, options, spec)
    check_server()
    try:
        cluster = coiled.Cluster(name=name, **options)
    except AuthenticationError as error:
        raise RemoteError(f"Coiled refused the login: {error}", hint="coiled login") from error
    except OSError as error:
        raise RemoteError(f"Coiled cannot be reached: {error}") from error
    except (ClusterCreationError, DoesNotExist, ServerError, CoiledException, *CLUSTER_ERRORS) as error:
        raise failed_to_start(error, spec) from error
    return CoiledCluster(cluster, spec, name=name, expected_workers=expected_workers(spec))


def check_server() -> None:
    """Find out in bounded time that Coiled is out of reach or refuses the login.

    Its own client would try for minutes, and open a browser for another login and wait for it.
    """
    import coiled
    import dask
    from coiled.utils import get_auth_header_value

    server = str(dask.config.get("coiled.server", None) or _SERVER).rstrip("/")
    headers = {
        "Authorization": get_auth_header_value(str(dask.config.get("coiled.token")).strip()),
        "Client-Version": coiled.__version__,
    }
    try:
        request = urllib.request.Request(f"{_with_scheme(server)}/api/v2/user/me", headers=headers)  # noqa: S310
        urllib.request.urlopen(request, timeout=ANSWER).close()  # noqa: S310  http or https, see _with_scheme
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in {401, 403}:
            raise RemoteError(f"Coiled refused the login ({error.code})", hint="coiled login") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RemoteError(f"Coiled cannot be reached at {server}: {error}", hint="check the network") from error


def _with_scheme(server: str) -> str:
    scheme, separator, rest = server.rpartition("://")
    if separator and scheme not in {"http", "https"}:
        raise ValueError(f"not a web address: {server!r}")
    return f"{scheme if separator else 'http'}://{rest}"
