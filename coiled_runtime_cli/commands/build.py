"""`crt build`: the metapackage from its pins, and whether it can be had."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli.build.check import Found
    from coiled_runtime_cli.build.explain import Reason
    from coiled_runtime_cli.build.make import Built
    from coiled_runtime_cli.commands.build_job import Job
    from coiled_runtime_cli.core.table import Table
    from coiled_runtime_cli.core.verdict import Check, Word
    from coiled_runtime_cli.errors import CrtError


def build(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RECIPE]", help="Folder with a meta.yaml. Default: recipe/, or the one that crt ships."
        ),
    ] = None,
    *,
    builder: Annotated[
        Literal["auto", "conda-build", "rattler-build"],
        typer.Option("--builder", help="auto: conda-build where it is installed, else rattler-build, without conda."),
    ] = "auto",
    output_folder: Annotated[
        Path | None, typer.Option("--output-folder", metavar="DIR", help="A channel folder. Default: dist/conda.")
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel", "-c", metavar="NAME|URL|DIR", help="Where packages are. Repeatable, first one first."
        ),
    ] = None,
    override_channels: Annotated[
        bool, typer.Option("--override-channels", help="Only the channels that -c names, without conda-forge.")
    ] = False,
    nightly: Annotated[
        bool, typer.Option("--nightly", help="The newest pre-releases of dask and distributed; suffix aYYMMDDHHMM.")
    ] = False,
    nightly_channel: Annotated[
        str | None, typer.Option("--nightly-channel", metavar="NAME|URL|DIR", help="Default: dask/label/dev.")
    ] = None,
    version_suffix: Annotated[
        str | None, typer.Option("--version-suffix", metavar="S", help="Put behind the version, as a2611231200.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VERSION", help="Another version, or constraint, of a pin. Repeatable."),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Install it on this machine, and run the tests that it carries.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Solve it for every platform and Python, and --test it with each Python.")
    ] = False,
    platform: Annotated[
        list[str] | None,
        typer.Option("--platform", metavar="NAME", help="Check only this one, as linux-64. Repeatable."),
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option("--python", metavar="3.X", help="Check only this one. Repeatable.")
    ] = None,
    wheel: Annotated[bool, typer.Option("--wheel", help="Build a wheel with the same pins, for pip, instead.")] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="conda|requirements|pixi", help="Write an environment file instead. Repeatable."),
    ] = None,
    lock: Annotated[bool, typer.Option("--lock", help="With --env: every package, with its hash, as well.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Show what the recipe's template gives, and stop.")] = False,
    output: Annotated[bool, typer.Option("--output", help="Name the files that would be made, and stop.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite a package of that name although it has other pins.")
    ] = False,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Build the coiled-runtime metapackage from its pins, and prove that it can be had.

    \b
    crt build                                 into dist/conda; no conda needed
    crt build --check                         solved, installed, imported
    crt build --set dask=2026.7.1 --check     what if
    crt build --nightly --check               the newest pre-releases
    crt build --wheel                         the same pins for pip
    crt build --env conda --env pixi --lock   environment files, their locks

    Exit codes of a check: 0 verified, 1 failed, 5 not verified.
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console
    from coiled_runtime_cli.commands.build_files import write_files
    from coiled_runtime_cli.commands.build_job import read_job
    from coiled_runtime_cli.core.environment_files import FILES
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError

    _refuse_contradictions(
        {"--render": render, "--output": output, "--wheel": wheel, "--env": bool(env), "--check": check, "--test": test}
    )
    if nightly and version_suffix is not None:
        raise UsageError("--nightly has a suffix of its own", hint="leave --version-suffix out")
    if nightly_channel is not None and not nightly:
        raise UsageError("--nightly-channel is of --nightly", hint="add --nightly")
    if lock and not env:
        raise UsageError("--lock is of environment files", hint="add --env conda, requirements or pixi")
    for each in env or []:
        if each not in FILES:
            raise UsageError(unknown("kind of environment file", each, FILES))
    job = read_job(
        recipe,
        given=tuple(channels or ()),
        override=override_channels,
        nightly=nightly,
        nightly_channel=nightly_channel,
        suffix=version_suffix,
        settings=set_ or [],
        folder=output_folder,
        platforms=tuple(platform or ()),
        pythons=tuple(python or ()),
        pip=wheel or env == ["requirements"],
        conda=builder != "rattler-build" and not (wheel or env),
        format_=format_,
    )
    if render:
        console.result(job.rendered.text.rstrip("\n"))
    elif wheel or env:
        write_files(job, wheel=wheel, kinds=env or [], lock=lock, replace=replace)
    else:
        _build(job, builder, output=output, test=test, check=check, replace=replace)


def _refuse_contradictions(flags: Mapping[str, bool]) -> None:
    from coiled_runtime_cli.errors import UsageError

    given = [flag for flag, on in flags.items() if on]
    together = {frozenset(("--wheel", "--env")), frozenset(("--check", "--test"))}
    if len(given) > 1 and frozenset(given) not in together:
        raise UsageError(f"{' and '.join(given)} contradict each other", hint="give one of them")


def _build(job: Job, name: str, *, output: bool, test: bool, check: bool, replace: bool) -> None:
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build import make
    from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, overall

    builder = make.choose(name, config.environment())
    folder = job.channel_folder
    if output:
        for each in make.outputs(job.rendered, builder, folder, moment=job.moment):
            console.result(str(each))
        return
    with console.progress(None, f"building with {builder}") as bar:
        built = make.make(
            job.rendered,
            builder,
            folder,
            channels=job.given_channels,
            override_channels=job.override_channels,
            test=test and not check,
            moment=job.moment,
            replace=replace,
            tell=bar.log,
        )
    checks = list(built.checks)
    asked = check or test
    found, problem = _checked(job, built, folder, every=check) if asked and not _tested(built) else (None, None)
    checks += found.checks if found is not None else []
    word: Word = overall(checks) if asked else NOT_VERIFIED
    _show(job, built, folder, checks, word, found, asked=asked)
    if problem is not None:
        raise problem
    if asked and word != "verified":
        raise typer.Exit(1 if word == FAILED else 5)


def _tested(built: Built) -> bool:
    """Whether conda-build has run the tests itself."""
    return any(each.what == "imports" for each in built.checks)


def _checked(job: Job, built: Built, folder: Path, *, every: bool) -> tuple[Found, CrtError | None]:
    """Solve and test what was built. A channel that does not answer comes back with what was found until then."""
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.build import check as checking
    from coiled_runtime_cli.build.channel import Channels, this_platform
    from coiled_runtime_cli.core.verdict import NOT_VERIFIED, Check
    from coiled_runtime_cli.errors import RemoteError

    found = checking.Found()
    made, recipe = built.artifacts[0], job.rendered.recipe
    if recipe is None or len(built.artifacts) > 1:
        several = f"the recipe makes {len(built.artifacts)} packages, and one can be checked"
        why = "only conda-build can read this recipe" if recipe is None else several
        found.checks.append(Check("solve", NOT_VERIFIED, why))
        return found, None
    platforms = job.platforms or (() if every else (this_platform(),))
    try:
        with (
            console.progress(None, "checking") as bar,
            Channels([str(folder.absolute()), *job.channels], cache=config.conda_cache()) as channels,
        ):

            def tell(text: str) -> None:
                bar.update(0, text=text)

            checking.solve(
                made,
                recipe,
                channels,
                platforms=platforms,
                pythons=job.pythons,
                newest=not every,
                into=found,
                tell=tell,
            )
            found.checks += checking.run_tests(made, channels, found, tell=tell)
    except RemoteError as error:
        found.checks.append(Check("solve", NOT_VERIFIED, error.message))
        return found, error
    return found, None


def _show(
    job: Job, built: Built, folder: Path, checks: Sequence[Check], word: Word, found: Found | None, *, asked: bool
) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import bytes_text

    reasons = _told_once(found)
    if job.format == "json":
        console.show_json(
            {
                "schema": 1,
                "builder": str(built.builder),
                "recipe": str(job.rendered.file),
                "channel": str(folder),
                "artifacts": [
                    {**each.as_json(), "state": state} for each, state in zip(built.artifacts, built.words, strict=True)
                ],
                "check": word,
                "checks": [
                    {
                        "what": each.what,
                        "platform": each.platform,
                        "python": each.python,
                        "word": each.word,
                        "why": each.why,
                    }
                    for each in checks
                ],
                "reasons": [each.as_json() for each, _ in reasons],
            }
        )
        return
    facts = []
    for each, state in zip(built.artifacts, built.words, strict=True):
        facts += [
            ("package", f"{each.path} ({bytes_text(each.size)}, {state})"),
            ("version", f"{each.name} {each.version}, build {each.build}, {len(each.depends)} dependencies"),
        ]
    facts += [("builder", str(built.builder)), ("recipe", str(job.rendered.file))]
    if built.not_indexed:
        facts.append(("channel", f"{folder} is not indexed: {built.not_indexed}"))
    facts.append(("check", word if asked else f"{word}: crt build --check solves and imports it"))
    if job.format in {"markdown", "github"}:
        console.result("\n".join(f"- **{name}**: {text}" for name, text in facts) + "\n")
    else:
        console.show_facts(facts)
    if asked:
        if job.format == "table":
            console.result("")
        console.show_table(check_table(checks), job.format)
    for reason, where in reasons:
        console.result("\n" + reason.text(where))


def _told_once(found: Found | None) -> list[tuple[Reason, list[str]]]:
    """Each reason with all the places that it holds for: the same pins are wrong on most platforms alike."""
    told: list[tuple[Reason, list[str]]] = []
    for each in found.reasons if found is not None else ():
        same = next((places for known, places in told if known.same_as(each)), None)
        if same is None:
            told.append((each, [each.place]))
        else:
            same.append(each.place)
    return told


def check_table(checks: Sequence[Check]) -> Table:
    from coiled_runtime_cli.core.table import Column, Table

    styles = {"verified": "good", "failed": "bad", "not verified": "dim"}
    columns = (
        Column("what"),
        Column("platform"),
        Column("Python", key="python"),
        Column("found"),
        Column("why", drop=1),
    )
    return Table(
        columns,
        tuple((each.what, each.platform, each.python, each.word, each.why) for each in checks),
        tuple((None, None, None, styles[each.word], None) for each in checks),
    )
