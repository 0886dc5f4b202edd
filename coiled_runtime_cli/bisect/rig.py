"""All that a bisection needs to measure: projects read, environments made, worktrees at hand, and one callable that measures."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import bench, clusters, environments, git, journal, session, suites
from coiled_runtime_cli.bisect import benches, projects
from coiled_runtime_cli.bisect.commits import Clone, commits_of
from coiled_runtime_cli.bisect.plan import COMMITS, PACKAGES
from coiled_runtime_cli.bisect.probes import COMMAND_METRICS, CommandProbe, Rules, TestProbe
from coiled_runtime_cli.bisect.projects import Part
from coiled_runtime_cli.bisect.record import short
from coiled_runtime_cli.bisect.workshop import Workshop
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Bisection

#: Units of measures that are none of a number of seconds.
_UNITS = {
    "average_memory": "B",
    "failure": "",
    "peak_memory": "B",
    "scheduler_cpu_avg": "",
    "scheduler_memory_max": "B",
    "stdout": "",
}

#: The file beside a log on which the crt that runs its bisection holds a lock; and that in the cache for each that runs one.
LOCK, ALIVE = "lock", "alive"


@dataclass(slots=True)
class Rig:
    """``measure`` runs a candidate once; ``bench`` has candidates ready, and knows what has been built."""

    measure: TestProbe | CommandProbe
    bench: benches.Commits | benches.Environments
    stop: threading.Event
    modules: dict[str, tuple[str, ...]]  # of each repository: the folders of its package
    notes: tuple[str, ...] = ()
    #: Builds ahead: where measuring is elsewhere. On this machine a build would disturb what is measured.
    ahead: Callable[[Sequence[int]], None] | None = None

    def close(self) -> None:
        self.bench.close()


@contextlib.contextmanager
def held(record: Record, settings: Config) -> Iterator[None]:
    """Keep a second crt from going on with the same bisection, and `--prune` from what it uses. Raises UsageError."""
    lock = record.log(LOCK)
    alive = journal.Alive(cache_of(settings), ALIVE)  # waits for one that prunes
    try:
        with journal.alone(lock) as mine:
            if not mine:
                raise UsageError(f"another crt is running the bisection {short(record.bisection)}")
            with record.marked_open():
                yield
    finally:
        alive.close()


def unit_of(metric: str) -> str:
    return _UNITS.get(metric, "s")


def clones_of(plan: Plan) -> list[Clone]:
    return [Clone(name, git.Repository(Path(folder))) for name, folder in plan.repositories]


def cache_of(settings: Config) -> Path:
    return settings.environments / "bisect"


def logs_of(settings: Config, identity: str) -> Path:
    """What the probes of a bisection printed."""
    return cache_of(settings) / "logs" / identity


def as_of(plan: Plan, bisection: Bisection) -> str | None:
    """Up to which moment the environment of commits has releases: by default that of the bad end. None: up to now.

    Raises CrtErrors where the clone is not there any more.
    """
    if plan.as_of is not None:
        return plan.named_day
    if not environments.has_uv():
        return None
    clone = clones_of(plan)[0]
    end = clone.repository.commit(commits_of(bisection.candidates[-1])[clone.name])
    return datetime.fromtimestamp(end.committed, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_environment_of_its_own(plan: Plan) -> bool:
    """Whether commits are laid over an environment that is made for them, and not over one that is there."""
    if plan.python is not None and not plan.with_ and _is_environment(plan.python):
        return False
    return plan.environment


def settings_of(plan: Plan, settings: Config) -> Config:
    """The settings of the probes' sessions."""
    chosen = replace(settings, scale=plan.scale or settings.scale, cluster=plan.cluster or settings.cluster)
    return replace(chosen, suites=Path(plan.suites)) if plan.suites else chosen


def selection_of(plan: Plan, settings: Config) -> bench.Selection:
    """The benchmark. Raises UsageError where there is none of that name."""
    assert plan.target is not None
    arguments = suites.select(settings.suites, names=[], node_ids=[plan.target], here=Path(plan.folder))
    if len(arguments) > 1:
        raise UsageError(f"{plan.target} is in {len(arguments)} files", hint=f"name one: {', '.join(arguments[:2])}")
    return bench.Selection(arguments=arguments)


def check(plan: Plan, settings: Config) -> None:
    """What can be known to be wrong before anything is built. Raises UsageError."""
    if plan.command:
        if plan.metric not in {*COMMAND_METRICS, "failure"}:
            raise UsageError(unknown("metric of a command", plan.metric, COMMAND_METRICS))
        program = plan.command[0]
        if shutil.which(program) is None and not (Path(plan.folder) / program).exists():
            raise UsageError(f"no program {program}")
    else:
        selection_of(plan, settings)
        session.prepare(settings, parallel=plan.jobs)
    if plan.install_command is not None:
        _check_install_command(plan.install_command)
    if plan.jobs > 1:
        _cores(plan, settings)


def _check_install_command(command: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--install-command {command}: {error}", hint="quote it as a shell would have it") from error
    if not words:
        raise UsageError("--install-command is empty", hint="leave it out to build as pip does")


def _cores(plan: Plan, settings: Config) -> tuple[tuple[int, ...], ...]:
    """The cores of each job; () is all of them. Raises UsageError where jobs on this machine would share one."""
    if plan.jobs == 1:
        return ((),)
    local = bool(plan.command) or session.prepare(settings)[1].kind == "local"
    if not local:
        return ((),) * plan.jobs
    if not hasattr(os, "sched_getaffinity"):
        raise UsageError("--jobs: this system cannot give each probe cores of its own", hint="--jobs 1")
    there = sorted(os.sched_getaffinity(0))
    each = len(there) // plan.jobs
    if each < 1:
        raise UsageError(
            f"--jobs {plan.jobs}: this machine has {len(there)} cores, and probes that share one disturb each other",
            hint=f"--jobs {len(there)} at most, or --cluster coiled, where each probe has a cluster of its own",
        )
    return tuple(tuple(there[number * each : (number + 1) * each]) for number in range(plan.jobs))


def make(
    plan: Plan,
    record: Record,
    settings: Config,
    engine: Engine,
    *,
    tell: Callable[[str], None],
    command: tuple[str, ...],
) -> Rig:
    """Read the projects, make the environment, and put the probe together. Raises CrtErrors."""
    try:
        return _make(plan, record, settings, engine, tell=tell, command=command)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ToolError(
            f"cannot prepare: {where}{error.strerror or error}",
            hint="make room there, or set `environments` in crt.toml",
        ) from error


def _make(
    plan: Plan,
    record: Record,
    settings: Config,
    engine: Engine,
    *,
    tell: Callable[[str], None],
    command: tuple[str, ...],
) -> Rig:
    stop = threading.Event()
    settings = settings_of(plan, settings)
    notes: list[str] = []
    modules: dict[str, tuple[str, ...]] = {}
    python: Path | None = None
    chosen: benches.Commits | benches.Environments
    candidates = record.bisection.candidates
    if plan.kind == COMMITS:
        parts = _parts(plan, record, settings, tell, notes)
        modules = {
            each.name: tuple(f"{each.project.root}/{name}".lstrip("/") for name in each.project.modules)
            for each in parts
        }
        if plan.environment:
            tell("the environment")
            if plan.as_of is None and not environments.has_uv():
                notes.append("without uv the environment has the releases of today, not those of --bad's day")
            python = _environment(plan, parts, record, settings)
        chosen = benches.Commits(
            Workshop(
                parts,
                python=python or _callers_python(plan),
                python_version=environments.version_of(python or _callers_python(plan)),
                cache=cache_of(settings),
                key=short(record.bisection),
                install_command=plan.install_command,
            ),
            candidates,
        )
    else:
        releases = plan.kind != PACKAGES
        base = _needed(plan, settings) if releases else ()
        watched = [plan.package] if plan.package else list(dict.fromkeys(each.name for each in candidates[1:]))
        chosen = benches.Environments(
            candidates,
            beside=[*(each for each in base if _bare(each) not in watched), *plan.with_] if releases else (),
            watched=[each for each in watched if each],
            resolve=releases,
            python=plan.python,
            cache=settings.environments,
            folder=Path(plan.folder),
            as_of=plan.named_day,
        )
    rules = Rules(metric=plan.metric, timeout=plan.timeout)
    cores = _cores(plan, settings)
    measure: TestProbe | CommandProbe
    if plan.command:
        measure = CommandProbe(
            chosen,
            record,
            rules,
            command=plan.command,
            folder=Path(plan.folder),
            python=python,
            stop=stop,
            patience=settings.timeout,
            cores=cores,
        )
    else:
        clusters.check(session.prepare(settings, parallel=plan.jobs)[1], elsewhere=True)
        measure = TestProbe(
            chosen,
            record,
            rules,
            selection=selection_of(plan, settings),
            settings=settings,
            engine=engine,
            python=python,
            command=command,
            stop=stop,
            cores=cores,
        )
    elsewhere = not plan.command and session.prepare(settings)[1].kind != "local"
    ahead = chosen.prefetch if isinstance(chosen, benches.Commits) and chosen.compiles and elsewhere else None
    return Rig(measure, chosen, stop, modules, tuple(notes), ahead)


def _needed(plan: Plan, settings: Config) -> tuple[str, ...]:
    """What the benchmark needs in any environment; a command brings what it needs."""
    if plan.target is None:
        return ()
    return suites.needed(settings.suites, selection_of(plan, settings).arguments)


def _bare(requirement: str) -> str:
    return environments.normal(requirement.partition("[")[0])


def _parts(plan: Plan, record: Record, settings: Config, tell: Callable[[str], None], notes: list[str]) -> list[Part]:
    cache = cache_of(settings)
    ends = [commits_of(record.bisection.candidates[index]) for index in (0, -1)]
    parts = []
    for clone in clones_of(plan):
        tell(f"reading {clone.name}")
        source = projects.mirror(clone.repository, cache)
        read = [projects.read_project(source, commits[clone.name], python=plan.python, cache=cache) for commits in ends]
        newest = read[-1]
        if not all(each.pure for each in read):
            newest = replace(newest, pure=False)
        if newest.note is not None:
            notes.append(f"{clone.name}: {newest.note}")
        parts.append(Part(clone.name, source, newest))
    return parts


def _environment(plan: Plan, parts: Sequence[Part], record: Record, settings: Config) -> Path:
    """An interpreter with all that the candidates stand on, without them: as of the day of the bad end, unless told otherwise."""
    if plan.python is not None and not has_environment_of_its_own(plan):
        return Path(plan.python).absolute()
    wanted = benches.base_requirements([each.project for each in parts], base=_needed(plan, settings), with_=plan.with_)
    locked = environments.lock(
        wanted,
        python=plan.python,
        folder=Path(plan.folder),
        prefer=environments.preferences(),
        as_of=as_of(plan, record.bisection),
    )
    own = {each.project.name for each in parts}
    # what another package has brought along of the projects is laid over, and need not be there
    locked = tuple(line for line in locked if _bare(line.partition("==")[0].partition(" @")[0]) not in own)
    return environments.build(locked, python=plan.python, cache=settings.environments)


def _is_environment(python: str) -> bool:
    """Whether it is the interpreter of an environment that is there, to be used as it is."""
    return (Path(python).parent.parent / "pyvenv.cfg").is_file()


def _callers_python(plan: Plan) -> Path:
    """The Python that a command finds: the first of PATH, as the caller has it."""
    for name in (plan.python, "python", "python3"):
        found = shutil.which(name) if name else None
        if found is not None:
            return Path(found)
    if plan.command:
        raise ToolError("no python is on PATH", hint="--python names one")
    return Path(sys.executable)
