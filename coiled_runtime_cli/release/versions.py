"""Versions of releases: their form, which of two comes after, the one that a recipe has, and the next in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from coiled_runtime_cli.core import recipe_text
from coiled_runtime_cli.core.pins import PinError
from coiled_runtime_cli.errors import UsageError
from coiled_runtime_cli.release.files import text_of

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = re.compile(r"^\d+\.\d+\.\d+$")


def comes_after(first: str, second: str) -> bool:
    """False where one of them is no version."""
    try:
        return Version(first) > Version(second)
    except InvalidVersion:
        return False


def of_recipe(file: Path) -> str:
    """The version that a recipe says, without any suffix. Raises UsageError."""
    try:
        return recipe_text.package_version(text_of(file))["version"]
    except PinError as error:
        raise UsageError(f"{file}: {error}") from error


def bumped(file: Path, version: str) -> tuple[str, str]:
    """The version that a recipe has, and its text with another one, and build number 0. Raises UsageError."""
    text = text_of(file)
    try:
        before = recipe_text.package_version(text)["version"]
        after = recipe_text.with_package_version(text, version)
    except PinError as error:
        raise UsageError(f"{file}: {error}") from error
    if before != version:
        after = re.sub(r"(?m)^([ \t]+number:[ \t]*)\d+", r"\g<1>0", after, count=1)
    return before, after
