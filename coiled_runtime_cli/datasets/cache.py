"""Data sets on disk: generated once, verified on reuse, repaired file by file.

``<cache>/<name>-<key>/`` holds the files and, written last, ``manifest.json``: size and SHA-256 of each file. Beside
it, ``.<name>-<key>.lock`` lets one process at a time write, and ``.<name>-<key>.partial-*`` is what a process is
writing; a folder of that name found under the lock belongs to a process that died. Who reads a data set holds a shared
lock on its manifest, so that nobody removes it meanwhile.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from coiled_runtime_cli.datasets.events import Failed, Ready, Step
from coiled_runtime_cli.datasets.locks import hold
from coiled_runtime_cli.datasets.manifest import Stored, folder_of
from coiled_runtime_cli.datasets.production import produce
from coiled_runtime_cli.datasets.verification import stamps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe

#: What this process has verified: by folder, its files and their (size, modification time) at that moment.
_verified: dict[Path, tuple[Stored, tuple[tuple[int, int] | None, ...]]] = {}


def obtain(recipe: Recipe, parameters: Parameters, cache: Path, progress: Callable[[float, float], None]) -> Stored:
    """The data set of ``recipe`` below ``cache``, to be read: verified if it is there, else generated or repaired.

    ``progress(done, total)`` is called in (approximate) bytes while data are generated. Raises ToolError where the
    folder cannot be written.
    """
    folder = folder_of(recipe, parameters, cache)
    known = _verified.get(folder)
    if known is not None and known[1] == stamps(folder, known[0].files):
        return known[0]
    stored: Stored | None = None
    with contextlib.closing(produce([(recipe, parameters)], cache)) as events:
        for event in events:
            if isinstance(event, Step):
                progress(event.done, event.total)
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Ready):
                stored = event.stored
    assert stored is not None
    hold(folder)
    settled = Stored(stored.folder, stored.files)
    _verified[folder] = (settled, stamps(folder, settled.files))
    return stored
