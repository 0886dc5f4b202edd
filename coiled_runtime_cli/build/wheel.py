"""The same pins for pip: a wheel without code that requires them."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import process, temporary
from coiled_runtime_cli.build.channel import EXTRA
from coiled_runtime_cli.core.environment_files import python_project
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coiled_runtime_cli.core.recipe import Recipe


def build(recipe: Recipe, folder: Path, *, moment: int, instead: Mapping[str, str] | None = None) -> Path:
    """Build it into a folder, and return the file. The same recipe and moment give the same bytes. Raises ToolError.

    ``instead`` are requirements by name, over those of the pins.
    """
    if importlib.util.find_spec("hatchling") is None:
        raise ToolError("hatchling, which builds wheels, is not installed here", hint=EXTRA)
    with temporary.folder("crt-wheel-") as scratch:
        project, output = Path(scratch, "project"), Path(scratch, "output")
        project.mkdir()
        (project / "pyproject.toml").write_text(python_project(recipe, instead), encoding="utf-8")
        done = process.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", output],
            folder=project,
            # before 1980 a zip has no name for
            environment={"SOURCE_DATE_EPOCH": str(max(moment, 315_532_800)), "PYTHONPATH": ""},
            timeout=120,
        )
        made = sorted(output.glob("*.whl"))
        if done.returncode != 0 or len(made) != 1:
            raise ToolError(f"hatchling could not build the wheel:\n{(done.stderr or done.stdout)[-2000:]}")
        target = folder / made[0].name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made[0].read_bytes())
        return target


def requirements(file: Path) -> list[str]:
    """What a wheel requires, as it says itself. Raises ToolError where it is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            return BytesParser().parsebytes(archive.read(name)).get_all("Requires-Dist") or []
    except (OSError, StopIteration, zipfile.BadZipFile) as error:
        raise ToolError(f"{file} is no wheel: {error}") from error
