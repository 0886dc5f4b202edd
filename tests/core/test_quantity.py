from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.quantity import bytes_text, clock_text, parse_fraction, parse_seconds, seconds_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1023.7, "1.00 KiB"),
        (1024, "1.00 KiB"),
        (1.2e9, "1.12 GiB"),
        (123.4 * 2**20, "123 MiB"),
        (99.96 * 2**20, "100 MiB"),
        (1023.9 * 2**20, "1.00 GiB"),
        (-2048, "-2.00 KiB"),
        (2**70, "1024 EiB"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_bytes_are_written_in_binary_units(value: float, expected: str) -> None:
    assert bytes_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 s"),
        (1e-9, "1.00 ns"),
        (2.5e-6, "2.50 us"),
        (0.0123, "12.3 ms"),
        (0.9996, "1.00 s"),
        (1, "1.00 s"),
        (12.34, "12.3 s"),
        (999.4, "999 s"),
        (1000, "16m 40s"),
        (3599.6, "1h 00m"),
        (7500, "2h 05m"),
        (10011, "2h 47m"),
        (-0.5, "-500 ms"),
        (math.nan, "nan"),
    ],
)
def test_seconds_are_written_with_three_digits(value: float, expected: str) -> None:
    assert seconds_text(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(0, "0:00"), (75, "1:15"), (3675, "1:01:15"), (-3, "0:00")])
def test_a_clock_counts_hours_only_when_there_are_any(value: float, expected: str) -> None:
    assert clock_text(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("1e3", 1000),
        ("0", 0),
        ("500ms", 0.5),
        ("10m", 600),
        ("10min", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        (" 5 s ", 5),
    ],
)
def test_durations_are_read(text: str, expected: float) -> None:
    assert parse_seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", " ", "soon", "10 parsecs", "-5", "-5s", "5m later", "nan", "inf", "m", "1h-30m"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_seconds(text)


@pytest.mark.parametrize(("text", "expected"), [("5%", 0.05), ("0.05", 0.05), (" 5 % ", 0.05), ("0", 0), ("150%", 1.5)])
def test_shares_are_read(text: str, expected: float) -> None:
    assert parse_fraction(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "%", "five", "-5%", "nan", "inf%", "5%%"])
def test_what_is_not_a_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a share"):
        parse_fraction(text)


@given(st.floats(min_value=0, max_value=1e6))
def test_written_seconds_read_back_to_three_digits(value: float) -> None:
    text = seconds_text(value)
    if value >= 1e-9:
        tolerance = max(value * 0.005, 30.0 if "h" in text else 0.5 if "m " in text else 0.0)
        assert abs(parse_seconds(text) - value) <= tolerance * 1.01


@given(st.floats(min_value=0, max_value=2.0**60))
def test_written_bytes_never_need_more_than_four_digits(value: float) -> None:
    number, unit = bytes_text(value).split()
    assert len(number.replace(".", "")) <= 4
    factor = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)
    assert float(number) * factor == pytest.approx(value, rel=0.006, abs=0.5)
