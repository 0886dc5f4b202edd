"""TPC-H with Polars: 22 queries as lazy frames.

The queries are in ``queries/lazy.py``; each answer is checked against the reference.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.tpch_nondask


@pytest.fixture
def answer(query, ask, lazy, polars, tables, measured, check):
    """Ask Polars, and check."""

    def scan(name):
        return polars.scan_parquet(tables.files(name), glob=tables.remote, storage_options=tables.options or None)

    def answer():
        with measured():
            found = ask(lazy, query, scan).collect()
        check(found)

    return answer


def test_query_01(answer):
    """Pricing summary report."""
    answer()


def test_query_02(answer):
    """Minimum cost supplier."""
    answer()


def test_query_03(answer):
    """Shipping priority."""
    answer()


def test_query_04(answer):
    """Order priority checking."""
    answer()


def test_query_05(answer):
    """Local supplier volume."""
    answer()


def test_query_06(answer):
    """Forecasting revenue change."""
    answer()


def test_query_07(answer):
    """Volume shipping."""
    answer()


def test_query_08(answer):
    """National market share."""
    answer()


def test_query_09(answer):
    """Product type profit measure."""
    answer()


def test_query_10(answer):
    """Returned item reporting."""
    answer()


def test_query_11(answer):
    """Important stock identification."""
    answer()


def test_query_12(answer):
    """Shipping modes and order priority."""
    answer()


def test_query_13(answer):
    """Customer distribution."""
    answer()


def test_query_14(answer):
    """Promotion effect."""
    answer()


def test_query_15(answer):
    """Top supplier."""
    answer()


def test_query_16(answer):
    """Parts and supplier relationship."""
    answer()


def test_query_17(answer):
    """Small-quantity-order revenue."""
    answer()


def test_query_18(answer):
    """Large volume customer."""
    answer()


def test_query_19(answer):
    """Discounted revenue."""
    answer()


def test_query_20(answer):
    """Potential part promotion."""
    answer()


def test_query_21(answer):
    """Suppliers who kept orders waiting."""
    answer()


def test_query_22(answer):
    """Global sales opportunity."""
    answer()
