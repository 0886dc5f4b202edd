"""Whatever a journal holds, and in whichever parts and order it is taken in, the rows are the same."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from one_session import BENCHMARK, CLUSTER, END, ENVIRONMENT, SESSION, content, one

from coiled_runtime_cli.core.record import OUTCOMES, Cluster, Line, Metric, Run, encode
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from sqlalchemy import Engine

_environments = st.sampled_from([ENVIRONMENT, replace(ENVIRONMENT, python="3.12.1.final.0", packages=())])
_benchmarks = st.sampled_from(
    [
        BENCHMARK,
        replace(BENCHMARK, source=None),
        replace(BENCHMARK, epoch=2, params={}),
        replace(BENCHMARK, name="test_b", originalname="test_b", formerly=(BENCHMARK.id,)),
    ]
)
_clusters = st.sampled_from(
    [CLUSTER, Cluster(kind="coiled", spec={}), replace(CLUSTER, name="parquet-2", dask_config={})]
)
_seconds = st.none() | st.floats(0, 1e4)


@st.composite
def _runs(draw: st.DrawFn, uuids: st.SearchStrategy[str]) -> Run:
    benchmark = draw(_benchmarks)
    cluster = draw(st.none() | _clusters)
    metrics = st.builds(Metric, name=st.sampled_from("ab"), value=st.floats(-10, 10), unit=st.sampled_from(["", "s"]))
    return Run(
        uuid=draw(uuids),
        session="s1",
        benchmark=benchmark.id,
        source_hash=benchmark.source_hash,
        epoch=benchmark.epoch,
        environment=draw(st.none() | _environments.map(lambda each: each.id)),
        cluster=cluster.key if cluster else None,
        cluster_name=cluster.name if cluster else None,
        outcome=draw(st.sampled_from(OUTCOMES)),
        start=draw(_seconds),
        end=draw(_seconds),
        duration=draw(_seconds),
        metrics=tuple(draw(st.lists(metrics, max_size=2))),
    )


_context = st.lists(_environments | _benchmarks | _clusters | st.just(SESSION) | st.just(END), max_size=6)
_any_uuid = st.integers(0, 4).map(lambda number: f"r{number}")


@st.composite
def _journals(draw: st.DrawFn) -> list[Line]:
    """Records of one session in any order, some told twice, some runs of the same uuid with other content."""
    lines: list[Line] = [*draw(_context), *draw(st.lists(_runs(_any_uuid), max_size=6))]
    return list(draw(st.permutations(lines)))


class _Databases:
    """New copies of an empty database."""

    def __init__(self, template: Path) -> None:
        self._template = template
        self._folder = tempfile.TemporaryDirectory()
        self._count = 0

    def new(self) -> Engine:
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.db"
        shutil.copyfile(self._template, path)
        return open_database(str(path))

    def close(self) -> None:
        self._folder.cleanup()


@settings(deadline=None, max_examples=60)
@given(lines=_journals(), at=st.integers(0, 12))
def test_any_journal_half_then_whole_then_again_gives_the_rows_of_the_whole(
    empty_database: Path, lines: list[Line], at: int
) -> None:
    with closing(_Databases(empty_database)) as databases:
        once, parts = databases.new(), databases.new()
        ingest(once, lines)
        ingest(parts, lines[:at])
        ingest(parts, lines)
        ingest(parts, lines[at:])
        assert content(parts) == content(once)
        runs = one(parts, "select (select count(*) from run) as runs, (select count(*) from test_run) as seen")
        assert runs.runs == runs.seen == len({line.uuid for line in lines if isinstance(line, Run)})


@settings(deadline=None, max_examples=40)
@given(lines=_journals(), data=st.data())
def test_any_order_of_records_that_do_not_contradict_each_other_gives_the_same_rows(
    empty_database: Path, lines: list[Line], data: st.DataObject
) -> None:
    distinct = {line.uuid if isinstance(line, Run) else encode(line): line for line in lines}
    told = list(distinct.values())
    with closing(_Databases(empty_database)) as databases:
        once, shuffled = databases.new(), databases.new()
        ingest(once, told)
        ingest(shuffled, data.draw(st.permutations(told)))
        assert content(shuffled) == content(once)
