"""What `crt bisect` shows of bisections that have been: the answer in every format, the list of them, what --prune removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import config, console, session
from coiled_runtime_cli.bisect import prune as pruning
from coiled_runtime_cli.bisect import record, rig
from coiled_runtime_cli.bisect.plan import Plan
from coiled_runtime_cli.commands.bisect_again import reproduction
from coiled_runtime_cli.core import bisection_table as text
from coiled_runtime_cli.core.quantity import bytes_text, counted
from coiled_runtime_cli.db import bisections
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Bisection


class Shown:
    """Where and how the answer is written."""

    def __init__(self, format_: str, *, page: str | None = None, replay: str | None = None) -> None:
        self._format = format_
        self._page = page
        self._replay = replay

    def list(self, settings: Config) -> None:
        engine = session.open_existing(settings)
        try:
            known = bisections.bisections(engine)
        finally:
            engine.dispose()
        if self._format == "json":
            console.show_json({"schema": 1, "bisections": [text.bisection_document(each) for each in known]})
        elif not known:
            console.result("no bisection yet")
        else:
            console.show_table(text.list_table(known), self._format)

    def show(self, settings: Config, name: str) -> None:
        engine = session.open_existing(settings)
        try:
            found = record.find(engine, name)
        finally:
            engine.dispose()
        self.answer(found, Plan.from_document(found.definition) if found.definition else None, settings)

    def prune(self, settings: Config) -> None:
        """Remove what can be made again, and the logs of bisections that have ended; a database need not be there."""
        known: dict[str, bool] = {}
        file = config.sqlite_file(settings.db)
        if file is None or file.exists():
            engine = session.open_existing(settings)
            try:
                known = {each.id: each.status in record.OPEN_STATUSES for each in bisections.bisections(engine)}
            finally:
                engine.dispose()
        done = pruning.prune(rig.cache_of(settings), known)
        console.result(f"removed {bytes_text(done.size)} in {counted(done.folders, 'folder')}")
        if done.running:
            console.note("a bisection is running: what it may use stays")
        if done.open:
            console.note(f"{counted(done.open, 'log')} of bisections that can go on: crt bisect --resume")

    def answer(self, bisection: Bisection, plan: Plan | None, settings: Config) -> None:
        how = reproduction(bisection, plan, rig.logs_of(settings, bisection.id))
        if self._format == "json":
            console.show_json(text.bisection_document(bisection))
        elif self._format in {"markdown", "github"}:
            console.result(text.issue_text(bisection, how))
        else:
            console.show_facts([*text.facts(bisection)])
            console.result(f"to see it: {how}")  # in one line, to be copied
        if self._page is not None:
            from coiled_runtime_cli.report.single import bisection_page

            _write(Path(self._page), bisection_page(bisection))
        if self._replay is not None:
            _write(Path(self._replay), text.replay_log(bisection).encode())


def _write(file: Path, content: bytes) -> None:
    from coiled_runtime_cli import atomic

    try:
        with atomic.replacing(file) as stream:
            stream.write(content)
    except OSError as error:
        raise ToolError(f"cannot write {file}: {error.strerror or error}") from error
    console.note(f"wrote {file}")
