"""Values as a page shows them. ``crt.format`` in the browser says the same, digit by digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.core import quantity

if TYPE_CHECKING:
    from coiled_runtime_cli.report.views import MetricView


def value_text(value: float, metric: MetricView) -> str:
    """A stored value with its unit: ``1.24 s``, ``3.41 GiB``, ``27.5 %``; other units with three significant digits."""
    return quantity.value_text(value, metric.unit, metric.scale)
