"""Named cluster shapes: the keywords of a cloud cluster by name, from a YAML file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The shape that every other one starts from.
DEFAULT = "default"

#: Keywords that crt sets itself.
RESERVED = ("name", "environ", "tags")


def load_shapes(path: Path) -> dict[str, dict[str, Any]]:
    """Read a file of shapes: a mapping from a shape's name to its keywords.

    Raises UsageError, naming file and line, for what is not YAML or has another layout.
    """
    try:
        import yaml
    except ImportError as error:
        raise ToolError(f"cannot read {path} without PyYAML", hint="python -m pip install pyyaml") from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(f"{path}{line}: is not valid YAML: {problem}") from error
    except (ValueError, RecursionError) as error:  # a date that is none, a number or nesting beyond all measure
        raise UsageError(f"{path}: is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(
            f"{path}: expected shapes by name, not {content!r}", hint="write 'small_cluster:' and its keywords"
        )
    return {str(name): _check(f"{path}: {name}", keywords) for name, keywords in content.items()}


def _check(place: str, keywords: object) -> dict[str, Any]:
    if keywords is None:
        return {}
    if not isinstance(keywords, dict) or not all(isinstance(key, str) for key in keywords):
        raise UsageError(f"{place}: expected keywords, not {keywords!r}")
    refuse_reserved(place, keywords)
    try:
        json.dumps(keywords, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{place}: {error}", hint="quote it: a keyword takes text, numbers, true, false and lists"
        ) from error
    return dict(keywords)


def refuse_reserved(place: str, keywords: Mapping[str, Any]) -> None:
    """Raise UsageError if the keywords hold one that crt sets itself."""
    for key in RESERVED:
        if key in keywords:
            raise UsageError(f"{place}: {key} is set by crt", hint=f"remove {key}")


def merge(
    shape: str | None, shapes: Mapping[str, Mapping[str, Any]], override: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The keywords of a shape: default, default of the override, named, named of the override; the later wins.

    Raises UsageError for an unknown shape, also when an override names it.
    """
    named = [each for each in shapes if each != DEFAULT]
    for each in override:
        if each != DEFAULT and each not in shapes:
            raise UsageError(f"override: {unknown('cluster shape', each, [DEFAULT, *named])}")
    if shape is not None and shape != DEFAULT and shape not in shapes:
        raise UsageError(unknown("cluster shape", shape, named))
    merged: dict[str, Any] = {}
    for name in (DEFAULT, shape) if shape not in (None, DEFAULT) else (DEFAULT,):
        for layer in (shapes, override):
            keywords = layer.get(name or DEFAULT, {})
            refuse_reserved(f"cluster shape {name}", keywords)
            merged.update(keywords)
    return merged
