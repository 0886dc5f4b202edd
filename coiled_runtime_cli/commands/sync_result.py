"""How the commands of `crt sync` tell their result: the document with what it cost, and what was not applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.sync.pull import Pulled
    from coiled_runtime_cli.sync.store import Store

#: Keys of segments that are named one by one.
NAMED = 10


def show_json(store: Store, document: Mapping[str, Any]) -> None:
    """Write the document, with the remote, and the requests and bytes that it took."""
    from coiled_runtime_cli import console

    usage = store.usage
    console.show_json(
        {
            "schema": 1,
            "remote": store.name,
            **document,
            "requests": usage.requests,
            "bytes": usage.sent + usage.received,
            "bytes_sent": usage.sent,
            "bytes_received": usage.received,
        }
    )


def complain(store: Store, done: Pulled) -> None:
    """Say what was not applied; raises RemoteError then."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.errors import RemoteError

    if done.conflicts:
        console.warning(
            f"{len(done.conflicts):,} runs were there with other content, such as {done.conflicts[0]}: "
            "of two the same one stays on every machine"
        )
    for key, reason in list({**done.refused, **done.newer}.items())[:NAMED]:
        console.warning(f"{key}: {reason}")
    if done.newer:
        raise RemoteError(
            f"{store.name}: a newer crt wrote {counted(len(done.newer), 'session')}, which this one cannot read",
            hint="python3 -m pip install --upgrade coiled-runtime-cli, and crt sync pull again",
        )
    if done.refused:
        raise RemoteError(
            f"{store.name}: {len(done.refused):,} objects are no sound segments; all others were applied",
            hint="crt sync verify --quarantine moves them aside",
        )
