"""Archives like those of arXiv: a tar file a month with a document a paper, of which a known number mention matplotlib.

Layout: https://info.arxiv.org/help/bulk_data_s3.html. The real documents are compressed, so that a search finds the name where
a figure's own header tells it; here the rest of a document is noise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

#: What papers are searched for, in any case.
WORD = b"matplotlib"
_CREATOR = b"\n/Creator (Matplotlib v3.5.1, https://matplotlib.org)\n"
_DECOY = b"\n/Creator (MATLAB, The MathWorks; plotlib)\n"  # of papers that are not to be found
_FIRST, _LAST = 1991, 2022
_RELEASED = 2003
_BLOCK = 512  # bytes: what every part of a tar archive is padded to


def _parameters(scale: Scale) -> Parameters:
    return {
        "archives": scale.count(smoke=24, laptop=240, full=3_000),
        "papers": {"smoke": 20, "full": 200}.get(scale.name, 25),
        "paper_bytes": {"smoke": 10_000, "full": 1_500_000}.get(scale.name, 60_000),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    """Archives spread over the months from 1991 to 2022; where there are more than months, a month has several."""
    archives, papers, size = numbers(parameters, "archives", "papers", "paper_bytes")
    months = (_LAST - _FIRST + 1) * 12
    planned = []
    parts: dict[int, int] = {}
    for index in range(archives):
        month = index * months // archives
        parts[month] = parts.get(month, 0) + 1
        year = _FIRST + month // 12
        name = f"pdf/arXiv_pdf_{year % 100:02d}{month % 12 + 1:02d}_{parts[month]:03d}.tar"
        planned.append(PlannedFile(index, name, papers, papers * (size + _BLOCK)))
    return tuple(planned)


def month_of(path: str) -> tuple[int, int]:
    """Year and month of an archive, by its name. Raises ValueError for a name that says neither."""
    found = re.search(r"arXiv_pdf_(\d\d)(\d\d)_\d+\.tar$", path)
    if found is None:
        raise ValueError(f"no archive of arXiv: {path}")
    year, month = int(found[1]), int(found[2])
    return (1900 if year >= _FIRST % 100 else 2000) + year, month


def mentions(path: str, papers: int) -> int:
    """How many of an archive's papers mention matplotlib: none before its release, a fifth in 2022."""
    year, month = month_of(path)
    age = max(0, (year - _RELEASED) * 12 + month)
    return papers * age // (5 * 12 * (_LAST - _RELEASED + 1))


def _papers(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[tuple[bytes, int]]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    year, month = month_of(file.path)
    prefix = f"{year % 100:02d}{month:02d}"
    telling = set(random.permutation(file.rows)[: mentions(file.path, file.rows)].tolist())
    sizes = random.gamma(4.0, int(parameters["paper_bytes"]) / 4, file.rows).astype("int64") + 2_000
    for number in range(file.rows):
        note = _CREATOR if number in telling else _DECOY
        yield _member(f"{prefix}/{prefix}.{number + 1:05d}.pdf", _document(random, int(sizes[number]), note)), 1
    yield b"\0" * (2 * _BLOCK), 0


def _document(random: Any, size: int, note: bytes) -> bytes:
    """Noise with ``note`` somewhere in it, after a header and before a trailer."""
    noise = random.bytes(size)
    position = int(random.integers(0, size))
    return b"".join([b"%PDF-1.5\n", noise[:position], note, noise[position:], b"\n%%EOF\n"])


def _member(name: str, content: bytes) -> bytes:
    """A file as it stands in a tar archive: header, content, padding."""
    import tarfile

    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % _BLOCK)


ARXIV = Recipe(
    name="arxiv",
    summary="arXiv-like tar archives of papers, some of which mention matplotlib",
    version=1,
    seed=19910814,
    parameters=_parameters,
    plan=_plan,
    row_groups=_papers,
    format="bytes",
    requires={"numpy": "numpy"},
    remote=Remote("s3://arxiv/pdf", ("s3://arxiv/pdf/*.tar",), {"requester_pays": True}),
)
