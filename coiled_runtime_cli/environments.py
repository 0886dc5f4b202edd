"""Environments to measure, made from requirements: resolved, built once, kept, and proved to import what was asked for.

An environment is named by what it was resolved to, so that equal ones are built once. It is built in a folder of its own
and gets its name at the end: what was killed on the way is never taken for an environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import pip, process, temporary
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Resolving and building may have to fetch, and to compile (s).
_PATIENCE = 3600.0

#: Programs that make an environment of a conda file, the fastest first.
CONDA_TOOLS = ("mamba", "micromamba", "conda", "pixi")

_NETWORK = re.compile(
    r"failed to fetch|error sending request|dns error|connection (?:refused|reset)|timed? ?out", re.IGNORECASE
)

#: What uv says of requirements and interpreters that there are not.
_MISTAKE = re.compile(
    r"No solution found|No interpreter found|Couldn't parse|Invalid version request|Failed to inspect Python|not exist"
)

#: What an environment says of itself: distributions by name, and where the modules of the wanted ones are imported from.
_PROBE = """
import importlib, json, sys
from importlib import metadata
wanted = json.loads(sys.argv[1])
normal = lambda name: name.lower().replace("_", "-").replace(".", "-")
modules = {}
for module, names in metadata.packages_distributions().items():
    for name in names:
        modules.setdefault(normal(name), []).append(module)
found = {}
for each in metadata.distributions():
    name = normal(each.metadata["Name"] or "")
    if not name or name in found:
        continue
    direct = json.loads(each.read_text("direct_url.json") or "{}")
    found[name] = {"version": each.version, "commit": direct.get("vcs_info", {}).get("commit_id"), "url": direct.get("url")}
    found[name]["editable"] = bool(direct.get("dir_info", {}).get("editable"))
for name in wanted:
    if normal(name) not in found:
        continue
    ours = [each for each in sorted(modules.get(normal(name), ())) if not each.startswith("_")]
    module = normal(name).replace("-", "_")
    module = module if module in ours else (ours or [None])[0]
    if module is not None:
        found[normal(name)]["file"] = getattr(importlib.import_module(module), "__file__", None)
json.dump({"python": ".".join(map(str, sys.version_info[:3])), "packages": found}, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution in an environment. ``file``: what its module was imported from, if that was asked for."""

    version: str | None
    commit: str | None = None
    url: str | None = None
    editable: bool = False
    file: str | None = None


def preferences() -> tuple[str, ...]:
    """What is installed beside crt, as pins: an environment made with them differs from this one where it has to alone."""
    from importlib import metadata

    found: dict[str, str] = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name and each.read_text("direct_url.json") is None:
            found.setdefault(normal(name), f"{normal(name)}=={each.version}")
    return tuple(found[name] for name in sorted(found))


def normal(name: str) -> str:
    """The name of a project as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock(
    requirements: Sequence[str],
    *,
    python: str | None,
    folder: Path,
    prefer: Sequence[str] = (),
    as_of: str | None = None,
) -> tuple[str, ...]:
    """Resolve requirements to exact versions and commits, one requirement a line; ``prefer`` where it can.

    ``folder`` is where relative paths start. ``as_of`` is a date: of releases, those that there were on it.
    Raises UsageError where they contradict each other or name what there is not,
    RemoteError without a network, ToolError where something has to be built and cannot be.
    """
    with temporary.folder("crt-lock-") as scratch:
        wanted, found = Path(scratch, "wanted.txt"), Path(scratch, "found.txt")
        wanted.write_text("\n".join(requirements) + "\n")
        if uv_program() is None:
            if as_of is not None:
                raise ToolError("releases as of a day are known to uv alone", hint="pip install uv, or --as-of today")
            return tuple(pip.lock(wanted, python=python, folder=folder, report=Path(scratch, "report.json")))
        found.write_text("\n".join(prefer) + "\n")
        arguments: list[str | Path] = ["pip", "compile", wanted, "--output-file", found, "--python"]
        arguments += [python or sys.executable, "--no-header", "--no-annotate", "--quiet"]
        _uv([*arguments, *(["--exclude-newer", as_of] if as_of else [])], folder=folder)
        lines = [line.strip() for line in found.read_text().splitlines()]
        return tuple(line for line in lines if line and not line.startswith("#"))


def lock_file(source: Path, target: Path, *, python: str | None) -> None:
    """Lock a requirements file with hashes, for every platform alike; ``python`` is the oldest to do for, as 3.12.

    Raises as :func:`lock`.
    """
    if uv_program() is None:
        raise ToolError("locks with hashes are uv's work, and it is not installed", hint="pip install uv")
    arguments: list[str | Path] = [
        "pip",
        "compile",
        source,
        "--output-file",
        target,
        "--universal",
        "--generate-hashes",
    ]
    arguments += ["--python-version", python] if python else []
    _uv([*arguments, "--no-header", "--quiet"], folder=source.parent)


def build(locked: Sequence[str], *, python: str | None, cache: Path) -> Path:
    """The interpreter of an environment that has exactly what is locked; made if it is not in the cache.

    Raises as :func:`lock`.
    """
    # what is taken from a folder changes without its requirement changing
    moving = [line for line in locked if line.startswith("-e ") or ("file://" in line and "git+" not in line)]
    text = "\n".join([python or sys.executable, sys.version, *locked])
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    place = cache / (f"{name}-{os.getpid()}-{len(list(cache.glob(f'{name}-*')))}" if moving else name)
    interpreter = place / "bin" / "python"
    if interpreter.exists():
        return interpreter
    with _new_folder(cache) as scratch:
        target = scratch / "environment"
        listed = scratch / "locked.txt"
        listed.write_text("\n".join(locked) + "\n")
        # compiled, or the first measurement of an arm would pay for its imports: as pip does, and uv on request
        if uv_program() is None:
            pip.make_environment(target, listed, python=python)
        else:
            _uv(["venv", "--quiet", "--relocatable", "--python", python or sys.executable, target])
            _uv(["pip", "sync", "--quiet", "--compile-bytecode", "--python", target / "bin" / "python", listed])
        with contextlib.suppress(OSError):  # another crt has made it meanwhile
            target.rename(place)
    if not interpreter.exists():
        raise ToolError(f"cannot put an environment into {place}")
    return interpreter


def build_wheel(source: Path, *, python: str | None, folder: Path) -> Path:
    """A wheel of the project in a folder, made in isolation. Raises as :func:`lock`."""
    if uv_program() is None:
        pip.build_wheel(source, python=python, folder=folder)
    else:
        _uv(["build", "--wheel", "--quiet", "--out-dir", folder, "--python", python or sys.executable, source])
    return next(folder.glob("*.whl"))


def install_into(folder: Path, what: str | Path, *, python: str | Path) -> None:
    """Build and install one thing, without what it needs, into a folder for the path of Python. Raises as :func:`lock`."""
    if uv_program() is None:
        pip.install_into(folder, what, python=python)
    else:
        _uv(["pip", "install", "--quiet", "--no-deps", "--target", folder, "--python", python, what])


def build_conda(file: Path, *, name: str, cache: Path) -> Path:
    """The interpreter of an environment made of a conda file, by whichever of CONDA_TOOLS is installed.

    ``name`` says which environment it is: the same name and content is made once. Raises UsageError where none is installed,
    ToolError where it cannot be made.
    """
    content = file.read_bytes()
    place = cache / f"conda-{hashlib.sha256(content + name.encode()).hexdigest()[:16]}"
    done = place / ".crt-complete"
    tool = next((each for each in CONDA_TOOLS if shutil.which(each)), None)
    inside = ".pixi/envs/default/bin/python" if tool == "pixi" else "bin/python"
    for known in ("bin/python", ".pixi/envs/default/bin/python"):
        if done.exists() and (place / known).exists():
            return place / known
    if tool is None:
        raise UsageError(
            f"{file} is a conda environment, and none of {', '.join(CONDA_TOOLS)} is installed",
            hint="install one of them, or write the arm as NAME.toml with packages from PyPI",
        )
    shutil.rmtree(place, ignore_errors=True)  # conda environments cannot be moved: what was killed is begun anew
    cache.mkdir(parents=True, exist_ok=True)
    source = file.absolute()
    commands: dict[str, list[list[str | Path]]] = {
        "mamba": [["mamba", "env", "create", "-p", place, "-f", source]],
        "micromamba": [["micromamba", "create", "-y", "-p", place, "-f", source]],
        "conda": [["conda", "env", "create", "-p", place, "-f", source]],
        "pixi": [
            ["pixi", "init", "--import", source, place],
            ["pixi", "install", "--manifest-path", place / "pixi.toml"],
        ],
    }
    always = {"CONDA_ALWAYS_YES": "true", "MAMBA_ALWAYS_YES": "true"}
    for command in commands[tool]:
        ended = process.run(command, environment=always, timeout=_PATIENCE)
        if ended.returncode != 0:
            raise ToolError(f"{tool} cannot make the environment of {file}:\n{_last(ended.stderr or ended.stdout)}")
    if not (place / inside).exists():
        raise ToolError(f"{tool} made an environment of {file} that has no Python", hint="add python to dependencies")
    done.touch()
    return place / inside


def inspect(python: Path, names: Sequence[str]) -> tuple[str, dict[str, Installed]]:
    """The version of an environment's Python, and its distributions; those ``names`` are imported as well.

    Raises ToolError where one of them cannot be imported.
    """
    # -I: what the caller's folder or PYTHONPATH has is not what the environment has
    ended = process.run([python, "-I", "-c", _PROBE, json.dumps(list(names))], timeout=300)
    if ended.returncode != 0:
        raise ToolError(f"{python} cannot import what it should have:\n{_last(ended.stderr)}")
    told = json.loads(ended.stdout[ended.stdout.index('{"python"') :])
    return told["python"], {name: Installed(**each) for name, each in told["packages"].items()}


def version_of(python: Path) -> str:
    """What tells builds for one interpreter from those for another: cpython-311. Raises ToolError."""
    done = process.run([python, "-I", "-c", "import sys; print(sys.implementation.cache_tag)"])
    if done.returncode != 0:
        raise ToolError(f"{python} does not run: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def minor_of(python: Path) -> str:
    """3.11 of an interpreter. Raises ToolError."""
    tag = version_of(python).rpartition("-")[2]
    return f"{tag[0]}.{tag[1:]}"


@contextlib.contextmanager
def _new_folder(cache: Path) -> Iterator[Path]:
    """A folder beside the environments, on the same file system; gone in the end."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=".making-", dir=cache)
    except OSError as error:
        raise ToolError(f"cannot write to {cache}: {error.strerror or error}") from error
    try:
        yield Path(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _uv(arguments: Sequence[str | Path], *, folder: Path | None = None) -> None:
    ended = process.run([uv_program() or "uv", *arguments, "--no-progress"], folder=folder, timeout=_PATIENCE)
    if ended.returncode == 0:
        return
    text = _last(ended.stderr)
    if _MISTAKE.search(text):
        raise UsageError(f"the environment cannot be made:\n{text}")
    if _NETWORK.search(text):
        raise RemoteError(f"packages cannot be fetched:\n{text}")
    raise ToolError(f"the environment cannot be made:\n{text}")


def has_uv() -> bool:
    """Without it pip and venv have to do, which cannot go back in time."""
    return uv_program() is not None


@cache
def uv_program() -> str | None:
    """The uv that makes environments: installed with crt, or by the user; None: there is none, and pip and venv have to do."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _last(text: str) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-20:])
