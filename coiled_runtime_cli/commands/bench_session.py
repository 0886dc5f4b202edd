"""One session of `crt bench`: its rounds run, followed, stored, shown and shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from coiled_runtime_cli.bench import Event, Selection
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.console import Progress as Bar
    from coiled_runtime_cli.core.record import Run
    from coiled_runtime_cli.core.settings import SessionSettings
    from coiled_runtime_cli.core.summary import Summary
    from coiled_runtime_cli.sync.store import Store


class BenchSession:
    """One session of `crt bench`, from its plan to its table."""

    def __init__(
        self,
        settings: Config,
        selection: Selection,
        python: str | None,
        rounds: int | None,
        store: Store | None,
        *,
        dry_run: bool,
        format_: str,
    ) -> None:
        self.settings = settings
        self.selection = selection
        self.python = python
        self.rounds = rounds
        self.store = store
        self.dry_run = dry_run
        self.format = format_
        self.runs: list[Run] = []
        self.warned: set[str] = set()
        self.import_errors: dict[str, str] = {}
        self.trouble: Exception | None = None
        self.collected = 0

    def run(self) -> None:
        import sys
        from dataclasses import replace
        from pathlib import Path

        from coiled_runtime_cli import bench, clusters, console, session

        prepared, spec = session.prepare(self.settings, parallel=max(1, self.selection.workers))
        if self.dry_run:
            self._show_plan(prepared)
            return
        bench.check_artifacts(self.python, self.selection.artifacts, prepared.artifacts_url)
        engine = session.open_history(self.settings)
        clusters.check(spec, elsewhere=self.python is not None)
        writer = session.begin(self.settings, prepared, spec, command=("crt", *sys.argv[1:]))
        interrupted = False
        try:
            target = bench.target(self.python, Path(prepared.folder))
            with console.progress(None, "bench") as progress:
                for number, only in self._plan():
                    now = replace(prepared, repeat=number, only=list(only) if only is not None else None)
                    for event in bench.run_round(target, self.selection, now, write_settings=session.write_settings):
                        self._follow(event, progress, number)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException:
            writer.close()
            session.discard_empty(prepared)
            raise
        session.end(writer, prepared, interrupted=interrupted)
        self._finish(prepared, engine, interrupted=interrupted)

    def _plan(self) -> Iterator[tuple[int, tuple[str, ...] | None]]:
        """The rounds: (index, the benchmarks to run; None: all that are selected)."""
        import time

        from coiled_runtime_cli.core.summary import undecided

        if self.rounds is not None:
            for number in range(self.rounds):
                if number and not self.runs:
                    return
                yield number, None
            return
        began = time.monotonic()
        number, only, longest = 0, None, 0.0
        while True:
            started = time.monotonic()
            yield number, only
            longest = max(longest, time.monotonic() - started) if only is None else time.monotonic() - started
            only = undecided(self.runs, self.settings.precision)
            number += 1
            # a round that would end after the limit is not begun
            if not only or time.monotonic() - began + longest > self.settings.max_time:
                return

    def _follow(self, event: Event, progress: Bar, number: int) -> None:
        from coiled_runtime_cli import bench, console
        from coiled_runtime_cli.core.quantity import seconds_text
        from coiled_runtime_cli.core.record import Collected, Progress, Run, TestStarted, Warned

        if isinstance(event, Collected):
            self.import_errors.update(event.errors)
            if not number:
                self.collected = max(self.collected, len(event.benchmarks))
            progress.update(len(self.runs), total=self._total())
        elif isinstance(event, TestStarted):
            progress.update(len(self.runs), total=self._total(), text=event.benchmark.partition("::")[2])
        elif isinstance(event, Progress):
            share = f" {event.done / event.total:.0%}" if event.total else ""
            progress.update(len(self.runs), text=f"{event.what}{share}")
        elif isinstance(event, Warned):
            if event.text not in self.warned:  # by another process, or in another round
                console.warning(event.text)
            self.warned.add(event.text)
        elif isinstance(event, Run):
            self.runs.append(event)
            took = f" in {seconds_text(event.duration)}" if event.duration is not None else ""
            name = event.benchmark.partition("::")[2]
            progress.update(len(self.runs), total=self._total())
            if event.outcome != "passed":
                progress.log(f"{name}: {event.outcome}{took}")
        elif isinstance(event, bench.ProcessEnded) and (not self.runs or event.returncode in (2, 3, 4)):
            self.trouble = bench.explain(event) or self.trouble

    def _total(self) -> int | None:
        if not self.collected:
            return None
        return self.collected * self.rounds if self.rounds is not None else max(len(self.runs), self.collected)

    def _finish(self, prepared: SessionSettings, engine: Engine, *, interrupted: bool) -> None:
        from pathlib import Path

        import typer

        from coiled_runtime_cli import console, session
        from coiled_runtime_cli.core.summary import BAD, summarise
        from coiled_runtime_cli.db import queries
        from coiled_runtime_cli.errors import CrtError

        if not self.runs:
            session.discard_empty(prepared)
        try:
            stored = session.store(Path(prepared.folder), engine, settle=not interrupted)
        except CrtError:
            console.note(f"nothing is lost: {prepared.folder} keeps the runs, and the next crt command stores them")
            raise
        earlier = queries.comparable_values(engine, prepared.session) if self.runs else {}
        summaries = summarise(self.runs, earlier)
        self._show(prepared, summaries)
        for file, message in self.import_errors.items():
            console.warning(f"{file} does not import:\n{message.strip()}")
        for each in summaries:
            if each.worst in BAD:
                text = next(
                    run.failure for run in reversed(self.runs) if run.benchmark == each.benchmark and run.outcome in BAD
                )
                console.note(f"{each.name}: {each.worst}\n{_last_lines(text or '', 30)}")
        if interrupted:
            console.note(f"interrupted: {len(self.runs)} runs kept in {prepared.database}")
            raise KeyboardInterrupt
        self._complain_if_nothing_ran()
        if stored is None:
            console.warning("a process of this session still runs; the next crt command stores its rows")
        console.note(f"{len(self.runs)} runs stored in {prepared.database}")
        self._say_where(prepared)
        if self.store is not None:
            self._push(self.store, engine, prepared.session)
        if self.trouble is not None:
            raise self.trouble
        console.hint(self._next())
        if self.import_errors:
            raise typer.Exit(3)
        if any(each.worst in BAD for each in summaries):
            raise typer.Exit(1)

    def _say_where(self, prepared: SessionSettings) -> None:
        """Where the artefacts are, which may be large; and that profiled runs are compared with nothing."""
        from coiled_runtime_cli import bench, console
        from coiled_runtime_cli.core.artifacts import COLUMNS

        urls = [url for run in self.runs for name in COLUMNS if (url := getattr(run, name)) is not None]
        here = [url for url in urls if url.startswith("file:")]
        if here:
            folder, size = bench.size_of_artifacts(prepared)
            console.note(f"artefacts ({size}) are in {folder}")
            if self.store is not None:
                console.note(
                    "others get their addresses, and not the files: --artifacts s3://BUCKET/PREFIX shares them"
                )
        if len(urls) > len(here):
            console.note(f"artefacts are in {prepared.artifacts_url}/{prepared.session}")
        if any(run.profiled for run in self.runs):
            console.note("runs with a report or a profile are slower, and part of no comparison")

    def _push(self, store: Store, engine: Engine, session: str) -> None:
        from coiled_runtime_cli import console, sharing
        from coiled_runtime_cli.errors import RemoteError
        from coiled_runtime_cli.sync.push import push

        try:
            with sharing.shared(engine, store) as shared:
                done = push(store, shared.history, shared.history.days([session]), sharing.today())
        except RemoteError:
            console.note("nothing is lost: the session is in the database, and crt sync push shares it")
            raise
        console.note(f"{done.runs} runs pushed to {store.name}")

    def _complain_if_nothing_ran(self) -> None:
        from coiled_runtime_cli.errors import ToolError, UsageError

        if self.runs:
            return
        if self.trouble is not None:
            raise self.trouble
        if self.import_errors:
            raise ToolError(f"no test ran: {', '.join(self.import_errors)} could not be imported")
        raise UsageError("no test was selected", hint="crt bench --list shows the tests; -k and -m choose among them")

    def _next(self) -> str:
        from coiled_runtime_cli.core.summary import durations

        if any(run.memray_profiles_url for run in self.runs):
            return "what took the memory: memray flamegraph FILE.memray"
        if any(run.profiled for run in self.runs):
            return "what it takes without: the same command with neither report nor profile"
        if all(len(values) < 3 for values in durations(self.runs).values()):
            return "repeat until each mean is known to 5 %: the same command with --repeat auto"
        return "change something, and run the same command again: the change column compares"

    def _show(self, prepared: SessionSettings, summaries: tuple[Summary, ...]) -> None:
        from coiled_runtime_cli import console
        from coiled_runtime_cli.core import summary

        if self.format == "json":
            console.show_json(
                {
                    "schema": 1,
                    "session_id": prepared.session,
                    "database": prepared.database,
                    "runs": [summary.run_json(run) for run in self.runs],
                    "changes": [summary.change_json(each) for each in summaries],
                }
            )
        elif summaries or self.format != "table":
            console.show_table(summary.table(summaries, sparse=self.format == "table"), self.format)

    def _show_plan(self, prepared: SessionSettings) -> None:
        from coiled_runtime_cli import console
        from coiled_runtime_cli.core.table import Column, Table

        rounds = "auto" if self.rounds is None else str(self.rounds)
        cluster = prepared.clusters[""]
        plan = {
            "tests": list(self.selection.arguments),
            "rounds": rounds,
            "scale": prepared.scale,
            "label": prepared.label,
            "cluster": cluster,
            "python": self.python or "this environment",
            "database": prepared.database,
            "data": prepared.data,
        }
        kept = self.selection.artifacts.words()
        if kept:
            plan |= {"keeps": list(kept), "artifacts": prepared.artifacts_url or prepared.artifacts}
        if self.format == "json":
            console.show_json({"schema": 1, "plan": plan})
            return
        shown = {**plan, "tests": "\n".join(self.selection.arguments), "cluster": _cluster_text(cluster)}
        if kept:
            shown["keeps"] = "\n".join(kept)
        rows = tuple((name, str(value)) for name, value in shown.items())
        console.show_table(Table((Column("would run"), Column("")), rows), self.format)


def _cluster_text(spec: dict[str, object]) -> str:
    options = spec.get("options")
    inside = ", ".join(f"{key}={value}" for key, value in options.items()) if isinstance(options, dict) else ""
    return f"{spec.get('name')} ({inside})" if inside else str(spec.get("name"))


def _last_lines(text: str, count: int) -> str:
    return "\n".join("    " + line for line in text.rstrip().splitlines()[-count:])
