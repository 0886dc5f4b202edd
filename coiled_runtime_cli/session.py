"""The life of a session outside the tests: its settings, its first journal line, and the way of its rows into the database."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import coiled_runtime_cli
from coiled_runtime_cli import clusters, config, console, git, journal
from coiled_runtime_cli.core.record import Host, SessionEnded, SessionStarted
from coiled_runtime_cli.core.settings import SessionSettings
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

#: How long the processes of a session may outlive the one that began it (s): pytest looks after it twice a second, and then
#: has 20 s to close its clusters.
_DYING = 30.0

#: What the row of a test says that was running when its process died.
DIED = "the process that ran this test died before the test ended"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one session's journal."""

    session: str
    new: int  # runs that were not in the database yet
    known: int  # runs that were
    unfinished: int = 0  # of them, tests that died with their process

    def sentence(self) -> str:
        """What to tell the user of a killed session that is safe now."""
        died = f", {self.unfinished} of them cut short" if self.unfinished else ""
        return (
            f"recovered {self.new} run{'' if self.new == 1 else 's'} of session {self.session}, which was killed{died}"
        )


def read_host() -> Host:
    """This machine. What cannot be found out is None."""
    model = governor = None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory: int | None = None
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        pass
    if hasattr(os, "sysconf"):
        try:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):
            memory = None
    uname = platform.uname()
    return Host(
        cpu_model=model or uname.processor or None,
        cores=cores,
        memory=memory,
        machine=uname.machine or None,
        system=uname.system or None,
        release=uname.release or None,
        governor=governor,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        hostname=uname.node or None,
    )


def _cluster_specs(settings: config.Config, *, parallel: int) -> dict[str, clusters.ClusterSpec]:
    """The specification of each cluster shape; "" is what every other name gets."""
    shapes = {}
    file = settings.suites / "clusters.yaml"
    if settings.cluster == "coiled" or settings.clusters.get(settings.cluster, {}).get("kind") == "coiled":
        shapes = dict(clusters.load_shapes(file)) if file.is_file() else {}
    override = clusters.load_shapes(settings.cluster_override) if settings.cluster_override else {}

    def resolve(shape: str | None) -> clusters.ClusterSpec:
        return clusters.resolve(
            settings.cluster,
            shape=shape,
            shapes=shapes,
            definitions=settings.clusters,
            override=override,
            software=settings.software,
            parallel=parallel,
        )

    found = {"": resolve("small_cluster" if "small_cluster" in shapes else None)}
    for shape in shapes:
        if shape != "default":
            found[shape] = resolve(shape)
    return found


def prepare(settings: config.Config, *, parallel: int = 1) -> tuple[SessionSettings, clusters.ClusterSpec]:
    """The settings of a new session, and its cluster. Nothing is written. Raises UsageError for what does not exist."""
    specs = _cluster_specs(settings, parallel=parallel)
    identity = journal.new_id()
    database = settings.db if "://" in settings.db else str(Path(settings.db).absolute())
    here, url = config.artifacts(settings)
    prepared = SessionSettings(
        session=identity,
        folder=str(settings.runs.absolute() / identity),
        suites=str(settings.suites.resolve()),
        data=str(settings.data.absolute()),
        label=settings.label,
        scale=settings.scale,
        clusters={shape: dict(spec.to_json()) for shape, spec in specs.items()},
        scratch=settings.scratch,
        artifacts=str(here.absolute()),
        artifacts_url=url,
        software=settings.software,
        timeout=settings.timeout or None,
        database=database,
    )
    return prepared, specs[""]


def begin(
    settings: config.Config,
    prepared: SessionSettings,
    spec: clusters.ClusterSpec,
    *,
    command: tuple[str, ...],
) -> journal.Writer:
    """Write the session's first line; the writer keeps the session alive until it is closed."""
    folder = Path(prepared.folder)
    suites = git.checkout(Path(prepared.suites))
    try:
        writer = journal.Writer(folder, "crt")
        writer.own()
        writer.write(
            SessionStarted(
                id=prepared.session,
                started=time.time(),
                label=prepared.label,
                scale=prepared.scale,
                cluster_kind=spec.kind,
                cluster_spec=dict(spec.key_options()),
                command=command,
                suites_commit=suites.commit if suites else None,
                suites_dirty=suites.dirty if suites else None,
                ci_url=settings.ci_url,
                crt_version=coiled_runtime_cli.__version__,
                host=read_host(),
            )
        )
    except OSError as error:
        raise ToolError(
            f"cannot write the journal of the session in {folder}: {error.strerror or error}",
            hint="every run is written there before the next one starts; choose another place with --db",
        ) from error
    return writer


def write_settings(prepared: SessionSettings) -> Path:
    path = Path(prepared.folder) / f"session-{prepared.repeat}.json"
    path.write_text(prepared.to_json())
    return path


def begin_from_pytest(flags: Mapping[str, object], *, command: tuple[str, ...]) -> tuple[SessionSettings, Path]:
    """Begin the session of a `pytest --benchmark` that crt did not start."""
    settings = config.load(flags)
    prepared, spec = prepare(settings)
    begin(settings, prepared, spec, command=("pytest", *command)).close()
    return prepared, write_settings(prepared)


def settings_without_recording(flags: Mapping[str, object]) -> SessionSettings:
    """What fixtures need to know in a run without ``--benchmark``; nothing is written."""
    prepared, _ = prepare(config.load(flags))
    return replace(prepared, artifacts="")


def store(folder: Path, engine: Engine, *, settle: bool = True) -> Stored | None:
    """Bring a session's journal into the database and remove it; None while the process that began it lives.

    What a killed process had started is waited for: it is about to end, and may still write a line.
    Raises ToolError when the database does not take the rows; the journal is kept then.
    """
    deadline = time.monotonic() + _DYING
    while True:
        with journal.claim(folder) as mine:
            if mine and folder.is_dir():
                return _store_claimed(folder, engine, settle=settle)
        if not folder.is_dir() or journal.is_owned(folder) or time.monotonic() > deadline:
            return None
        time.sleep(0.1)


def _store_claimed(folder: Path, engine: Engine, *, settle: bool) -> Stored:
    from coiled_runtime_cli.db.ingest import ingest

    lines = journal.read(folder).lines
    identity = next((line.id for line in lines if isinstance(line, SessionStarted)), folder.name)
    died = 0
    if settle and journal.unfinished(lines):
        died = len(journal.settle(folder, identity, reason=DIED))
        lines = journal.read(folder).lines
    done = ingest(engine, lines)
    journal.discard(folder)
    return Stored(identity, done.runs_new, done.runs_known, died)


def recover(settings: config.Config, engine: Engine) -> tuple[Stored, ...]:
    """Store every session that died before its rows were in the database."""
    found = []
    for folder in journal.pending(settings.runs):
        stored = store(folder, engine)
        if stored is not None and stored.new:
            found.append(stored)
    return tuple(found)


def open_history(settings: config.Config) -> Engine:
    """Open the database, bring it up to date, recover what killed sessions left, and say what that was."""
    from coiled_runtime_cli.db.engine import open_database

    engine = open_database(settings.db)
    for each in recover(settings, engine):
        console.note(each.sentence())
    return engine


def open_existing(settings: config.Config) -> Engine:
    """As :func:`open_history`, of a database that is there, or for which killed sessions left rows.

    Raises UsageError where it is not there.
    """
    file = config.sqlite_file(settings.db)
    if file is not None and not file.exists() and not journal.pending(settings.runs):
        raise UsageError(f"no database at {file}", hint="crt bench --suite parquet makes one; --db names one elsewhere")
    return open_history(settings)


def store_after_pytest(settings: SessionSettings) -> str:
    """Store the rows of a session that crt did not start; what to tell its user."""
    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.errors import CrtError

    folder = Path(settings.folder)
    assert settings.database is not None
    try:
        engine = open_database(settings.database)
        stored = store(folder, engine)
        engine.dispose()
    except CrtError as error:
        return f"crt: {error.message}\ncrt: nothing is lost: the runs are in {folder}, and the next crt command stores them"
    if stored is None:
        return f"crt: a process of this session still runs; the next crt command stores its rows from {folder}"
    return f"crt: {stored.new} runs stored in {settings.database}"


def discard_empty(prepared: SessionSettings) -> None:
    """Remove the journal of a session that failed before any test ran."""
    folder = Path(prepared.folder)
    if not any(line.type in ("run", "started") for line in journal.read(folder).lines):
        journal.discard(folder)


def end(writer: journal.Writer, prepared: SessionSettings, *, interrupted: bool) -> None:
    """Write the session's last line and let go of its journal. A full disk costs that line alone: the runs say when it ended."""
    with contextlib.suppress(OSError):
        writer.write(SessionEnded(id=prepared.session, ended=time.time(), interrupted=interrupted))
    writer.close()
