"""`crt bisect`: the commit, release or package that changed a measurement, named with stated confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import seconds, share

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.bisect.record import Record
    from coiled_runtime_cli.commands.bisect_show import Shown
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Candidate


def bisect(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[NODEID]", help="The test that shows it: file::test[parameters], or its name."),
    ] = None,
    *,
    good: Annotated[
        str | None,
        typer.Option(
            metavar="REF", help="Where it was good: tag, commit, date, version, env:FILE. Default: searched for."
        ),
    ] = None,
    bad: Annotated[str | None, typer.Option(metavar="REF", help="Where it is bad. Default: HEAD.")] = None,
    repo: Annotated[
        str | None, typer.Option(metavar="DIR", help="Clone whose commits are searched. Default: here.")
    ] = None,
    with_repo: Annotated[
        list[str] | None,
        typer.Option("--with-repo", metavar="DIR", help="Clone that goes along, commit by commit. Repeatable."),
    ] = None,
    package: Annotated[
        str | None, typer.Option(metavar="NAME", help="Search the releases of a package instead of commits.")
    ] = None,
    regression: Annotated[
        str | None, typer.Option(metavar="ID", help="Range, test and metric of a finding of crt detect.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What is compared. Of a command: duration, peak_memory, stdout."),
    ] = None,
    better: Annotated[
        Literal["lower", "higher"] | None, typer.Option(help="Which way is better. Default: as the metric says.")
    ] = None,
    find_fix: Annotated[
        bool, typer.Option("--find-fix", help="Search for what made it better: --bad is the older end then.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Name every change in the range, not one.")] = False,
    all_commits: Annotated[
        bool, typer.Option("--all-commits", help="Also commits that came with a merge. Default: first parents.")
    ] = False,
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="GLOB", help="Commits that touch it are likelier culprits. Repeatable."),
    ] = None,
    weigh_files: Annotated[
        bool, typer.Option("--weigh-files", help="Commits of tests, docs and CI alone are unlikely culprits.")
    ] = False,
    python: Annotated[
        str | None, typer.Option(metavar="PATH|VERSION", help="Python of the candidates. Default: as here.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENT", help="Also in their environment, as numpy<1.24. Repeatable."),
    ] = None,
    requirements: Annotated[
        list[str] | None, typer.Option("--requirements", metavar="FILE", help="As --with, from a file. Repeatable.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE|today", help="Releases that the environment may have. Default: of --bad's day."),
    ] = None,
    install_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="How a commit is built, in its folder. Default: as pip does.")
    ] = None,
    confidence: Annotated[float, typer.Option(metavar="P", help="When to stop.")] = 0.99,
    min_effect: Annotated[str, typer.Option(metavar="SHARE", help="Smallest change of interest.")] = "2%",
    max_runs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after so many runs.")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Begin nothing that ends later, as 2h.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="What takes longer is bad, as 30s. Default: an error after 1h.")
    ] = None,
    on_failure: Annotated[
        Literal["skip", "bad"], typer.Option(help="What a failing run says: nothing, or that it is bad.")
    ] = "skip",
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not build culprit and parent afresh in the end.")
    ] = False,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Probes at once, each with cores or a cluster.")] = 1,
    scale: Annotated[str | None, typer.Option(metavar="SCALE", help="As of crt bench.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="As of crt bench.")] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Take runs of earlier bisections of the same test and environment.")
    ] = False,
    db: Annotated[str | None, typer.Option(metavar="PATH|URL", help="Database. Default: benchmark.db.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest open bisection, or that of an ID: nothing is lost.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List bisections, and stop.")] = False,
    show: Annotated[str | None, typer.Option(metavar="ID", help="Show the answer of a bisection, and stop.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove builds, worktrees and logs, and stop.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
    page: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write a page with values and probabilities.")
    ] = None,
    replay: Annotated[str | None, typer.Option(metavar="FILE", help="Also write a log for git bisect replay.")] = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "github"], typer.Option("--format", help="How to write the answer.")
    ] = "table",
    command: Annotated[list[str] | None, typer.Option("--command-arg", hidden=True)] = None,
) -> None:
    """Find the commit, release or package that changed a measurement.

    \b
    crt bisect --good 2022.7.0 --bad 2022.8.0 --repo ../dask test_write_wide_data
    crt bisect --good 2026.7.0 --repo ../distributed --with-repo ../dask NODEID
    crt bisect --good 2.2.0 --bad 2.3.5 --package numpy NODEID
    crt bisect --good env:good.txt --bad env:bad.txt NODEID   which package
    crt bisect --good 2.1 -- python repro.py                  any command
    crt bisect --resume                                       after a crash
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from pathlib import Path

    from coiled_runtime_cli import config
    from coiled_runtime_cli.commands import bisect_forecast, bisect_plan
    from coiled_runtime_cli.commands.bisect_show import Shown

    settings = config.load({"db": db, "scale": scale, "cluster": cluster})
    shown = Shown(format_, page=page, replay=replay)
    if list_:
        shown.list(settings)
        return
    if show is not None:
        shown.show(settings, show)
        return
    if prune:
        shown.prune(settings)
        return
    asked = bisect_plan.Asked(
        target=target,
        command=tuple(command or ()),
        good=good,
        bad=bad,
        repo=repo,
        with_repo=tuple(with_repo or ()),
        package=package,
        regression=regression,
        metric=metric,
        better=better,
        find_fix=find_fix,
        every=all_,
        first_parent=not all_commits,
        paths=tuple(path or ()),
        weigh_files=weigh_files,
        python=python,
        with_=tuple(with_ or ()),
        requirements=tuple(requirements or ()),
        as_of=as_of,
        install_command=install_command,
        confidence=confidence,
        min_effect=share("--min-effect", min_effect, zero=True),
        max_runs=max_runs,
        max_time=None if max_time is None else seconds("--max-time", max_time),
        timeout=None if timeout is None else seconds("--timeout", timeout),
        failure_is_bad=on_failure == "bad",
        verify=not no_verify,
        jobs=jobs,
        scale=scale,
        cluster=cluster,
        folder=Path.cwd(),
    )
    if resume:
        bisect_plan.refuse_beside_resume(asked, dry_run=dry_run, reuse=reuse)
        _resume(settings, target, shown)
        return
    plan, candidates = bisect_plan.plan(asked, settings)
    if dry_run:
        bisect_forecast.show(plan, candidates, settings, format_)
        return
    _begin(plan, candidates, settings, shown, reuse=reuse)


def _begin(plan: Plan, candidates: tuple[Candidate, ...], settings: Config, shown: Shown, *, reuse: bool) -> None:
    """Keep the bisection in the database, then run it; a merge that is the culprit is searched in turn."""
    from coiled_runtime_cli import session

    engine = session.open_history(settings)
    try:
        found = _run(plan, _kept(plan, candidates, settings, engine), settings, engine, reuse=reuse)
        _end(plan, found, settings, engine, shown)
    finally:
        engine.dispose()


def _kept(plan: Plan, candidates: tuple[Candidate, ...], settings: Config, engine: Engine) -> Record:
    import time

    from coiled_runtime_cli import journal
    from coiled_runtime_cli.bisect import record, rig
    from coiled_runtime_cli.core.bisection import Bisection

    begun = Bisection(
        id=journal.new_id(),
        started=time.time(),
        repository=plan.package or (plan.repositories[0][0] if plan.repositories else None),
        benchmark=plan.target,
        command=plan.command,
        metric=plan.metric,
        unit=rig.unit_of(plan.metric),
        candidates=candidates,
        definition=plan.to_document(),
    )
    kept = record.Record(engine, begun, rig.logs_of(settings, begun.id))
    kept.update()
    return kept


def _resume(settings: Config, name: str | None, shown: Shown) -> None:
    """Take up a bisection where it was left: what had ended meanwhile is kept, the rest is measured."""
    from coiled_runtime_cli import console, session
    from coiled_runtime_cli.bisect import record, rig
    from coiled_runtime_cli.bisect.plan import Plan
    from coiled_runtime_cli.errors import UsageError

    engine = session.open_existing(settings)
    try:
        found = record.find(engine, name)
        try:
            plan = Plan.from_document(found.definition)
        except ValueError as error:
            raise UsageError(f"{record.short(found)}: {error}", hint="another crt has written it") from error
        if found.status not in record.OPEN_STATUSES:
            console.note(f"{record.short(found)} has ended: this is its answer")
            shown.answer(found, plan, settings)
            return
        kept = record.Record(engine, found, rig.logs_of(settings, found.id))
        console.note(f"going on with {record.short(found)}: {len(found.probes)} runs are known")
        _end(plan, _run(plan, kept, settings, engine, reuse=False), settings, engine, shown)
    finally:
        engine.dispose()


def _end(plan: Plan, found: Record, settings: Config, engine: Engine, shown: Shown) -> None:
    """Show the answer, and exit by it. Of a merge first the commit is searched that came with it."""
    from dataclasses import replace

    from coiled_runtime_cli import console
    from coiled_runtime_cli.bisect import commits, rig
    from coiled_runtime_cli.core.bisection_table import short_name
    from coiled_runtime_cli.core.quantity import counted

    answered = found.bisection
    place = answered.culprit
    if plan.first_parent and len(plan.repositories) == 1 and place is not None and answered.candidates[place].merge:
        ends = answered.candidates[place - 1].name, answered.candidates[place].name
        good, bad = reversed(ends) if plan.find_fix else ends
        inner = replace(plan, good=good, bad=bad, first_parent=False, starts=(), every=False)
        line = commits.between(rig.clones_of(plan), *ends, first_parent=False)
        if len(line) > 2:
            console.note(
                f"{short_name(answered.candidates[place])} merges {counted(len(line) - 2, 'commit')}: searching them"
            )
            within = _run(inner, _kept(inner, line, settings, engine), settings, engine, reuse=False)
            if within.bisection.status == "found":
                answered, plan = within.bisection, inner
    shown.answer(answered, plan, settings)
    if answered.status != "found":
        raise typer.Exit(5)


def _run(plan: Plan, kept: Record, settings: Config, engine: Engine, *, reuse: bool) -> Record:
    """Search to the end; the record has the answer then. What is known is kept whatever happens."""
    import sys

    from coiled_runtime_cli import console
    from coiled_runtime_cli.bisect import commits, rig
    from coiled_runtime_cli.bisect import earlier as known
    from coiled_runtime_cli.bisect import run as running
    from coiled_runtime_cli.bisect.record import short
    from coiled_runtime_cli.commands import bisect_live

    with rig.held(kept, settings), bisect_live.watching(kept, plan) as view:
        made = rig.make(plan, kept, settings, engine, tell=view.preparing, command=("crt", *sys.argv[1:]))
        try:
            for each in made.notes:
                console.note(each)
            known.take_up(plan, kept, made, engine)
            if reuse:
                console.note(f"{known.reuse(kept, engine)} earlier runs are taken over")
            prior = None
            if plan.kind == "commits":
                prior = commits.weights(
                    rig.clones_of(plan),
                    kept.bisection.candidates,
                    paths=plan.paths,
                    modules=made.modules if plan.weigh_files else {},
                )
            kept.update(status="running")
            verdict = running.run(plan, kept, made, prior=prior, tell=view.step)
            kept.update(status=verdict.status, ended=view.now(), builds=kept.bisection.builds + made.bench.builds)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            kept.update(status="interrupted", builds=kept.bisection.builds + made.bench.builds)
            console.note(
                f"{'interrupted' if interrupted else 'stopped'}: {len(kept.bisection.probes)} runs are kept; "
                f"crt bisect --resume {short(kept.bisection)} goes on"
            )
            raise
        finally:
            made.close()
    return kept
