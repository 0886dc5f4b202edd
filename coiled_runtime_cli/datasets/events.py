"""What happens while data sets are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets.manifest import Stored
    from coiled_runtime_cli.errors import ToolError


@dataclass(frozen=True, slots=True)
class Checking:
    """What is there of a data set is about to be read."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another process is writing this data set."""

    name: str


@dataclass(frozen=True, slots=True)
class Serial:
    """No processes could be started: the files are made one after another."""

    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """``done`` of ``total`` bytes (approximate, over all data sets) are written; ``name`` had the last of them."""

    name: str
    done: float
    total: float


@dataclass(frozen=True, slots=True)
class Ready:
    name: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class Failed:
    name: str
    error: ToolError


Event: TypeAlias = "Checking | Waiting | Serial | Step | Ready | Failed"
