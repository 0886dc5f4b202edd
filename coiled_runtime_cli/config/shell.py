"""The user's shell: which it is, where its files are, and whether it asks for completions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.config.home_folders import home

if TYPE_CHECKING:
    from pathlib import Path


def login_shell() -> str | None:
    return os.environ.get("SHELL")


def shell_folders() -> tuple[Path, Path]:
    """Where bash and zsh have their files, and where fish has its own."""
    return home(os.environ, "", "."), home(os.environ, "XDG_CONFIG_HOME", ".config") / "fish"


def completion_requested() -> bool:
    """Is a shell asking for completions?"""
    return bool(os.environ.get("_CRT_COMPLETE"))


@dataclass(frozen=True, slots=True)
class Completion:
    """A shell that asks. ``breaks`` are the letters between which bash replaces a part of a word."""

    shell: str
    breaks: str


def completion() -> Completion:
    return Completion(os.environ.get("_CRT_COMPLETE", ""), os.environ.get("_CRT_BREAKS", ""))
