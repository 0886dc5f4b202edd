"""Dirty text made a clean table: events as GDELT publishes them, filtered and written as Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

from coiled_runtime_cli.datasets import gdelt

pytestmark = [pytest.mark.cluster("from_csv_to_parquet"), pytest.mark.workflows]

#: Columns of the 58 that are numbers; those that have a "#" here and there are read as text first.
WHOLE = (
    "GLOBALEVENTID", "SQLDATE", "MonthYear", "Year", "IsRootEvent", "QuadClass", "NumMentions", "NumSources", "NumArticles",
    "DATEADDED",
)  # fmt: skip
FRACTIONS = ("FractionDate", "GoldsteinScale", "AvgTone")
SPOILT = tuple(f"{who}Geo_{way}" for who in ("Actor1", "Actor2", "Action") for way in ("Lat", "Long"))
#: Where a line's surplus field goes. If a block began with such a line, pandas would take its first field for an index.
SURPLUS = "surplus"
TYPES = {
    **dict.fromkeys([*gdelt.COLUMNS, SURPLUS], "string"),
    **dict.fromkeys(WHOLE, "Int64"),
    **dict.fromkeys(FRACTIONS, "float64"),
}
#: The pages of interest: here those whose number ends in 7, of the real ones those of two newspapers.
PAGES, NEWSPAPERS = r"example\.com/.*7$", "washingtonpost|nytimes"


@pytest.fixture(scope="module")
def events(dd, dataset, scale):
    """Paths, storage options, and the number of clean events of interest that are in them (None at full scale)."""
    data = dataset("gdelt")
    if data.remote:
        import fsspec

        system, _ = fsspec.core.url_to_fs(data.location, **data.storage_options)
        paths = [system.unstrip_protocol(each) for each in sorted(system.glob(data.files[0]))[:1_000]]
        return paths, data.storage_options, None
    step = 1 if scale.name == "smoke" else 3
    expected = 0
    for file in data.files[::step]:
        # what comes twice comes with the same number, and a line with a field too many is dropped
        with Path(file).open(encoding="utf-8") as lines:
            fields = (line.rstrip("\n").split("\t") for line in lines)
            expected += len({each[0] for each in fields if len(each) == len(gdelt.COLUMNS) and each[0].endswith("7")})
    return data.patterns[::step], data.storage_options, expected


def test_from_csv_to_parquet(dd, events, scratch_url, small_client, stop_measuring):
    """Read 58 columns of dirty text, drop bad lines, repair numbers, drop what comes twice, filter by a pattern, write."""
    import pandas as pd

    paths, options, expected = events
    spoilt, pages = list(SPOILT), PAGES if expected is not None else NEWSPAPERS

    def repaired(part):
        columns = {name: pd.to_numeric(part[name].str.replace("#", ""), errors="coerce") for name in spoilt}
        return part.assign(**{name: values.astype("float64") for name, values in columns.items()})

    names = [*gdelt.COLUMNS, SURPLUS]
    frame = dd.read_csv(paths, sep="\t", names=names, dtype=TYPES, on_bad_lines="skip", storage_options=options)
    frame = frame[frame[SURPLUS].isna()].drop(columns=[SURPLUS])
    frame = frame.map_partitions(repaired).drop_duplicates(subset=["GLOBALEVENTID"])
    frame = frame[frame["SOURCEURL"].str.contains(pages, regex=True)]
    target = f"{scratch_url}/events"
    frame.to_parquet(target)
    stop_measuring()

    written = dd.read_parquet(target, columns=["GLOBALEVENTID", "SOURCEURL", "Actor1Geo_Lat"]).compute()
    assert written["GLOBALEVENTID"].is_unique
    assert written["SOURCEURL"].str.contains(pages, regex=True).all()
    if expected is not None:
        assert len(written) == expected > 0
        assert written["Actor1Geo_Lat"].between(-60, 80).all()  # none was lost to a "#"
    else:
        assert len(written) > 0
