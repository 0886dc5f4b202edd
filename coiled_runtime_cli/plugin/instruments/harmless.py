"""Artefacts cost no run: what goes wrong is said, a scheduler that is gone is not waited for, and what was begun is ended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep

#: How long the scheduler may take to write a report, or to collect the state of the cluster (s).
LONG = 300.0


@contextmanager
def unharmed(keep: Keep, what: str) -> Iterator[None]:
    """Whatever goes wrong in the block is said, and is over."""
    from coiled_runtime_cli.clusters.running import CLUSTER_ERRORS
    from coiled_runtime_cli.plugin.artifacts import one_line

    try:
        yield
    except CLUSTER_ERRORS as error:
        keep.say(f"{what}: {one_line(error)}")


def check_answers(client: Client) -> None:
    """A scheduler that is gone is not waited for."""
    if client.status != "running":
        raise OSError("the scheduler is gone")


@contextmanager
def ends(end: Callable[[], None], hurried: Callable[[], None] | None = None) -> Iterator[None]:
    """Call ``end`` after the block, however it ends; ``hurried`` where the user interrupts it."""
    try:
        yield
    except KeyboardInterrupt:
        if hurried is not None:
            hurried()
        raise
    except BaseException:
        end()
        raise
    else:
        end()
