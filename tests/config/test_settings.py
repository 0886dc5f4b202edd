from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import config

if TYPE_CHECKING:
    from pathlib import Path


def test_values_are_shown_as_they_could_be_written(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load({"timeout": "1h30m", "precision": "2.5%"}, folder=tmp_path, environ=home)
    assert (read.shown("timeout"), read.shown("precision")) == ("5400 s", "2.5%")
    assert (read.shown("software"), read.shown("clusters"), read.shown("scale")) == ("", "", "laptop")
    again = config.load({key: read.shown(key) for key in ("timeout", "precision")}, folder=tmp_path, environ=home)
    assert (again.timeout, again.precision) == (read.timeout, read.precision)
