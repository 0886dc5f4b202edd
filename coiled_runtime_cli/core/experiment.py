"""An A/B experiment: its arms, in which order they run, when it may stop, and at which level of confidence.

Arms run in blocks: each block is every arm once, in a random order of its own, so that what drifts (the machine's
temperature, a neighbour's load) falls on all arms alike. The baseline runs twice in each block: its second self is the null
arm, in which every verdict is false.

An experiment is looked at a few times on its way, and stops when every test is decided. Looking often finds more by chance:
the error rate is shared out, half of it to the last look and half to those before, so that all looks together err no more
often than was stated (Bonferroni's inequality; it needs no assumption about how looks depend on each other).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.quantity import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASELINE, NULL = "baseline", "null"

#: Fewest blocks before an experiment is looked at, and how much longer it goes on after each look.
_FIRST_LOOK, _LONGER = 5, 1.5

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

_ARM_KEYS = ("packages", "python", "interpreter", "config", "cluster")
_KEYS = (
    "blocks",
    "suites",
    "targets",
    "keyword",
    "markers",
    "scale",
    "cluster",
    "packages",
    "metrics",
    "max_time",
    "parallel",
    "seed",
    "datasets",
)
_ANCESTRAL = ("repeat", "test_null_hypothesis", "targets", "markers", "h2o_datasets", "max_parallel")


class ExperimentError(ValueError):
    """The experiment cannot be run as it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One environment and what is set in it.

    ``conda`` is the path of a conda environment file, ``interpreter`` that of an environment that is there: then there are no
    packages.
    """

    name: str
    packages: tuple[str, ...] = ()  # requirements, as pip takes them
    python: str | None = None  # 3.12, or the path of an interpreter to make it with; None: as crt's own
    interpreter: str | None = None
    conda: str | None = None
    config: dict[str, Any] = field(default_factory=dict)  # dask configuration, nested
    cluster: dict[str, Any] = field(default_factory=dict)  # keywords of the cluster that differ
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)  # the same by shape, for Coiled

    @property
    def label(self) -> str:
        return f"AB_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    arms: tuple[Arm, ...]  # the baseline first, without the null arm
    blocks: int = 10  # at most
    suites: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()  # files and node ids
    keyword: str | None = None
    markers: str | None = None
    scale: str | None = None
    cluster: str | None = None
    packages: tuple[str, ...] = ()  # in every arm
    metrics: tuple[str, ...] = ("duration",)
    max_time: float | None = None  # s
    parallel: int = 1  # arms that run at once, each on a cluster of its own
    seed: int | None = None
    datasets: tuple[str, ...] = ()  # of H2O, as the predecessor's suites choose them
    early: bool = True  # stop when every test is decided
    against_itself: bool = True  # the null arm runs beside the others
    places: tuple[
        int, ...
    ] = ()  # after how many blocks it is looked at, where that is fixed; the last one is ``blocks``

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many blocks it is looked at."""
        if self.places:
            return self.places
        return looks(self.blocks) if self.early else (self.blocks,)

    @property
    def null(self) -> Arm:
        """The baseline under the name of the null arm."""
        return replace(self.arms[0], name=NULL)

    @property
    def every(self) -> tuple[Arm, ...]:
        """All arms, the null arm second."""
        return (self.arms[0], *((self.null,) if self.against_itself else ()), *self.arms[1:])


def essence(experiment: Experiment) -> Experiment:
    """What makes it this experiment: without how long it goes on, how many arms run at once, and what is looked at."""
    return replace(experiment, blocks=1, max_time=None, parallel=1, metrics=(), seed=None, early=True)


def make(arms: Sequence[Arm], table: Mapping[str, Any]) -> Experiment:
    """An experiment of arms and the table of ``experiment.toml``. Raises ExperimentError for what cannot be run."""
    _check_keys("experiment", table, _KEYS)
    ordered = _ordered(arms)
    blocks = _whole(table, "blocks", 10)
    max_time = table.get("max_time")
    try:
        limit = None if max_time is None else parse_seconds(str(max_time))
    except ValueError as error:
        raise ExperimentError(f"max_time: expected a time as 2h, not {max_time!r}") from error
    seed = table.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ExperimentError(f"seed: expected a whole number, not {seed!r}")
    return Experiment(
        arms=ordered,
        blocks=blocks,
        suites=_texts(table, "suites"),
        targets=_texts(table, "targets"),
        keyword=_text(table, "keyword"),
        markers=_text(table, "markers"),
        scale=_text(table, "scale"),
        cluster=_text(table, "cluster"),
        packages=_texts(table, "packages"),
        metrics=_texts(table, "metrics") or ("duration",),
        max_time=limit,
        parallel=_whole(table, "parallel", 1),
        seed=seed,
        datasets=_texts(table, "datasets"),
    )


def from_ancestor(arms: Sequence[Arm], table: Mapping[str, Any]) -> tuple[Experiment, list[str]]:
    """An experiment of the predecessor's triplets and its ``config.yaml``, and what is to be said of it."""
    _check_keys("config.yaml", table, _ANCESTRAL)
    said = []
    repeat = table.get("repeat", 5)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0:
        raise ExperimentError(f"config.yaml: repeat: expected a whole number, not {repeat!r}")
    if repeat == 0:
        raise ExperimentError("config.yaml: repeat is 0, which turns the experiment off: 5 or more see something")
    if table.get("test_null_hypothesis") is False:
        said.append(
            "config.yaml turns the null hypothesis off; it is tested all the same: it says what the rest is worth"
        )
    limits = table.get("max_parallel") or {}
    if not isinstance(limits, dict):
        raise ExperimentError(f"config.yaml: max_parallel: expected ci_jobs and pytest_workers_per_job, not {limits!r}")
    if limits.get("pytest_workers_per_job", 1) not in (None, 0, 1):
        said.append("pytest_workers_per_job is left out: tests that run beside each other disturb each other's timings")
    jobs = limits.get("ci_jobs") or 1
    experiment = make(
        arms,
        {
            "blocks": repeat,
            "targets": table.get("targets") or [],
            **({"markers": table["markers"]} if table.get("markers") else {}),
            "datasets": table.get("h2o_datasets") or [],
            "parallel": jobs if isinstance(jobs, int) else 1,
        },
    )
    return experiment, said


def arm(name: str, table: Mapping[str, Any]) -> Arm:
    """An arm as its file has it. Raises ExperimentError."""
    _check_keys(name, table, _ARM_KEYS)
    config, cluster = table.get("config", {}), table.get("cluster", {})
    for key, value in (("config", config), ("cluster", cluster)):
        if not isinstance(value, dict):
            raise ExperimentError(f"{name}: {key}: expected a table, not {value!r}")
    packages, interpreter = _texts(table, "packages", name), _text(table, "interpreter", name)
    if interpreter is not None and (packages or "python" in table):
        raise ExperimentError(f"{name}: an interpreter is taken as it is: no packages and no python beside it")
    return Arm(
        name=name,
        packages=packages,
        python=_text(table, "python", name),
        interpreter=interpreter,
        config=nested(config),
        cluster=cluster,
    )


def nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """A dask configuration with dotted keys opened: {"a.b": 1} is {"a": {"b": 1}}. Raises ExperimentError on a clash."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        place = found
        *path, last = str(key).split(".")
        for each in path:
            place = place.setdefault(each, {})
            if not isinstance(place, dict):
                raise ExperimentError(f"config: {key} is below {each}, which has a value of its own")
        inner = nested(value) if isinstance(value, dict) else value
        there = place.get(last)
        if isinstance(there, dict) and isinstance(inner, dict):
            place[last] = _merged(there, inner)
        elif last in place:
            raise ExperimentError(f"config: {key} is set twice")
        else:
            place[last] = inner
    return found


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = dict(first)
    for key, value in second.items():
        there = both.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            both[key] = _merged(there, value)
        elif key in both:
            raise ExperimentError(f"config: {key} is set twice")
        else:
            both[key] = value
    return both


def _ordered(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    names = [each.name for each in arms]
    for name in names:
        if not _NAME.fullmatch(name) or name == NULL:
            raise ExperimentError(f"{name!r} cannot name an arm: letters, digits, '.', '_' and '-', and not {NULL!r}")
    if len(set(names)) < len(names):
        raise ExperimentError(f"two arms are named {next(each for each in names if names.count(each) > 1)!r}")
    if BASELINE not in names:
        raise ExperimentError(f"no arm is named {BASELINE!r} ({', '.join(names) or 'there is none at all'})")
    if len(names) < 2:
        raise ExperimentError("one arm only: there is nothing to compare the baseline with")
    first = names.index(BASELINE)
    return arms[first], *(each for place, each in enumerate(arms) if place != first)


def _check_keys(place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise ExperimentError(f"{place}: {unknown('key', str(key), known)}")


def _texts(table: Mapping[str, Any], key: str, place: str = "experiment") -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ExperimentError(f"{place}: {key}: expected a list of texts, not {value!r}")
    return tuple(each.strip() for each in value)


def _text(table: Mapping[str, Any], key: str, place: str = "experiment") -> str | None:
    value = table.get(key)
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise ExperimentError(f"{place}: {key}: expected a text in quotes, not {value!r}")


def _whole(table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ExperimentError(f"{key}: expected a whole number from 1, not {value!r}")
    return value


def order(names: Sequence[str], block: int, seed: int) -> list[str]:
    """The arms in the order in which a block runs them. The same seed gives the same order, also after a crash."""
    shuffled = list(names)
    random.Random(f"{seed}/{block}").shuffle(shuffled)
    return shuffled


def looks(blocks: int) -> tuple[int, ...]:
    """After how many blocks the experiment is looked at; the last one is its end."""
    found = []
    place = float(_FIRST_LOOK)
    while place * 1.2 < blocks:
        found.append(round(place))
        place *= _LONGER
    return (*found, blocks)


def rate_at(look: int, count: int, rate: float) -> float:
    """The error rate that one of ``count`` looks (from 0) may spend of ``rate``."""
    if count == 1:
        return rate
    return rate / 2 if look == count - 1 else rate / 2 / (count - 1)
