"""The command line: which commands there are, the flags that all of them share, and what each error means to the shell.

A command's module is imported when the command is asked for, so that ``crt --help`` stays quick.
"""

from __future__ import annotations

import copy
import errno
import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from coiled_runtime_cli import __version__, config, console
from coiled_runtime_cli.core.nearest import nearest, unknown
from coiled_runtime_cli.errors import GIT_SKIPS, GIT_STOPS, CrtError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: typer brings its own click or the installed one, as its version has it: this is the base of either one's errors.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

INTERRUPTED = 130
OUTPUT_CLOSED = 141  # as the shell says of a program that SIGPIPE ended

_EPILOG = """\b
Exit codes:
  0    success
  1    a finding where a gate was asked for: a failing benchmark, a regression
  2    wrong usage or configuration
  3    a tool, a build, a database or a benchmark could not run
  4    credentials, a bucket, a scheduler or the network
  5    inconclusive
  130  interrupted

\b
Examples:
  crt bench --suite parquet         measure the Parquet suite
  crt bench --list                  what there is to measure
  crt report --out site/ --open     the history as a site
  crt bisect --good REF NODEID      which commit made it slower
  crt sync push                     share what was measured
  crt config show --origin          every setting, and where it comes from

The options above may also follow the command. crt COMMAND --help says more.
"""


@dataclass(frozen=True, slots=True)
class _Command:
    module: str
    attribute: str  # a function, or a typer app with commands of its own
    help: str
    rest: str | None = None  # the hidden option that takes what follows "--", one value each


_COMMANDS = {
    "build": _Command("build", "build", "Build the metapackage from its pins, and prove that it can be had."),
    "release": _Command("release", "app", "Release the metapackage: pins, version, checks, tag, feedstock, upload."),
    "bench": _Command("bench", "bench", "Run benchmarks, and store what they measure.", rest="--pytest-arg"),
    "data": _Command("data", "app", "Look after the data sets that suites read: list, make, verify, prune."),
    "report": _Command("report", "report", "Draw the history as a site: what changed, every benchmark, comparisons."),
    "detect": _Command("detect", "app", "Find what got slower or faster, since when, and what moved."),
    "compare": _Command(
        "compare", "compare", "Compare two sets of runs, test by test: labels, versions, commits, dates."
    ),
    "diff": _Command("diff", "diff", "Show what sets two runs apart: environments, hosts, configurations, commits."),
    "noise": _Command("noise", "noise", "Say how quiet this machine is, how tests vary, and how many runs it takes."),
    "ab": _Command("ab", "app", "Compare environments in interleaved runs: versions, commits, configurations."),
    "bisect": _Command(
        "bisect", "bisect", "Find the commit, release or package that changed a measurement.", rest="--command-arg"
    ),
    "bisect-step": _Command(
        "bisect_step",
        "bisect_step",
        "Judge the current commit for git bisect run: 0, 1, 125 or 128.",
        rest="--command-arg",
    ),
    "sync": _Command("sync", "app", "Share the history through a bucket or a folder: push, pull, publish."),
    "db": _Command("db", "app", "Look after the database: query, export, merge, import, prune, upgrade."),
    "config": _Command("config", "app", "Show the configuration, and where it comes from."),
    "doctor": _Command("doctor", "doctor", "Look for what would keep crt from working here, and say what mends it."),
    "init": _Command("init", "init", "Set up benchmarks for a project of your own."),
}


@dataclass(slots=True)
class _Flags:
    """The shared flags as they are known so far: those before the command, then those after it."""

    quiet: bool = False
    verbose: bool = False
    no_progress: bool = False
    color: str = "auto"
    config_file: Path | None = None
    no_config: bool = False
    debug: bool = False
    stepping: bool = False  # it is git that asks, and takes what is below 128 for an answer

    def apply(self) -> None:
        color = self.color
        if color == "auto" and config.no_color():
            color = "never"
        elif color == "auto" and config.force_color():
            color = "always"
        console.configure(
            quiet=self.quiet,
            verbose=self.verbose,
            progress=not self.no_progress,
            color=color,
            columns=config.terminal_columns(),
        )
        config.choose_files(self.config_file, no_config=self.no_config)


class _LazyGroup(TyperGroup):
    """Lists its commands from :data:`_COMMANDS`, and imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            command = _with_shared_flags(_loaded(cmd_name), self.params)
            if config.completion_requested():
                from coiled_runtime_cli.commands import completion

                completion.prepare(command, cmd_name, _Flags.__slots__)
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        parsed: list[str] = super().parse_args(ctx, _with_shells(args))
        return parsed

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands, without importing any; or the shared flags."""
        from coiled_runtime_cli.commands.completion import Word

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [Word(name, command.help) for name, command in _COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in _COMMANDS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(unknown("command", name, _COMMANDS), hint="crt --help says what each one does")
        if isinstance(ctx.obj, _Flags):
            ctx.obj.stepping = name == "bisect-step"
        rest = _COMMANDS[name].rest if name in _COMMANDS else None
        if rest is not None and "--" in args:
            # or they would count as one more of the command's own arguments
            cut = args.index("--")
            args = [*args[:cut], *(f"{rest}={each}" for each in args[cut + 1 :])]
        return super().resolve_command(ctx, args)


def _with_shells(args: Sequence[str]) -> list[str]:
    """The arguments with a shell after each flag of completion: the one that follows, or else the one that is running."""
    found: list[str] = []
    for place, each in enumerate(args):
        found.append(each)
        if each in {"--install-completion", "--show-completion"}:
            following = args[place + 1] if place + 1 < len(args) else "-"
            if following.startswith("-"):
                found.append("")
    return found


def _loaded(name: str) -> Any:
    entry = _COMMANDS[name]
    module = importlib.import_module(f"coiled_runtime_cli.commands.{entry.module}")
    command = getattr(module, entry.attribute)
    # An app of our own around it sets for all commands alike how help is drawn.
    holder = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    holder.callback()(_nothing)
    if isinstance(command, typer.Typer):
        holder.add_typer(command, name=name)
    else:
        holder.command(name=name)(command)
    group: Any = typer.main.get_command(holder)
    return _with_whole_summaries(group.commands[name])


def _with_whole_summaries(command: Any) -> Any:
    """Let a group list its commands with their first paragraph, and not with its first 45 letters."""
    for each in getattr(command, "commands", {}).values():
        each.short_help = " ".join((each.help or "").partition("\n\n")[0].split())
        _with_whole_summaries(each)
    return command


def _nothing() -> None:
    """Keep an app with a single command a group."""


def _with_shared_flags(command: Any, shared: Sequence[Any]) -> Any:
    """Let the shared flags follow the command too, hidden, and each under the names that the command leaves free."""
    for each in getattr(command, "commands", {}).values():
        _with_shared_flags(each, shared)
    if hasattr(command, "commands") and not command.invoke_without_command:
        return command
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for param in shared:
        names = [name for name in param.opts if name not in taken]
        if names and param.name in _Flags.__slots__ and param.name not in {each.name for each in command.params}:
            follower = copy.copy(param)
            follower.opts, follower.hidden, follower.expose_value, follower.callback = names, True, False, _follow
            command.params.append(follower)
    return command


def _follow(ctx: Any, param: Any, value: Any) -> Any:
    if value and value != param.default:
        flags: _Flags = ctx.obj
        setattr(flags, param.name, Path(value) if param.name == "config_file" else value)
        flags.apply()
    return value


def _print_version(value: bool) -> None:
    if value:
        console.result(f"crt {__version__}")
        raise typer.Exit


def _completion(ctx: Any, param: Any, shell: str | None) -> None:
    """Print or install what completes in a shell, and stop."""
    if shell is None or ctx.resilient_parsing:
        return
    from coiled_runtime_cli import shells

    chosen = shell or shells.current(config.login_shell())
    if param.name == "show_completion":
        console.result(shells.script(chosen))
    else:
        console.note(f"wrote {shells.install(chosen, *config.shell_folders())}")
        console.hint(f"it completes in the next {chosen}: exec {chosen}")
    raise typer.Exit


app = typer.Typer(
    cls=_LazyGroup,
    name="crt",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog=_EPILOG)
def _shared(
    ctx: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  its callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is done.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar, no progress lines.")] = False,
    color: Annotated[
        Literal["auto", "always", "never"], typer.Option("--color", help="Also NO_COLOR and FORCE_COLOR.")
    ] = "auto",
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Read FILE, not the user's and the project's configuration."),
    ] = None,
    no_config: Annotated[bool, typer.Option("--no-config", help="Read no configuration file.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with each error.")] = False,
    install_completion: Annotated[  # noqa: ARG001  its callback acts on it
        str | None,
        typer.Option(
            metavar="[SHELL]", callback=_completion, is_eager=True, help="Have bash, zsh or fish complete crt; exit."
        ),
    ] = None,
    show_completion: Annotated[  # noqa: ARG001
        str | None,
        typer.Option(metavar="[SHELL]", callback=_completion, is_eager=True, help="Print what that takes, and exit."),
    ] = None,
) -> None:
    """Measure a Dask distribution: run benchmarks, keep every result, and find what changed.

    crt bench --suite parquet is a good start: it needs no account and no server.
    """
    flags: _Flags = ctx.obj
    flags.quiet, flags.verbose, flags.no_progress, flags.color = quiet, verbose, no_progress, color
    flags.config_file, flags.no_config, flags.debug = config_file, no_config, debug
    flags.apply()


def run(arguments: Sequence[str]) -> int:
    """Run ``crt`` with these arguments and return its exit code: the one place where errors become codes."""
    flags = _Flags()
    flags.apply()
    try:
        command: Any = typer.main.get_command(app)
        if config.completion_requested():
            return _completed(command, arguments, flags)
        with command.make_context("crt", list(arguments), obj=flags) as context:
            command.invoke(context)
        code = 0
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        console.warning("interrupted")
        code = INTERRUPTED
    except Exception as problem:  # noqa: BLE001  what no other arm expects is a bug, and is called one
        code = _explain(problem, debug=flags.debug)
        if flags.stepping and code not in {GIT_SKIPS, GIT_STOPS}:
            code = GIT_STOPS
    return _last_words(code)


def _completed(command: Any, arguments: Sequence[str], flags: _Flags) -> int:
    from coiled_runtime_cli.commands import completion

    click = _ClickError.__module__.rpartition(".")[0]  # the one that this typer is made of
    return completion.answer(command, arguments, flags, importlib.import_module(f"{click}.shell_completion"))


def _explain(problem: Exception, *, debug: bool) -> int:
    if isinstance(problem, BrokenPipeError) and console.is_closed():
        return OUTPUT_CLOSED
    if debug:
        import traceback

        console.note("".join(traceback.format_exception(problem)))
    shown = problem if isinstance(problem, CrtError) else _as_usage(problem)
    if shown is None:
        # the help that an incomplete command gets instead of a message
        console.note(problem.format_message())  # type: ignore[attr-defined]
        return UsageError.exit_code
    console.error(shown)
    return shown.exit_code


def _as_usage(problem: Exception) -> CrtError | None:
    if not isinstance(problem, _ClickError):
        return _unexpected(problem)
    message: str = problem.format_message()  # type: ignore[attr-defined]
    if message.startswith("Usage:"):
        return None
    context = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else "crt"
    option = getattr(problem, "option_name", None)
    if option is not None and type(problem).__name__ == "NoSuchOption" and context is not None:
        known = [name for param in context.command.params for name in param.opts if name.startswith("--")]
        match = nearest(option, known)
        message = f"{path} has no option {option}" + (f": did you mean {match}?" if match else "")
    param = getattr(problem, "param", None)
    choices = getattr(getattr(param, "type", None), "choices", None)
    refused = re.search(r"'([^']*)' is not one of ", message)
    if param is not None and choices is not None and refused is not None:
        message = f"{'/'.join(param.opts)}: {unknown('value', refused[1], choices)}"
    missing = re.match(r"No such command '([^']*)'", message)
    if missing is not None and context is not None:
        message = unknown("command", f"{path.partition(' ')[2]} {missing[1]}".strip(), _commands_of(context))
    return UsageError(message, hint=f"{path} --help says what there is")


def _commands_of(context: Any) -> list[str]:
    """The commands of a group, in full, as "sync push"."""
    group = context.command_path.partition(" ")[2]
    return [f"{group} {name}".strip() for name in context.command.list_commands(context)]


def _unexpected(problem: Exception) -> CrtError:
    import traceback

    frames = traceback.extract_tb(problem.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
    text = f": {problem}" if str(problem) else ""
    if isinstance(problem, OSError) and problem.errno == errno.ENAMETOOLONG:
        return UsageError(f"no file can have so long a name: {str(problem.filename)[:80]}...")
    if isinstance(problem, OSError):  # a full disk, a folder without rights: the machine's answer, to be read as it is
        return CrtError(f"the system refused{text}{place}", hint="crt --debug shows the traceback")
    return CrtError(
        f"this is a bug in crt: {type(problem).__name__}{text}{place}",
        hint="run it again with crt --debug for the traceback, and report that with the command",
    )


def _last_words(code: int) -> int:
    """Flush; where that fails, leave without the interpreter's own complaint about it."""
    try:
        console.flush()
    except BrokenPipeError:
        code = code or OUTPUT_CLOSED
    except OSError as problem:
        if code == 0:
            code = CrtError.exit_code
            console.error(_unexpected(problem))
    else:
        if code != OUTPUT_CLOSED:
            return code
    console.silence()
    return code
