"""The values that one file gives: of keys that there are, over those of weaker files, with paths that start from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations
from coiled_runtime_cli.config.build_table import BUILD_FOLDERS
from coiled_runtime_cli.config.settings import KEYS, TABLES
from coiled_runtime_cli.config.values import Given
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Tables that have no keys yet: what is written there would be heeded by nobody.
_EMPTY_TABLES = ("detect", "bisect")

#: Paths in ``[tool.crt.report]``, which start from the file that names them; so do the folders of ``[tool.crt.build]``.
_REPORT_PATHS = ("out", "plotly")


def add_file(given: dict[str, Given], table: dict[str, Any], file: Path, title: str) -> None:
    """Put what the table of a file says into ``given``, with ``title`` as its origin. Raises UsageError on what no key can be."""
    for written, value in table.items():
        key = written.replace("-", "_")
        if key not in KEYS:
            raise UsageError(f"{file}: {unknown('key', written, KEYS)}", hint="crt config show lists every key")
        if key in TABLES:
            _check_table(key, value, file)
            if key == "sync":
                value = _with_absolute_remote(value, file)  # noqa: PLW2901
            if key == "build":
                value = _with_absolute_paths(value, BUILD_FOLDERS, file)  # noqa: PLW2901
            if key == "report":
                value = _with_absolute_paths(value, _REPORT_PATHS, file)  # noqa: PLW2901
            weaker = given[key].value if key in given else {}
            value = {**(weaker if isinstance(weaker, dict) else {}), **value}  # noqa: PLW2901
        given[key] = Given(value, title, f"{file}: {key}", file.absolute().parent)


def _check_table(key: str, value: object, file: Path) -> None:
    if not isinstance(value, dict):
        raise UsageError(f"{file}: {key}: expected a table, not {value!r}", hint=f"write [{key}] and its keys below")
    if key in _EMPTY_TABLES and value:
        name = next(iter(value))
        raise UsageError(f"{file}: {key}.{name}: {key} has no keys", hint=f"crt {key} --help names its flags")
    if key == "clusters":
        for name, each in value.items():
            if not isinstance(each, dict):
                raise UsageError(
                    f"{file}: clusters.{name}: expected a table, not {each!r}",
                    hint=f"write [clusters.{name}] and the keywords of the cluster below",
                )


def _with_absolute_remote(table: object, file: Path) -> object:
    """A remote that is a folder starts from the file that names it, as every path does."""
    remote = table.get("remote") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(remote, str) or "://" in remote or not remote.strip():
        return table
    return {**table, "remote": str(file.absolute().parent / locations.expanded(remote))}


def _with_absolute_paths(table: object, keys: Sequence[str], file: Path) -> object:
    if not isinstance(table, dict):
        return table
    paths = {key: table[key] for key in keys if isinstance(table.get(key), str) and table[key].strip()}
    return {**table, **{key: str(file.absolute().parent / locations.expanded(each)) for key, each in paths.items()}}
