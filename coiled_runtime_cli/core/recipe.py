"""A metapackage's recipe, rendered: what it is called, what it brings along, how it is tested. And the same in another format.

Recipes are written in the format of conda-build (``meta.yaml``, https://docs.conda.io/projects/conda-build). rattler-build takes
the later one (CEP 13 and 14, ``recipe.yaml``). A metapackage needs little of either, so that the one can be written as the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.pins import Pin, PinError, differences, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: What a metapackage's recipe may say. With anything else it is a job for conda-build.
_KNOWN = {
    "package": {"name", "version"},
    "build": {"number", "noarch", "string"},
    "requirements": {"run", "run_constrained", "host"},
    "test": {"imports", "commands", "requires"},
    "about": {"home", "summary", "description", "license", "license_family", "license_file", "dev_url", "doc_url"},
    "extra": None,
}

#: Sections that only packages with code of their own have.
_CODE = {"source": "sources to fetch", "outputs": "several outputs", "app": "an app section"}


class RecipeError(ValueError):
    """A recipe that is none, or not one of a metapackage; ``needs_conda_build`` says that conda-build could take it."""

    def __init__(self, message: str, *, needs_conda_build: bool = False) -> None:
        super().__init__(message)
        self.needs_conda_build = needs_conda_build


@dataclass(frozen=True, slots=True)
class Recipe:
    """``depends`` are pins in the order of the recipe. ``about`` holds what is there of home, summary, description, license."""

    name: str
    version: str
    number: int
    noarch: str | None
    depends: tuple[Pin, ...]
    constrains: tuple[Pin, ...] = ()
    imports: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()


def read(content: object) -> Recipe:
    """A recipe from its rendered YAML. Raises RecipeError, naming what is wrong and where."""
    if not isinstance(content, dict):
        raise RecipeError(f"expected a mapping with a package section, not {type(content).__name__}")
    for name, what in _CODE.items():
        if content.get(name):
            raise RecipeError(f"it has {what}: that is no metapackage", needs_conda_build=True)
    for section, keys in _KNOWN.items():
        value = content.get(section) or {}
        if not isinstance(value, dict):
            raise RecipeError(f"{section}: expected keys and values")
        extra = sorted(str(each) for each in value if keys is not None and each not in keys)
        if extra:
            raise RecipeError(f"{section}: {', '.join(extra)}: not of a metapackage", needs_conda_build=True)
    unknown = sorted(str(each) for each in content if each not in _KNOWN and each not in _CODE)
    if unknown:
        raise RecipeError(f"{', '.join(unknown)}: no section of a recipe", needs_conda_build=True)
    package, build = content.get("package") or {}, content.get("build") or {}
    requirements, test = content.get("requirements") or {}, content.get("test") or {}
    return Recipe(
        name=_text(package, "package", "name").lower(),
        version=_text(package, "package", "version"),
        number=_number(build),
        noarch=build.get("noarch") or None,
        depends=_pins(requirements, "run"),
        constrains=_pins(requirements, "run_constrained"),
        imports=_texts(test, "test", "imports"),
        commands=_texts(test, "test", "commands"),
        about=tuple(
            (key, str(value)) for key, value in (content.get("about") or {}).items() if value not in (None, "")
        ),
    )


def _text(section: Mapping[str, Any], where: str, key: str) -> str:
    value = section.get(key)
    if value in (None, ""):
        raise RecipeError(f"{where}: {key} is missing")
    return str(value)


def _number(build: Mapping[str, Any]) -> int:
    try:
        return int(build.get("number") or 0)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"build: number: expected a whole number, not {build.get('number')!r}") from error


def _texts(section: Mapping[str, Any], where: str, key: str) -> tuple[str, ...]:
    value = section.get(key) or []
    if not isinstance(value, list):
        raise RecipeError(f"{where}: {key}: expected a list")
    return tuple(str(each) for each in value if each not in (None, ""))


def _pins(section: Mapping[str, Any], key: str) -> tuple[Pin, ...]:
    found: dict[str, Pin] = {}
    for line in _texts(section, "requirements", key):
        try:
            pin = parse(line)
        except PinError as error:
            raise RecipeError(f"requirements: {key}: {error}") from error
        if pin.name in found:
            raise RecipeError(f"requirements: {key}: {pin.name} stands there twice")
        found[pin.name] = pin
    return tuple(found.values())


def as_recipe_yaml(recipe: Recipe) -> dict[str, Any]:
    """The same for rattler-build. There are no host requirements: they would have to be solved before anything is built."""
    about = dict(recipe.about)
    document: dict[str, Any] = {
        "schema_version": 1,
        "package": {"name": recipe.name, "version": recipe.version},
        "build": {"number": recipe.number, **({"noarch": recipe.noarch} if recipe.noarch else {})},
        "requirements": {"run": list(map(str, recipe.depends))},
        "about": {
            new: about[old]
            for old, new in (
                ("home", "homepage"),
                ("summary", "summary"),
                ("description", "description"),
                ("license", "license"),
                ("dev_url", "repository"),
                ("doc_url", "documentation"),
            )
            if old in about
        },
    }
    if recipe.constrains:
        document["requirements"]["run_constraints"] = list(map(str, recipe.constrains))
    tests: list[dict[str, Any]] = []
    if recipe.imports:
        tests.append({"python": {"imports": list(recipe.imports), "pip_check": False}})
    if recipe.commands:
        tests.append({"script": list(recipe.commands)})
    if tests:
        document["tests"] = tests
    return document


def disagreements(
    recipe: Recipe, *, name: str, version: str, noarch: str | None, license_: str | None, depends: Iterable[str]
) -> list[str]:
    """What an artefact says of itself that its recipe does not say, in words."""
    found = []
    for what, asked, there in (
        ("name", recipe.name, name),
        ("version", recipe.version, version),
        ("noarch", recipe.noarch, noarch),
        ("license", dict(recipe.about).get("license"), license_),
    ):
        if asked != there:
            found.append(f"{what} is {there}, and the recipe says {asked}")
    return [*found, *differences(map(str, recipe.depends), depends)]
