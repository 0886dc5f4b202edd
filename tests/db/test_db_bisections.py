from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from coiled_runtime_cli.core.bisection import Bisection, Candidate, Effect, Probe, from_document, to_document
from coiled_runtime_cli.db.bisections import bisections, store
from coiled_runtime_cli.db.engine import open_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

WHOLE = Bisection(
    id="b1",
    started=1.8e9 + 0.25,
    ended=1.8e9 + 90,
    status="found",
    repository="dask",
    command=("python", "x.py"),
    candidates=(Candidate(name="a" * 40, subject="ü <b>", probability=0.01), Candidate(name="b" * 40)),
    probes=(Probe(candidate=1, outcome="measured", value=1.5, at=1.8e9), Probe(candidate=0, outcome="unbuildable")),
    culprit=1,
    confidence=0.99,
    effect=Effect(ratio=1.5, low=1.4, high=1.6),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, database: str) -> Engine:
    if request.param == "sqlite":
        return open_database(database)
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return open_database(make())


def test_a_bisection_is_read_back_as_it_was_and_the_oldest_first(either: Engine) -> None:
    later = dataclasses.replace(WHOLE, id="a0", started=1.9e9, ended=None, status="running", culprit=None, effect=None)
    store(either, later)
    store(either, WHOLE)
    assert bisections(either) == [WHOLE, later]
    ended = dataclasses.replace(later, status="no-change", ended=1.9e9 + 5)
    store(either, ended)
    assert bisections(either) == [WHOLE, ended]
    either.dispose()


@pytest.mark.parametrize(
    "document", [{}, {"id": 1, "started": 2, "probes": [3]}, {"id": "x", "started": 1, "effect": 5}, []]
)
def test_what_is_no_bisection_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a bisection"):
        from_document(document)


def test_fields_of_a_later_crt_are_passed_over() -> None:
    document = to_document(WHOLE)
    document["new"] = 1
    document["probes"][0]["new"] = 2
    assert from_document(document) == WHOLE


def test_one_that_cannot_be_read_does_not_hide_the_others(database: str) -> None:
    engine = open_database(database)
    store(engine, WHOLE)
    store(engine, dataclasses.replace(WHOLE, id="b2"))
    with engine.begin() as connection:
        connection.execute(text("update bisection set document = '{\"of\": \"later\"}' where id = 'b2'"))
    assert bisections(engine) == [WHOLE]
    engine.dispose()
