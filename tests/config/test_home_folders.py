from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import config

if TYPE_CHECKING:
    from pathlib import Path


def test_a_relative_xdg_folder_is_ignored(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load(folder=tmp_path, environ={**home, "XDG_CACHE_HOME": "relative"})
    assert read.data == tmp_path / "home/.cache/crt/datasets"
