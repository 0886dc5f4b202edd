"""`crt doctor`: what would keep crt from working here, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.sync_options import Database, Endpoint, Profile, Region, Remote  # noqa: TC001  typer reads them

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli import config as configuration
    from coiled_runtime_cli.core.doctor import Finding


def doctor(
    *,
    cluster: Annotated[bool, typer.Option("--cluster", help="Also start a local cluster, and close it.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Also ask Coiled whether it takes the login.")] = False,
    remote: Remote = None,
    db: Database = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    format_: Annotated[
        Literal["table", "json", "markdown"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Look for what would keep crt from working here, and say what mends it.

    \b
    crt doctor                                   what is here, and what is not
    crt doctor --cluster                         and start a local cluster
    crt doctor --remote s3://bucket/benchmarks   may I read and write there?
    crt doctor --format json                     for a bug report

    It takes two seconds and writes nothing, but for one small object at a remote that is configured or named here, which
    is removed again. Nothing goes anywhere else.

    \b
    Exit codes, of several problems the lowest:
      0  no problem: warnings and notes do not count
      2  the configuration is wrong
      3  a tool is missing, or this machine cannot do it
      4  no login, or a remote, a server or Coiled refuses or does not answer
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console
    from coiled_runtime_cli import doctor as examination
    from coiled_runtime_cli.core import doctor as judge

    findings: list[Finding] = []
    settings, where = _configuration(
        findings, db, {"remote": remote, "endpoint_url": endpoint_url, "profile": profile, "region": region}
    )
    with console.progress(None, "looking") as bar:
        findings += examination.examine(
            settings, where, online=online, cluster=cluster, tell=lambda text: bar.update(0, text=text)
        )
    _show(findings, format_)
    if code := judge.exit_code(findings):
        raise typer.Exit(code)


def _configuration(
    findings: list[Finding], db: str | None, flags: dict[str, str | None]
) -> tuple[configuration.Config | None, configuration.Remote | None]:
    """The settings and the remote; what is wrong with them is a finding like any other."""
    from coiled_runtime_cli import config
    from coiled_runtime_cli.core.doctor import CONFIGURATION, Finding
    from coiled_runtime_cli.errors import UsageError

    settings = where = None
    try:
        settings = config.load({"db": db})
        where = config.remote(settings, **flags)
    except UsageError as error:
        mend = error.hint or "crt config path"
        findings.append(Finding("configuration", "problem", error.message, mend, CONFIGURATION))
    else:
        files = ", ".join(map(str, settings.files))
        findings.append(Finding("configuration", "ok", files or "defaults: no file is read"))
    return settings, where


def _show(findings: Sequence[Finding], format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core import doctor as judge

    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "exit_code": judge.exit_code(findings),
                "findings": [
                    {"check": each.check, "state": each.state, "seen": each.seen, "mend": each.mend or None}
                    for each in findings
                ],
                "counts": {state: sum(each.state == state for each in findings) for state in judge.STATES},
            }
        )
        return
    console.show_table(judge.table(findings, mends=format_ == "markdown"), format_)
    commands: dict[str, list[Finding]] = {}
    for each in sorted(findings, key=lambda each: -judge.STATES.index(each.state)):
        if each.mend:
            commands.setdefault(each.mend, []).append(each)
    if format_ == "table" and commands:
        # whole lines, to be copied: a column would fold them
        console.result("")
        for command, those in commands.items():
            console.result(f"# {those[0].state}: {', '.join(each.check for each in those)}\n{command}")
