"""The pins of a metapackage as the files that environments are made of: conda's, pip's and pixi's; and as a project of its own.

What a file cannot say is said in a comment at its head, never left out in silence.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.pins import TO_PYPI, to_pep440, to_pypi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.core.pins import Pin
    from coiled_runtime_cli.core.recipe import Recipe

#: Environment files by the name of their flag.
FILES = {"conda": "environment.yml", "requirements": "requirements.txt", "pixi": "pixi.toml"}

#: What a project's name may consist of, for tools that make names of files out of it.
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def conda_environment(recipe: Recipe, channels: Sequence[str]) -> str:
    """An ``environment.yml`` of conda, mamba and micromamba."""
    lines = [f"# {recipe.name} {recipe.version}", f"name: {recipe.name}", "channels:"]
    lines += [f"  - {_quoted(each)}" for each in channels]
    lines += ["dependencies:", *(f"  - {_quoted(str(each))}" for each in recipe.depends)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_./:=+~-]+", text) and not text.startswith("-") else json.dumps(text)


def pip_requirements(recipe: Recipe, instead: Mapping[str, str] | None = None) -> str:
    """A ``requirements.txt``. What only conda has is named in comments. ``instead`` are requirements by name."""
    requirements, left = _requirements(recipe, instead)
    lines = [f"# {recipe.name} {recipe.version}"]
    lines += [f"# left out, as conda's own: {each}" for each in left]
    return "\n".join([*lines, *requirements]) + "\n"


def _requirements(recipe: Recipe, instead: Mapping[str, str] | None) -> tuple[list[str], list[Pin]]:
    instead = instead or {}
    # what is replaced may be pinned as it likes
    depends = [
        replace(each, constraint="", build="") if TO_PYPI.get(each.name, each.name) in instead else each
        for each in recipe.depends
    ]
    requirements, left = to_pypi(depends)
    by_name = {re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0]: each for each in requirements}
    return [instead.get(name, each) for name, each in by_name.items()], left


def requires_python(recipe: Recipe) -> str | None:
    """The Pythons as packages of PyPI say it; None where the recipe does not, or says what they cannot."""
    constraint = next((each.constraint for each in recipe.depends if each.name == "python"), "")
    return to_pep440(constraint) or None


def pixi_manifest(recipe: Recipe, channels: Sequence[str], platforms: Sequence[str]) -> str:
    """A ``pixi.toml``."""
    name = recipe.name if _BARE.match(recipe.name) else re.sub(r"[^A-Za-z0-9_-]", "-", recipe.name)
    lines = [
        f"# {recipe.name} {recipe.version}",
        "[workspace]",
        f"name = {json.dumps(name)}",
        f"version = {json.dumps(recipe.version)}",
        f"channels = {json.dumps(list(channels))}",
        f"platforms = {json.dumps(list(platforms))}",
        "",
        "[dependencies]",
    ]
    for each in recipe.depends:
        constraint = json.dumps(each.constraint or "*")
        value = f"{{ version = {constraint}, build = {json.dumps(each.build)} }}" if each.build else constraint
        lines.append(f"{each.name if _BARE.match(each.name) else json.dumps(each.name)} = {value}")
    return "\n".join(lines) + "\n"


def python_project(recipe: Recipe, instead: Mapping[str, str] | None = None) -> str:
    """A ``pyproject.toml`` whose wheel has no code and requires the pins. ``instead`` are requirements by name."""
    requirements, left = _requirements(recipe, instead)
    about = dict(recipe.about)
    python = requires_python(recipe)
    # that of Python is said as Requires-Python
    notes = "".join(
        f"- {each}\n" for each in left if each.name != "python" or each.build or (each.constraint and python is None)
    )
    summary = about.get("summary", "")
    readme = f"{summary}\n" + (f"\nLeft out, as conda's own:\n\n{notes}" if notes else "")
    lines = [
        "[build-system]",
        'requires = ["hatchling"]',
        'build-backend = "hatchling.build"',
        "",
        "[project]",
        f"name = {json.dumps(recipe.name)}",
        f"version = {json.dumps(recipe.version)}",
        f"description = {json.dumps(summary)}",
        f'readme = {{ text = {json.dumps(readme)}, content-type = "text/markdown" }}',
    ]
    if about.get("license"):
        lines.append(f"license = {json.dumps(about['license'])}")
    if python:
        lines.append(f"requires-python = {json.dumps(python)}")
    lines += ["dependencies = [", *(f"  {json.dumps(each)}," for each in requirements), "]"]
    if about.get("home"):
        lines += ["", "[project.urls]", f"Homepage = {json.dumps(about['home'])}"]
    lines += [
        "",
        "[tool.hatch.build.targets.wheel]",
        "bypass-selection = true",
        "[tool.hatch.metadata]",
        "allow-direct-references = true",
    ]
    return "\n".join(lines) + "\n"
