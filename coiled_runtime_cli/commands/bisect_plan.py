"""From the flags of `crt bisect` to a plan and its candidates: what is not said is looked for, what cannot be is refused."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import console, git, session
from coiled_runtime_cli.bisect import commits, packages, releases, rig
from coiled_runtime_cli.bisect.plan import COMMITS, PACKAGES, RELEASES, Plan
from coiled_runtime_cli.core.quantity import counted
from coiled_runtime_cli.errors import UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Candidate

_ENVIRONMENT = "env:"

#: Flags whose fields have other names.
_FLAGS = {
    "command": "--",
    "every": "--all",
    "failure_is_bad": "--on-failure",
    "first_parent": "--all-commits",
    "paths": "--path",
    "verify": "--no-verify",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The flags, as they were given."""

    folder: Path
    target: str | None = None
    command: tuple[str, ...] = ()
    good: str | None = None
    bad: str | None = None
    repo: str | None = None
    with_repo: tuple[str, ...] = ()
    package: str | None = None
    regression: str | None = None
    metric: str | None = None
    better: str | None = None
    find_fix: bool = False
    every: bool = False
    first_parent: bool = True
    paths: tuple[str, ...] = ()
    weigh_files: bool = False
    python: str | None = None
    with_: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    as_of: str | None = None
    install_command: str | None = None
    confidence: float = 0.99
    min_effect: float = 0.02
    max_runs: int | None = None
    max_time: float | None = None
    timeout: float | None = None
    failure_is_bad: bool = False
    verify: bool = True
    jobs: int = 1
    scale: str | None = None
    cluster: str | None = None


def refuse_beside_resume(asked: Asked, *, dry_run: bool, reuse: bool) -> None:
    """A bisection goes on as it was begun. Raises UsageError for a flag that would change it, or has no meaning then."""
    if dry_run:
        raise UsageError("--resume measures, and --dry-run does not", hint="crt bisect --show ID says what is known")
    if reuse:
        raise UsageError("--resume goes on with what it knows: --reuse is for one that begins", hint="leave it out")
    plain = Asked(folder=asked.folder)
    kept = {"folder", "target"}
    changed = [
        each.name
        for each in fields(Asked)
        if each.name not in kept and getattr(asked, each.name) != getattr(plain, each.name)
    ]
    if changed:
        flag = _FLAGS.get(changed[0], f"--{changed[0].rstrip('_').replace('_', '-')}")
        raise UsageError(f"--resume goes on as it was begun: {flag} cannot be changed", hint="begin another bisection")


def plan(asked: Asked, settings: Config) -> tuple[Plan, tuple[Candidate, ...]]:
    """What is to be done, and the line from good to bad. Nothing is built. Raises CrtErrors."""
    if asked.regression is not None:
        from coiled_runtime_cli.commands.bisect_regression import asked_by

        asked = asked_by(asked, settings)
    made = _plan(asked, settings)
    if made.kind == COMMITS and not made.good:
        if made.find_fix:
            raise UsageError("--find-fix needs both ends: --bad, the older one, and --good")
        found, starts = commits.walk_back(rig.clones_of(made), made.bad, first_parent=made.first_parent)
        console.note(f"no good end was named: {counted(len(starts), 'tag')} may be tried, the newest first")
        return replace(made, starts=starts), found
    return made, _candidates(made)


def plan_of_one(asked: Asked, settings: Config) -> tuple[Plan, Candidate]:
    """A plan whose only candidate is the commit that is checked out. Raises CrtErrors."""
    made = _plan(asked, settings)
    clone = rig.clones_of(made)[0]
    return made, commits.candidate(clone, clone.repository.commit("HEAD"))


def _plan(asked: Asked, settings: Config) -> Plan:
    _refuse_contradictions(asked)
    kind = RELEASES if asked.package else PACKAGES if _of_environments(asked) else COMMITS
    made = Plan(
        kind=kind,
        good=asked.good or "",
        bad=asked.bad or "HEAD",
        folder=str(asked.folder),
        repositories=_repositories(asked) if kind == COMMITS else (),
        package=asked.package,
        target=asked.target,
        command=asked.command,
        metric="failure" if asked.failure_is_bad else asked.metric or "duration",
        better=asked.better,
        find_fix=asked.find_fix,
        first_parent=asked.first_parent,
        paths=asked.paths,
        weigh_files=asked.weigh_files,
        python=_python(asked),
        with_=(*asked.with_, *_lines_of(asked.requirements)),
        environment=_makes_environment(asked),
        install_command=asked.install_command,
        as_of=asked.as_of,
        confidence=asked.confidence,
        min_effect=0.0 if asked.failure_is_bad else asked.min_effect,
        max_runs=asked.max_runs,
        max_time=asked.max_time,
        timeout=asked.timeout,
        failure_is_bad=asked.failure_is_bad,
        jobs=asked.jobs,
        every=asked.every,
        verify=asked.verify,
        scale=asked.scale,
        cluster=asked.cluster,
        suites=str(settings.suites) if asked.target else None,
        host=session.read_host().fingerprint,
    )
    rig.check(made, rig.settings_of(made, settings))
    return made


def _refuse_contradictions(asked: Asked) -> None:
    if bool(asked.target) == bool(asked.command):
        if asked.target:
            raise UsageError("a test and a command were named: one of them is what is measured")
        raise UsageError(
            "nothing was named that could be measured",
            hint="crt bisect --good REF NODEID, or crt bisect --good REF -- python repro.py",
        )
    if not 0.5 < asked.confidence < 1:
        raise UsageError(f"--confidence {asked.confidence:g}: expected a probability above 0.5 and below 1, as 0.99")
    if asked.package and (asked.repo or asked.with_repo):
        raise UsageError("--package searches releases, and --repo commits: choose one")
    if asked.package and not (asked.good and asked.bad):
        raise UsageError("--package needs --good and --bad, two of its versions")
    if asked.failure_is_bad and asked.metric is not None:
        raise UsageError(
            "--on-failure bad asks whether it fails, and --metric how much it measures: choose one",
            hint="a run that fails has no value that could be compared",
        )
    ends = [each for each in (asked.good, asked.bad) if each is not None and each.startswith(_ENVIRONMENT)]
    if len(ends) == 1:
        raise UsageError("one end is an environment and the other is not", hint="--good env:FILE --bad env:FILE")


def _of_environments(asked: Asked) -> bool:
    return bool(asked.good and asked.good.startswith(_ENVIRONMENT))


def _python(asked: Asked) -> str | None:
    """A path is made whole: it has to be found from any folder."""
    if asked.python is not None and ("/" in asked.python or Path(asked.python).exists()):
        path = asked.folder / expanded(asked.python)
        if not path.exists():
            raise UsageError(f"--python {asked.python}: no such file")
        return str(path)
    return asked.python


def _makes_environment(asked: Asked) -> bool:
    """A command runs in the caller's own environment, unless something is said of another."""
    return bool(asked.target or asked.python or asked.with_ or asked.requirements or asked.as_of)


def _lines_of(files: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for name in files:
        try:
            text = Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--requirements {name}: cannot be read: {error}") from error
        found += [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return tuple(found)


def _repositories(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Name and folder of each clone; a name is what its remote calls it, else its folder."""
    found: dict[str, str] = {}
    for folder in (asked.repo or ".", *asked.with_repo):
        place = (asked.folder / expanded(folder)).resolve()
        if git.repository_root(place) is None and asked.repo is None and place == asked.folder.resolve():
            raise UsageError(
                "this folder is in no git repository", hint="--repo ../dask names a clone, --package a package"
            )
        repository = git.Repository(place)
        root = git.repository_root(place) or place
        url = repository.url
        name = (url.rstrip("/").rpartition("/")[2].removesuffix(".git") if url else "") or root.name
        if name in found:
            raise UsageError(f"{place} and {found[name]} are both {name}", hint="name each repository once")
        found[name] = str(root)
    return tuple(found.items())


def _candidates(made: Plan) -> tuple[Candidate, ...]:
    ends = (made.bad, made.good) if made.find_fix else (made.good, made.bad)
    if made.kind == RELEASES:
        assert made.package is not None
        return releases.between(made.package, *ends, python=_minor(made.python))
    if made.kind == PACKAGES:
        return packages.between(*(_requirements(end) for end in ends), first=made.ends[0])
    clones = rig.clones_of(made)
    first = clones[0].repository
    checkout = git.checkout(first.folder)
    if checkout is not None and checkout.dirty:
        console.note(f"{first.folder} has changes that are not committed: commits are measured, without them")
    found = commits.between(clones, *ends, first_parent=made.first_parent)
    console.note(f"{counted(len(found) - 1, 'candidate')} from {ends[0]} to {ends[1]}")
    return found


def _minor(python: str | None) -> str | None:
    """3.11 of an interpreter or a version; None: this one's."""
    from coiled_runtime_cli import environments

    if python is None:
        return None
    return environments.minor_of(Path(python)) if "/" in python else python


def _requirements(end: str) -> list[str]:
    file = Path(end.removeprefix(_ENVIRONMENT))
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="python -m pip freeze > good.txt makes one") from error
