"""A package that was built, opened: whether it is what its recipe asked for, and whether it may take another's place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import atomic
from coiled_runtime_cli.build import archive
from coiled_runtime_cli.core.pins import PinError, parse
from coiled_runtime_cli.core.recipe import Recipe, disagreements
from coiled_runtime_cli.core.verdict import FAILED, VERIFIED, Check
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Artifact:
    """``depends`` and ``constrains`` are as they stand in the file; ``imports`` and ``commands`` are tests that it carries."""

    path: Path
    name: str
    version: str
    build: str
    number: int
    subdir: str
    noarch: str | None
    license: str | None
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    imports: tuple[str, ...]
    commands: tuple[str, ...]
    sha256: str
    size: int  # bytes

    def normalised(self) -> dict[str, Any]:
        """What it says of itself in one way of writing, whoever built it: without build string, order and moment."""
        return {
            "name": self.name,
            "version": self.version,
            "build_number": self.number,
            "noarch": self.noarch,
            "license": self.license,
            "depends": sorted(str(parse(each)) for each in self.depends),
            "constrains": sorted(str(parse(each)) for each in self.constrains),
            "imports": sorted(self.imports),
            "commands": list(self.commands),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "depends": list(self.depends),
            "subdir": self.subdir,
            "noarch": self.noarch,
            "license": self.license,
            "sha256": self.sha256,
            "size": self.size,
        }


def opened(file: Path) -> Artifact:
    """What a package says of itself. Raises ToolError where it is broken."""
    contents = archive.read(file)
    index = contents.json("index.json")
    about = contents.json("about.json")
    try:
        name, version, build = str(index["name"]), str(index["version"]), str(index["build"])
        number = int(index.get("build_number", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError(f"{file}: its info/index.json says no {error}") from error
    imports, commands = _tests(contents)
    content = file.read_bytes()
    return Artifact(
        path=file,
        name=name,
        version=version,
        build=build,
        number=number,
        subdir=str(index.get("subdir") or file.parent.name),
        noarch=index.get("noarch") or None,
        license=index.get("license") or about.get("license") or None,
        depends=tuple(map(str, index.get("depends") or ())),
        constrains=tuple(map(str, index.get("constrains") or ())),
        imports=imports,
        commands=commands,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


def _tests(contents: archive.Contents) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Imports and commands that a package carries, as rattler-build or as conda-build writes them."""
    if "tests/tests.yaml" in contents.files:
        return _of_rattler_build(contents.files["tests/tests.yaml"])
    return _of_conda_build(contents)


def _of_rattler_build(text: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import yaml

    imports: list[str] = []
    commands: list[str] = []
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return (), ()
    for each in content if isinstance(content, list) else ():
        if isinstance(each, dict) and isinstance(each.get("python"), dict):
            imports += _listed(each["python"].get("imports"))
        elif isinstance(each, dict) and "script" in each:
            script = each["script"]
            commands += _listed(script.get("content") if isinstance(script, dict) else script)
    return tuple(imports), tuple(commands)


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [value] if isinstance(value, str) else []


def _of_conda_build(contents: archive.Contents) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``info/recipe/meta.yaml`` is the rendered recipe there; its test section is what conda-build ran."""
    import yaml

    try:
        content = yaml.load(contents.files.get("recipe/meta.yaml", b""), Loader=yaml.BaseLoader)  # noqa: S506 - texts alone
    except (yaml.YAMLError, RecursionError):
        return (), ()
    section = content.get("test") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        return (), ()
    return tuple(_listed(section.get("imports"))), tuple(_listed(section.get("commands")))


def check(made: Artifact, recipe: Recipe) -> Check:
    """Whether the package says what its recipe asks for, read from the file itself."""
    found = disagreements(
        recipe,
        name=made.name,
        version=made.version,
        noarch=made.noarch,
        license_=made.license,
        depends=_readable(made.depends),
    )
    found += [f"{each}: no pin" for each in made.depends if each not in _readable(made.depends)]
    if made.number != recipe.number:
        found.append(f"build number is {made.number}, and the recipe says {recipe.number}")
    if sorted(made.imports) != sorted(recipe.imports) or list(made.commands) != list(recipe.commands):
        found.append("its tests are not those of the recipe")
    return Check("contents", FAILED if found else VERIFIED, "; ".join(found))


def _readable(lines: Iterable[str]) -> list[str]:
    found = []
    for each in lines:
        try:
            parse(each)
        except PinError:
            continue
        found.append(each)
    return found


def place(made: Path, target: Path, *, replace: bool) -> str:
    """Put a package where it belongs, whole or not at all: "built", "unchanged", or "replaced".

    Raises UsageError where another one is there under that name: a name that means two things is worse than none.
    """
    content = made.read_bytes()
    word = "built"
    if target.exists():
        if target.read_bytes() == content:
            return "unchanged"
        word = "replaced"
        if not replace:
            _refuse_to_differ(opened(made), target)
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(target, content)
    return word


def _refuse_to_differ(made: Artifact, target: Path) -> None:
    try:
        there = opened(target)
    except ToolError:
        return  # damaged, as by a disk that was full: nobody can want it
    if there.normalised() == made.normalised():
        return
    found = _unlike(there.depends, made.depends)
    what = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "") or "other metadata"
    raise UsageError(
        f"{target} is there already, and is another package: {what}",
        hint="raise the version or the build number, take another --output-folder, or --replace it",
    )


def _unlike(there: Iterable[str], here: Iterable[str]) -> list[str]:
    old, new = ({pin.name: pin for pin in map(parse, lines)} for lines in (there, here))
    return [
        f"{old.get(name) or f'no {name}'} there, {(new[name].constraint or 'any') if name in new else 'none'} here"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
