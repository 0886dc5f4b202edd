"""`crt report`: draw the history as a static site, one file, or a summary."""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.options import Databases, Labels, Suites  # noqa: TC001 - typer reads them

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.findings import Known
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.build import Options, Progress
    from coiled_runtime_cli.report.folder import Written


def report(
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="The site. Default: site.")] = None,
    db: Databases = None,
    days: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100_000, help="Only the N days before the last run. Default: everything."),
    ] = None,
    suite: Suites = None,
    label: Labels = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What the compare page and the summary compare with.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The site's name. Default: Benchmarks.")] = None,
    single: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One self-contained page to mail, instead of a folder.")
    ] = None,
    summary: Annotated[
        Literal["markdown", "github"] | None,
        typer.Option(help="Print what changed as Markdown, for a pull request, instead of a folder."),
    ] = None,
    plotly: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ship this bundle of plotly.js: the cartesian one is a third of the whole."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it here, and rebuild when the history grows.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Of --serve; 0: any that is free.")] = 8000,
    format_: Annotated[
        Literal["table", "json"], typer.Option("--format", help="How to say what was written.")
    ] = "table",
) -> None:
    """Draw the history as a static site: what changed, every benchmark, comparisons.

    \b
    crt report --out site/ --open                from benchmark.db in this folder
    crt report --out site/ --days 90             the last 90 days of it
    crt report --db mine.db --db team.db         two histories as one
    crt report --single report.html --days 30    one file to mail
    crt report --summary github                  for a pull request
    crt report --serve                           rebuilt while benchmarks run
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import config
    from coiled_runtime_cli.errors import UsageError

    if single is not None and (out is not None or serve):
        raise UsageError("--single makes one file, --out and --serve a folder", hint="give one of them")
    if summary is not None and (single is not None or serve or open_):
        raise UsageError("--summary prints text: there is nothing to open or to serve", hint="leave out the other flag")
    settings = [config.load({"db": each}) for each in (db or (None,))]
    chosen = _report_settings(settings[0])
    with ExitStack() as stack:
        source = _Source(
            settings,
            _open(settings, stack),
            days=days if days is not None else chosen.get("days"),
            suites=suite or [],
            labels=label or [],
        )
        bundle = plotly or (Path(chosen["plotly"]) if "plotly" in chosen else None)
        options = _options(
            source,
            title=title or chosen.get("title"),
            baseline=baseline or chosen.get("baseline"),
            experiments=bool(label),
            plotly=bundle,
        )
        folder = out or Path(chosen.get("out", "site"))
        if summary is not None:
            _print_summary(source, options, summary, out)
        elif single is not None:
            _write_single(source, options, single, format_)
        else:
            _write_folder(source, options, folder, format_)
        if serve:
            _serve(source, options, folder, port, open_=open_)
        elif open_:
            _show_in_browser(single if single is not None else folder / "index.html")


#: What ``[tool.crt.report]`` may hold.
_SETTINGS: dict[str, type[Any]] = {"out": str, "title": str, "baseline": str, "days": int, "plotly": str}


def _report_settings(settings: Config) -> dict[str, Any]:
    """The table ``[tool.crt.report]``. Raises UsageError on a key or a value that it cannot have."""
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError

    for key, value in settings.report.items():
        place = f"report.{key} ({settings.origin('report')})"
        if key not in _SETTINGS:
            raise UsageError(f"{place}: {unknown('key', key, _SETTINGS)}")
        wanted = _SETTINGS[key]
        if not isinstance(value, wanted) or isinstance(value, bool) or (wanted is int and value < 1):
            expected = "a number of days from 1 on" if wanted is int else "text"
            raise UsageError(f"{place}: expected {expected}, not {value!r}")
    return dict(settings.report)


def _open(settings: list[Config], stack: ExitStack) -> list[Engine]:
    """Open the databases; each must be there already, unless a killed session has left rows for it."""
    from coiled_runtime_cli import session

    engines = []
    for each in settings:
        engine = session.open_existing(each)
        stack.callback(engine.dispose)
        engines.append(engine)
    return engines


class _Source:
    """What the report is made of: databases, and which of their runs."""

    def __init__(
        self,
        settings: list[Config],
        engines: list[Engine],
        *,
        days: int | None,
        suites: list[str],
        labels: list[str],
    ) -> None:
        from coiled_runtime_cli.core.nearest import unknown
        from coiled_runtime_cli.db import queries
        from coiled_runtime_cli.errors import UsageError

        self.engines = engines
        self.cache = settings[0].history
        self.labels = sorted({each.label for engine in engines for each in queries.labels(engine)})
        known = sorted({each for engine in engines for each in queries.suites(engine)})
        for kind, wanted, there in (("label", labels, self.labels), ("suite", suites, known)):
            for each in wanted:
                if each not in there:
                    raise UsageError(unknown(kind, each, there))
        self._days, self._suites, self._labels = days, suites, labels

    def read(self, progress: Progress | None = None) -> History:
        from coiled_runtime_cli.db.history import read_history

        return read_history(
            self.engines,
            cache=self.cache,
            progress=None if progress is None else lambda done, total: progress("read", done, total),
            since=self._since(),
            labels=self._labels or None,
            suites=self._suites or None,
        )

    def known(self) -> tuple[Known, ...]:
        """What people, and fresh runs, have said of findings: ``crt detect`` keeps it in the first database."""
        from coiled_runtime_cli.db.findings import known_findings

        return tuple(known_findings(self.engines[0]))

    def _since(self) -> datetime | None:
        """The start of the days that are wanted: counted from the last session, so that an old history is not empty."""
        from datetime import timedelta

        from coiled_runtime_cli.db import queries

        if self._days is None:
            return None
        newest = [each.started for engine in self.engines for each in queries.sessions(engine, limit=1)]
        last = max((each for each in newest if each is not None), default=None)
        return None if last is None else last - timedelta(days=self._days)


def _options(
    source: _Source, *, title: str | None, baseline: str | None, experiments: bool, plotly: Path | None
) -> Options:
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError
    from coiled_runtime_cli.report.build import Options

    if baseline is not None and baseline not in source.labels:
        raise UsageError(unknown("label", baseline, source.labels))
    return Options(
        title=title or "Benchmarks",
        baseline=baseline,
        known=source.known(),
        experiments=experiments,
        plotly=plotly,
    )


#: The stages of a build and their usual shares of its time, in hundredths.
_STAGES = {
    "read": 30,
    "sort": 4,
    "search for changes": 25,
    "write runs": 14,
    "write comparisons": 12,
    "draw": 5,
    "write pages": 8,
    "write": 2,
}


@contextmanager
def _stages() -> Iterator[Progress]:
    """One bar for all stages of a build."""
    from coiled_runtime_cli import console

    whole = 100 * sum(_STAGES.values()) + 1  # it is done when the files are in place, not before
    with _uncollected(), console.progress(whole, "report") as bar:

        def tell(stage: str, done: int, total: int) -> None:
            names = list(_STAGES)
            before = sum(_STAGES[name] for name in names[: names.index(stage)])
            bar.update(100 * (before + _STAGES[stage] * (done / total if total else 1)), whole, stage)

        yield tell


@contextmanager
def _uncollected() -> Iterator[None]:
    """A build makes millions of objects and hardly a cycle: looking for some would take a sixth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _build(source: _Source, options: Options, folder: Path) -> tuple[Written, History]:
    from coiled_runtime_cli.report.build import build

    with _stages() as tell:
        history = source.read(tell)
        return build(history, folder, options, tell), history


def _write_folder(source: _Source, options: Options, folder: Path, format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import bytes_text

    written, history = _build(source, options, folder)
    index = written.folder / "index.html"
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "index": str(index),
                "written": written.written,
                "unchanged": written.unchanged,
                "removed": written.removed,
                "bytes": written.size,
                "runs": len(history.runs),
                "sessions": len(history.sessions),
            }
        )
        return
    files = written.written + written.unchanged
    console.result(
        f"{index}: {len(history.runs):,} runs, {files:,} files ({bytes_text(written.size)}), "
        f"{written.written:,} of them written"
    )
    if not len(history.runs):
        console.hint("the history is empty: crt bench --suite parquet")


def _write_single(source: _Source, options: Options, file: Path, format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import bytes_text
    from coiled_runtime_cli.report.folder import write_file
    from coiled_runtime_cli.report.single import single_page

    with _stages() as tell:
        history = source.read(tell)
        content = single_page(history, options, tell)
        write_file(file, content)
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "index": str(file.resolve()),
                "written": 1,
                "unchanged": 0,
                "removed": 0,
                "bytes": len(content),
                "runs": len(history.runs),
                "sessions": len(history.sessions),
            }
        )
        return
    console.result(f"{file}: {len(history.runs):,} runs, {bytes_text(len(content))}")
    if len(content) > _MAILABLE:
        console.hint("most mail servers refuse such a file: --days, --suite and --label make it smaller")


#: Bytes of an attachment that mail servers let through.
_MAILABLE = 20_000_000


def _print_summary(source: _Source, options: Options, flavour: str, out: Path | None) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.report.build import build, look
    from coiled_runtime_cli.report.summary import summary

    with _stages() as tell:
        history = source.read(tell)
        pages = look(history, options, tell)
        if out is not None:
            build(history, out, options, tell)
    console.result(summary(pages.index(), title=options.title, flavour=flavour).rstrip("\n"))


def _show_in_browser(page: Path) -> None:
    import webbrowser

    from coiled_runtime_cli import console

    address = page.resolve().as_uri()
    if not webbrowser.open(address):
        console.warning(f"no browser could be started: open {address}")


def _serve(source: _Source, options: Options, folder: Path, port: int, *, open_: bool) -> None:
    """Serve the folder on this machine until Ctrl-C; build it again when there are new runs, or a finding was decided."""
    import webbrowser
    from dataclasses import replace

    from coiled_runtime_cli import console
    from coiled_runtime_cli.db.history import stamp
    from coiled_runtime_cli.errors import CrtError
    from coiled_runtime_cli.report.serve import Server

    with Server(folder, port) as server:
        console.result(server.address)
        console.note("Ctrl-C ends it")
        if open_:
            webbrowser.open(server.address)
        built = stamp(source.engines), options.known
        while True:
            server.wait(1.0)
            try:
                now = stamp(source.engines), source.known()
                if now != built:
                    written, _ = _build(source, replace(options, known=now[1]), folder)
                    built = now
                    server.changed()
                    console.note(f"{written.written:,} files written")
            except CrtError as error:  # a database that is locked, a disk that is full: the site stays as it is
                console.warning(error.message)
