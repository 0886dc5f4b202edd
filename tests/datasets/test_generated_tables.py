import tarfile
from pathlib import Path

import pandas as pd
import pytest

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import arxiv, citibike

SMOKE = Scale.parse("smoke")


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return datasets.prepare("arxiv", scale=SMOKE, cache=tmp_path_factory.mktemp("papers"))


def test_archives_hold_as_many_papers_that_mention_matplotlib_as_were_planted(papers):
    total = 0
    for path in papers.files:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            hits = sum(arxiv.WORD in archive.extractfile(each).read().lower() for each in members)
        year, month = arxiv.month_of(path)
        assert len(members) == papers.rows // len(papers.files)
        assert all(each.name.startswith(f"{year % 100:02d}{month:02d}/") for each in members)
        assert hits == arxiv.mentions(path, len(members))
        assert hits == 0 or year >= 2003
        total += hits
    assert total > 10


def test_an_archive_can_be_made_again_alone(papers):
    plan = arxiv.ARXIV.plan(arxiv.ARXIV.parameters(SMOKE))
    again = b"".join(
        content for content, _ in arxiv.ARXIV.row_groups(arxiv.ARXIV.parameters(SMOKE), plan[7], arxiv.ARXIV.seed)
    )
    assert again == (Path(papers.location) / plan[7].path).read_bytes()


def test_months_of_archives_are_in_order_and_their_mentions_never_fewer():
    plan = arxiv.ARXIV.plan(arxiv.ARXIV.parameters(Scale.parse("full")))
    months = [arxiv.month_of(each.path) for each in plan]
    assert months == sorted(months)
    assert (months[0], months[-1]) == ((1991, 1), (2022, 12))
    assert len({each.path for each in plan}) == len(plan)
    counts = [arxiv.mentions(each.path, 200) for each in plan]
    assert counts == sorted(counts)
    assert counts[-1] == 40
    with pytest.raises(ValueError, match="no archive of arXiv"):
        arxiv.month_of("readme.txt")


def test_rides_are_seasonal_and_some_of_them_broken(tmp_path):
    data = datasets.prepare("citibike", scale=SMOKE, cache=tmp_path)
    parts = [pd.read_csv(each, parse_dates=["started_at", "ended_at"]) for each in data.files]
    assert len(parts[3]) > 1.5 * len(parts[0])
    rides = pd.concat(parts)
    assert rides["ride_id"].is_unique
    assert rides["ride_id"].is_monotonic_increasing
    assert 0 < rides["end_station_id"].isna().mean() < 0.02
    assert 0 < (rides["ended_at"] < rides["started_at"]).mean() < 0.02
    assert set(rides["start_station_name"]) <= set(citibike.STATIONS)
    durations = (rides["ended_at"] - rides["started_at"]).groupby(rides["member_casual"]).median()
    assert durations["casual"] > 1.4 * durations["member"]
