"""Files that were made, moved to where they are read: a whole data set, or those that were damaged."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import atomic
from coiled_runtime_cli.datasets.manifest import Stored, write_manifest

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets.files import StoredFile
    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe


def publish(
    recipe: Recipe, parameters: Parameters, written: tuple[StoredFile, ...], partial: Path, folder: Path
) -> Stored:
    """Move a complete folder into place. What was there has no manifest that counts, so nobody reads it."""
    write_manifest(partial, recipe, parameters, written)
    partial.chmod(0o755)  # made private by mkdtemp
    unusable = folder.exists()
    if unusable:
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
        folder.rename(old / folder.name)
    try:
        partial.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        # Without locks another process may have been first, with the same content.
    atomic.sync_folder(folder.parent)
    if unusable:
        shutil.rmtree(old, ignore_errors=True)
    return Stored(folder, written, generated=True, repaired=unusable)


def repair(
    recipe: Recipe, parameters: Parameters, stored: Stored, written: tuple[StoredFile, ...], partial: Path
) -> Stored:
    """Replace the damaged files. Another version of pyarrow may write other bytes: then the manifest follows them."""
    anew = {each.path: each for each in written}
    for path in anew:
        target = stored.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        (partial / path).replace(target)
    files = tuple(anew.get(each.path, each) for each in stored.files)
    if files != stored.files:
        write_manifest(stored.folder, recipe, parameters, files)
    atomic.sync_folder(stored.folder)
    return Stored(stored.folder, files, generated=True, repaired=True)
