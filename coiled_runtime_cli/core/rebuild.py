"""From an environment as it was recorded to requirements that make it again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.record import Package

#: What measures, and not what is measured: it is there anyway, or of no matter.
_OURS = frozenset({"coiled-runtime-cli", "pip", "setuptools", "wheel", "uv"})


class RebuildError(ValueError):
    """The environment had something that nobody can install again."""


def requirements(packages: Sequence[Package]) -> tuple[str, ...]:
    """Requirements that give exactly these packages. Raises RebuildError, naming the first that cannot be had again."""
    found = []
    for each in packages:
        name = re.sub(r"[-_.]+", "-", each.name).lower()
        if name in _OURS:
            continue
        if each.imported and each.url is None:
            continue  # what is watched is recorded as imported too, wherever from; without a place: from its distribution
        if each.imported:
            raise RebuildError(f"{each.name} was imported from {each.url or 'a folder'}")
        if each.dirty:
            raise RebuildError(f"{each.name} had changes that were not committed")
        if each.commit is not None and each.url:
            address = each.url.removeprefix("git+")
            found.append(f"{name} @ git+{address}@{each.commit}")
        elif each.url and each.url.startswith("file:"):
            raise RebuildError(f"{each.name} was installed from {each.url}")
        elif each.url:
            found.append(f"{name} @ {each.url}")
        elif each.version:
            found.append(f"{name}=={each.version}")
        else:
            raise RebuildError(f"{each.name} had no version")
    return tuple(found)
