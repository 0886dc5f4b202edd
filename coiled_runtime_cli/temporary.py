"""Temporary folders that are gone at the end, whenever Ctrl-C comes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def folder(prefix: str = "crt-", *, beside: Path | None = None) -> Iterator[str]:
    """An empty folder among the system's temporary ones, or in the folder ``beside``; removed with all that is in it.

    Where Ctrl-C comes while it is removed, that is done first: Python's own TemporaryDirectory would leave the rest.
    """
    path = tempfile.mkdtemp(prefix=prefix, dir=beside)
    try:
        yield path
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        except KeyboardInterrupt:
            shutil.rmtree(path, ignore_errors=True)
            raise
