"""What a cluster shall be: a resolved choice that needs nothing to read, and travels as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("local", "address", "coiled", "class")

#: Options of :class:`ClusterSpec` that are asked of a running cluster and are no keyword of its class.
SCALE = "scale"

#: Options that say nothing about how fast the cluster is: names, bills, life time, places, presentation. Everything
#: else belongs to a series key: an option that crt does not know rather splits a series than joins two that differ.
_NOT_COMPARED = frozenset({
    "account", "address", "allow_ingress_from", "allow_ssh", "allow_ssh_from", "asynchronous",
    "batch_job_ids", "capacity_retry_timeout", "cloud", "cluster_timeout", "compute_purchase_option",
    "configure_logging", "connect_options", "container", "credentials", "credentials_duration_seconds",
    "custom_widget", "dashboard_address", "dashboard_custom_subdomain", "environ", "host", "hosts", "idle_timeout",
    "ignore_container_entrypoint", "interface", "job_name", "known_hosts", "local_directory", "log_directory",
    "logs_location", "name", "namespace", "no_client_timeout", "open_extra_ports", "package_sync", "pause_on_exit",
    "private_to_creator", "project", "queue_timeout", "remote_python", "send_dask_config", "shutdown_on_close",
    "show_widget", "silence_logs", "software", "spot_policy", "tags", "timeout", "use_best_zone",
    "use_dashboard_https", "use_scheduler_public_ip", "wait_for_workers", "worker_dashboard_address", "workspace",
})  # fmt: skip
_NOT_COMPARED_PATTERN = re.compile(r"(^|_)(port|ports|url|file|files|path|paths|dir|directory)$|^package_sync_")
_SECRET = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secrets|token|tokens|api_?key|access_?key|private_?key)($|_)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """One cluster, resolved: which kind, and the keywords it is started with. Holds no secret."""

    kind: str  # one of KINDS
    name: str  # as the user wrote it: local, coiled, tcp://host:8786, or the configured name
    options: dict[str, Any] = field(default_factory=dict)  # JSON values
    class_path: str | None = None  # dotted name, for kind "class"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "options": self.options, "class_path": self.class_path}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClusterSpec:
        """Read what :meth:`to_json` wrote. Raises ValueError on anything else."""
        try:
            kind, name, options = value["kind"], value["name"], dict(value.get("options") or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a cluster specification: {value!r}") from error
        if kind not in KINDS:
            raise ValueError(f"not a kind of cluster: {kind!r}")
        return cls(kind=kind, name=name, options=options, class_path=value.get("class_path"))

    def with_worker_memory(self, limit: int) -> ClusterSpec:
        """As this one, but a worker on this machine gets at most ``limit`` bytes; a limit that is written as text stays."""
        given = self.options.get("memory_limit")
        if self.kind != "local" or not isinstance(given, int) or given <= limit:
            return self
        return replace(self, options={**self.options, "memory_limit": limit})

    def key_options(self) -> dict[str, Any]:
        """The part that makes timings comparable, and so belongs to a series key.

        For an address that is its host, and what :meth:`RunningCluster.wait` found there: ports come and go.
        """
        compared = {key: value for key, value in sorted(self.options.items()) if _is_compared(key)}
        if self.class_path is not None:
            compared["class"] = self.class_path
        if self.kind == "address":
            compared["host"] = host_and_port(self.options["address"])[0]
        return compared


def _is_compared(key: str) -> bool:
    return key not in _NOT_COMPARED and not _NOT_COMPARED_PATTERN.search(key)


def secret_key(options: Mapping[str, Any]) -> str | None:
    """The first keyword, at any depth, whose name says that its value is a secret."""
    for key, value in options.items():
        if _SECRET.search(str(key).casefold()):
            return str(key)
        if isinstance(value, dict) and (inner := secret_key(value)):
            return f"{key}.{inner}"
    return None


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of a scheduler address. Raises ValueError for anything but SCHEME://HOST:PORT."""
    from urllib.parse import urlsplit

    parts = urlsplit(address)
    port = parts.port
    if not parts.hostname or port is None or port == 0 or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError(f"not SCHEME://HOST:PORT: {address!r}")
    return parts.hostname, port
