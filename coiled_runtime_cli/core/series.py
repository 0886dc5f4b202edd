"""Which runs may be compared: the series key, and the names that a benchmark has had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: How labels begin of runs that were made to compare, and are no part of a history: arms of an A/B, probes of a bisection.
EXPERIMENTS = ("AB_", "bisect")

#: Those fields of a key that have to agree for two runs to be compared, where they are not what is compared.
CIRCUMSTANCES = ("scale", "cluster", "python", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """Runs are comparable when their keys, built by :func:`series_key`, are equal. ``benchmark`` is the current id."""

    benchmark: str
    epoch: int
    label: str | None
    scale: str | None
    cluster: str | None  # Cluster.key; None: the test asked for no cluster
    python: str | None  # "3.11"
    host: str | None  # Host.fingerprint where the work ran on this host, else None


@dataclass(frozen=True, slots=True)
class Alias:
    """``former`` is what ``current`` was called once, as declared in a session that started at ``declared`` (s)."""

    former: str
    current: str
    declared: float


def series_key(
    *,
    benchmark: str,
    epoch: int,
    label: str | None,
    scale: str | None,
    cluster: str | None,
    cluster_kind: str | None,
    python: str | None,
    host: str | None,
) -> SeriesKey:
    """``cluster_kind`` decides whether the host counts: it does on local clusters, and for tests without a cluster."""
    here = cluster is None or cluster_kind == "local"
    return SeriesKey(
        benchmark=benchmark,
        epoch=epoch,
        label=label,
        scale=scale,
        cluster=cluster,
        python=python_minor(python),
        host=host if here else None,
    )


def short_name(benchmark: str) -> str:
    """``test_sum[small]`` of ``benchmarks/test_array.py::test_sum[small]``; an id that names no file as it is."""
    return benchmark.partition("::")[2] or benchmark


def python_minor(version: str | None) -> str | None:
    """``3.11`` of ``3.11.7.final.0``."""
    return None if version is None else ".".join(version.split(".")[:2])


def current_ids(aliases: Iterable[Alias]) -> dict[str, str]:
    """Map each former id to the current one, through chains of renames.

    Where declarations contradict each other (a rename that was taken back, two heirs of one test), the newest holds.
    """
    heirs: dict[str, str] = {}

    def last(name: str) -> str:
        while name in heirs:
            name = heirs[name]
        return name

    for alias in sorted(aliases, key=lambda each: (-each.declared, each.former, each.current)):
        if alias.former not in heirs and last(alias.current) != alias.former:
            heirs[alias.former] = alias.current
    return {former: last(former) for former in heirs}
