r"""Events like those of GDELT: 58 columns of tab-separated text without a header, and dirty as the real files are.

Columns: http://data.gdeltproject.org/documentation/GDELT-Data_Format_Codebook.pdf. What is wrong, and how often, is part of the
plan: lines with a field too many, a "#" before a number, rows that come twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

_ACTOR = (
    "Code", "Name", "CountryCode", "KnownGroupCode", "EthnicCode", "Religion1Code", "Religion2Code", "Type1Code",
    "Type2Code", "Type3Code",
)  # fmt: skip
_GEO = ("Type", "FullName", "CountryCode", "ADM1Code", "Lat", "Long", "FeatureID")
COLUMNS = (
    "GLOBALEVENTID", "SQLDATE", "MonthYear", "Year", "FractionDate",
    *(f"Actor1{each}" for each in _ACTOR), *(f"Actor2{each}" for each in _ACTOR),
    "IsRootEvent", "EventCode", "EventBaseCode", "EventRootCode", "QuadClass", "GoldsteinScale", "NumMentions",
    "NumSources", "NumArticles", "AvgTone",
    *(f"Actor1Geo_{each}" for each in _GEO), *(f"Actor2Geo_{each}" for each in _GEO),
    *(f"ActionGeo_{each}" for each in _GEO), "DATEADDED", "SOURCEURL",
)  # fmt: skip

#: One line in so many has a field too many, a "#" in its latitude, or comes again right after itself.
BAD_LINE, BAD_NUMBER, TWICE = 101, 53, 29
#: Where events happen, and what part of them; "" is nowhere.
COUNTRIES = {"US": 0.35, "UK": 0.12, "IN": 0.1, "CH": 0.09, "RS": 0.07, "IS": 0.06, "FR": 0.05, "": 0.16}
_BYTES_A_ROW = 330


def _parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=12_000, laptop=600_000, full=60_000_000),
        "files": scale.count(smoke=6, laptop=60, full=1_000),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    rows, files = int(parameters["rows"]), int(parameters["files"])
    ends = [rows * (index + 1) // files for index in range(files)]
    return tuple(
        PlannedFile(index, f"{20130401 + index}.export.tsv", end - start, (end - start) * _BYTES_A_ROW)
        for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    )


def _lines(_parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[tuple[bytes, int]]:
    """Text of the file, in parts of some thousand rows. ``rows`` counts what is told twice once, and bad lines too."""
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    countries = np.array(list(COUNTRIES))
    for start, rows in cut(file.rows, 5_000):
        country = random.choice(countries, rows, p=list(COUNTRIES.values()))
        day = random.integers(1, 29, rows)
        tone = (random.standard_normal(rows) * 4).round(6)
        scale = random.integers(-10, 11, rows)
        mentions = random.geometric(0.2, rows)
        latitude = (random.random(rows) * 140 - 60).round(4)
        longitude = (random.random(rows) * 360 - 180).round(4)
        codes = random.integers(1, 21, rows)
        parts = []
        for row in range(rows):
            number = start + row
            parts.append(
                _line(
                    identity=file.index * 10_000_000 + number,
                    number=number,
                    country=str(country[row]),
                    day=int(day[row]),
                    tone=float(tone[row]),
                    scale=int(scale[row]),
                    mentions=int(mentions[row]),
                    latitude=float(latitude[row]),
                    longitude=float(longitude[row]),
                    code=int(codes[row]),
                )
            )
        yield "".join(parts).encode(), rows


def _line(
    *,
    identity: int,
    number: int,
    country: str,
    day: int,
    tone: float,
    scale: int,
    mentions: int,
    latitude: float,
    longitude: float,
    code: int,
) -> str:
    date = f"201304{day:02d}"
    actor = [f"{country}GOV", "GOVERNMENT", country, "", "", "", "", "GOV", "", ""]
    north = f"#{latitude}" if number % BAD_NUMBER == BAD_NUMBER - 1 else str(latitude)
    place = ["4", f"Capital, {country}" if country else "", country, f"{country}01", north, str(longitude), str(code)]
    fields = [str(identity), date, "201304", "2013", f"2013.{day:04d}", *actor, *actor]
    fields += ["1", f"{code:02d}0", f"{code:02d}0", f"{code:02d}", str(code % 4 + 1), f"{scale}.0", str(mentions)]
    fields += ["1", str(mentions), str(tone), *place, *place, *place, date, f"http://example.com/news/{identity}"]
    if number % BAD_LINE == BAD_LINE - 1:
        fields.append("one field too many")
    line = "\t".join(fields) + "\n"
    return line * 2 if number % TWICE == TWICE - 1 else line


def expected(rows: int) -> int:
    """How many distinct, well-formed events a file of ``rows`` holds."""
    return rows - sum(1 for number in range(rows) if number % BAD_LINE == BAD_LINE - 1)


GDELT = Recipe(
    name="gdelt",
    summary="GDELT-like events: 58 columns of dirty tab-separated text",
    version=1,
    seed=20130401,
    parameters=_parameters,
    plan=_plan,
    row_groups=_lines,
    format="bytes",
    remote=Remote("s3://gdelt-open-data/events", ("s3://gdelt-open-data/events/*.export.csv",), {"anon": True}),
)
