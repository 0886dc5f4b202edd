"""The templates: one environment, escaping on, a missing name an error."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from coiled_runtime_cli.core import quantity
from coiled_runtime_cli.report import encode, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from coiled_runtime_cli.report.views import MetricView

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(template: str, **context: Any) -> str:
    """The page that a template makes of a context. Raises jinja2.UndefinedError where it lacks a name."""
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = _json
    environment.filters["iso"] = _iso
    environment.filters["day"] = _day
    environment.filters["minute"] = _minute
    environment.filters["ratio"] = quantity.ratio_text
    environment.filters["number"] = quantity.number_text
    environment.filters["value"] = text.value_text
    environment.filters["count"] = _count
    environment.filters["clip"] = _clip
    environment.filters["breakable"] = _breakable
    environment.filters["metrics"] = _metrics
    return environment


def _json(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the script."""
    return Markup(encode.script_json(value))  # noqa: S704


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d")


def _minute(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M")


def _count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 run``, ``1,234 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _clip(words: str, longest: int = 80) -> str:
    """One line of at most so many characters."""
    line = " ".join(words.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks after its punctuation, where it has to break one."""
    return Markup("<wbr>").join(re.split(r"(?<=[_./-])(?![_./-]|$)", name))


def _metrics(metrics: Sequence[MetricView]) -> list[dict[str, Any]]:
    """What the browser has to know of the metrics."""
    return [
        {"key": each.key, "label": each.label, "unit": each.unit, "scale": each.scale, "better": each.better}
        for each in metrics
    ]
