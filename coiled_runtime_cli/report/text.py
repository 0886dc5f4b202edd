"""Values as a person reads them. ``crt.format`` in the browser says the same, digit by digit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.quantity import bytes_text, seconds_text

if TYPE_CHECKING:
    from coiled_runtime_cli.report.views import MetricView

#: Display units of seconds and bytes: these are shown in whichever multiple reads best.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_BYTES = {"B": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def value_text(value: float, metric: MetricView) -> str:
    """A stored value with its unit: ``1.24 s``, ``3.41 GiB``, ``27.5 %``; other units with three significant digits."""
    # a recorded metric may be stored in milliseconds or MiB: its display unit and scale say how much that is
    if metric.unit in _SECONDS:
        return seconds_text(value * (_SECONDS[metric.unit] / metric.scale))
    if metric.unit in _BYTES:
        return bytes_text(value * (_BYTES[metric.unit] / metric.scale))
    number = number_text(value / metric.scale)
    return f"{number} {metric.unit}" if metric.unit else number


def number_text(value: float) -> str:
    """Three significant digits, thousands apart, no exponent between 0.001 and a billion."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e9 or size < 1e-3:
        return f"{value:.2e}"
    if size >= 999.5:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}"


def ratio_text(ratio: float) -> str:
    """A ratio as a change: ``+12 %``, ``-8.3 %``, ``+0.4 %``; ``x3.2`` from a doubling on, ``/3.2`` down from a half."""
    if not (math.isfinite(ratio) and ratio > 0):
        return "?"
    if ratio >= 2:
        return f"x{number_text(ratio) if ratio >= 9.95 else f'{ratio:.1f}'}"
    if ratio <= 0.5:
        return f"/{number_text(1 / ratio) if ratio <= 1 / 9.95 else f'{1 / ratio:.1f}'}"
    percent = (ratio - 1) * 100
    text = f"{percent:+.0f}" if abs(percent) >= 9.95 else f"{percent:+.1f}"
    return f"{'0.0' if float(text) == 0 else text} %"
