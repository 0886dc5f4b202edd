"""Interleaved A/B runs: arms of a folder, environments for them, blocks in random order, and a record that survives a crash.

A cell is one arm in one block: every selected test once, in a session of its own, stored as soon as it ends. What was
measured before a crash stays; the cell that it cut short is measured again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import bench, config, environments, journal, measuring, session, suites
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core.record import Environment, Run, content_id
from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.core.experiment import Arm, Experiment

#: Where an experiment keeps its record, and the file of its settings.
RECORD, SETTINGS = ".crt-ab", "experiment.toml"

_TRIPLET = "AB_*.conda.yaml"


# --- reading a folder


def read(folder: Path) -> tuple[Experiment, list[str]]:
    """The experiment of a folder, and what is to be said of it.

    A folder has a file ``NAME.toml`` for each arm and, if it likes, ``experiment.toml``; or the predecessor's triplets
    ``AB_NAME.conda.yaml``, ``.dask.yaml``, ``.cluster.yaml`` and its ``config.yaml``. Raises UsageError.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", hint=f"crt ab init {folder} makes one with examples")
    files = sorted(each for each in folder.glob("*.toml") if each.name != SETTINGS)
    triplets = sorted(folder.glob(_TRIPLET))
    if files and triplets:
        raise UsageError(f"{folder} has both {files[0].name} and {triplets[0].name}", hint="keep one kind in a folder")
    try:
        if triplets:
            arms = [_triplet(each) for each in triplets]
            settings = folder / "config.yaml"
            return plans.from_ancestor(arms, _yaml(settings) if settings.is_file() else {})
        if not files:
            raise UsageError(f"{folder} has no arms", hint=f"crt ab init {folder} writes examples")
        table = config.read_toml(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
        return plans.make([plans.arm(each.stem, config.read_toml(each)) for each in files], table), []
    except plans.ExperimentError as error:
        raise UsageError(f"{folder}: {error}", hint="crt ab run --help says what a folder holds") from error
    except RecursionError as error:
        raise UsageError(f"{folder}: a configuration in it is nested without end") from error


def _triplet(conda: Path) -> Arm:
    name = conda.name.removeprefix("AB_").removesuffix(".conda.yaml")
    dask, cluster = (conda.with_name(f"AB_{name}.{kind}.yaml") for kind in ("dask", "cluster"))
    for each in (dask, cluster):
        if not each.is_file():
            raise UsageError(f"{conda.name} has no {each.name} beside it", hint="it may be empty")
    shapes = _yaml(cluster)
    plain = {key: value for key, value in shapes.items() if not isinstance(value, dict)}
    return plans.Arm(
        name=name,
        conda=str(conda),
        config=plans.nested(_yaml(dask)),
        cluster=plain,
        shapes={str(key): value for key, value in shapes.items() if isinstance(value, dict)},
    )


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, nesting beyond all measure
        raise UsageError(f"{file}: is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file}: expected keys and values, not {content!r}")
    return content


def examples() -> dict[str, str]:
    """Files of an example: today's Dask against its development version."""
    from importlib.metadata import version

    return {
        SETTINGS: """\
# What is run, and how long. Every key may be left out.
suites = ["parquet"]       # or targets = ["benchmarks/test_parquet.py::test_write_wide_data"], keyword, markers
scale = "laptop"           # smoke, laptop, full, or a multiple of laptop
blocks = 10                # at most; in each block every arm runs once, the baseline twice
max_time = "4h"            # begin no block that would end later
metrics = ["duration"]     # what is compared
packages = []              # in the environment of every arm, beside Dask, pandas, pyarrow and pytest
# cluster = "local"        # as --cluster of crt bench
# parallel = 1             # arms at once, each on a cluster of its own; on one machine they would disturb each other
""",
        "baseline.toml": f"""\
# The arm that the others are compared with. What it does not name is as in the environment of crt.
packages = ["dask=={version("dask")}"]
# python = "3.12"
# interpreter = "../env/bin/python"   # instead of both: an environment that is there, as it is
""",
        "newer.toml": """\
# Any requirement of pip: a version, a commit, a folder. What it does not name is as in the baseline.
packages = [
  "dask @ git+https://github.com/dask/dask@main",
  "distributed @ git+https://github.com/dask/distributed@main",
]

# [config]                 # of Dask, nested or dotted
# distributed.scheduler.work-stealing = false

# [cluster]                # keywords of the cluster that differ
# n_workers = 4
""",
    }


def files_of(arms: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> dict[str, str]:
    """The files of an experiment: the requirements of each arm, and the suites that are run."""

    def listed(texts: Sequence[str]) -> str:
        # what JSON has as a text is one in TOML too
        return "".join(f"  {json.dumps(each, ensure_ascii=False)},\n" for each in texts)

    settings = f"suites = [\n{listed(chosen)}]\n"
    return {SETTINGS: settings, **{f"{name}.toml": f"packages = [\n{listed(each)}]\n" for name, each in arms.items()}}


# --- the record


@dataclass(slots=True)
class Cell:
    """One arm in one block. ``session``: of the last attempt. ``done``: it ended, and its runs are stored."""

    arm: str
    block: int
    session: str
    done: bool = False


class Record:
    """What is known of an experiment that has begun, in a file that is replaced whole."""

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder / RECORD
        self.file = self.folder / "record.json"
        self.definition = content_id(json.loads(json.dumps(asdict(plans.essence(experiment)), default=str)))
        self.id = journal.new_id()
        self.seed = experiment.seed if experiment.seed is not None else int.from_bytes(os.urandom(4), "big")
        self.locks: dict[str, list[str]] = {}  # what each arm was resolved to
        self.pythons: dict[str, str] = {}  # the interpreter of each arm
        self.cells: list[Cell] = []
        self.spent = 0.0
        self.ended = False
        self._lock = threading.Lock()

    def resume(self) -> bool:
        """Take up what was begun and has not ended. Raises UsageError where the experiment is not the same any more."""
        try:
            known = json.loads(self.file.read_text())
            cells = [Cell(**each) for each in known["cells"]]
            ended, definition = known["ended"], known["definition"]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.file} cannot be read: {error}", hint="--restart begins anew") from error
        if ended:
            return False
        if definition != self.definition:
            raise UsageError(
                f"the experiment in {self.folder.parent} has changed since it began",
                hint="--restart begins anew; what was measured stays in the database",
            )
        self.id, self.seed, self.spent = known["id"], known["seed"], known["spent"]
        self.locks, self.pythons, self.cells = known["locks"], known["pythons"], cells
        return True

    def write(self) -> None:
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = self.file.with_suffix(".new")
            text = json.dumps(
                {
                    "schema": 1,
                    "id": self.id,
                    "definition": self.definition,
                    "seed": self.seed,
                    "locks": self.locks,
                    "pythons": self.pythons,
                    "spent": self.spent,
                    "ended": self.ended,
                    "cells": [asdict(each) for each in self.cells],
                },
                indent=1,
            )
            try:
                new.write_text(text)
                new.replace(self.file)
            except OSError as error:
                raise ToolError(f"cannot write {self.file}: {error.strerror or error}") from error

    def is_done(self, arm: str, block: int) -> bool:
        return any(each.arm == arm and each.block == block and each.done for each in self.cells)

    def sessions(self, arm: str) -> list[str]:
        """The sessions of an arm, whole or cut short: their runs count alike."""
        return [each.session for each in self.cells if each.arm == arm]

    def blocks(self, experiment: Experiment) -> int:
        """Blocks in which every arm is done."""
        names = [each.name for each in experiment.every]
        return next(
            (number for number in range(experiment.blocks) if not all(self.is_done(name, number) for name in names)),
            experiment.blocks,
        )


# --- environments


@dataclass(frozen=True, slots=True)
class Made:
    """An arm with its environment. ``versions``: what it was asked for, by name, as it is there."""

    arm: Arm
    python: Path
    python_version: str
    locked: tuple[str, ...]
    versions: dict[str, str]


def make_environments(
    experiment: Experiment, folder: Path, record: Record, cache: Path, *, tell: Callable[[int, str], None]
) -> dict[str, Made]:
    """Resolve, build and prove the environment of each arm; the null arm has the baseline's. Raises CrtErrors.

    ``tell`` is told the number and the name of each arm that is begun.
    """
    made: dict[str, Made] = {}
    prefer: Sequence[str] = environments.preferences()
    for number, arm in enumerate(experiment.arms):
        tell(number, arm.name)
        known = Path(record.pythons.get(arm.name, ""))
        built = arm.conda is None and arm.interpreter is None
        if built and arm.name not in record.locks:
            record.locks[arm.name] = list(lock_arm(experiment, arm, folder=folder, prefer=prefer))
        locked = tuple(record.locks.get(arm.name, ()))
        prefer = locked if arm.name == plans.BASELINE else prefer
        if arm.interpreter is not None:
            python = folder / expanded(arm.interpreter)
            if not python.is_file():
                raise UsageError(f"{arm.name}: interpreter: no such file: {python}")
        elif known.is_file():
            python = known
        elif arm.conda is not None:
            python = environments.build_conda(Path(arm.conda), name=record.id, cache=cache)
        else:
            python = environments.build(locked, python=_python(arm, folder), cache=cache)
        record.pythons[arm.name] = str(python)
        wanted = list(arm.packages) if arm.conda is None else _conda_pins(_yaml(Path(arm.conda)))
        version, versions = _proved(arm, python, wanted, locked)
        made[arm.name] = Made(arm, python, version, locked, versions)
    first = made[plans.BASELINE]
    made[plans.NULL] = replace(first, arm=experiment.null)
    record.write()
    return made


def lock_arm(experiment: Experiment, arm: Arm, *, folder: Path, prefer: Sequence[str]) -> tuple[str, ...]:
    """What an arm is resolved to, as :func:`environments.lock` gives it; what it does not ask for as in ``prefer``."""
    wanted = [*suites.NEEDED, *experiment.packages, *arm.packages]
    return environments.lock(wanted, python=_python(arm, folder), folder=folder, prefer=prefer)


def _python(arm: Arm, folder: Path) -> str | None:
    """What an arm's environment is made with: a version, or an interpreter, whose path starts from the arm's folder."""
    if arm.python is None or "/" not in arm.python:
        return arm.python
    return str((folder / expanded(arm.python)).absolute())


def _conda_pins(content: Mapping[str, Any]) -> list[str]:
    """The requirements of a conda file, its pip part included, as pip would write them."""
    import re

    found = []
    for each in content.get("dependencies") or []:
        if isinstance(each, dict):
            found += [str(one) for one in each.get("pip") or []]
        elif isinstance(each, str):
            name, separator, version = re.sub(r"\s", "", each.rpartition("::")[2]).partition("=")
            version = version.lstrip("=").partition("=")[0]
            plain = name and not any(mark in name for mark in "<>!~")
            if plain and name not in {"python", "pip"}:
                found.append(f"{name}=={version}.*" if separator and version else name)
    return found


def _proved(arm: Arm, python: Path, wanted: Sequence[str], locked: Sequence[str]) -> tuple[str, dict[str, str]]:
    """That the environment imports what its arm asked for: the version of its Python, and what it has."""
    from packaging.requirements import InvalidRequirement, Requirement

    asked: list[tuple[str, Requirement]] = []
    for each in wanted:
        try:
            requirement = Requirement(each)
        except InvalidRequirement:
            continue  # a folder, or an editable install: uv has installed it, and the lock says what
        asked.append((environments.normal(requirement.name), requirement))
    version, there = environments.inspect(python, list(dict.fromkeys(name for name, _ in asked)))
    marked = {"python_full_version": version, "python_version": ".".join(version.split(".")[:2])}
    found = {}
    for name, requirement in asked:
        if requirement.marker is not None and not requirement.marker.evaluate(marked):
            continue  # was asked for elsewhere
        installed = there.get(name)
        if installed is None:
            if arm.conda is not None and requirement.url is None:
                continue  # a conda package need not be a Python distribution
            raise ToolError(f"the environment of {arm.name} has no {name}")
        if not requirement.specifier.contains(installed.version or "", prereleases=True):
            raise ToolError(
                f"the environment of {arm.name} has {name} {installed.version}, and {requirement} was asked for"
            )
        commit = _locked_commit(name, locked)
        if commit is not None and installed.commit != commit:
            raise ToolError(
                f"the environment of {arm.name} has {name} at {installed.commit}, and {commit} was asked for"
            )
        found[name] = f"{installed.version} ({installed.commit[:9]})" if installed.commit else f"{installed.version}"
    return version, found


def _locked_commit(name: str, locked: Sequence[str]) -> str | None:
    for line in locked:
        head, separator, url = line.partition(" @ ")
        if separator and environments.normal(head.partition("[")[0]) == name and "git+" in url:
            return url.partition("#")[0].rpartition("@")[2] or None
    return None


# --- running


class NothingSelectedError(UsageError):
    """No test is what the experiment asks for."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the caller is told: a cell begins, a test of it has ended (``run``), or the cell has."""

    arm: str
    block: int
    run: Run | None = None
    ended: bool = False


def run(
    experiment: Experiment,
    record: Record,
    made: Mapping[str, Made],
    settings: config.Config,
    engine: Engine,
    *,
    tell: Callable[[Step], None],
    decided: Callable[[int], bool],
    command: tuple[str, ...],
    only: Sequence[str] | None = None,
) -> str:
    """Run the blocks that are left. Says why it ended: "blocks", "decided" or "time".

    ``decided(look)`` is asked at each look of the experiment but the last one. ``only``: benchmarks, of those that the
    experiment selects. Raises NothingSelectedError where none is left.
    On KeyboardInterrupt what runs is stopped and stored, and the record says where to go on.
    """
    places = experiment.looks
    names = [each.name for each in experiment.every]
    longest = 0.0
    measure = _Measure(experiment, record, made, settings, engine, tell, command, only)
    for block in range(record.blocks(experiment), experiment.blocks):
        if experiment.max_time is not None and block and record.spent + longest > experiment.max_time:
            return "time"
        began = time.monotonic()
        cells = [name for name in plans.order(names, block, record.seed) if not record.is_done(name, block)]
        try:
            if experiment.parallel > 1:
                _beside_each_other(measure, cells, block, experiment.parallel)
            else:
                for name in cells:
                    measure(name, block)
        finally:
            record.spent += time.monotonic() - began
            record.write()
        longest = max(longest, time.monotonic() - began)
        if block + 1 in places[:-1] and decided(places.index(block + 1)):
            return "decided"
    return "blocks"


class _Measure:
    def __init__(
        self,
        experiment: Experiment,
        record: Record,
        made: Mapping[str, Made],
        settings: config.Config,
        engine: Engine,
        tell: Callable[[Step], None],
        command: tuple[str, ...],
        only: Sequence[str] | None,
    ) -> None:
        self._experiment = experiment
        self._record = record
        self._made = made
        self._settings = settings
        self._engine = engine
        self._tell = tell
        self._command = command
        self._only = list(only) if only is not None else None
        self._selection = selection(experiment, settings)
        self._storing = threading.Lock()
        self.stopped = threading.Event()

    def __call__(self, name: str, block: int) -> None:
        """Measure one cell. Raises ToolError where no test of it could run, or it imported what was not asked for."""
        made = self._made[name]
        prepared, spec = session.prepare(arm_settings(self._settings, made.arm, self._record.folder))
        prepared = replace(prepared, repeat=block, only=self._only)
        cell = Cell(name, block, prepared.session)
        self._record.cells.append(cell)
        self._record.write()
        self._tell(Step(name, block))
        target = bench.target(str(made.python), Path(prepared.folder))

        def follow(event: object) -> None:
            if isinstance(event, Environment):
                _check_imports(made, event)
            elif isinstance(event, Run):
                self._tell(Step(name, block, event))

        count = measuring.measure(
            self._settings,
            prepared,
            spec,
            replace(target, variables=self._variables(made.arm)),
            self._selection,
            engine=self._engine,
            storing=self._storing,
            command=self._command,
            tell=follow,
            stopping=self.stopped.is_set,
        )
        if not count:
            raise NothingSelectedError(
                "no test was selected", hint=f"{SETTINGS}: suites, targets, keyword and markers choose among them"
            )
        cell.done = True
        self._record.write()
        self._tell(Step(name, block, ended=True))

    def _variables(self, arm: Arm) -> tuple[tuple[str, str], ...]:
        found = []
        if arm.config:
            # a file of its own keeps numbers numbers and lists lists; Dask reads it last
            folder = self._record.folder / f"dask-{arm.name}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "dask.yaml").write_text(json.dumps(arm.config, indent=1, default=str))
            found.append(("DASK_CONFIG", str(folder.absolute())))
        if self._experiment.datasets:
            found.append(("H2O_DATASETS", ",".join(self._experiment.datasets)))
        return tuple(found)


def arm_settings(settings: config.Config, arm: Arm, folder: Path) -> config.Config:
    """The settings of an arm's sessions: its label, and the keywords of its cluster."""
    chosen = replace(settings, label=arm.label)
    if arm.shapes:
        file = folder / f"cluster-{arm.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(arm.shapes, default=str))
        chosen = replace(chosen, cluster_override=file)
    if arm.cluster:
        name = settings.cluster
        kind = {} if name in settings.clusters or name in {"local", "coiled"} else {"class": name}
        table = {**kind, **settings.clusters.get(name, {}), **arm.cluster}
        chosen = replace(chosen, clusters={**settings.clusters, name: table})
    return chosen


def selection(experiment: Experiment, settings: config.Config) -> bench.Selection:
    """The tests of an experiment. Raises UsageError for a suite or a test that does not exist."""
    names = list(experiment.suites)
    targets = [_within(each, settings.suites) for each in experiment.targets]
    arguments = suites.select(settings.suites, names=names, node_ids=targets, here=settings.suites)
    return bench.Selection(
        arguments=arguments or (str(settings.suites),), keyword=experiment.keyword, markers=experiment.markers
    )


def _within(target: str, folder: Path) -> str:
    """A target of the predecessor's is relative to its repository, where the suites are the folder ``tests``."""
    path, separator, rest = target.partition("::")
    bare = path.removeprefix("tests/")
    return f"{bare or '.'}{separator}{rest}" if not (folder / path).exists() and (folder / bare).exists() else target


def _check_imports(made: Made, environment: Environment) -> None:
    """The environment that tests ran in has the versions that were proved before, and imports them from nowhere else."""
    editable = any(line.startswith("-e ") for line in made.locked)  # is imported from its folder, as it should be
    for name, version in made.versions.items():
        wanted = version.partition(" ")[0]
        there = [each for each in environment.packages if environments.normal(each.name) == name]
        wrong = [
            each
            for each in there
            if (each.imported and each.url is not None and not editable)
            or (not each.imported and each.version != wanted)
        ]
        if wrong or not there:
            got = f"{wrong[0].version or 'no version'} from {wrong[0].url or 'elsewhere'}" if wrong else "none"
            raise ToolError(
                f"arm {made.arm.name} ran with {name} {got}, and {wanted} is in its environment",
                hint="PYTHONPATH, a .pth file or a folder beside the tests may be in the way",
            )


def _beside_each_other(measure: _Measure, cells: Sequence[str], block: int, parallel: int) -> None:
    with ThreadPoolExecutor(parallel) as pool:
        waiting = {pool.submit(measure, name, block) for name in cells}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
        except BaseException:
            measure.stopped.set()
            for each in waiting:
                each.cancel()
            raise


@contextmanager
def held(record: Record) -> Iterator[None]:
    """Keep a second crt from running the same experiment."""
    with journal.alone(record.folder / "lock") as mine:
        if not mine:
            raise UsageError(f"another crt is running the experiment in {record.folder.parent}")
        yield
