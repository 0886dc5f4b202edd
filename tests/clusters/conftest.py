from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

STAND_INS = Path(__file__).parent / "stand_ins"


#: What multiprocessing keeps for as long as its parent lives.
_KEPT = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def _working_children() -> list[psutil.Process]:
    """Child processes, but for those that stay as long as their parent."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline()[:4])
            if child.status() != psutil.STATUS_ZOMBIE and not any(
                f"from {each} import main" in command for each in _KEPT
            ):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def no_process_left() -> Iterator[None]:
    """Fail unless every process that the test started ends soon after it."""
    before = {child.pid for child in _working_children()}
    yield
    started = [child for child in _working_children() if child.pid not in before]
    _, alive = psutil.wait_procs(started, timeout=10)
    described = [" ".join(child.cmdline()) for child in alive if child.is_running()]
    for child in alive:
        child.kill()
    assert described == []


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module ``loopback_cluster`` can be imported by name."""
    monkeypatch.syspath_prepend(str(STAND_INS))
    yield
    sys.modules.pop("loopback_cluster", None)


@pytest.fixture
def half_made_clusters() -> Iterator[None]:
    """Collect what a constructor that failed has left; with ``filterwarnings``, as Dask warns that nobody closed it."""
    yield
    gc.collect()
