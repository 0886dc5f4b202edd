"""Numbers as people write and read them: bytes, seconds, clocks, fractions."""

from __future__ import annotations

import math
import re

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SECONDS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))  # "us": reads the same in every encoding
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|ms|min|s|m|h|d)\s*")


#: Display units of seconds and bytes: these are shown in whichever multiple reads best.
_OF_TIME = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_OF_MEMORY = {"B": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _three_digits(value: float) -> str:
    """Three significant digits of a value between 0 and 9999, never in exponent form: 1.12, 12.3, 123, 1023."""
    for digits, limit in ((2, 9.995), (1, 99.95)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def bytes_text(value: float) -> str:
    """Bytes in binary units with three significant digits: 1.2e9 is "1.12 GiB"."""
    if not math.isfinite(value):
        return str(value)
    size, unit = abs(value), 0
    while round(size) >= 1024 and unit < len(_BINARY) - 1:
        size, unit = size / 1024, unit + 1
    sign = "-" if value < 0 else ""
    return f"{sign}{size:.0f} B" if unit == 0 else f"{sign}{_three_digits(size)} {_BINARY[unit]}"


def seconds_text(value: float) -> str:
    """Seconds with three significant digits: 0.0123 is "12.3 ms"; from 1000 s on, "16m 40s" and "2h 05m"."""
    if not math.isfinite(value):
        return str(value)
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size == 0:
        return "0 s"
    if size >= 999.5:
        minutes, seconds = divmod(round(size), 60)
        if minutes < 60:
            return f"{sign}{minutes}m {seconds:02d}s"
        hours, minutes = divmod(round(size / 60), 60)
        return f"{sign}{hours}h {minutes:02d}m"
    for unit, factor in _SECONDS[:-1]:
        if size < factor * 999.5:
            return f"{sign}{_three_digits(size / factor)} {unit}"
    return f"{sign}{_three_digits(size)} s"


def clock_text(seconds: float) -> str:
    """Elapsed or remaining time as on a clock: 75 is "1:15", 3675 is "1:01:15"."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def parse_seconds(text: str) -> float:
    """Read a duration: "90" (seconds), "500ms", "10m", "1h30m", "1.5h". Raises ValueError on anything else."""
    message = f"not a duration: {text!r}; write seconds (90) or units (500ms, 10m, 1h30m)"
    try:
        plain = float(text)
    except ValueError:
        plain = math.nan
    if math.isfinite(plain) and plain >= 0:
        return plain
    total, position = 0.0, 0
    while match := _DURATION_PART.match(text, position):
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(message)
    return total


def parse_bytes(text: str) -> float:
    """Read a size: "2GiB", "1.5 MB", "512". Raises ValueError on anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kKMGTPE]?i?B?)\s*", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}; write bytes (512) or units (2GiB, 1.5MB)")
    power = " KMGTPE".index(match[2][:1].upper()) if match[2][:1] not in {"", "B"} else 0
    unit = 1024.0 if "i" in match[2] else 1000.0
    return float(match[1]) * float(unit**power)


def parse_fraction(text: str) -> float:
    """Read a share: "5%" and "0.05" are 0.05. Raises ValueError on anything that is not a number of 0 or more."""
    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"not a share: {text!r}; write a percentage (5%) or a fraction (0.05)")
    return value


def counted(count: int, noun: str) -> str:
    """``1 session``, ``1,200 sessions``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def value_text(value: float, unit: str, scale: float) -> str:
    """A stored value in its display unit, ``scale`` of the stored one: ``1.24 s``, ``3.41 GiB``; others with three digits."""
    # a recorded metric may be stored in milliseconds or MiB: its display unit and scale say how much that is
    if unit in _OF_TIME:
        return seconds_text(value * (_OF_TIME[unit] / scale))
    if unit in _OF_MEMORY:
        return bytes_text(value * (_OF_MEMORY[unit] / scale))
    number = number_text(value / scale)
    return f"{number} {unit}" if unit else number


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


def interval_text(low: float | None, high: float | None) -> str:
    """The interval of a ratio: ``+9.1 % to +15 %``; nothing where an end is not known."""
    return "" if low is None or high is None else f"{ratio_text(low)} to {ratio_text(high)}"
