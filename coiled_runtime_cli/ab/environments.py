"""The environment of each arm: resolved, built and proved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import environments, suites
from coiled_runtime_cli.ab import predecessor
from coiled_runtime_cli.ab.proof import proved
from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.errors import UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.core.experiment import Arm, Experiment


@dataclass(frozen=True, slots=True)
class Made:
    """An arm with its environment. ``versions``: what it was asked for, by name, as it is there."""

    arm: Arm
    python: Path
    python_version: str
    locked: tuple[str, ...]
    versions: dict[str, str]


def make_environments(
    experiment: Experiment, folder: Path, record: Record, cache: Path, *, tell: Callable[[int, str], None]
) -> dict[str, Made]:
    """Resolve, build and prove the environment of each arm; the null arm has the baseline's. Raises CrtErrors.

    ``tell`` is told the number and the name of each arm that is begun.
    """
    made: dict[str, Made] = {}
    prefer: Sequence[str] = environments.preferences()
    for number, arm in enumerate(experiment.arms):
        tell(number, arm.name)
        known = Path(record.pythons.get(arm.name, ""))
        built = arm.conda is None and arm.interpreter is None
        if built and arm.name not in record.locks:
            record.locks[arm.name] = list(lock_arm(experiment, arm, folder=folder, prefer=prefer))
        locked = tuple(record.locks.get(arm.name, ()))
        prefer = locked if arm.name == plans.BASELINE else prefer
        if arm.interpreter is not None:
            python = folder / expanded(arm.interpreter)
            if not python.is_file():
                raise UsageError(f"{arm.name}: interpreter: no such file: {python}")
        elif known.is_file():
            python = known
        elif arm.conda is not None:
            python = environments.build_conda(Path(arm.conda), name=record.id, cache=cache)
        else:
            python = environments.build(locked, python=_python(arm, folder), cache=cache)
        record.pythons[arm.name] = str(python)
        wanted = (
            list(arm.packages) if arm.conda is None else predecessor.conda_pins(predecessor.read_yaml(Path(arm.conda)))
        )
        version, versions = proved(arm, python, wanted, locked)
        made[arm.name] = Made(arm, python, version, locked, versions)
    first = made[plans.BASELINE]
    made[plans.NULL] = replace(first, arm=experiment.null)
    record.write()
    return made


def lock_arm(experiment: Experiment, arm: Arm, *, folder: Path, prefer: Sequence[str]) -> tuple[str, ...]:
    """What an arm is resolved to, as :func:`environments.lock` gives it; what it does not ask for as in ``prefer``."""
    wanted = [*suites.NEEDED, *experiment.packages, *arm.packages]
    return environments.lock(wanted, python=_python(arm, folder), folder=folder, prefer=prefer)


def _python(arm: Arm, folder: Path) -> str | None:
    """What an arm's environment is made with: a version, or an interpreter, whose path starts from the arm's folder."""
    if arm.python is None or "/" not in arm.python:
        return arm.python
    return str((folder / expanded(arm.python)).absolute())
