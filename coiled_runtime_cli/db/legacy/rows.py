"""From a row of the predecessor to what crt stores of a run: values in, values out, and a count of what was mended."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from coiled_runtime_cli.core import record
from coiled_runtime_cli.core.versions import parse_version
from coiled_runtime_cli.db.legacy.source import COMMON, EMPTY, TPCH, text

#: The scale of a session that says nothing else: the predecessor had one size, which crt calls full.
FULL = "full"

#: Stands for the path of a row that has none.
NO_PATH = "unknown"

_NAMES = (*COMMON, *TPCH)
_PLACE = {name: place for place, name in enumerate(_NAMES)}
_MEASURES = slice(_PLACE["duration"], _PLACE["scheduler_max_tick"] + 1)
_ENVIRONMENT = slice(_PLACE["python_version"], _PLACE["dask_expr_version"] + 1)
_ENGINES = slice(_PLACE["duckdb_version"], _PLACE["polars_version"] + 1)
_CLUSTER = slice(_PLACE["cluster_name"], _PLACE["coiled_software_name"] + 1)
_ARTEFACTS = slice(_PLACE["performance_report_url"], _PLACE["py_spy_profiles_url"] + 1)
_OUTCOMES = slice(_PLACE["setup_outcome"], _PLACE["teardown_outcome"] + 1)
_NO_ARTEFACTS = (None,) * 4
_NUMBERS, _NOTHING = {float}, {type(None)}
#: The two bits of a UUID that say which layout it has, and what a digit of a hash leaves of the other two.
_VARIANT = {digit: "89ab"[number & 3] for number, digit in enumerate("0123456789abcdef")}
_START, _END = _PLACE["start"], _PLACE["end"]

#: The distributions of the columns in _ENVIRONMENT (after Python and platform), then of those in _ENGINES.
_PACKAGES = ("dask", "distributed", "dask-expr", "duckdb", "pyspark", "polars")

#: The forms of a time that every Python reads alike: else the same row would have another UUID under another Python.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.(?:\d{3}|\d{6}))?(?:[+-]\d\d:\d\d)?", re.ASCII)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  as the times that are reckoned from it
_MILLISECOND = timedelta(milliseconds=1)

assert COMMON[_MEASURES] == record.MEASURES

Row = tuple[Any, ...]

#: Name, number, page and software of a cluster.
Cluster = tuple[str | None, int | None, str | None, str | None]


@dataclass(slots=True)
class Mended:
    """How often something in a row was no value of its kind, and what it was counted as."""

    counts: Counter[str] = field(default_factory=Counter)

    def number(self, value: Any) -> float | None:
        """A measurement: finite, and not below 0."""
        if isinstance(value, (int, float)) and 0 <= value < math.inf:
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                number = float(value)
                if 0 <= number < math.inf:
                    return number
        self.counts["measurements that are no number, not finite or negative: left out"] += 1
        return None

    def moment(self, value: Any) -> str | None:
        """A time in UTC as SQLite keeps it, and as PostgreSQL reads it: ``YYYY-MM-DD HH:MM:SS.ffffff``."""
        if value is None or value in EMPTY:
            return None
        found = _moment(value)
        if found is None:
            self.counts["times that no calendar has: left out"] += 1
            return None
        return found.isoformat(" ", "microseconds")

    def cluster_id(self, value: Any) -> int | None:
        """Coiled's number; other clusters had an empty text there, or a name of their own."""
        if value is None or value in EMPTY:
            return None
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            return int(value)
        self.counts["cluster ids that are no numbers: left out"] += 1
        return None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run holds of its own. Times are ``YYYY-MM-DD HH:MM:SS.ffffff`` in UTC."""

    uuid: str
    outcome: str
    phases: tuple[str | None, ...]
    start: str | None
    end: str | None
    measures: tuple[float | None, ...]
    artefacts: tuple[str | None, ...]
    profiled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpch:
    """What a row of ``tpch_run`` tells beside measurements; ``scale`` is that of a session, ``kind`` and ``spec`` a cluster's."""

    engines: Row
    scale: str
    query: int | None
    kind: str | None
    spec: dict[str, Any]


def run_uuid(identity: tuple[str, ...], row: Row) -> tuple[str, str | None]:
    """The UUID that ``identity`` (table, session, path, name) and the start of the row decide, and that start.

    Of version 8 (RFC 9562): milliseconds of the start, so that runs sort by time, then a hash.
    """
    start = _moment(row[_START])
    milliseconds = 0 if start is None else max(0, (start - _EPOCH) // _MILLISECOND) & 0xFFFF_FFFF_FFFF
    told = None if start is None else start.isoformat(" ", "microseconds")
    digest = hashlib.sha256("\0".join((*identity, told or text(row[_START]) or "")).encode()).hexdigest()
    moment = f"{milliseconds:012x}"
    return f"{moment[:8]}-{moment[8:]}-8{digest[:3]}-{_VARIANT[digest[3]]}{digest[4:7]}-{digest[7:19]}", told


def measured(row: Row, uuid: str, start: str | None, mended: Mended) -> Measured:
    """``start`` is that of the row itself, where that has been read already."""
    phases, ended = _ended(row[_OUTCOMES])
    artefacts = row[_ARTEFACTS]
    if artefacts != _NO_ARTEFACTS:
        artefacts = tuple(map(text, artefacts))
    return Measured(
        uuid=uuid,
        outcome=ended,
        phases=phases,
        start=start or mended.moment(row[_START]),
        end=mended.moment(row[_END]),
        measures=_measures(row[_MEASURES], mended),
        artefacts=artefacts,
        profiled=artefacts[2] is not None or artefacts[3] is not None,
    )


def _measures(values: Row, mended: Mended) -> tuple[float | None, ...]:
    kinds = set(map(type, values))
    if kinds == _NOTHING or (kinds == _NUMBERS and min(values) >= 0 and max(values) < math.inf):
        return values
    return tuple(None if each is None else mended.number(each) for each in values)


@lru_cache(maxsize=1000)
def _ended(phases: Row) -> tuple[tuple[str | None, ...], str]:
    """The outcomes of setup, call and teardown, and that of the whole."""
    setup, call, teardown = map(text, phases)
    return (setup, call, teardown), outcome(setup, call, teardown)


def outcome(setup: str | None, call: str | None, teardown: str | None) -> str:
    """How a run ended, by what its phases say: one of ``record.OUTCOMES``."""
    if call == "failed":
        return "failed"
    if "failed" in (setup, teardown):
        return "error"
    # a setup that passed tells nothing of a call that nobody heard of
    ended = call if call is not None or setup == "passed" else setup
    return ended if ended in record.OUTCOMES else "error"


def environment_facts(row: Row) -> Row:
    """What tells environments apart: Python, platform, versions."""
    return row[_ENVIRONMENT]


def environment_row(facts: Row, engines: Row) -> dict[str, Any] | None:
    """The row of table ``environment`` but for its key; None where nothing is known."""
    python, platform, *versions = (text(each) for each in (*facts, *engines))
    if python is None and platform is None and not any(versions):
        return None
    packages = []
    for name, version in zip(_PACKAGES, versions, strict=False):
        told = parse_version(version)
        if told is not None:
            packages.append(record.Package(name=name, version=version, commit=told.commit, dirty=told.dirty))
    packages.sort(key=lambda each: each.name)
    content = record.Environment(python=python or "", platform=platform or "", packages=tuple(packages))
    return {
        "id": content.id,
        "python": python,
        "python_minor": None if python is None else ".".join(python.split(".")[:2]),
        "platform": platform,
        "dask_version": versions[0],
        "distributed_version": versions[1],
        "dask_expr_version": versions[2],
        "packages": [
            {
                name: value
                for name in ("name", "version", "commit", "dirty")
                if (value := getattr(each, name)) is not None
            }
            for each in packages
        ],
    }


def cluster(row: Row, mended: Mended) -> Cluster | None:
    """What a row tells of its cluster; None where that is nothing."""
    name, number, page, software = row[_CLUSTER]
    told = (text(name), mended.cluster_id(number), text(page), text(software))
    return None if told == (None, None, None, None) else told


def tpch(row: Row) -> Tpch:
    told = {name: row[_PLACE[name]] for name in TPCH}
    local = told["local"]
    spec = {name: told[name] for name in ("n_workers", "worker_vm_type", "cluster_disk_size")}
    parts = [_sized(told[name]) for name in ("scale", "compression", "partition_size")]
    return Tpch(
        engines=row[_ENGINES],
        # the size of the data: runs of different ones are not comparable
        scale="-".join([FULL if parts[0] is None else f"sf{parts[0]}", *(each for each in parts[1:] if each)]),
        query=told["query"] if isinstance(told["query"], int) else None,
        kind=None if local is None else "local" if local in {1, "1", "true", "True"} else "coiled",
        spec={name: _plain(value) for name, value in spec.items() if value is not None and value not in EMPTY},
    )


def measures_nothing(row: Row) -> bool:
    """Whether a row has neither times nor outcomes nor measurements, as those of ``tpch_run`` that only told of a cluster."""
    return all(each is None for each in (*row[_OUTCOMES], row[_START], row[_END], *row[_MEASURES]))


def filled(row: Row, other: Row) -> Row:
    """A row of ``test_run`` with what it lacks from one of ``tpch_run`` about the same run."""
    return tuple(other[place] if value is None or value in EMPTY else value for place, value in enumerate(row))


def _moment(value: Any) -> datetime | None:
    """A time in naive UTC, or with its own offset, as naive UTC."""
    if not isinstance(value, str):
        return None
    told = f"{value[:-1]}+00:00" if value.endswith("Z") else value
    if _TIME.fullmatch(told) is None:
        return None
    try:
        found = datetime.fromisoformat(told)
        return found if found.tzinfo is None else found.astimezone(timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _plain(value: Any) -> Any:
    """A value that JSON has."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float)) else text(value)


def _sized(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return text(value)
