"""Values as text: the same digits from Python and from the browser's script."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import coiled_runtime_cli.report
from coiled_runtime_cli.core.quantity import number_text, ratio_text
from coiled_runtime_cli.report.text import value_text
from coiled_runtime_cli.report.views import MetricView

CRT = Path(coiled_runtime_cli.report.__file__).parent / "static" / "crt.js"


def metric(unit: str, scale: float = 1.0) -> MetricView:
    return MetricView(key="key", label="Key", unit=unit, scale=scale, better="lower")


@pytest.mark.parametrize(
    ("value", "unit", "scale", "text"),
    [
        (1.239, "s", 1.0, "1.24 s"),
        (0.0123, "s", 1.0, "12.3 ms"),
        (0.0123, "ms", 1e-3, "12.3 ms"),
        (259.0, "ms", 1.0, "259 ms"),  # recorded in milliseconds, not in seconds
        (7265.0, "s", 1.0, "2h 01m"),
        (3.41 * 2**30, "GiB", 2.0**30, "3.41 GiB"),
        (512.0, "MiB", 1.0, "512 MiB"),  # recorded in MiB
        (0.275, "%", 0.01, "27.5 %"),
        (12_345.6, "rows/s", 1.0, "12,346 rows/s"),
        (0.0, "", 1.0, "0"),
        (2.5e12, "", 1.0, "2.50e+12"),
    ],
)
def test_a_value_is_shown_with_three_digits_and_its_unit(value: float, unit: str, scale: float, text: str) -> None:
    assert value_text(value, metric(unit, scale)) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.12, "+12 %"),
        (0.917, "-8.3 %"),
        (1.004, "+0.4 %"),
        (1.0, "0.0 %"),
        (1.0001, "0.0 %"),
        (3.21, "x3.2"),
        (0.3125, "/3.2"),
        (12.4, "x12.4"),
        (0.0, "?"),
        (float("nan"), "?"),
    ],
)
def test_a_ratio_is_shown_as_a_change(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


def test_a_number_has_no_exponent_where_a_person_would_write_none() -> None:
    assert [number_text(each) for each in (0.00123, 0.000123, 999.6, 1e6)] == [
        "0.00123",
        "1.23e-04",
        "1,000",
        "1,000,000",
    ]


def test_the_browser_says_the_same() -> None:
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    seeded = random.Random(0)
    values = [0.0, 1.125, 12.25, 2.5, 1000.5, 1152.0, 1.125 * 2**30, 999.5, 59.5, 3599.5, -3.2, 9.995, 99.95, 1023.5]
    values += [10 ** seeded.uniform(-9, 12) for _ in range(300)]
    values += [seeded.randrange(1, 4096) / 8 * 2**20 for _ in range(100)]
    ratios = [1.0, 1.0004, 1.125, 3.25, 0.5, 9.95, *(10 ** seeded.uniform(-3, 3) for _ in range(300))]
    units = [("s", 1.0), ("ms", 1e-3), ("ms", 1.0), ("GiB", 2.0**30), ("MiB", 1.0), ("%", 0.01), ("rows/s", 1.0)]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page()
        page.add_script_tag(path=str(CRT))
        for unit, scale in units:
            shown = page.evaluate(
                "([values, metric]) => values.map((value) => crt.format(value, metric))",
                [values, {"unit": unit, "scale": scale}],
            )
            assert shown == [value_text(each, metric(unit, scale)) for each in values]
        assert page.evaluate("(ratios) => ratios.map(crt.ratio)", ratios) == [ratio_text(each) for each in ratios]
        browser.close()
