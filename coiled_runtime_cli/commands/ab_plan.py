"""What `crt ab run` would do, and how long it takes: its arms, resolved but not built, and its rounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import config, console, environments, suites
from coiled_runtime_cli.ab.environments import lock_arm
from coiled_runtime_cli.ab.selection import selected
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.core.quantity import counted, seconds_text
from coiled_runtime_cli.core.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.commands.ab_asked import Asked

#: Packages of an arm that are named in a plan.
_NAMED = 6


def show(asked: Asked) -> None:
    arms = [*_planned_arms(asked)]
    tests, length = _length_of_a_cell(asked)  # functions: how many tests they are only pytest knows
    cells = asked.experiment.blocks * len(asked.experiment.every)
    whole = None if length is None else cells * length / asked.experiment.parallel
    if asked.format == "json":
        console.show_json(
            {
                "schema": 1,
                "plan": {
                    "arms": arms,
                    "blocks": asked.experiment.blocks,
                    "looks": list(asked.experiment.looks),
                    "rounds": cells,
                    "test_functions": tests,
                    "seconds": whole,
                    "max_time": asked.experiment.max_time,
                },
            }
        )
        return
    rows = tuple(
        (each["name"], each["python"], ", ".join(each["packages"]) or "as the baseline", each["settings"])
        for each in arms
    )
    table = Table((Column("arm"), Column("python"), Column("packages"), Column("settings", drop=1)), rows)
    console.show_table(table, asked.format)
    console.note(
        f"{counted(asked.experiment.blocks, 'block')} of {len(asked.experiment.every)} arms, the null arm included: "
        f"{cells} rounds of {counted(tests, 'test function')}"
    )
    if len(asked.experiment.looks) > 1:
        places = ", ".join(map(str, asked.experiment.looks[:-1]))
        console.note(f"stops after {places} blocks if every test is decided by then (--all-blocks: never)")
    if whole is None:
        console.note("how long it takes is not known: none of these tests was measured at this scale before")
    else:
        console.note(f"about {seconds_text(whole)}, as these tests took before")


def _planned_arms(asked: Asked) -> Iterator[dict[str, Any]]:
    """Each arm with what it has that the baseline has not; resolved, but not built."""
    prefer: tuple[str, ...] = environments.preferences()
    first: set[str] = set()
    for each in asked.experiment.every:
        if each.name == plans.NULL:
            yield {"name": plans.NULL, "python": "", "packages": ["the baseline again"], "settings": ""}
            continue
        settings = [f"{key}={value}" for key, value in {**each.config, **each.cluster, **each.shapes}.items()]
        if each.conda is not None:
            python, packages = "", [Path(each.conda).name]
        elif each.interpreter is not None:
            python, packages = each.interpreter, ["as they are"]
        else:
            locked = lock_arm(asked.experiment, each, folder=asked.folder, prefer=prefer)
            python = each.python or "as crt's"
            if each.name == plans.BASELINE:
                prefer, first = locked, set(locked)
                wanted = {environments.normal(_bare(one)) for one in (*each.packages, "dask", "distributed")}
                packages = [one for one in locked if environments.normal(_bare(one)) in wanted]
            else:
                packages = [one for one in locked if one not in first]
                packages = [
                    *packages[:_NAMED],
                    *([f"{len(packages) - _NAMED} more"] if len(packages) > _NAMED else []),
                ]
        yield {"name": each.name, "python": python, "packages": packages, "settings": ", ".join(settings)}


def _length_of_a_cell(asked: Asked) -> tuple[int, float | None]:
    """The test functions that are selected, and how long (s) they took before, with what a session takes beside them."""
    from coiled_runtime_cli.db import queries

    chosen = selected(asked.experiment, asked.settings).arguments
    names = [
        f"{each.path}::{test}"
        for each in suites.find(asked.settings.suites)
        for test in each.tests
        if _is_chosen(f"{each.path}::{test}", str(asked.settings.suites / each.path), chosen, asked.settings.suites)
    ]
    file = config.sqlite_file(asked.settings.db)
    if file is not None and not file.exists():
        return len(names), None
    from coiled_runtime_cli.db.engine import open_database

    engine = open_database(asked.settings.db)
    try:
        took = queries.last_duration(engine, scale=asked.settings.scale)
        beside = queries.session_overhead(engine, scale=asked.settings.scale) or 0.0
    finally:
        engine.dispose()
    bare = {each.partition("[")[0] for each in names}
    known = [length for name, length in took.items() if name.partition("[")[0] in bare]
    return len(names), sum(known) + beside if known else None


def _bare(requirement: str) -> str:
    return re.split(r"[\[=<>!~@ ;]", requirement, maxsplit=1)[0]


def _is_chosen(name: str, file: str, chosen: tuple[str, ...], folder: Path) -> bool:
    """Whether the arguments for pytest have a test: its file, the file's folder, or itself."""
    test = name.partition("::")[2]
    for each in chosen:
        path, separator, rest = each.partition("::")
        if separator:
            if path == file and rest.partition("[")[0] == test:
                return True
        elif file == path or Path(file).is_relative_to(path) or path == str(folder):
            return True
    return False
