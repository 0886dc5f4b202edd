"""The settings that the sessions of an arm are begun with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli import config
    from coiled_runtime_cli.core.experiment import Arm


def arm_settings(settings: config.Config, arm: Arm, folder: Path) -> config.Config:
    """The settings of an arm's sessions: its label, and the keywords of its cluster."""
    chosen = replace(settings, label=arm.label)
    if arm.shapes:
        file = folder / f"cluster-{arm.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(arm.shapes, default=str))
        chosen = replace(chosen, cluster_override=file)
    if arm.cluster:
        name = settings.cluster
        kind = {} if name in settings.clusters or name in {"local", "coiled"} else {"class": name}
        table = {**kind, **settings.clusters.get(name, {}), **arm.cluster}
        chosen = replace(chosen, clusters={**settings.clusters, name: table})
    return chosen
