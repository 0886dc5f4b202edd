"""Every package of an environment by address and hash, as conda and pixi lock it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from coiled_runtime_cli.build.channel import Package


def explicit(packages: Sequence[Package], platform: str, title: str) -> str:
    """What ``conda create --file`` (and mamba's) takes as it is: one address with its hash a line."""
    lines = [f"# {title}", f"# platform: {platform}", "@EXPLICIT"]
    for each in sorted(packages, key=lambda each: each.name):
        if each.md5 is None and each.sha256 is None:
            raise ToolError(f"{each.url} has no hash in its channel: it cannot be locked")
        lines.append(f"{each.url}#{each.md5}" if each.md5 else f"{each.url}#sha256:{each.sha256}")
    return "\n".join(lines) + "\n"


def pixi(solutions: Mapping[str, Sequence[Package]], channels: Sequence[str], file: Path) -> None:
    """Write a ``pixi.lock`` with one environment, by platform."""
    import rattler

    platforms: dict[str, Any] = {name: rattler.LockPlatform(name) for name in solutions}
    locked = rattler.LockFile(list(platforms.values()))
    locked.set_channels("default", [rattler.LockChannel(each) for each in channels])
    for name, packages in solutions.items():
        for each in sorted(packages, key=lambda each: each.name):
            locked.add_conda_package("default", platforms[name], each.record)
    locked.to_path(file)
