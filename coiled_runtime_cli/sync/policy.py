"""How long a remote keeps its sessions, as the remote itself says, for all who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.core.retention import Policy, PolicyError
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.sync.store import MissingObjectError

if TYPE_CHECKING:
    from coiled_runtime_cli.sync.store import Store

KEY = "retention.json"
_MOST = 4096


def read_policy(store: Store) -> Policy:
    """The policy of the remote; everything is kept where it has none. Raises RemoteError where it cannot be understood."""
    try:
        return Policy.from_bytes(store.get(KEY, limit=_MOST))
    except MissingObjectError:
        return Policy()
    except PolicyError as error:
        raise RemoteError(
            f"{store.name}: {KEY} says not how long sessions are kept: {error}",
            hint="crt sync publish --keep 90d (or all) writes it anew",
        ) from error


def write_policy(store: Store, policy: Policy) -> None:
    if policy.days is None:
        store.delete(KEY)
    else:
        store.put(KEY, policy.to_bytes())
