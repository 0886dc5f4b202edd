"""What `crt ab run` is asked: which experiment, how it is judged, and how the result is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The experiment of a folder with the flags that change it, and the flags of its result.

    ``smallest``: change of interest, as a share; ``rate``: share of chance among what is called a change, all looks together;
    ``gate``: a test that is surely worse by this share, or more, is exit code 1.
    """

    settings: Config
    folder: Path
    experiment: Experiment
    smallest: float
    rate: float
    gate: float | None
    format: str
