"""``crt data``: the data sets that suites read: what there is, making it, proving it, and freeing the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.core.table import Table
    from coiled_runtime_cli.datasets.inventory import Entry, Folder, Pruned, Verdict
    from coiled_runtime_cli.datasets.recipe import Recipe
    from coiled_runtime_cli.errors import ToolError

_HELP = """\
Look after the data sets that suites read.

\b
crt data list                what there is, its size, seed and hash
crt data make nyc_taxi tpch  make it now, on all cores
crt data verify --repair     read everything; make again what is damaged
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

_HASH = 12  # digits of a hash that a table shows
_LISTED = 20  # damaged files that a table shows

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these data sets.")]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", metavar="SCALE", help="smoke, laptop, full, or a multiple of laptop.")
]
Format = Annotated[
    Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the result.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-n", metavar="N", min=1, help="Processes that make files. Default: one a core.")
]


@app.command("list")
def list_(names: Names = None, *, scale: ScaleOption = None, format_: Format = "table") -> None:
    """Show the data sets: size, seed, hash, and whether they are made.

    No data are read: crt data verify does that.

    \b
    crt data list                      all, at the scale of the configuration
    crt data list nyc_taxi --scale full
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.datasets import inventory

    size, cache = _settings(scale)
    chosen = datasets.recipes(names or ())
    entries = [inventory.entry(each, size, cache) for each in chosen.values()]
    here = {each.location for each in entries}
    others = [
        each
        for each in inventory.folders(datasets.recipes(), cache)
        if str(each.path) not in here and (not names or each.name in names)
    ]
    if format_ == "json":
        document = {
            "schema": 1,
            "cache": str(cache),
            "scale": size.name,
            "datasets": [_entry(each) for each in entries],
            "others": [_folder(each) for each in others],
        }
        console.show_json(document)
        return
    console.show_table(_entries_table(entries, size, cache, whole=format_ == "csv"), format_)
    if not others or format_ == "csv":
        return
    stale = sum(each.bytes for each in others if each.kind in inventory.STALE)
    columns = (
        Column("also in the cache"),
        Column("what"),
        Column("size", align="right"),
        Column("last used", align="right", drop=1),
    )
    rows = [(each.path.name, _what(each), _bytes(each.bytes), _day(each.used)) for each in others if not each.scales]
    for scales in dict.fromkeys(each.scales for each in others if each.scales):
        alike = [each for each in others if each.scales == scales]
        last = max((each.used for each in alike if each.used is not None), default=None)
        size_ = _bytes(sum(each.bytes for each in alike))
        rows.append((counted(len(alike), "data set"), _what(alike[0]), size_, _day(last)))
    console.result("")
    console.show_table(Table(columns, tuple(rows)), format_)
    if stale:
        console.hint(f"crt data prune frees {_bytes(stale)}")


def _entries_table(entries: Sequence[Entry], scale: Scale, cache: Path, *, whole: bool) -> Table:
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.datasets.inventory import State

    located = whole or any(each.state is State.REMOTE for each in entries)  # all others are in the cache
    styles = {State.MADE: "good", State.DAMAGED: "bad", State.REMOTE: None, State.NOT_MADE: "dim"}
    columns = (
        Column("data set", key="name"),
        Column("rows", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("files", align="right", drop=3),
        Column("seed", align="right", drop=4),
        Column("state"),
        Column("hash", key="sha256", drop=1),
        Column("summary", drop=5),
        *((Column("location"),) if located else ()),
    )
    rows = []
    for each in entries:
        there = each.state in (State.MADE, State.DAMAGED) and each.sha256 is not None
        size = "" if each.bytes is None else _bytes(each.bytes) if there else f"~ {_bytes(each.bytes)}"
        cells = (
            each.name,
            _count(each.rows, whole=whole),
            str(each.bytes or "") if whole else size,
            _count(each.files, whole=whole),
            "" if each.seed is None else str(each.seed),
            each.state.value,
            (each.sha256 or "")[: None if whole else _HASH],
            each.summary,
            *((each.location if whole or each.state is State.REMOTE else "",) if located else ()),
        )
        rows.append(cells)
    made = [each for each in entries if each.state is State.MADE]
    total = sum(each.bytes or 0 for each in made)
    caption = f"{len(made)} of {len(entries)} made at scale {scale.name}: {_bytes(total)} in {cache}"
    paints = tuple(
        tuple(styles[each.state] if index == 5 else None for index in range(len(columns))) for each in entries
    )
    return Table(columns, tuple(rows), paints, caption)


@app.command()
def make(
    names: Names = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every data set.")] = False,
    scale: ScaleOption = None,
    jobs: Jobs = None,
    format_: Format = "table",
) -> None:
    """Make data sets before a suite asks for them, on a local cluster.

    What is there is verified, and only what is damaged is made again. The bytes do not depend on the number of processes.

    \b
    crt data make nyc_taxi h2o_join
    crt data make --all --scale smoke -n 4
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets.cache import Failed, Ready
    from coiled_runtime_cli.errors import UsageError

    if bool(names) == all_:
        raise UsageError(
            "--all is every data set: name none" if all_ else "no data set was named",
            hint="crt data make nyc_taxi, or crt data make --all; crt data list shows the names",
        )
    size, cache = _settings(scale)
    chosen = datasets.recipes(names or ())
    outcomes: dict[str, Ready | Failed] = {}
    with console.progress(None, "data") as bar:
        for event in _followed(datasets.make(chosen, scale=size, cache=cache, workers=jobs), bar):
            outcomes[event.name] = event
    failures = [
        each.error
        for each in outcomes.values()
        if isinstance(each, Failed) and not (all_ and isinstance(each.error, datasets.MissingLibrary))
    ]
    _show_made(chosen, outcomes, size, cache, format_)
    for each in outcomes.values():
        if isinstance(each, Failed) and each.error not in failures[:1]:
            console.warning(each.error.message + (f" ({each.error.hint})" if each.error.hint else ""))
    if failures:
        raise failures[0]


def _followed(events: Any, bar: Any) -> Iterator[Any]:
    """Show how far the making of data is, and yield what is ready or has failed."""
    from contextlib import closing

    from coiled_runtime_cli import console
    from coiled_runtime_cli.datasets.cache import Checking, Serial, Step, Waiting

    with closing(events):
        for event in events:
            match event:
                case Step(name, done, total):
                    bar.update(done, total, f"{_bytes(done)} {name}")
                case Checking(name, size):
                    bar.update(0, text=f"checking {_bytes(size)} of {name}")
                case Waiting(name):
                    bar.log(f"{name} is being made by another process: waiting for it")
                case Serial(reason):
                    console.warning(f"no local cluster ({reason}): the files are made one after another")
                case _:
                    yield event


def _show_made(
    chosen: Mapping[str, Recipe], outcomes: Mapping[str, Any], scale: Scale, cache: Path, format_: str
) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    made = [_made(recipe, outcomes.get(name), scale) for name, recipe in chosen.items()]
    if format_ == "json":
        console.show_json({"schema": 1, "cache": str(cache), "scale": scale.name, "datasets": made})
        return
    columns = (
        Column("data set", key="name"),
        Column("done", key="state"),
        Column("rows", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("files", align="right", drop=3),
        Column("hash", key="sha256", drop=1),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each["name"],
            each["state"],
            _count(each["rows"], whole=whole),
            "" if each["bytes"] is None else str(each["bytes"]) if whole else _bytes(each["bytes"]),
            _count(each["files"], whole=whole),
            (each["sha256"] or "")[: None if whole else _HASH],
        )
        for each in made
    )
    there = sum(each["bytes"] or 0 for each in made)
    console.show_table(Table(columns, rows, caption=f"{_bytes(there)} at scale {scale.name} in {cache}"), format_)


def _made(recipe: Recipe, outcome: Any, scale: Scale) -> dict[str, Any]:
    from coiled_runtime_cli.datasets.cache import Ready

    nothing = {"rows": None, "bytes": None, "files": None, "sha256": None}
    if isinstance(outcome, Ready):
        stored = outcome.stored
        state = "repaired" if stored.repaired else "made" if stored.generated else "was there"
        return {
            "name": recipe.name,
            "state": state,
            "rows": stored.rows,
            "bytes": stored.bytes,
            "files": len(stored.files),
            "sha256": stored.sha256,
            "location": str(stored.folder),
            "reason": None,
        }
    if outcome is None:
        remote = recipe.remote_at(scale)
        location = None if remote is None else remote.location
        return {"name": recipe.name, "state": "remote", **nothing, "location": location, "reason": None}
    return {"name": recipe.name, "state": "failed", **nothing, "location": None, "reason": outcome.error.message}


@app.command()
def verify(
    names: Names = None,
    *,
    scale: ScaleOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Make again what is damaged.")] = False,
    jobs: Jobs = None,
    format_: Format = "table",
) -> None:
    """Read every file in the cache; exit 1 if one is damaged.

    \b
    crt data verify                    everything in the cache
    crt data verify nyc_taxi --scale laptop --repair
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets import inventory

    size, cache = _settings(scale)
    found = _found(names, cache)
    if scale is not None:
        at = {str(cache / f"{name}-{each.key(each.parameters(size))}") for name, each in datasets.recipes().items()}
        found = [each for each in found if str(each.path) in at]
    verdicts: list[Verdict] = []
    with console.progress(None, "data") as bar:
        for event in inventory.verify(found):
            if isinstance(event, inventory.Verdict):
                verdicts.append(event)
            else:
                bar.update(event.done, event.total, f"{_bytes(event.done)} {event.name}")
    repaired, failures = _repaired([each for each in verdicts if each.harms], cache, jobs) if repair else (set(), [])
    _show_verdicts(verdicts, repaired, cache, format_)
    if failures:
        raise failures[0]
    left = [each for each in verdicts if each.harms and each.folder.path not in repaired]
    if left:
        if not repair and any(inventory.remedy(datasets.recipes(), each.folder) for each in left):
            console.hint(" ".join(["crt data verify --repair", *sorted({each.folder.name for each in left})]))
        raise typer.Exit(1)


def _repaired(damaged: Sequence[Verdict], cache: Path, jobs: int | None) -> tuple[set[Path], list[ToolError]]:
    """Make again what is damaged and has a recipe; the folders that are whole now, and what went wrong."""
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets import inventory
    from coiled_runtime_cli.datasets.cache import Ready, produce

    remedies = [inventory.remedy(datasets.recipes(), each.folder) for each in damaged]
    repaired: set[Path] = set()
    failures = []
    with console.progress(None, "data") as bar:
        for event in _followed(produce([each for each in remedies if each], cache, workers=jobs), bar):
            if isinstance(event, Ready):
                repaired.add(event.stored.folder)
            else:
                failures.append(event.error)
    return repaired, failures


def _show_verdicts(verdicts: Sequence[Verdict], repaired: set[Path], cache: Path, format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    states = {
        each.folder.path: "intact" if not each.harms else "repaired" if each.folder.path in repaired else "damaged"
        for each in verdicts
    }
    if format_ == "json":
        shown = [
            _folder(each.folder)
            | {
                "state": states[each.folder.path],
                "damaged": [{"path": path, "reason": why} for path, why in each.harms],
            }
            for each in verdicts
        ]
        console.show_json({"schema": 1, "cache": str(cache), "datasets": shown})
        return
    styles = {"intact": "good", "damaged": "bad", "repaired": "strong"}
    columns = (
        Column("folder"),
        Column("what", drop=1),
        Column("files", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("state"),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each.folder.path.name,
            _what(each.folder),
            _count(None if each.folder.manifest is None else len(each.folder.manifest.files), whole=whole),
            str(each.folder.bytes) if whole else _bytes(each.folder.bytes),
            states[each.folder.path],
        )
        for each in verdicts
    )
    paints = tuple((None, None, None, None, styles[states[each.folder.path]]) for each in verdicts)
    total = sum(each.folder.bytes for each in verdicts)
    console.show_table(Table(columns, rows, paints, f"{_bytes(total)} read in {cache}"), format_)
    damaged = [(f"{each.folder.path.name}/{path}", why) for each in verdicts for path, why in each.harms]
    if damaged and not whole:
        rest = len(damaged) - _LISTED
        console.result("")
        console.show_table(
            Table(
                (Column("damaged file"), Column("what is wrong")),
                tuple(damaged[:_LISTED]),
                caption=f"and {rest} more" if rest > 0 else None,
            ),
            format_,
        )


@app.command()
def prune(
    names: Names = None,
    *,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only what nobody used for so long, as 30d.")
    ] = None,
    keep_current: Annotated[
        bool,
        typer.Option("--keep-current/--no-keep-current", help="Keep what suites read at smoke, laptop and full."),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and stop.")] = False,
    format_: Format = "table",
) -> None:
    """Remove data sets that nothing reads, and what is unfinished.

    That is old versions, multiples of laptop, and names that are no more. What a process is using stays; all of it can be
    made again.

    \b
    crt data prune --dry-run
    crt data prune --no-keep-current --older-than 30d
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import time

    from coiled_runtime_cli.commands.options import seconds
    from coiled_runtime_cli.datasets import inventory
    from coiled_runtime_cli.errors import ToolError

    since = None if older_than is None else time.time() - seconds("--older-than", older_than)
    _, cache = _settings(None)
    found = _found(names, cache)
    done = list(inventory.prune(found, unused_since=since, keep_current=keep_current, dry_run=dry_run))
    if not dry_run and not names:
        inventory.remove_idle_locks(cache)
    _show_pruned(done, cache, format_, dry_run=dry_run)
    refused = [each for each in done if each.failed]
    if refused:
        raise ToolError(f"cannot remove {refused[0].folder.path}: {refused[0].kept}")


def _show_pruned(done: Sequence[Pruned], cache: Path, format_: str, *, dry_run: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    freed = sum(each.folder.bytes for each in done if each.kept is None)
    if format_ == "json":
        shown = [
            _folder(each.folder) | {"removed": not dry_run and each.kept is None, "kept": each.kept} for each in done
        ]
        console.show_json({"schema": 1, "cache": str(cache), "dry_run": dry_run, "freed": freed, "folders": shown})
        return
    columns = (
        Column("folder"),
        Column("what"),
        Column("size", align="right", key="bytes"),
        Column("last used", align="right", drop=1),
        Column("done"),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each.folder.path.name,
            _what(each.folder),
            str(each.folder.bytes) if whole else _bytes(each.folder.bytes),
            _day(each.folder.used),
            f"kept: {each.kept}" if each.kept else "would go" if dry_run else "removed",
        )
        for each in done
    )
    verb = "would be freed" if dry_run else "freed"
    console.show_table(Table(columns, rows, caption=f"{_bytes(freed)} {verb} in {cache}"), format_)


# What the commands share


def _settings(scale: str | None) -> tuple[Scale, Path]:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.core.scale import Scale

    settings = config.load({"scale": scale})
    return Scale.parse(settings.scale), settings.data.absolute()


def _found(names: Iterable[str] | None, cache: Path) -> list[Folder]:
    """What is in the cache of these names, or all. Raises UsageError for a name of neither a recipe nor a folder."""
    from coiled_runtime_cli import datasets
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.datasets import inventory
    from coiled_runtime_cli.errors import UsageError

    everything = inventory.folders(datasets.recipes(), cache)
    known = sorted({*datasets.names(), *(each.name for each in everything)})
    for name in names or ():
        if name not in known:
            raise UsageError(unknown("data set", name, known))
    return [each for each in everything if not names or each.name in names]


def _entry(each: Entry) -> dict[str, Any]:
    from coiled_runtime_cli.datasets.inventory import State

    return {
        "name": each.name,
        "summary": each.summary,
        "state": each.state.value,
        "location": each.location,
        "version": each.version,
        "seed": each.seed,
        "parameters": None if each.parameters is None else dict(each.parameters),
        "rows": each.rows,
        "bytes": each.bytes,
        "approximate": each.sha256 is None and each.state is not State.REMOTE,
        "files": each.files,
        "sha256": each.sha256,
        "used": _moment(each.used),
    }


def _folder(each: Folder) -> dict[str, Any]:
    from coiled_runtime_cli.datasets.inventory import STALE

    return {
        "folder": str(each.path),
        "name": each.name,
        "kind": each.kind.value,
        "scales": list(each.scales),
        "version": None if each.manifest is None else each.manifest.version,
        "files": None if each.manifest is None else len(each.manifest.files),
        "bytes": each.bytes,
        "used": _moment(each.used),
        "stale": each.kind in STALE,
    }


def _what(each: Folder) -> str:
    if each.scales:
        return f"scale {' and '.join(each.scales)}"
    version = "" if each.manifest is None else f" {each.manifest.version}"
    return each.kind.value + (version if each.kind.value.endswith("version") else "")


def _bytes(size: float) -> str:
    from coiled_runtime_cli.core.quantity import bytes_text

    return bytes_text(size)


def _count(value: int | None, *, whole: bool) -> str:
    return "" if value is None else str(value) if whole else f"{value:,}"


def _moment(used: float | None) -> str | None:
    from datetime import datetime, timezone

    return None if used is None else datetime.fromtimestamp(used, timezone.utc).isoformat(timespec="seconds")


def _day(used: float | None) -> str:
    return (_moment(used) or "")[:10]
