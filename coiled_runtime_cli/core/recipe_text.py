"""The text of a recipe: where it says a version, and the same text with one of them changed.

Text is edited in place, so that comments, order and spacing stay as somebody wrote them.
"""

from __future__ import annotations

import re

from packaging.version import Version

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.pins import CONSTRAINT, VERSION, PinError

#: A version of a release of the package itself.
_PLAIN = re.compile(r"^\d+(\.\d+)*$")


def version_line(text: str, name: str) -> re.Match[str]:
    """Where a recipe says the version of a package: in its variable, or in its requirement to run. Raises PinError.

    The match has the groups ``before``, ``version`` and ``after``.
    """
    variable = re.compile(
        rf'^(?P<before>{{%-?\s*set\s+{re.escape(name.replace("-", "_"))}_version\s*=[^\n]*?["\'])'
        r'(?P<version>\d[^"\'\n]*)(?P<after>["\'][^\n]*)$',
        re.MULTILINE,
    )
    requirement = re.compile(
        rf"^(?P<before>\s*-\s+{re.escape(name)}\s*==?\s*)(?P<version>\d[^\s#,]*)(?P<after>[^\n]*)$",
        re.MULTILINE | re.IGNORECASE,
    )
    found = variable.search(text) or requirement.search(text, *run_list(text))
    if found is None:
        raise PinError(f"the recipe has no exact pin of {name}")
    return found


def with_version(text: str, name: str, version: str) -> str:
    """A recipe's text with another version of one package, and nothing else changed. Raises PinError."""
    if not VERSION.match(version):
        raise PinError(f"{version!r} is no version")
    found = version_line(text, name)
    start, end = found.span("version")
    return text[:start] + version + text[end:]


def with_pin(text: str, name: str, value: str) -> str:
    """A recipe's text with another pin of one package: ``value`` is a version, or a constraint as ``>=2,<3``. Raises PinError."""
    if VERSION.match(value) and "*" not in value and "," not in value:
        try:
            return with_version(text, name, value)
        except PinError:
            value = f"=={value}"  # it is there, but not with one version: then it gets one
    if not CONSTRAINT.match(value):
        raise PinError(f"{value!r} is no version and no constraint")
    pin = r"(?P<pin>(?:[ \t]*[=<>!~][^#\n]*?|[ \t]+[^#\s][^#\n]*?)?)(?P<after>[ \t]*(?:#[^\n]*)?)$"
    line = re.compile(rf"^(?P<before>\s*-\s+{re.escape(name)}){pin}", re.MULTILINE | re.IGNORECASE)
    found = line.search(text, *run_list(text))
    if found is None:
        raise PinError(unknown("package", name, names(text)))
    start, end = found.span("pin")
    return f"{text[:start]} {value}{text[end:]}"


def run_list(text: str) -> tuple[int, int]:
    """Where a recipe's requirements to run begin and end: elsewhere (imports that are tested, say) a name is no pin.

    Nothing, at the end of the text, where it has none.
    """
    below = re.search(r"^[ \t]+run:[ \t]*\n", text, re.MULTILINE)
    if below is None:
        return len(text), len(text)
    place = end = below.end()
    for line in text[place:].splitlines(keepends=True):
        place += len(line)
        if re.match(r"\s+-\s", line):
            end = place
        elif line.strip() and not line.lstrip().startswith(("#", "{%")):
            break
    return below.end(), end


def names(text: str) -> list[str]:
    """The packages that a recipe's text requires to run, in its order."""
    start, end = run_list(text)
    found = re.findall(r"^[ \t]+-[ \t]+([A-Za-z0-9_][\w.-]*)", text[start:end], re.MULTILINE)
    return [each.lower() for each in found]


def package_version(text: str) -> re.Match[str]:
    """Where a recipe says its own version: ``{% set version = "1.0.0" %}``. Raises PinError."""
    found = re.search(
        r'^(?P<before>{%-?\s*set\s+version\s*=\s*["\'])(?P<version>\d[^"\'\n]*)(?P<after>["\'][^\n]*)$',
        text,
        re.MULTILINE,
    )
    if found is None:
        raise PinError('the recipe has no line {% set version = "..." %}')
    return found


def with_package_version(text: str, version: str) -> str:
    """A recipe's text with another version of the package itself. Raises PinError where that goes backwards."""
    found = package_version(text)
    if not _PLAIN.match(version):
        raise PinError(f"{version!r} is no version of a release: expected X.Y.Z")
    try:
        backwards = Version(version) < Version(found["version"])
    except ValueError as error:
        raise PinError(
            f"{version[:80]} cannot be compared with {found['version'][:80]}, which the recipe has"
        ) from error
    if backwards:
        raise PinError(f"{version} comes before {found['version']}, which the recipe has")
    start, end = found.span("version")
    return text[:start] + version + text[end:]
