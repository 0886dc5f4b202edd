"""The definition of an experiment: a folder with a file for each arm, and one of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import config
from coiled_runtime_cli.ab import predecessor
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli.core.experiment import Experiment

#: The file of its settings.
SETTINGS = "experiment.toml"


def read(folder: Path) -> tuple[Experiment, list[str]]:
    """The experiment of a folder, and what is to be said of it.

    A folder has a file ``NAME.toml`` for each arm and, if it likes, ``experiment.toml``; or the predecessor's triplets
    ``AB_NAME.conda.yaml``, ``.dask.yaml``, ``.cluster.yaml`` and its ``config.yaml``. Raises UsageError.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", hint=f"crt ab init {folder} makes one with examples")
    files = sorted(each for each in folder.glob("*.toml") if each.name != SETTINGS)
    triplets = sorted(folder.glob(predecessor.TRIPLETS))
    if files and triplets:
        raise UsageError(f"{folder} has both {files[0].name} and {triplets[0].name}", hint="keep one kind in a folder")
    try:
        if triplets:
            arms = [predecessor.triplet(each) for each in triplets]
            settings = folder / "config.yaml"
            return plans.from_ancestor(arms, predecessor.read_yaml(settings) if settings.is_file() else {})
        if not files:
            raise UsageError(f"{folder} has no arms", hint=f"crt ab init {folder} writes examples")
        table = config.read_toml(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
        return plans.make([plans.arm(each.stem, config.read_toml(each)) for each in files], table), []
    except plans.ExperimentError as error:
        raise UsageError(f"{folder}: {error}", hint="crt ab run --help says what a folder holds") from error
    except RecursionError as error:
        raise UsageError(f"{folder}: a configuration in it is nested without end") from error
