"""pip and venv, for where there is no uv: slower, and without what only uv can (releases as of a day, preferred versions)."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from coiled_runtime_cli import process
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

#: Resolving and building may have to fetch, and to compile (s).
_PATIENCE = 3600.0


def lock(requirements: Path, *, python: str | None, folder: Path, report: Path) -> list[str]:
    """Exact requirements for those of a file. Raises UsageError, RemoteError, ToolError."""
    how = ["install", "--dry-run", "--ignore-installed", "--report"]
    _pip(interpreter(python), *how, report, "-r", requirements, folder=folder)
    return [_exact(each) for each in json.loads(report.read_text())["install"]]


def _exact(item: dict[str, Any]) -> str:
    name, info = item["metadata"]["name"], item["download_info"]
    if not item.get("is_direct"):
        return f"{name}=={item['metadata']['version']}"
    if "vcs_info" in info:
        return f"{name} @ {info['vcs_info']['vcs']}+{info['url']}@{info['vcs_info']['commit_id']}"
    return f"{name} @ {info['url']}"


def make_environment(target: Path, locked: Path, *, python: str | None) -> None:
    """A virtual environment with exactly what is locked. Raises as :func:`lock`."""
    done = process.run([interpreter(python), "-m", "venv", target], timeout=_PATIENCE)
    if done.returncode != 0:
        raise ToolError(f"the environment cannot be made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    _pip(str(target / "bin" / "python"), "install", "--no-deps", "-r", locked)


def install_into(folder: Path, what: str | Path, *, python: str | Path) -> None:
    _pip(str(python), "install", "--no-deps", "--target", folder, what)


def build_wheel(source: Path, *, python: str | None, folder: Path) -> None:
    _pip(interpreter(python), "wheel", "--no-deps", "--wheel-dir", folder, source)


def interpreter(python: str | None) -> str:
    """The program of a path, or of a version as 3.12. Raises UsageError where there is none."""
    if python is None:
        return sys.executable
    found = python if Path(python).is_file() else shutil.which(python) or shutil.which(f"python{python}")
    if found is None:
        raise UsageError(f"no interpreter {python} was found", hint="name its path")
    return found


def _pip(python: str, *arguments: str | Path, folder: Path | None = None) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = process.run([python, "-m", "pip", *arguments, *quiet], folder=folder, timeout=_PATIENCE)
    if done.returncode == 0:
        return
    text = done.stderr.strip()[-3000:]
    if "ResolutionImpossible" in text or "No matching distribution" in text or "Invalid requirement" in text:
        raise UsageError(f"the environment cannot be made:\n{text}")
    if "onnection" in text and "rror" in text:
        raise RemoteError(f"packages cannot be fetched:\n{text}")
    raise ToolError(f"the environment cannot be made:\n{text}")
