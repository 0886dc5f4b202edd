"""Look for what would keep crt from working here. Nothing is written but a probe at a remote, which is removed again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import noise
from coiled_runtime_cli.core import doctor as judge
from coiled_runtime_cli.core.quietness import remarks
from coiled_runtime_cli.doctor import machine, remote, storage, tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coiled_runtime_cli.config import Config, Remote
    from coiled_runtime_cli.core.doctor import Finding

#: Of the time that crt noise takes.
_BRIEF = 0.2


def examine(
    settings: Config | None,
    where: Remote | None,
    *,
    online: bool = False,
    cluster: bool = False,
    tell: Callable[[str], None],
) -> Iterator[Finding]:
    """Every check, in the order in which one rests on another.

    ``settings`` and ``where`` (the remote) are None where the configuration cannot be read: what depends on them is left out.
    ``online``: also ask Coiled. ``cluster``: also start a local cluster. ``tell`` gets what is being looked at.
    """
    wall, steady = time.time(), time.monotonic()
    tell("tools")
    yield from tools.check()
    if settings is not None:
        yield storage.suites_of(settings)
        tell("database")
        yield from storage.check(settings)
    tell("machine")
    yield from machine.disks(settings)
    yield from machine.check()
    from dataclasses import asdict

    seen = noise.measure(None, tell=lambda text: tell(f"noise: {text}"), share=_BRIEF)
    yield from judge.quiet(remarks(**asdict(seen)))
    elapsed = time.monotonic() - steady
    yield judge.clock(
        stepped=time.time() - wall - elapsed,
        elapsed=elapsed,
        behind=(Path(__file__).stat().st_mtime - time.time()),
        set_clock=machine.set_clock(),
    )
    if cluster and settings is not None:
        tell("a local cluster")
        yield machine.local_cluster(settings)
    if settings is not None:
        tell("Coiled")
        yield remote.coiled(settings, online=online)
        yield from remote.chosen_cluster(settings)
    if where is not None:
        tell(f"the remote {where.remote}")
        yield from remote.check(where)
