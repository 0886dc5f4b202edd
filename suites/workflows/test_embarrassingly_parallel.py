"""Many tasks that know nothing of each other: archives of papers, searched for the name of a library."""

from __future__ import annotations

import pytest

from coiled_runtime_cli.datasets import arxiv

pytestmark = [pytest.mark.cluster("embarrassingly_parallel"), pytest.mark.workflows]


@pytest.fixture(scope="module")
def archives(dataset):
    """URLs or paths of the archives, storage options, and how many papers each has (None at full scale)."""
    pytest.importorskip("pandas", reason='needs pandas: pip install "dask[dataframe]"')
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install fsspec")
    data = dataset("arxiv")
    if not data.remote:
        return list(data.files), {}, data.rows // len(data.files)
    system, _ = fsspec.core.url_to_fs(data.location, **data.storage_options)
    (pattern,) = data.files
    return [system.unstrip_protocol(each) for each in sorted(system.glob(pattern))], data.storage_options, None


def test_embarrassingly_parallel(archives, small_client):
    """Search each paper of each monthly archive for "matplotlib", in any case, and count by month."""
    import pandas as pd

    urls, options, papers = archives

    def search(url, options, word):
        """Name of each paper in the archive, and whether the word is in it."""
        import tarfile

        import fsspec

        with fsspec.open(url, "rb", **options) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            papers = (member for member in archive if member.isfile() and member.name.endswith(".pdf"))
            return [(member.name, word in archive.extractfile(member).read().lower()) for member in papers]

    futures = small_client.map(search, urls, options=options, word=arxiv.WORD, pure=False)
    found = small_client.gather(futures)

    table = pd.DataFrame(
        [(*arxiv.month_of(url), name, hit) for url, each in zip(urls, found, strict=True) for name, hit in each],
        columns=["year", "month", "paper", "hit"],
    )
    if papers is not None:
        assert table["paper"].is_unique
        expected = {arxiv.month_of(url): arxiv.mentions(url, papers) for url in urls}
        assert len(table) == papers * len(urls)
        assert table.groupby(["year", "month"])["hit"].sum().to_dict() == expected
    else:  # matplotlib was released in 2003; since then it has spread
        share = table.groupby("year")["hit"].mean()
        assert share[share.index < 2003].max() < 0.001
        assert 0 < share[2010] < share[2015] < share[2020] < 0.5
