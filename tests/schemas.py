"""The published JSON Schemas, and whether what was written is what they say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations

if TYPE_CHECKING:
    from collections.abc import Sequence


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((locations.SCHEMAS / f"{name.replace(' ', '_')}.schema.json").read_text())
    return found


def closed(part: Any) -> Any:
    """The schema with no room for what it does not name: so that nothing is written that nobody has documented."""
    if isinstance(part, dict):
        found = {key: closed(each) for key, each in part.items()}
        return {**found, "additionalProperties": False} if "properties" in part else found
    return [closed(each) for each in part] if isinstance(part, list) else part


def is_utc(text: object) -> bool:
    return isinstance(text, str) and datetime.fromisoformat(text.replace("Z", "+00:00")).utcoffset() == timedelta(0)


def check(name: str, text: str) -> dict[str, Any]:
    import jsonschema

    checker = jsonschema.FormatChecker(formats=())
    checker.checks("date-time", raises=ValueError)(lambda value: value is None or is_utc(value))
    document: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(closed(schema(name)), format_checker=checker).validate(document)
    return document


def check_output(arguments: Sequence[object], text: str) -> None:
    """Check what a command wrote, if it was asked for JSON; where jsonschema is installed, as the test extra has it."""
    given = [str(each) for each in arguments]
    if "json" not in given or given[given.index("json") - 1] != "--format" or not text.startswith("{"):
        return
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        return
    named = [each for each in given if not each.startswith("-")][:2]
    known = [
        name
        for name in (" ".join(named), named[0])
        if (locations.SCHEMAS / f"{name.replace(' ', '_')}.schema.json").exists()
    ]
    if known:
        check(known[0], text)
