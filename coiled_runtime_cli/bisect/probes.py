"""One run of one candidate: a benchmark through the plugin, or any command; with the proof that it ran what was asked for."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from coiled_runtime_cli import bench, environments, journal, measuring, process, session
from coiled_runtime_cli.bisect.builds import COMMIT_FILE
from coiled_runtime_cli.bisect.ready import BuildError, Ready
from coiled_runtime_cli.core.bisection import Probe
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.record import MEASURES, NOT_THE_SAME, Environment, Run
from coiled_runtime_cli.errors import CrtError, ToolError, UsageError
from coiled_runtime_cli.locations import PACKAGE

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.search import Ask

#: Label of the sessions that are probes: they are no part of any series.
LABEL = "bisect"

#: How often a command is looked at, and how long it may take to end it (s).
_POLL, _ENDING = 0.05, 5.0

#: What can be measured of a command.
COMMAND_METRICS = ("duration", "peak_memory", "stdout")

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a run's end means. ``timeout`` (s): what takes longer counts as having taken so long. None: it has no value then.

    The metric "failure" is 1 for a run that passes and 2 for one that fails.
    """

    metric: str
    timeout: float | None = None


class Bench(Protocol):
    """Has a candidate ready to be measured. Raises BuildError where it cannot be built."""

    def __call__(self, candidate: int, *, build: int, slot: int) -> Ready: ...


class Journal(Protocol):
    """Keeps what was begun, and what came of it, before anything else happens."""

    def begin(self, probe: Probe) -> None: ...

    def end(self, begun: Probe, ended: Probe) -> None: ...

    def log(self, name: str) -> Path: ...


class _Probing:
    """What both kinds of probe do: build, note that it begins, run, and note how it ended."""

    def __init__(self, ready: Bench, record: Journal, rules: Rules) -> None:
        self._ready = ready
        self._record = record
        self._rules = rules

    def __call__(self, ask: Ask, slot: int) -> Probe:
        """Raises ToolError where nothing can be written any more, UsageError for what no run can have."""
        try:
            return self._probe(ask, slot)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise ToolError(
                f"a run cannot be kept: {where}{error.strerror or error}", hint="make room, then crt bisect --resume"
            ) from error

    def _probe(self, ask: Ask, slot: int) -> Probe:
        began = time.monotonic()
        identity = journal.new_id()
        begun = Probe(
            candidate=ask.candidate,
            outcome="error",
            purpose=ask.purpose,
            build=ask.build,
            at=time.time(),
            session=identity,
            message="was cut short",
        )
        try:
            ready = self._ready(ask.candidate, build=ask.build, slot=slot)
        except BuildError as error:
            log = self._record.log(f"build-{ask.candidate}.log")
            log.write_text(error.log)
            ended = replace(begun, outcome="unbuildable", message=error.message, log=str(log), session=None)
        else:
            self._record.begin(begun)
            ended = self._run(begun, ready, slot)
        if ended.outcome == "measured" and (ended.value is None or not math.isfinite(ended.value) or ended.value <= 0):
            told = f"{self._rules.metric} is {ended.value}: only a number above 0 can be compared"
            ended = replace(ended, outcome="error", value=None, message=told)
        ended = replace(ended, took=time.monotonic() - began)
        self._record.end(begun, ended)
        return ended

    #: Of the metric, as far as is known: its unit, and which way is better.
    unit: str | None = None
    better: str | None = None

    def _run(self, begun: Probe, ready: Ready, slot: int) -> Probe:
        raise NotImplementedError

    def _failed(self, begun: Probe, message: str) -> Probe:
        """Whatever ran says no: a verdict where failing is what is looked for."""
        if self._rules.metric == "failure":
            return replace(begun, outcome="measured", value=2.0, message=message)
        return replace(begun, outcome="failed", message=message)

    def _late(self, begun: Probe, told: str) -> Probe:
        """Whatever ran was ended: a verdict where a timeout was named. ``told`` is what is said of any other one."""
        if self._rules.timeout is None:
            return replace(begun, outcome="timeout", message=told)
        message = _took_longer(self._rules.timeout)
        if self._rules.metric == "failure":
            return self._failed(begun, message)
        if self._rules.metric == "duration":
            return replace(begun, outcome="measured", value=self._rules.timeout, message=message)
        return replace(begun, outcome="timeout", message=message)


class TestProbe(_Probing):
    """Runs one benchmark through the plugin, in a session of its own."""

    __test__ = False  # not one of pytest's

    def __init__(
        self,
        ready: Bench,
        record: Journal,
        rules: Rules,
        *,
        selection: bench.Selection,
        settings: Config,
        engine: Engine,
        python: Path | None,
        command: tuple[str, ...],
        stop: threading.Event,
        cores: tuple[tuple[int, ...], ...] = ((),),
    ) -> None:
        super().__init__(ready, record, rules)
        self._selection = selection
        self._settings = replace(settings, label=LABEL, timeout=rules.timeout or settings.timeout)
        self._engine = engine
        self._python = python
        self._command = command
        self._stop = stop
        self._cores = cores
        self._storing = threading.Lock()

    def _run(self, begun: Probe, ready: Ready, slot: int) -> Probe:
        assert begun.session is not None
        prepared, spec = session.prepare(self._settings, parallel=len(self._cores))
        folder = Path(prepared.folder).with_name(begun.session)
        prepared = replace(
            prepared,
            session=begun.session,
            folder=str(folder),
            watched=[name for name, _, _ in ready.imports],
        )
        python = ready.python or self._python
        chosen = bench.target(str(python) if python is not None else None, folder)
        path = [str(each) for each in ready.path]
        chosen = replace(
            chosen,
            path=process.joined_path([*path, *([chosen.path] if chosen.path else [])]) or None,
            cores=self._cores[slot],
        )
        runs: list[Run] = []
        seen: list[Environment] = []
        ends: list[bench.ProcessEnded] = []

        def follow(event: object) -> None:
            if isinstance(event, Run):
                runs.append(event)
            elif isinstance(event, Environment):
                seen.append(event)
            elif isinstance(event, bench.ProcessEnded):
                ends.append(event)

        try:
            measuring.measure(
                self._settings,
                prepared,
                spec,
                chosen,
                self._selection,
                engine=self._engine,
                storing=self._storing,
                command=self._command,
                tell=follow,
                stopping=self._stop.is_set,
            )
        except UsageError:
            raise
        except CrtError as error:
            return self._not_run(begun, error, ends[-1] if ends else None)
        return self._judged(begun, ready, runs, seen[-1] if seen else None, ends[-1].log if ends else "")

    def _not_run(self, begun: Probe, error: CrtError, ended: bench.ProcessEnded | None) -> Probe:
        log = self._record.log(f"{begun.session}.log")
        log.write_text(error.message)
        told = replace(begun, log=str(log), message=_last_line(error.message))
        # a candidate that cannot even be imported fails every test, and says so while they are collected
        return self._failed(told, _last_line(error.message)) if ended is not None and not ended.died else told

    def _profiled(self, run: Run) -> str | None:
        profiled = run.profiled and self._rules.metric != "failure"
        return "the run was profiled: what it took says nothing" if profiled else None

    def _judged(
        self, begun: Probe, ready: Ready, runs: list[Run], environment: Environment | None, printed: str
    ) -> Probe:
        names = sorted({each.benchmark for each in runs})
        if len(names) > 1:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UsageError(
                f"{len(names)} tests were run, and a bisection follows one: {', '.join(names[:3])}{more}",
                hint="name one, with its parameters in brackets",
            )
        if not runs:
            return self._failed(begun, "the test is not there, or could not be collected")
        run = runs[-1]
        begun = replace(begun, run=run.uuid, at=run.start or begun.at)
        if run.outcome == "timeout":
            return self._late(begun, _last_line(run.failure))
        if run.outcome == "skipped":
            return replace(begun, outcome="failed", message=f"the test was skipped: {_last_line(run.failure)}")
        if run.outcome != "passed":
            log = self._record.log(f"{begun.session}.log")
            log.write_text(f"{run.failure or ''}\n{printed}")
            ended = replace(begun, log=str(log))
            if NOT_THE_SAME in (run.failure or ""):
                return replace(ended, message=f"{NOT_THE_SAME}: {_last_line(run.failure)}")
            message = f"{run.outcome}: {_last_line(run.failure)}"
            if run.outcome == "crashed":  # who knows why: it is tried again
                return replace(ended, message=message)
            return self._failed(ended, message)
        wrong = _wrong_imports(ready, environment) or self._profiled(run)
        if wrong is not None:
            return replace(begun, outcome="error", message=wrong)
        if self._rules.metric == "failure":
            return replace(begun, outcome="measured", value=1.0)
        value = measuring.metric_value(run, self._rules.metric)
        own = next((each for each in run.metrics if each.name == self._rules.metric), None)
        if own is not None:
            self.unit, self.better = own.unit, own.better
        if value is None:
            known = [name for name in MEASURES if getattr(run, name) is not None]
            raise UsageError(unknown("metric", self._rules.metric, [*known, *(each.name for each in run.metrics)]))
        return replace(begun, outcome="measured", value=value)


def _wrong_imports(ready: Ready, environment: Environment | None) -> str | None:
    """What was imported that should not have been; None where it was what was asked for."""
    if environment is None:
        return "nothing is known of the environment that it ran in"
    ours = [(name, root, commit) for name, root, commit in ready.imports if commit is not None]
    for name, root, commit in ours:
        there = [each for each in environment.packages if each.imported and each.name == name]
        if not there:
            continue  # a module that nothing imported; that all of them were not, is seen below
        got = there[0]
        inside = got.url is not None and Path(got.url).is_relative_to(root.resolve())
        if commit is not None and (got.commit != commit or not inside):
            where = (
                f"{got.commit[:12]} from {got.url}" if got.commit else f"{got.version} from {got.url or 'elsewhere'}"
            )
            return f"{name} was imported at {where}, and {commit[:12]} was asked for"
    if ours and not any(each.imported and each.name == name for name, _, _ in ours for each in environment.packages):
        return f"nothing of {', '.join(name for name, _, _ in ours)} was imported: the test measures something else"
    for name, version in ready.versions:
        found = [each for each in environment.packages if environments.normal(each.name) == name]
        installed = [each.version for each in found if not each.imported]
        elsewhere = [each.url for each in found if each.imported and each.url is not None]
        if elsewhere or installed != [version]:
            return f"{name} was {', '.join(map(str, elsewhere or installed)) or 'missing'}, and {version} was asked for"
    return None


class CommandProbe(_Probing):
    """Runs a command in the caller's folder, in a process that outlives nothing.

    ``patience`` (s) is how long it may take where the rules have no timeout.
    """

    def __init__(
        self,
        ready: Bench,
        record: Journal,
        rules: Rules,
        *,
        command: tuple[str, ...],
        folder: Path,
        python: Path | None,
        stop: threading.Event,
        patience: float,
        cores: tuple[tuple[int, ...], ...] = ((),),
    ) -> None:
        super().__init__(ready, record, rules)
        self._longest = patience if rules.timeout is None else rules.timeout
        self._command = command
        self._folder = folder
        self._python = python
        self._stop = stop
        self._cores = cores

    def _run(self, begun: Probe, ready: Ready, slot: int) -> Probe:
        place = self._record.log(f"{begun.session}")
        imports = place / "imports"
        imports.mkdir(parents=True)
        output = place / "output.log"
        begun = replace(begun, log=str(output))
        python = ready.python or self._python
        variables = {
            "PYTHONPATH": process.joined_path([str(PACKAGE / "bisect" / "hook"), *map(str, ready.path)], inherit=True),
            "CRT_BISECT_IMPORTS": str(imports),
            "CRT_BISECT_MODULES": ",".join(name for name, _, _ in ready.imports),
        }
        if python is not None:
            variables["PATH"] = process.first_on_path(python.parent)
            variables["VIRTUAL_ENV"] = str(python.parent.parent)
        request = {
            "command": list(self._command),
            "folder": str(self._folder),
            "output": str(output),
            "errors": str(place / "errors.log"),
            "result": str(place / "result.json"),
            "timeout": self._longest,
            "parent": os.getpid(),
            "variables": variables,
            "imports": [[name, str(root)] for name, root, _ in ready.imports],
        }
        (place / "request.json").write_text(json.dumps(request))
        child = process.Child(
            [sys.executable, "-I", str(PACKAGE / "bisect" / "run_command.py"), str(place / "request.json")],
            log=place / "runner.log",
        )
        if self._cores[slot]:
            child.pin(self._cores[slot])
        try:
            while child.wait(_POLL) is None:
                if self._stop.is_set():
                    raise KeyboardInterrupt  # noqa: TRY301  as one that the main thread would get
        except BaseException:
            child.interrupt()  # it ends the command, which has a process group of its own
            child.wait(_ENDING)
            child.kill_group()
            raise
        return self._judged(begun, place, ready)

    def judged_later(self, begun: Probe, place: Path) -> Probe | None:
        """As :meth:`_judged`, of a command that ended when crt was gone; None where it did not end."""
        if not (place / "result.json").exists():
            return None
        request = json.loads((place / "request.json").read_text())
        # which commit the worktree was at is known by now to git alone; that it was imported from there can be seen
        imports = tuple((name, Path(root), None) for name, root in request["imports"])
        return self._judged(begun, place, Ready(imports=imports))

    def _judged(self, begun: Probe, place: Path, ready: Ready) -> Probe:
        """What a command's files say of how it ended."""
        try:
            result = json.loads((place / "result.json").read_text())
        except (OSError, ValueError):
            return begun  # the runner died with it: tried again
        if "error" in result:
            raise UsageError(result["error"])
        begun = replace(begun, at=result["at"], log=str(place / "output.log"))
        if result["timed_out"]:
            return self._late(begun, _took_longer(self._longest))
        output, errors = ((place / f"{name}.log").read_text(errors="replace") for name in ("output", "errors"))
        code = result["returncode"]
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"died by signal {-code}"
            message = f"{how}: {_last_line(errors or output)}"
            if code == -9:  # out of memory, or somebody's kill: tried again
                return replace(begun, message=message)
            return self._failed(begun, message)
        wrong = _wrong_witnesses(ready, place / "imports")
        if wrong is not None:
            return replace(begun, outcome="error", message=wrong)
        metric = self._rules.metric
        if metric == "failure":
            return replace(begun, outcome="measured", value=1.0)
        if metric == "stdout":
            numbers = _NUMBER.findall(output)
            if not numbers:
                return replace(
                    begun, outcome="error", message="it printed no number (--metric stdout takes the last one)"
                )
            return replace(begun, outcome="measured", value=float(numbers[-1]))
        return replace(begun, outcome="measured", value=float(result[metric]))


def _wrong_witnesses(ready: Ready, imports: Path) -> str | None:
    """As :func:`_wrong_imports`, of what the processes below a command have noted."""
    notes = [json.loads(each.read_text()) for each in sorted(imports.glob("*.json"))]
    names = ", ".join(dict.fromkeys(name for name, _, _ in ready.imports))
    if ready.imports and not notes:
        return f"no Python below the command imported {names}: it measures something else"
    roots = {name: root.resolve() for name, root, _ in ready.imports}
    for each in notes:
        file = each["file"]
        if file is None or not Path(file).resolve().is_relative_to(roots[each["name"]]):
            return f"{each['name']} was imported from {file}, and not from {roots[each['name']]}"
    for name, root, commit in ready.imports:
        if commit is not None and (there := commit_at(root)) != commit:
            found = "has changes that are in no commit" if there is None else f"was at {there[:12]}"
            return f"{name} {found}, and {commit[:12]} was asked for: {root}"
    return None


def commit_at(root: Path) -> str | None:
    """The commit of a worktree, or of what was built; None where nothing says it, or it has been changed."""
    from coiled_runtime_cli import git

    built = root / COMMIT_FILE
    if built.is_file():
        return built.read_text()
    found = git.checkout(root)
    return None if found is None or found.dirty else found.commit


def _took_longer(seconds: float) -> str:
    return f"took longer than {seconds:g} s"


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1].strip()[:200] if lines else "it said nothing"
