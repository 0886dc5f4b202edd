"""Suites, the database and the journals on their way into it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import config, journal, suites
from coiled_runtime_cli.core.doctor import CONFIGURATION, MACHINE, REMOTE, Finding
from coiled_runtime_cli.core.quantity import counted
from coiled_runtime_cli.errors import CrtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def suites_of(settings: config.Config) -> Finding:
    origin = settings.origin("suites")
    variable = origin.startswith("CRT_")
    mend = "unset CRT_SUITES" if variable else "crt init" if origin != "default" else "crt init --dry-run"
    if not variable and origin != "default" and (file := Path(origin)).is_file() and file.parent != Path.cwd():
        mend = f"crt init {shlex.quote(str(file.parent))}"
    try:
        found = suites.find(settings.suites)
    except UsageError as error:
        return Finding("suites", "problem", f"{error.message} ({origin})", mend, CONFIGURATION)
    tests = sum(len(each.tests) for each in found)
    if not tests:
        return Finding("suites", "warning", f"no test in {settings.suites} ({origin})", mend)
    return Finding("suites", "ok", f"{counted(tests, 'test')} in {settings.suites}")


def check(settings: config.Config) -> Iterator[Finding]:
    file = config.sqlite_file(settings.db)
    if file is None:
        yield _existing(settings.db)
    elif file.exists():
        yield _existing(settings.db) if os.access(file, os.R_OK) else _unreadable(file)
    else:
        yield _absent(file)
    yield from _journals(settings)


def _absent(file: Path) -> Finding:
    folder = file.absolute().parent
    if not folder.is_dir():
        mend = f"mkdir -p {shlex.quote(str(folder))}"
        return Finding("database", "problem", f"no such folder: {folder}", mend, CONFIGURATION)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("database", "problem", f"{folder} is not writable", _elsewhere(), MACHINE)
    return Finding("database", "note", f"none yet at {file}: crt bench makes it")


def _existing(target: str) -> Finding:
    from coiled_runtime_cli.db.health import look

    try:
        health = look(target)
    except CrtError as error:
        return Finding("database", "problem", error.message, error.hint or "crt db check", error.exit_code)
    file = config.sqlite_file(target)
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK | os.X_OK)):
        what = file if not os.access(file, os.W_OK) else file.absolute().parent
        return Finding("database", "problem", f"{what} is not writable", _permit(what), MACHINE)
    if health.refusal is not None:
        return Finding("database", "problem", f"{health.name}: {health.refusal}", "crt config show --origin", REMOTE)
    if not health.is_current:
        seen = f"{health.name} has an older schema ({', '.join(health.revisions) or 'none'}): the next crt bench upgrades it"
        return Finding("database", "warning", seen, f"crt db upgrade --db {shlex.quote(health.name)}")
    return Finding("database", "ok", f"{health.name}, schema {', '.join(health.revisions)}, writable")


def _unreadable(file: Path) -> Finding:
    return Finding(
        "database", "problem", f"{file} cannot be read", f"sudo chown $USER {shlex.quote(str(file))}", MACHINE
    )


def _permit(path: Path) -> str:
    """The owner may permit it, and for anybody else another place is quicker."""
    mine = path.stat().st_uid == os.getuid()
    return f"chmod u+w {shlex.quote(str(path))}" if mine else _elsewhere()


def _elsewhere() -> str:
    return 'export DB_NAME="$HOME/benchmark.db"'


def _journals(settings: config.Config) -> Iterator[Finding]:
    pending = journal.pending(settings.runs)
    running = [each for each in pending if journal.is_owned(each)]
    dead = len(pending) - len(running)
    if running:
        yield Finding("journals", "note", f"{counted(len(running), 'session')} being measured right now")
    if dead:
        seen = f"{counted(dead, 'session')} ended before all rows were stored, in {settings.runs}: nothing is lost"
        # any command that opens the database stores them
        yield Finding("journals", "warning", seen, f"crt db current --db {shlex.quote(settings.db)}")
    damaged = sorted(settings.runs.glob("*.damaged")) if settings.runs.is_dir() else []
    if damaged:
        seen = f"{counted(len(damaged), 'journal')} with damaged lines set aside; their sound lines are stored"
        yield Finding("journals", "note", seen, f"ls {shlex.quote(str(damaged[0]))}")
    if not pending and not damaged:
        yield Finding("journals", "ok", "none left open")
