"""The state of scheduler and workers after the block. It costs no accuracy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from coiled_runtime_cli.plugin.instruments.harmless import LONG, check_answers, unharmed

if TYPE_CHECKING:
    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import RunDraft


def write(draft: RunDraft, client: Client, keep: Keep) -> None:
    """The state of scheduler and workers, as `Client.dump_cluster_state` writes it."""
    from distributed import cluster_dump as dumps

    name, kind = "cluster-dump", ".msgpack.gz"
    with unharmed(keep, "no cluster dump"):
        check_answers(client)
        with keep.file(name + kind) as path:
            written = path.with_name(path.name + kind)
            try:
                client.sync(
                    dumps.write_state,
                    partial(client.scheduler.get_cluster_state, exclude=()),
                    str(path),
                    "msgpack",
                    callback_timeout=LONG,
                )
                written.replace(path)
            finally:
                written.unlink(missing_ok=True)
        draft.cluster_dump_url = keep.url(name + kind)
