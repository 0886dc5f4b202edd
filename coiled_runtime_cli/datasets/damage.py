"""Which data sets of the cache are damaged, told by reading every file, and what makes them again."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import verification
from coiled_runtime_cli.datasets.events import Step
from coiled_runtime_cli.datasets.inventory import Kind
from coiled_runtime_cli.datasets.locks import lock_of, locked
from coiled_runtime_cli.datasets.manifest import MANIFEST, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coiled_runtime_cli.datasets.inventory import Folder
    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe


@dataclass(frozen=True, slots=True)
class Verdict:
    folder: Folder
    harms: tuple[tuple[str, str], ...]  # path of a file, and what is wrong with it


def verify(found: Sequence[Folder]) -> Iterator[Step | Verdict]:
    """Read every file of the data sets, one verdict each; unfinished ones are left out, and those removed meanwhile."""
    whole = [each for each in found if each.kind is not Kind.UNFINISHED]
    total, done = float(max(1, sum(each.bytes for each in whole))), 0.0
    for folder in whole:
        yield Step(folder.name, done, total)
        if folder.manifest is None:
            yield Verdict(folder, ((MANIFEST, "missing, or no manifest"),))
            done += folder.bytes
            continue
        harms = []
        for file, harm in verification.harms(folder.path, folder.manifest.files):
            done += file.bytes
            yield Step(folder.name, done, total)
            if harm is not None:
                harms.append((file.path, harm))
        if harms:
            harms = _once_more(folder)
            if harms and not folder.path.exists():
                continue  # a prune beside this was quicker: what is gone harms nobody
        yield Verdict(folder, tuple(harms))


def _once_more(folder: Folder) -> list[tuple[str, str]]:
    """What is wrong when nobody is writing: another process may have been about to repair it."""
    with contextlib.ExitStack() as stack:
        lock = lock_of(folder.path)
        if lock.exists():
            with contextlib.suppress(OSError):
                stack.enter_context(locked(lock))
        manifest = read_manifest(folder.path)
        if manifest is None:
            return [(MANIFEST, "missing, or no manifest")]
        return [(file.path, harm) for file, harm in verification.harms(folder.path, manifest.files) if harm is not None]


def remedy(recipes: Mapping[str, Recipe], folder: Folder) -> tuple[Recipe, Parameters] | None:
    """What makes the data set of this folder; None where no recipe of today does."""
    recipe = recipes.get(folder.name)
    if recipe is None or folder.kind not in (Kind.CURRENT, Kind.OTHER_SCALE):
        return None
    if folder.scales:
        return recipe, recipe.parameters(Scale.parse(folder.scales[0]))
    return (recipe, folder.manifest.parameters) if folder.manifest is not None else None
