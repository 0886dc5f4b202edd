"""Which code is really imported: versions, commits and dirtiness, here and on every process of a cluster.

The functions that run on scheduler and workers use the standard library alone and are sent by value: nothing of crt needs to
be installed there.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import git
from coiled_runtime_cli.core.record import Environment, Package

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Modules of which client, scheduler and workers must have the same code for a number to mean anything.
_WATCHED = ("dask", "distributed")


def read_environment(modules: tuple[str, ...]) -> Environment:
    """Everything installed in this interpreter, and what was imported from elsewhere (a checkout on the path).

    ``modules``: what :func:`imported_elsewhere` found.
    """
    packages = [*_distributions(), *_imported(modules)]
    return Environment(
        python=".".join(map(str, sys.version_info)),
        platform=sys.platform,
        packages=tuple(
            sorted(packages, key=lambda each: (each.name, each.imported, each.version or "", each.url or ""))
        ),
    )


def _distributions() -> Iterable[Package]:
    """One package for each ``*.dist-info`` on the path; names and versions come from the folder names, which are quick to
    read and normative (the binary distribution format of the Python packaging user guide).
    """
    seen: set[str] = set()
    for entry in sys.path:
        folder = Path(entry or ".")
        try:
            infos = [each for each in folder.iterdir() if each.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for info in infos:
            name, _, version = info.name.rpartition(".")[0].partition("-")
            normal = name.replace("_", "-").replace(".", "-").lower()
            if normal in seen or (not version and not info.is_dir()):
                continue
            seen.add(normal)
            # setuptools adds the Python of an egg-info to its name: keep the version alone
            yield _installed(normal, version.split("-py")[0] or None, info)


def _installed(name: str, version: str | None, info: Path) -> Package:
    try:
        origin = json.loads((info / "direct_url.json").read_text())
    except (OSError, ValueError):
        return Package(name=name, version=version)
    url = origin.get("url")
    if "vcs_info" in origin:
        return Package(name=name, version=version, url=url, commit=origin["vcs_info"].get("commit_id"), dirty=False)
    if origin.get("dir_info", {}).get("editable") and isinstance(url, str) and url.startswith("file://"):
        from urllib.parse import unquote, urlparse

        found = git.checkout(Path(unquote(urlparse(url).path)))
        if found is not None:
            return Package(name=name, version=version, url=found.url or url, commit=found.commit, dirty=found.dirty)
    return Package(name=name, version=version, url=url)


def _imported(modules: tuple[str, ...]) -> Iterable[Package]:
    for name in modules:
        identity = module_identity(name)
        if identity is not None:
            yield Package(
                name=name,
                version=identity["version"],
                url=identity["url"],
                commit=identity["commit"],
                dirty=identity["dirty"],
                imported=True,
            )


def imported_elsewhere(exclude: Path | None = None, watched: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the watched modules, and of each top-level package imported from outside Python and any site-packages.

    ``exclude``: a folder whose modules are the benchmarks themselves. ``watched`` are watched beside the usual ones.
    """
    watched = {*_WATCHED, *watched}
    inside = [sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    inside += [sys.base_prefix + "/lib", str(Path(__file__).resolve().parent.parent)]
    if exclude is not None:
        inside.append(str(exclude))
    names = []
    for name, module in list(sys.modules.items()):
        if "." in name or name == "__main__":
            continue
        file = getattr(module, "__file__", None)
        # a test file imported by its path is named after the path, and is no package that anybody measures
        elsewhere = file and Path(file).name == "__init__.py" and not _is_inside(file, inside)
        if name in watched or elsewhere:
            names.append(name)
    return tuple(sorted(names))


def _is_inside(file: str, folders: list[str]) -> bool:
    beginnings = [each.rstrip(os.sep) + os.sep for each in folders]
    return "site-packages" in file or "dist-packages" in file or any(file.startswith(each) for each in beginnings)


def module_identity(name: str) -> dict[str, Any] | None:
    """Version, folder, commit and dirtiness of an imported module; None if it is not imported here.

    Sent to scheduler and workers by value: imports only the standard library, inside.
    """
    import os
    import subprocess
    import sys

    module = sys.modules.get(name)
    if module is None:
        return None
    file = getattr(module, "__file__", None)
    found: dict[str, Any] = {
        "version": getattr(module, "__version__", None),
        "url": None,
        "commit": None,
        "dirty": None,
    }
    if not file or "site-packages" in file or "dist-packages" in file:
        return found
    folder = os.path.dirname(os.path.abspath(file))
    found["url"] = folder
    built = os.path.join(os.path.dirname(folder), ".crt-commit")  # beside what was built of a commit for a bisection
    if os.path.exists(built):
        with open(built) as stream:
            found["commit"], found["dirty"] = stream.read(), False
        return found
    above = folder
    while not os.path.exists(os.path.join(above, ".git")):
        parent = os.path.dirname(above)
        if parent == above:
            return found
        above = parent
    # that it was imported, with bytecode that nobody told git to ignore, is no change of it
    changes = ["status", "--porcelain", "--", ".", ":(exclude,glob)**/__pycache__/**"]
    try:
        for key, arguments in (("commit", ["rev-parse", "HEAD"]), ("dirty", changes)):
            done = subprocess.run(
                ["git", "--no-optional-locks", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=60,
            )
            if done.returncode == 0:
                text = done.stdout.decode("utf-8", "replace").strip()
                found[key] = bool(text) if key == "dirty" else text
    except (OSError, subprocess.TimeoutExpired):
        pass
    return found


def identities(names: tuple[str, ...], load: tuple[str, ...] = ()) -> dict[str, Any]:
    """The identity of each module and of Python, in this process. Sent by value, and what it calls goes with it.

    ``load``: modules that are imported first, where they can be.
    """
    import contextlib
    import importlib
    import sys

    for each in load:
        with contextlib.suppress(ImportError):
            importlib.import_module(each)
    return {
        "python": {"version": ".".join(map(str, sys.version_info[:2]))},
        **{name: module_identity(name) for name in names},
    }


def import_all(names: list[str]) -> None:
    """Import those of the modules that are there. Sent to workers."""
    import importlib

    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def disagreements(here: dict[str, Any], there: dict[str, dict[str, Any]]) -> list[str]:
    """Sentences on every module whose code is not the same on the client and on a process of the cluster.

    ``here``: identities on the client; ``there``: identities by process. The Python patch release may differ; a folder may,
    as long as version, commit and dirtiness agree. A module that a process has not imported says nothing.
    """
    found = []
    for process, modules in sorted(there.items()):
        for name, mine in here.items():
            theirs = modules.get(name)
            if mine is None or theirs is None:
                continue
            keys = [key for key in ("version", "commit", "dirty") if mine.get(key) != theirs.get(key)]
            if keys:
                found.append(f"{name}: {_describe(mine)} on the client, {_describe(theirs)} on {process}")
    return found


def _describe(identity: dict[str, Any]) -> str:
    text = str(identity.get("version") or "unknown version")
    if identity.get("commit"):
        text += f" at {identity['commit'][:12]}" + (" with local changes" if identity.get("dirty") else "")
    elif identity.get("url"):
        text += f" from {identity['url']}"
    return text
