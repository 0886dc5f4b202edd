"""Whatever a text holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coiled_runtime_cli import config
from coiled_runtime_cli.build.render import given_settings
from coiled_runtime_cli.core import artifacts, pins, quantity, recipe_text, segment
from coiled_runtime_cli.core.pins import PinError
from coiled_runtime_cli.core.retention import Policy
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.core.versions import parse_version
from coiled_runtime_cli.errors import CrtError

VERSIONS = st.text(max_size=40) | st.from_regex(r"v?\d{1,3}(\.\d{1,3}){0,3}[a-z+.\-]{0,9}\d{0,9}", fullmatch=True)
LONG = (
    "9" * 5_000,
    "1." * 2_500,
    "1-" * 2_500 + "g",
    "a" * 5_000,
    " " * 5_000 + "x",
    "1.0+" * 1_000,
    ">=1," * 1_000,
    "1!" * 2_500,
)


@given(VERSIONS, VERSIONS, st.text(max_size=40))
@example("9" * 5_000, "1", "")
@example("1", "9" * 5_000, "")
def test_versions_and_pins_of_any_text_are_read_or_refused(version: str, other: str, text: str) -> None:
    parse_version(version)
    for sign in ("==", ">=", "~=", "=", "!=", "<", ""):
        pins.allows(f"{sign}{other}", version)
    with contextlib.suppress(PinError):
        pins.parse(f"{text} {version}")
    for change in (recipe_text.with_version, recipe_text.with_pin):
        with contextlib.suppress(PinError):
            change("requirements:\n  run:\n    - dask ==1.0\n", "dask", version)
    with contextlib.suppress(PinError):
        recipe_text.with_package_version('{% set version = "1.0" %}\n', version)


@pytest.mark.parametrize("text", LONG)
def test_long_texts_are_read_in_no_time_to_speak_of(text: str) -> None:
    """A pattern that backtracks without end would not come back at all."""
    parse_version(text)
    pins.allows(text, "1.0")
    for read in (
        pins.parse,
        quantity.parse_seconds,
        quantity.parse_bytes,
        quantity.parse_fraction,
        Scale.parse,
        Policy.parse,
    ):
        with contextlib.suppress(ValueError):
            read(text)  # type: ignore[operator]
    segment.parse_key(text)
    with contextlib.suppress(CrtError):
        given_settings([f"dask={text}"])
    config.masked(f"postgresql://{text}")


@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str))
def test_quantities_of_any_text_are_numbers_or_value_errors(text: str) -> None:
    for read in (
        quantity.parse_seconds,
        quantity.parse_bytes,
        quantity.parse_fraction,
        Scale.parse,
        artifacts.parse_profile,
    ):
        with contextlib.suppress(ValueError):
            read(text)  # type: ignore[operator]


@given(st.floats())
def test_any_number_can_be_written(value: float) -> None:
    for write in (quantity.bytes_text, quantity.seconds_text, quantity.number_text, quantity.ratio_text):
        assert write(value)
    assert quantity.value_text(value, "s", 1e-3)
