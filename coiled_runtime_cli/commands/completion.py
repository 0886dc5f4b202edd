"""The Tab key: which values each option and argument may have, and the answer to a shell that asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import config, known, shells

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from coiled_runtime_cli.known import Name, Place

#: The values of a parameter by its name, whichever command has it.
_VALUES: dict[str, Callable[[Place], Iterable[Name]]] = {
    "across": known.circumstances,
    "baseline": known.labels,
    "cluster": known.clusters,
    "label": known.labels,
    "metric": known.metrics,
    "node_ids": known.tests,
    "platform": known.platforms,
    "regression": known.findings,
    "scale": known.scales,
    "session": known.sessions,
    "suite": known.suites,
}

#: And where a command means something of its own.
_VALUES_OF: dict[tuple[str, str], Callable[[Place], Iterable[Name]]] = {
    ("bench", "profile"): known.profilers,
    ("bisect", "bad"): known.references,
    ("bisect", "good"): known.references,
    ("bisect", "show"): known.bisections,
    ("bisect", "target"): known.tests,
    ("bisect-step", "target"): known.tests,
    ("build", "env"): known.environment_files,
    ("compare", "baseline"): known.arms,
    ("compare", "contender"): known.arms,
    ("compare", "suite"): known.measured_suites,
    ("data list", "names"): known.datasets,
    ("data make", "names"): known.datasets,
    ("data prune", "names"): known.datasets,
    ("data verify", "names"): known.datasets,
    ("db stamp", "revision"): known.revisions,
    ("detect accept", "ids"): known.findings,
    ("detect", "suite"): known.measured_suites,
    ("diff", "first"): known.runs,
    ("diff", "second"): known.runs,
    ("noise", "test"): known.measured_tests,
    ("release feedstock", "remote"): known.remotes,
    ("release tag", "remote"): known.remotes,
    ("report", "suite"): known.measured_suites,
}

#: Words of a metavar that stand for a file or a folder.
_FILES = ("PATH", "FILE", "DIR", "FOLDER", "RECIPE", "NODEID")

#: Characters that are said about a value.
_ABOUT = 70

#: Longest time that an answer may take (s): whoever pressed the key waits.
_LONGEST = 10.0


@dataclass(frozen=True, slots=True)
class Word:
    """A completion as click has it. ``type`` is plain, or file."""

    value: str
    help: str | None = None
    type: str = "plain"


def prepare(command: Any, path: str, shared: Collection[str]) -> None:
    """Give the parameters of a command, and of those below it, their values; the shared flags are offered as its own."""
    for name, each in getattr(command, "commands", {}).items():
        prepare(each, f"{path} {name}", shared)
    for param in command.params:
        if param.name in shared:
            param.hidden = False
        values = _values(path, param)
        if values is not None or _takes_files(param):
            param.shell_complete = _Completer(values, files=_takes_files(param))


def _values(path: str, param: Any) -> Callable[[Place], Iterable[Name]] | None:
    if (path, param.name) in _VALUES_OF:
        return _VALUES_OF[path, param.name]
    if path.startswith(("sync", "release upload")) and param.name == "profile":
        return known.aws_profiles
    return _VALUES.get(param.name) if not getattr(param, "is_flag", False) else None


def _takes_files(param: Any) -> bool:
    return any(each in (param.metavar or "") for each in _FILES) or "path" in type(param.type).__name__.lower()


@dataclass(frozen=True, slots=True)
class _Completer:
    """Takes the place of a parameter's ``shell_complete``."""

    values: Callable[[Place], Iterable[Name]] | None
    files: bool

    def __call__(self, ctx: Any, incomplete: str) -> list[Word]:
        found = [Word(incomplete, type="file")] if self.files else []
        if self.values is None:
            return found
        shared = ctx.find_root().params
        if shared.get("config_file") or shared.get("no_config"):
            config.choose_files(shared["config_file"], no_config=shared["no_config"])
        place = known.Place(incomplete, db=_first(ctx.params.get("db")), repository=Path(ctx.params.get("repo") or "."))
        named = known.fitting(self.values(place), incomplete)
        return [Word(each.value, each.about) for each in named] + found


def _first(value: Any) -> str | None:
    """The database that was named: of several the first."""
    if isinstance(value, (list, tuple)):
        return str(value[0]) if value else None
    return str(value) if value else None


def answer(command: Any, arguments: Sequence[str], flags: Any, shell_complete: Any) -> int:
    """Print the values of the word that is being typed. Whatever goes wrong: no values, no message, and no file is changed.

    ``shell_complete`` is click's module of that name. Returns the exit code.
    """
    request = config.completion()
    try:
        from textwrap import shorten

        if request.shell == "bash":
            from coiled_runtime_cli.core.words import split

            line = split(arguments[0] if arguments else "")
            words, word = list(line.words[1:]), line.word
        else:
            words, word = list(arguments[:-1]), arguments[-1] if arguments else ""
        found = _found(command, words, word, flags, shell_complete)
        values = [each for each in found if each.type == "plain"]
        if request.shell == "bash":
            from coiled_runtime_cli.core.words import for_bash

            lines = [for_bash(each.value, line, request.breaks) for each in values]
        else:
            lines = [f"{each.value}\t{shorten(each.help or '', _ABOUT)}".rstrip("\t") for each in values]
        if lines:
            print("\n".join(lines))  # noqa: T201  the shell reads it: nothing of it is to be made printable
    except Exception:  # noqa: BLE001  a message in the middle of a command line helps nobody
        return 0
    return shells.FILES if any(each.type != "plain" for each in found) else 0


def _found(command: Any, words: list[str], word: str, flags: Any, shell_complete: Any) -> list[Word]:
    if "--" in words:
        return [Word(word, type="file")]  # the rest is another program's
    prefix = ""
    if word.startswith("--") and "=" in word:
        name, _, word = word.partition("=")
        words, prefix = [*words, name], f"{name}="
    # what is abstract of it is how a shell asks and is answered, which is done here
    finder = type(
        "Finder", (shell_complete.ShellComplete,), dict.fromkeys(shell_complete.ShellComplete.__abstractmethods__)
    )
    found = finder(command, {"obj": flags}, "crt", "_CRT_COMPLETE").get_completions(words, word)
    return [Word(prefix + each.value if each.type == "plain" else word, each.help, each.type) for each in found]


def hush() -> None:
    """Be silent, and gone after a while whatever is being waited for: a folder of the network may not answer.

    For the whole process: it ends with the answer.
    """
    import os
    import signal

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, _LONGEST)
