"""The tests of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import bench, suites

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli import config
    from coiled_runtime_cli.core.experiment import Experiment


def selected(experiment: Experiment, settings: config.Config) -> bench.Selection:
    """The tests of an experiment. Raises UsageError for a suite or a test that does not exist."""
    names = list(experiment.suites)
    targets = [_within(each, settings.suites) for each in experiment.targets]
    arguments = suites.select(settings.suites, names=names, node_ids=targets, here=settings.suites)
    return bench.Selection(
        arguments=arguments or (str(settings.suites),), keyword=experiment.keyword, markers=experiment.markers
    )


def _within(target: str, folder: Path) -> str:
    """A target of the predecessor's is relative to its repository, where the suites are the folder ``tests``."""
    path, separator, rest = target.partition("::")
    bare = path.removeprefix("tests/")
    return f"{bare or '.'}{separator}{rest}" if not (folder / path).exists() and (folder / bare).exists() else target
