"""Programs and packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import environments, process
from coiled_runtime_cli.core import doctor as judge
from coiled_runtime_cli.core.doctor import MACHINE, Finding
from coiled_runtime_cli.errors import ToolError
from coiled_runtime_cli.locations import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISTRIBUTION = "coiled-runtime-cli"
_PLUGIN = "coiled_runtime_cli.plugin"

#: Package managers, and what each is asked with.
_MANAGERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "zypper": "sudo zypper install",
    "pacman": "sudo pacman -S",
    "apk": "sudo apk add",
    "brew": "brew install",
}
#: Where programs are, whatever PATH says.
_USUAL = "/usr/bin:/bin:/usr/local/bin:/sbin:/usr/sbin:/opt/homebrew/bin"

#: Tools that make conda environments, and one that builds packages.
_CONDA = ("conda", "mamba", "micromamba", "pixi", "conda-build", "rattler-build")


def check() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield from _packages()
    yield _plugin()
    yield _program("git", "commits of what is measured, and crt bisect, need it", "problem")
    yield _uv()
    yield _conda()
    yield _browser()


def install(requirement: str) -> str:
    """A command that installs into this Python: with pip, where it has one."""
    program = python()
    if importlib.util.find_spec("pip") is not None:
        return f"{program} -m pip install {shlex.quote(requirement)}"
    if environments.has_uv():
        return f"uv pip install --python {program} {shlex.quote(requirement)}"
    return f"{program} -m ensurepip && {program} -m pip install {shlex.quote(requirement)}"


def manager_installs(package: str) -> str:
    """A command that installs a program for the whole machine; of several managers the one that is here."""
    for name, command in _MANAGERS.items():
        if shutil.which(name) or shutil.which(name, path=_USUAL):
            without = not (shutil.which("sudo") or shutil.which("sudo", path=_USUAL))
            return f"{command.removeprefix('sudo ') if without else command} {package}"
    return f"conda install {package}"


def python() -> str:
    """This Python as a shell finds it: by its name where that is enough."""
    there = shutil.which("python3")
    return "python3" if there == sys.executable else shlex.quote(sys.executable)


def _packages() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "problem", "crt runs from a folder, and is not installed", _reinstall(), MACHINE)
        return
    from packaging.requirements import Requirement

    wanted = [
        each for each in map(Requirement, requirements) if each.marker is None or each.marker.evaluate({"extra": ""})
    ]
    installed = {}
    for each in wanted:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[environments.normal(each.name)] = importlib.metadata.version(each.name)
        each.marker = None
    yield from judge.packages(map(str, wanted), installed, install)


def _plugin() -> Finding:
    if any(each.value == _PLUGIN for each in importlib.metadata.entry_points(group="pytest11")):
        return Finding("pytest plugin", "ok", "registered: pytest FILE --benchmark works without crt bench")
    return Finding("pytest plugin", "problem", "not registered: its fixtures are not found", _reinstall(), MACHINE)


def _reinstall() -> str:
    """This crt again: of the checkout that it runs from, or of the index."""
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "suites").is_dir():
        return install(str(checkout)).replace(" install ", " install -e ", 1)
    return install(_DISTRIBUTION).replace(" install ", " install --force-reinstall ", 1)


def _program(name: str, why: str, state: judge.State) -> Finding:
    found = shutil.which(name)
    if found is None:
        return Finding(name, state, f"not found: {why}", manager_installs(name), MACHINE if state == "problem" else 0)
    return _told(name, found)


def _told(name: str, program: str) -> Finding:
    """What a program says of its version; one that does not start is a problem."""
    try:
        done = process.run([program, "--version"], timeout=10)
    except ToolError as error:
        return Finding(name, "problem", error.message, manager_installs(name), MACHINE)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        return Finding(name, "problem", f"{program} does not start: {last}", manager_installs(name), MACHINE)
    version = re.search(r"\d+(\.\d+)+", done.stdout)
    return Finding(name, "ok", f"{version[0] if version else 'there'}, {program}")


def _uv() -> Finding:
    program = environments.uv_program()
    if program is None:
        seen = "not found: environments take ten times as long, and none can be made as of a day"
        return Finding("uv", "warning", seen, install("uv>=0.5.10"))
    return _told("uv", program)


def _conda() -> Finding:
    """Where they are: asking conda for its version takes longer than all other checks."""
    found = {name: there for name in _CONDA if (there := shutil.which(name))}
    module = importlib.util.find_spec("rattler_build") is not None
    if not found and not module:
        seen = "none: crt build and conda environments of A/B arms need one (optional)"
        return Finding("conda", "note", seen, install(f"{_DISTRIBUTION}[build]"))
    names = [*(f"{name} in {Path(there).parent}" for name, there in found.items())]
    return Finding("conda", "ok", ", ".join([*names, *(["py-rattler-build"] if module else [])]))


def _browser() -> Finding:
    import webbrowser

    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return Finding("browser", "note", "none: crt report --open prints the address (optional)", "crt report --serve")
    return Finding("browser", "ok", str(getattr(found, "name", "") or "the system's own"))
