"""`crt ab`: several environments against a baseline, interleaved, with the baseline against itself beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.ab_comment import comment
from coiled_runtime_cli.commands.options import seconds, share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.ab import Made, Record, Step
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.console import Progress
    from coiled_runtime_cli.core.contrast import Contrast
    from coiled_runtime_cli.core.experiment import Experiment
    from coiled_runtime_cli.core.history import HistoryMetric

_HELP = """\
Compare environments in interleaved runs, with a null arm beside them.

\b
crt ab init                  an example: two arms, and the settings
crt ab run ab --dry-run      what it would cost
crt ab run ab                measure, and compare
"""

app = typer.Typer(help=_HELP, no_args_is_help=True)

#: Packages of an arm that are named in a plan.
_NAMED = 6


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write the files.")] = Path("ab"),
    *,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME=WHAT",
            help="An arm: a requirement of pip, or a folder with a recipe's meta.yaml. Repeatable.",
        ),
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="What is run. Repeatable.")
    ] = None,
) -> None:
    """Write an example: an arm for today's Dask, one for its development version, and the settings. Or the arms that are named.

    \b
    crt ab init              edit ab/*.toml, then: crt ab run ab --dry-run
    crt ab init --arm baseline=base/recipe --arm pull-request=head/recipe
    crt ab init --arm baseline="dask==2026.7.0" --arm newer="dask==2026.8.0"
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import ab, console
    from coiled_runtime_cli.core import experiment as plans
    from coiled_runtime_cli.errors import ToolError, UsageError

    if arm:
        arms = _named(arm)
        try:
            plans.make([plans.arm(name, {"packages": packages}) for name, packages in arms.items()], {})
        except plans.ExperimentError as error:
            raise UsageError(f"--arm: {error}", hint="--arm baseline=WHAT --arm NAME=WHAT") from error
        files = ab.files_of(arms, suite or ["parquet"])
    else:
        if suite:
            raise UsageError("--suite is beside --arm: the example says its own", hint="edit experiment.toml")
        files = ab.examples()
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder / there[0]} exists already", hint="name another folder: nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    except OSError as error:
        raise ToolError(f"cannot write to {folder}: {error.strerror or error}") from error
    console.note(f"wrote {', '.join(str(folder / name) for name in files)}")
    console.hint(f"edit them, then: crt ab run {folder} --dry-run")


@app.command()
def run(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One NAME.toml an arm, or AB_NAME.conda.yaml triplets.")
    ],
    *,
    blocks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most so many runs of each arm. Default: the folder's, or 10."),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no block that would end later, as 4h.")
    ] = None,
    all_blocks: Annotated[
        bool, typer.Option("--all-blocks", help="Run every block, even if every test is decided before.")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Metric to compare. Repeatable.")
    ] = None,
    min_effect: Annotated[
        str, typer.Option("--min-effect", metavar="SHARE", help="Smallest change of interest: less is the same.")
    ] = "5%",
    fdr: Annotated[
        str, typer.Option("--fdr", metavar="SHARE", help="Share of chance among what is called a change.")
    ] = "5%",
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SHARE", help="Exit 1 if a test is surely worse, by this or more."),
    ] = None,
    scale: Annotated[str | None, typer.Option(metavar="SCALE", help="smoke, laptop, full, or a multiple.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="As of crt bench.")] = None,
    parallel: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Arms that run at once, each on a cluster of its own.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the order of the arms. Default: by chance.")] = None,
    db: Annotated[str | None, typer.Option(metavar="PATH|URL", help="Database. Default: benchmark.db.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, rather than go on where it was left.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and how long; then stop.")] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Run the arms of a folder in interleaved blocks, and compare each with the baseline.

    \b
    crt ab run ab --dry-run      what would run, and how long it takes
    crt ab run ab                the same command goes on where it was stopped
    crt ab run ab --fail-on 10%  exit 1 if anything is surely 10 % worse
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import sys

    from coiled_runtime_cli import ab, config, console

    smallest, rate = share("--min-effect", min_effect, zero=True), share("--fdr", fdr)
    gate = None if fail_on is None else share("--fail-on", fail_on, zero=True)
    experiment, said = ab.read(folder)
    given = {
        "blocks": blocks,
        "max_time": None if max_time is None else seconds("--max-time", max_time),
        "metrics": tuple(metric) if metric else None,
        "scale": scale,
        "cluster": cluster,
        "parallel": parallel,
        "seed": seed,
        "early": False if all_blocks else None,
    }
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    experiment = replace(experiment, **chosen)
    settings = config.load({"db": db, "scale": experiment.scale, "cluster": experiment.cluster})
    for each in said:
        console.note(each)
    record = ab.Record(folder, experiment)
    _Run(settings, folder, experiment, record, smallest=smallest, rate=rate, format_=format_).run(
        gate=gate, restart=restart, dry_run=dry_run, command=("crt", *sys.argv[1:])
    )


app.command()(comment)


def _named(given: Sequence[str]) -> dict[str, list[str]]:
    """The requirements of each arm that is named on the command line. Raises UsageError."""
    from coiled_runtime_cli.errors import UsageError

    arms: dict[str, list[str]] = {}
    for each in given:
        name, separator, what = each.partition("=")
        if not separator or not what.strip():
            raise UsageError(f"--arm {each}: expected NAME=WHAT", hint='--arm baseline="dask==2026.7.0"')
        arms.setdefault(name, []).extend(_pins(Path(what)) if Path(what, "meta.yaml").is_file() else [what])
    return arms


def _pins(recipe: Path) -> list[str]:
    """The pins of a recipe, as pip has them."""
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build.render import recipe_file, render
    from coiled_runtime_cli.core.pins import to_pypi
    from coiled_runtime_cli.errors import UsageError

    read = render(recipe_file(recipe), config.environment()).recipe
    if read is None:
        raise UsageError(f"{recipe} needs conda-build to be read", hint="name the requirements: --arm NAME=REQUIREMENT")
    requirements, left = to_pypi(read.depends)
    missing = [str(each) for each in left if each.name != "python"]
    if missing:
        console.note(f"{recipe}: the arm goes without what pip cannot have: {', '.join(missing)}")
    return requirements


class _Run:
    """One `crt ab run`, from its environments to its tables."""

    def __init__(
        self,
        settings: Config,
        folder: Path,
        experiment: Experiment,
        record: Record,
        *,
        smallest: float,
        rate: float,
        format_: str,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.experiment = experiment
        self.record = record
        self.smallest = smallest
        self.rate = rate
        self.format = format_
        self.runs = 0
        self.cells = 0

    def run(self, *, gate: float | None, restart: bool, dry_run: bool, command: tuple[str, ...]) -> None:
        from coiled_runtime_cli import ab, clusters, console, session
        from coiled_runtime_cli.core import experiment as plans

        ab.selection(self.experiment, self.settings)  # what does not exist is said before anything is built
        specs = [
            session.prepare(ab.arm_settings(self.settings, each, self.record.folder))[1]
            for each in self.experiment.arms
        ]
        if dry_run:
            self._show_plan()
            return
        with ab.held(self.record):
            if not restart and self.record.resume():
                done = sum(each.done for each in self.record.cells)
                total = self.experiment.blocks * len(self.experiment.every)
                console.note(f"going on where it was left: {done} of {total} rounds are done (--restart begins anew)")
            for each in specs:
                clusters.check(each, elsewhere=True)
            if self.experiment.parallel > 1 and any(each.kind == "local" for each in specs):
                console.warning("arms that run at once on one machine disturb each other: their timings are worth less")
            with console.progress(len(self.experiment.arms), "environments") as bar:
                made = ab.make_environments(
                    self.experiment,
                    self.folder,
                    self.record,
                    self.settings.environments,
                    tell=lambda number, name: bar.update(number, text=name),
                )
            engine = session.open_history(self.settings)
            try:
                reason = self._measure(made, engine, command)
            finally:
                engine.dispose()
            self.record.ended = True
            self.record.write()
        done = self.record.blocks(self.experiment)
        places = self.experiment.looks
        look = places.index(done) if reason == "decided" else len(places) - 1
        rate = plans.rate_at(look, len(places), self.rate)
        why = {
            "decided": f"every test was decided after {done} of {self.experiment.blocks} blocks",
            "time": f"the time was up after {done} of {self.experiment.blocks} blocks",
            "blocks": f"{done} blocks",
        }[reason]
        self._finish(made, why, rate, gate)

    def _measure(self, made: Mapping[str, Made], engine: Engine, command: tuple[str, ...]) -> str:
        from coiled_runtime_cli import ab, console
        from coiled_runtime_cli.core import experiment as plans

        count = len(self.experiment.looks)
        self.cells = sum(each.done for each in self.record.cells)
        total = self.experiment.blocks * len(self.experiment.every)

        def decided(look: int) -> bool:
            found = self._contrasts(plans.rate_at(look, count, self.rate))
            return all(
                each.verdict.word in {"worse", "better", "same"}
                for name, one in found.items()
                if name != plans.NULL
                for each in one.paired
            )

        try:
            with console.progress(total, "ab") as bar:
                return ab.run(
                    self.experiment,
                    self.record,
                    made,
                    self.settings,
                    engine,
                    tell=lambda step: self._follow(step, bar),
                    decided=decided,
                    command=command,
                )
        except KeyboardInterrupt:
            console.note(f"interrupted: {self.cells} of {total} rounds are done; the same command goes on")
            raise

    def _follow(self, step: Step, bar: Progress) -> None:
        from coiled_runtime_cli.core.quantity import seconds_text

        where = f"block {step.block + 1} {step.arm}"
        if step.ended:
            self.cells += 1
            bar.update(self.cells)
        elif step.run is None:
            bar.update(self.cells, text=where)
        else:
            self.runs += 1
            name = step.run.benchmark.partition("::")[2]
            bar.update(self.cells, text=f"{where} {name}")
            if step.run.outcome not in {"passed", "skipped"}:
                took = f" in {seconds_text(step.run.duration)}" if step.run.duration is not None else ""
                bar.log(f"{where}: {name}: {step.run.outcome}{took}")

    def _contrasts(self, rate: float) -> dict[str, Contrast]:
        """Each arm against the baseline, the null arm first."""
        import numpy as np

        from coiled_runtime_cli import histories
        from coiled_runtime_cli.core.contrast import contrast
        from coiled_runtime_cli.core.series import CIRCUMSTANCES

        with histories.opened([self.settings.db]) as opened:
            history = opened.history
            metrics = [opened.metric(each) for each in self.experiment.metrics]
            number = {each.id: place for place, each in enumerate(history.sessions)}
            masks = {
                each.name: np.isin(
                    history.runs.session,
                    [number[one] for one in self.record.sessions(each.name) if one in number],
                )
                for each in self.experiment.every
            }
        across = tuple(each for each in CIRCUMSTANCES if each != "scale")
        first, *others = self.experiment.every
        return {
            each.name: contrast(
                history,
                masks[first.name],
                masks[each.name],
                metrics,
                smallest=self.smallest,
                rate=rate,
                confidence=1 - rate,
                across=across,
                in_blocks=True,
            )
            for each in others
        }

    def _finish(self, made: Mapping[str, Made], why: str, rate: float, gate: float | None) -> None:
        from coiled_runtime_cli import console
        from coiled_runtime_cli.core import experiment as plans
        from coiled_runtime_cli.core.contrast_table import (
            contrast_document,
            contrast_notes,
            contrast_table,
            fails_gate,
            overalls,
        )
        from coiled_runtime_cli.errors import InconclusiveError, ToolError

        contrasts = self._contrasts(rate)
        null = contrasts.pop(plans.NULL)
        metrics = {name: _compared_metrics(each) for name, each in {**contrasts, plans.NULL: null}.items()}
        false = [each for each in null.paired if each.verdict.word in {"worse", "better"}]
        if self.format == "json":
            console.show_json(
                {
                    "schema": 1,
                    "experiment": self.record.id,
                    "seed": self.record.seed,
                    "database": self.settings.db,
                    "blocks": self.record.blocks(self.experiment),
                    "ended": why,
                    "rate": rate,
                    "arms": [
                        {
                            "name": name,
                            "label": f"AB_{name}",
                            "python": made[name].python_version,
                            "packages": made[name].versions,
                            **contrast_document(each, overalls(each, metrics[name])),
                        }
                        for name, each in contrasts.items()
                    ],
                    "null": {
                        "tests": len(null.paired),
                        "false_verdicts": len(false),
                        **contrast_document(null, overalls(null, metrics[plans.NULL])),
                    },
                }
            )
        else:
            for number, (name, each) in enumerate(contrasts.items()):
                if len(contrasts) > 1:
                    heading = f"### {name}\n" if self.format in {"markdown", "github"} else f"{name}:"
                    console.result(f"\n{heading}" if number else heading)
                names = (plans.BASELINE, name)
                if each.paired:
                    whole = overalls(each, metrics[name])
                    console.show_table(contrast_table(each, whole, names, confidence=1 - rate), self.format)
                for note in contrast_notes(each, names):
                    (console.warning if note.warns else console.note)(note.text)
            console.note(f"{why}; {self.runs} runs now; stored as {', '.join(f'AB_{name}' for name in made)}")
            told = f"null arm: {len(false)} of {len(null.paired)} comparisons of the baseline with itself are called changed"
            if len(false) > max(1, rate * len(null.paired)):
                console.warning(
                    f"{told}, though nothing differs: what is above is worth as little (crt noise says why)"
                )
            else:
                console.note(told)
        if any(fails_gate(each, gate) for each in contrasts.values()):
            raise typer.Exit(1)
        if not any(each.paired for each in contrasts.values()):
            raise ToolError(
                "no test passed in both of two arms: there is nothing to compare",
                hint="crt bench NODEID --python INTERPRETER shows why a test fails",
            )
        if all(one.verdict.word == "few" for each in contrasts.values() for one in each.paired):
            raise InconclusiveError("one run of each arm tells nothing from chance", hint="--blocks 5 or more")

    # --- the plan

    def _show_plan(self) -> None:
        from coiled_runtime_cli import console
        from coiled_runtime_cli.core.quantity import counted, seconds_text
        from coiled_runtime_cli.core.table import Column, Table

        arms = [*self._planned_arms()]
        tests, length = self._length_of_a_cell()  # functions: how many tests they are only pytest knows
        cells = self.experiment.blocks * len(self.experiment.every)
        whole = None if length is None else cells * length / self.experiment.parallel
        if self.format == "json":
            console.show_json(
                {
                    "schema": 1,
                    "plan": {
                        "arms": arms,
                        "blocks": self.experiment.blocks,
                        "looks": list(self.experiment.looks),
                        "rounds": cells,
                        "test_functions": tests,
                        "seconds": whole,
                        "max_time": self.experiment.max_time,
                    },
                }
            )
            return
        rows = tuple(
            (each["name"], each["python"], ", ".join(each["packages"]) or "as the baseline", each["settings"])
            for each in arms
        )
        table = Table((Column("arm"), Column("python"), Column("packages"), Column("settings", drop=1)), rows)
        console.show_table(table, self.format)
        console.note(
            f"{counted(self.experiment.blocks, 'block')} of {len(self.experiment.every)} arms, the null arm included: "
            f"{cells} rounds of {counted(tests, 'test function')}"
        )
        if len(self.experiment.looks) > 1:
            places = ", ".join(map(str, self.experiment.looks[:-1]))
            console.note(f"stops after {places} blocks if every test is decided by then (--all-blocks: never)")
        if whole is None:
            console.note("how long it takes is not known: none of these tests was measured at this scale before")
        else:
            console.note(f"about {seconds_text(whole)}, as these tests took before")

    def _planned_arms(self) -> Iterator[dict[str, Any]]:
        """Each arm with what it has that the baseline has not; resolved, but not built."""
        from coiled_runtime_cli import ab, environments
        from coiled_runtime_cli.core import experiment as plans

        prefer: tuple[str, ...] = environments.preferences()
        first: set[str] = set()
        for each in self.experiment.every:
            if each.name == plans.NULL:
                yield {"name": plans.NULL, "python": "", "packages": ["the baseline again"], "settings": ""}
                continue
            settings = [f"{key}={value}" for key, value in {**each.config, **each.cluster, **each.shapes}.items()]
            if each.conda is not None:
                python, packages = "", [Path(each.conda).name]
            elif each.interpreter is not None:
                python, packages = each.interpreter, ["as they are"]
            else:
                locked = ab.lock_arm(self.experiment, each, folder=self.folder, prefer=prefer)
                python = each.python or "as crt's"
                if each.name == plans.BASELINE:
                    prefer, first = locked, set(locked)
                    asked = {environments.normal(_bare(one)) for one in (*each.packages, "dask", "distributed")}
                    packages = [one for one in locked if environments.normal(_bare(one)) in asked]
                else:
                    packages = [one for one in locked if one not in first]
                    packages = [
                        *packages[:_NAMED],
                        *([f"{len(packages) - _NAMED} more"] if len(packages) > _NAMED else []),
                    ]
            yield {"name": each.name, "python": python, "packages": packages, "settings": ", ".join(settings)}

    def _length_of_a_cell(self) -> tuple[int, float | None]:
        """The test functions that are selected, and how long (s) they took before, with what a session takes beside them."""
        from coiled_runtime_cli import ab, config, suites
        from coiled_runtime_cli.db import queries

        chosen = ab.selection(self.experiment, self.settings).arguments
        names = [
            f"{each.path}::{test}"
            for each in suites.find(self.settings.suites)
            for test in each.tests
            if _is_chosen(f"{each.path}::{test}", str(self.settings.suites / each.path), chosen, self.settings.suites)
        ]
        file = config.sqlite_file(self.settings.db)
        if file is not None and not file.exists():
            return len(names), None
        from coiled_runtime_cli.db.engine import open_database

        engine = open_database(self.settings.db)
        try:
            took = queries.last_duration(engine, scale=self.settings.scale)
            beside = queries.session_overhead(engine, scale=self.settings.scale) or 0.0
        finally:
            engine.dispose()
        bare = {each.partition("[")[0] for each in names}
        known = [length for name, length in took.items() if name.partition("[")[0] in bare]
        return len(names), sum(known) + beside if known else None


def _bare(requirement: str) -> str:
    import re

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


def _compared_metrics(found: Contrast) -> list[HistoryMetric]:
    """The metrics of a contrast, in its order of first appearance."""
    return list({each.metric.key: each.metric for each in found.paired}.values())
