"""A number for each run that changes with anything that is known of it: what did not change need not be drawn again.

Numbers of 64 bits, mixed by multiplications and shifts as in FNV-1a and its kin: quick over a million runs, and made to notice
changes, not to withstand an adversary.
"""

from __future__ import annotations

import dataclasses
import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from coiled_runtime_cli.core.history import History

    Numbers = NDArray[np.uint64]

_START, _FACTOR, _SHIFT = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15), np.uint64(29)

#: Runs that are done together: their numbers stay in the processor's cache.
_TOGETHER = 16_384

#: The columns that make a run what it is, beside its UUID and its values.
_COLUMNS = ("outcome", "setup", "call", "teardown", "repeat", "profiled", "start", "end")


def run_numbers(history: History) -> Numbers:
    """A number per run, whatever file it came from and whatever else the history holds; a metric that it has not is no part."""
    runs = history.runs
    numbers = np.full(len(runs), _START)
    halves = np.ascontiguousarray(runs.uuid).view("<u8")
    columns = [halves[::2], halves[1::2], *(getattr(runs, name) for name in _COLUMNS)]
    # of a cluster's spec its id tells, which is its hash; where a source was read matters to no file
    columns += [
        _told(runs.session, history.sessions, attrgetter("id", "label", "started", "host_fingerprint")),
        _told(runs.environment, history.environments, lambda each: each),
        _told(runs.cluster, history.clusters, attrgetter(*_CLUSTER)),
        _told(runs.benchmark, history.benchmarks, lambda each: dataclasses.replace(each, source=None)),
    ]
    metrics = [(number(key), array) for key, array in runs.values.items()]
    for start in range(0, len(runs), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        mixed = numbers[part]
        for column in columns:
            np.bitwise_xor(mixed, _bits(column[part]), out=mixed)
            _mix(mixed)
        for key, array in metrics:
            of_metric = _bits(array[part]) ^ key
            _mix(of_metric)
            of_metric[~np.isfinite(array[part])] = 0
            np.bitwise_xor(mixed, of_metric, out=mixed)
    for row in noted_rows(history).tolist():
        numbers[row] ^= number(history.notes[runs.uuid[row].tobytes()])
    return numbers


_CLUSTER = ("id", "kind", "spec_id", "name", "cluster_id", "details_url", "software_name", "dask_config")


def number(value: Any) -> np.uint64:
    """The number of anything with a ``repr`` that tells it from all others."""
    digest = hashlib.blake2b(repr(value).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    found: np.uint64 = np.uint64(int.from_bytes(digest, "little"))
    return found


def noted_rows(history: History) -> NDArray[np.int64]:
    """Rows that have a note, in order. Compared by half of the UUID first, since few rows have one."""
    if not history.notes:
        return np.zeros(0, np.int64)
    uuid = np.ascontiguousarray(history.runs.uuid)
    half = uuid.view("<u8")[::2]
    wanted = np.frombuffer(b"".join(history.notes), "<u8")[::2]
    likely = np.flatnonzero(np.isin(half, wanted))
    return likely[[uuid[row].tobytes() in history.notes for row in likely.tolist()]]


def _told(indexes: NDArray[np.int32], things: Sequence[Any], facts: Callable[[Any], Any]) -> Numbers:
    """The numbers of the things that ``indexes`` point to; of -1, which points to nothing, it is 0."""
    numbers = np.array([*(number(facts(each)) for each in things), 0], np.uint64)
    return numbers[indexes]


def _bits(array: NDArray[Any]) -> Numbers:
    return np.ascontiguousarray(array).view(np.uint64) if array.dtype.itemsize == 8 else array.astype(np.uint64)


def _mix(numbers: Numbers) -> None:
    np.multiply(numbers, _FACTOR, out=numbers)
    np.bitwise_xor(numbers, numbers >> _SHIFT, out=numbers)
