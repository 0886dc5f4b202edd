"""TPC-H with PySpark: 22 queries in SQL, by Spark on this machine alone. Needs a Java runtime.

The queries are in ``queries/sql/``; each answer is checked against the reference.
"""

from __future__ import annotations

import shutil

import pytest

pytestmark = pytest.mark.tpch_nondask


@pytest.fixture(scope="module")
def spark(tables, tmp_path_factory):
    """A session of Spark that knows the tables, warmed up: what starting a Java machine costs is not what is measured."""
    session = pytest.importorskip("pyspark.sql", reason='needs PySpark: pip install "coiled-runtime-cli[spark]"')
    if shutil.which("java") is None:
        pytest.skip("needs a Java runtime, and there is no java on the path: apt-get install default-jre-headless")
    if tables.remote:
        pytest.skip("Spark on one machine reads local files: choose a smaller scale, --scale 10")
    import psutil

    folder = tmp_path_factory.mktemp("spark")
    memory = psutil.virtual_memory().total // 2**20  # MiB
    builder = session.SparkSession.builder.master("local[*]").appName("crt tpch")
    options = {
        # half of the machine, as far as a heap is addressed in short
        "spark.driver.memory": f"{min(memory // 2, 30 * 1024)}m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        # 200 are for a cluster
        "spark.sql.shuffle.partitions": str(2 * (psutil.cpu_count() or 1)),
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    opened = builder.getOrCreate()
    try:
        for name in tables.names:
            opened.read.parquet(*tables.files(name)).createOrReplaceTempView(name)
        opened.sql("SELECT count(*) FROM nation").collect()
        yield opened
    finally:
        opened.stop()


@pytest.fixture
def answer(query, sql, spark, measured, check):
    """Ask Spark, and check."""

    def answer():
        with measured():
            found = spark.sql(sql(query)).collect()
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
