"""A table in a database: rides as text transformed and loaded, and read back.

The database is a file of SQLite; or what the URL in ETL_DATABASE says, such as postgresql+psycopg://HOST/NAME; or Snowflake,
where SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, SNOWFLAKE_PASSWORD, SNOWFLAKE_DATABASE and SNOWFLAKE_WAREHOUSE are set.
"""

from __future__ import annotations

import os
import uuid

import pytest

pytestmark = [pytest.mark.cluster("snowflake"), pytest.mark.workflows]

TYPES = {
    **dict.fromkeys(("rideable_type", "start_station_name", "end_station_name", "member_casual"), "string"),
    **dict.fromkeys(("ride_id", "start_station_id"), "int64"),
    "end_station_id": "Int64",
    **dict.fromkeys(("start_lat", "start_lng", "end_lat", "end_lng"), "float64"),
}
MOMENTS = ["started_at", "ended_at"]
#: What Snowflake needs to know, by the parts of its URL.
SNOWFLAKE = ("ACCOUNT", "USER", "PASSWORD", "DATABASE", "WAREHOUSE")


def cleaner():
    """``clean(part)``: the rides that ended somewhere, after they began, and how long they took (seconds). Runs on workers."""

    def clean(part):
        seconds = (part["ended_at"] - part["started_at"]).dt.total_seconds()
        kept = part[part["end_station_id"].notna() & (seconds > 0)]
        columns = ["ride_id", "rideable_type", "start_station_name", "member_casual", "seconds"]
        return kept.assign(seconds=seconds)[columns]

    return clean


def loader():
    """``load(rows, url, table)``: append to the table, in one transaction. Runs on workers."""

    def load(rows, url, table):
        import sqlalchemy

        # who finds a file of SQLite locked waits for its turn
        options = {"connect_args": {"timeout": 300}} if url.startswith("sqlite") else {}
        engine = sqlalchemy.create_engine(url, **options)
        try:
            with engine.begin() as connection:
                rows.to_sql(table, connection, if_exists="append", index=False, chunksize=10_000)
        finally:
            engine.dispose()

    return load


@pytest.fixture(scope="module")
def rides(dd, dataset):
    """Paths of the text, and all rides that are clean, in pandas."""
    import pandas as pd

    data = dataset("citibike")
    read = [pd.read_csv(each, dtype=TYPES, parse_dates=MOMENTS) for each in data.files]
    return data.patterns, cleaner()(pd.concat(read, ignore_index=True))


def in_databases(former):
    """Run in each database; of the predecessor's rows those of Snowflake go on."""
    snowflake = pytest.param("snowflake", marks=pytest.mark.formerly(former))
    return pytest.mark.parametrize("database", ["sql", snowflake], indirect=True)


@pytest.fixture
def database(request, scratch_url):
    """URL of the database and the name of a table that is not there; dropped afterwards."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy: pip install sqlalchemy")
    if request.param == "snowflake":
        missing = [f"SNOWFLAKE_{each}" for each in SNOWFLAKE if not os.environ.get(f"SNOWFLAKE_{each}")]
        if missing:
            pytest.skip(f"needs an account of Snowflake: set {', '.join(missing)}")
        snowflake = pytest.importorskip(
            "snowflake.sqlalchemy", reason="needs its driver: pip install snowflake-sqlalchemy"
        )
        url = snowflake.URL(**{each.lower(): os.environ[f"SNOWFLAKE_{each}"] for each in SNOWFLAKE}, schema="PUBLIC")
    elif "ETL_DATABASE" in os.environ:
        url = os.environ["ETL_DATABASE"]
    elif "://" in scratch_url:
        pytest.skip("a file of SQLite is no database for a cluster of machines: set ETL_DATABASE to the URL of one")
    else:
        url = f"sqlite:///{scratch_url}/rides.db"
    table = f"rides_{uuid.uuid4().hex[:12]}"
    yield url, table
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()


@in_databases("test_etl_into_snowflake")
def test_etl_into_database(dd, rides, database, small_client, stop_measuring):
    """Read a file of text a month, drop rides without an end, compute durations, append each part to one table."""
    import pandas as pd
    import sqlalchemy

    paths, expected = rides
    url, table = database
    clean, load = cleaner(), loader()

    def loaded(part):
        rows = clean(part)
        load(rows, url, table)
        return pd.DataFrame({"rows": [len(rows)]})

    load(expected.head(0), url, table)  # makes the table: of parts that find none, all but one would fail
    frame = dd.read_csv(paths, dtype=TYPES, parse_dates=MOMENTS, blocksize=None)
    counts = frame.map_partitions(loaded, meta={"rows": "int64"}).compute()
    stop_measuring()

    assert counts["rows"].sum() == len(expected) > 0
    engine = sqlalchemy.create_engine(url)
    query = f"SELECT member_casual, COUNT(*), AVG(seconds) FROM {table} GROUP BY member_casual"
    with engine.connect() as connection:
        found = {who: (count, mean) for who, count, mean in connection.execute(sqlalchemy.text(query))}
    engine.dispose()
    groups = expected.groupby("member_casual")["seconds"]
    assert {who: count for who, (count, _) in found.items()} == groups.size().to_dict()
    assert {who: mean for who, (_, mean) in found.items()} == pytest.approx(groups.mean().to_dict())


@pytest.fixture
def filled(rides, database):
    """URL and name of a table that has all rides, before the clock runs."""
    _, expected = rides
    loader()(expected, *database)
    return database


@in_databases("test_read")
def test_read(dd, rides, filled, small_client):
    """Read the table back in parts, by ranges of its key, and compute the mean duration by kind of rider."""
    paths, expected = rides
    url, table = filled
    frame = dd.read_sql_table(table, url, "ride_id", columns=["member_casual", "seconds"], npartitions=len(paths))
    found = frame.groupby("member_casual")["seconds"].mean().compute()
    assert found.to_dict() == pytest.approx(expected.groupby("member_casual")["seconds"].mean().to_dict())
