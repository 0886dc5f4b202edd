"""The runs of a history by series: which of them may be compared with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coiled_runtime_cli.core.series import SeriesKey, series_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History


def series_of(history: History, *, labels: bool = True) -> tuple[list[SeriesKey], NDArray[np.int64]]:
    """The series of a history, by first appearance in the order of the benchmarks, and for each run the number of its own.

    ``labels`` of False makes one series of what differs in its label alone.
    """
    runs = history.runs
    if not len(runs):
        return [], np.zeros(0, np.int64)
    sessions, session_of = codes(
        (each.label if labels else None, each.scale, each.host_fingerprint) for each in history.sessions
    )
    # index -1 of a run takes the last entry, which stands for none
    clusters, cluster_of = codes([*((each.spec_id, each.kind) for each in history.clusters), (None, None)])
    pythons, python_of = codes([*(each.python for each in history.environments), None])
    benchmarks, benchmark_of = codes((each.id, each.epoch) for each in history.benchmarks)
    mixed = benchmark_of[runs.benchmark]
    for things, of, column in (
        (sessions, session_of, runs.session),
        (clusters, cluster_of, runs.cluster),
        (pythons, python_of, runs.environment),
    ):
        mixed = mixed * len(things) + of[column]
    distinct, place = np.unique(mixed, return_inverse=True)
    keys: dict[SeriesKey, int] = {}
    number = np.zeros(len(distinct), np.int64)
    for index, code in enumerate(distinct.tolist()):
        rest, python = divmod(code, len(pythons))
        rest, cluster = divmod(rest, len(clusters))
        benchmark, session = divmod(rest, len(sessions))
        label, scale, host = sessions[session]
        spec, kind = clusters[cluster]
        key = series_key(
            benchmark=benchmarks[benchmark][0],
            epoch=benchmarks[benchmark][1],
            label=label,
            scale=scale,
            cluster=spec,
            cluster_kind=kind,
            python=pythons[python],
            host=host,
        )
        # several kinds of one thing may be one series: two patch releases of Python, two hosts behind one cluster
        number[index] = keys.setdefault(key, len(keys))
    return list(keys), number[place.reshape(-1)]


def rows_by_series(of: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Those of the ``rows`` (ascending) that each series has, in their order; ``of`` is by run."""
    if not len(rows):
        return {}
    codes = of[rows]
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    return {int(of[part[0]]): part for part in np.split(rows[order], edges)}


def codes(things: Iterable[Hashable]) -> tuple[list[Any], NDArray[np.int64]]:
    """The distinct things in the order met, and for each thing its index among them."""
    known: dict[Hashable, int] = {}
    of = np.array([known.setdefault(each, len(known)) for each in things], np.int64)
    return list(known), of
