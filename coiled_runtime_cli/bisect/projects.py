"""What a repository holds: the project's name, what is imported of it, what it needs, and whether it has to be built.

All of it is read from a wheel of one commit, which says it surely; where none can be made, from the layout of the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zipfile
from dataclasses import asdict, dataclass
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import environments, git, process, temporary
from coiled_runtime_cli.errors import CrtError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Files that say that something has to be compiled.
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".pyx", ".rs", ".f", ".f90", ".cu")
_BUILDS = ("meson.build", "CMakeLists.txt", "Cargo.toml")

#: Folders beside a package that are none of it.
_BESIDE = frozenset({"test", "tests", "doc", "docs", "examples", "benchmarks", "asv_bench", "ci", "scripts", "tools"})


@dataclass(frozen=True, slots=True)
class Project:
    """``root`` is the folder of the repository that its modules are in. ``generated`` are files that a build adds to it.

    ``metadata`` are the files of its ``dist-info``, which says versions and entry points. Contents are in base64.
    """

    name: str
    modules: tuple[str, ...]
    root: str
    pure: bool
    requires: tuple[str, ...] = ()
    generated: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    note: str | None = None  # what is to be said of how it was read


@dataclass(frozen=True, slots=True)
class Part:
    """One project of the candidates: where its commits are (a mirror), and what it holds."""

    name: str
    source: git.Repository
    project: Project


def key_of(repository: git.Repository) -> str:
    """A short name of a clone for files in the cache: what it is called, and which one it is."""
    digest = hashlib.sha256(str(repository.folder.resolve()).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', repository.folder.name) or 'clone'}-{digest}"


def mirror(repository: git.Repository, cache: Path) -> git.Repository:
    """A clone of a clone in the cache, for worktrees: the user's own is read, and nothing is written to it."""
    place = cache / "clones" / key_of(repository)
    if not (place / "HEAD").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary.folder(".cloning-", beside=place.parent) as scratch:
            repository.share(Path(scratch) / "clone")
            try:
                (Path(scratch) / "clone").rename(place)
            except OSError as error:
                if not (place / "HEAD").exists():
                    raise ToolError(f"cannot write to {place}: {error.strerror or error}") from error
    found = git.Repository(place)
    found.follow(repository.folder)
    return found


def read_project(source: git.Repository, commit: str, *, python: str | None, cache: Path) -> Project:
    """The project of a repository at a commit; ``source`` is a mirror. Raises ToolError where it holds no Python project."""
    kept = cache / "projects" / f"{source.folder.name}-{commit[:16]}.json"
    try:
        return _from_json(kept.read_text())
    except (OSError, ValueError, TypeError, KeyError):
        pass
    with temporary.folder("crt-project-") as scratch:
        tree = Path(scratch) / "tree"
        source.add_worktree(tree, commit)
        try:
            found = _read(tree, Path(scratch), python)
        finally:
            source.remove_worktree(tree)
    if found.note is None:  # a wheel was made: it will be the same next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(".new")
        new.write_text(json.dumps(asdict(found)))
        new.replace(kept)
    return found


def _read(tree: Path, scratch: Path, python: str | None) -> Project:
    files = process.run(["git", "ls-files"], folder=tree).stdout.splitlines()
    if not any(each in files for each in ("pyproject.toml", "setup.py", "setup.cfg")):
        raise ToolError(f"{tree} holds no Python project: no pyproject.toml, setup.py or setup.cfg")
    try:
        wheel = environments.build_wheel(tree, python=python, folder=scratch / "wheel")
    except CrtError as error:
        return _from_layout(tree, files, error.message)
    return _from_wheel(wheel, files)


def _from_wheel(wheel: Path, files: Sequence[str]) -> Project:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(each.partition("/")[0] for each in names if each.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        pure = "Root-Is-Purelib: true" in archive.read(f"{info}/WHEEL").decode()
        inside = [each for each in names if not each.startswith(info) and not each.endswith("/")]
        tops = dict.fromkeys(each.partition("/")[0] for each in inside if each.endswith((".py", ".so", ".pyd")))
        modules = tuple(each.partition(".")[0] for each in tops)
        root = _root(modules, files)
        known = set(files)
        added = [each for each in inside if _joined(root, each) not in known]
        return Project(
            name=environments.normal(metadata["Name"]),
            modules=modules,
            root=root,
            pure=pure and not any(each.endswith((".so", ".pyd")) for each in inside),
            requires=tuple(metadata.get_all("Requires-Dist") or ()),
            generated=tuple((each, base64.b64encode(archive.read(each)).decode()) for each in added) if pure else (),
            metadata=tuple(
                (each, base64.b64encode(archive.read(each)).decode())
                for each in names
                if each.startswith(info) and not each.endswith(("/", "/RECORD"))
            ),
        )


def _from_layout(tree: Path, files: Sequence[str], why: str) -> Project:
    """What the files say by themselves; names and needs are a guess then, and it is said."""
    packages = [PurePosixPath(each).parent for each in files if each.endswith("/__init__.py")]
    tops = [each for each in packages if len(each.parts) == 1 or (len(each.parts) == 2 and each.parts[0] == "src")]
    modules = tuple(dict.fromkeys(each.name for each in tops if each.name not in _BESIDE))
    if not modules:
        raise ToolError(f"no package was found in {tree}, and no wheel can be made of it:\n{why}")
    root = _root(modules, files)
    inside = [each for each in files if any(each.startswith(_joined(root, f"{name}/")) for name in modules)]
    compiled = any(each.endswith(_SOURCES) for each in inside if "/tests/" not in each)
    compiled = compiled or any(each in files for each in _BUILDS)
    declared = tree / "pyproject.toml"
    text = declared.read_text(errors="replace") if declared.is_file() else ""
    name = re.search(r"^\s*name\s*=\s*[\"']([\w.-]+)[\"']", text, re.MULTILINE)
    return Project(
        name=environments.normal(name[1] if name else modules[0]),
        modules=modules,
        root=root,
        pure=not compiled,
        note=f"no wheel can be made of it, so that what it needs is not known (--with names it): {why.splitlines()[0]}",
    )


def _root(modules: Iterable[str], files: Sequence[str]) -> str:
    """The folder that has all modules: of those that do, the nearest one."""
    known = set(files)
    for root in sorted(
        {"", "src", *(str(PurePosixPath(each).parent.parent) for each in files if each.endswith("/__init__.py"))},
        key=lambda each: (len(PurePosixPath(each).parts), each != "src", each),
    ):
        plain = "" if root == "." else root
        if all(
            _joined(plain, f"{name}/__init__.py") in known or _joined(plain, f"{name}.py") in known for name in modules
        ):
            return plain
    return ""


def _joined(root: str, path: str) -> str:
    return f"{root}/{path}" if root else path


def _from_json(text: str) -> Project:
    fields: dict[str, Any] = json.loads(text)
    pairs: dict[str, Any] = {
        key: tuple((name, content) for name, content in fields.pop(key)) for key in ("generated", "metadata")
    }
    fields = {key: tuple(each) if isinstance(each, list) else each for key, each in fields.items()}
    return Project(**{**fields, **pairs})


def write_generated(project: Project, root: Path) -> None:
    """Lay the files that a build adds beside those of the commit, where it has none."""
    for name, content in project.generated:
        file = root / name
        if not file.exists() and file.parent.is_dir():
            file.write_bytes(base64.b64decode(content))


def write_metadata(project: Project, folder: Path) -> Path:
    """A folder for the path of Python that says what of the project is installed; made once."""
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for name, content in project.metadata:
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
        new.rename(folder)
    return folder
