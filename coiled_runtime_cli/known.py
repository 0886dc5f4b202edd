"""What is known here by name: tests, suites, data sets, labels, runs, references. For shells that complete.

Each source reads what is at hand, and quickly: no test is imported, no server asked, nothing written. What cannot be read has
no names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import config
from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: How long git may think (s).
_LONGEST = 1.0

_SCALES = (
    ("smoke", "the whole suite in minutes"),
    ("laptop", "the default"),
    ("full", "sizes of a real cluster"),
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name, with a few words about it."""

    value: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where names are looked for: the settings that hold here, and what the command line says before the name.

    ``word`` is what is typed of the name so far: a source may leave out what does not begin so.
    """

    word: str = ""
    db: str | None = None
    repository: Path = field(default_factory=Path)

    @property
    def settings(self) -> config.Config:
        return config.load({"db": self.db})


def suites(place: Place) -> Iterator[Name]:
    from coiled_runtime_cli import suites as found

    known = found.glance(place.settings.suites)
    for folder in sorted({each.folder for each in known} - {"."}):
        yield Name(folder, "every suite of this folder")
    yield from (Name(each.topic, each.summary) for each in known)


def tests(place: Place) -> Iterator[Name]:
    """Names of tests; after a file's name and "::" the tests in it, with the parameters that were measured before."""
    from coiled_runtime_cli import suites as found

    known = found.glance(place.settings.suites)
    if "::" not in place.word:
        yield from (Name(test, each.path) for each in known for test in each.tests if "::" not in test)
        yield from (Name(each.path, each.summary) for each in known)
        if "[" in place.word:
            yield from (Name(each.value.partition("::")[2], each.about) for each in benchmarks(place))
        return
    file = place.word.partition("::")[0]
    prefix = file.removesuffix(next((each.path for each in known if file.endswith(each.path)), file))
    yield from (Name(f"{prefix}{each.path}::{test}", each.topic) for each in known for test in each.tests)
    yield from (Name(prefix + each.value, each.about) for each in benchmarks(place) if "[" in each.value)


def measured_tests(place: Place) -> Iterator[Name]:
    """The bare names of tests that the database has."""
    yield from (Name(each.value.partition("::")[2].partition("[")[0], each.about) for each in benchmarks(place))


def benchmarks(place: Place) -> Sequence[Name]:
    return _stored(place, "benchmark", whole=True)


def labels(place: Place) -> Sequence[Name]:
    return _stored(place, "label")


def measured_suites(place: Place) -> Sequence[Name]:
    return _stored(place, "suite")


def metrics(place: Place) -> Iterator[Name]:
    from coiled_runtime_cli.core.record import MEASURES

    yield from (Name(each) for each in MEASURES)
    yield from _stored(place, "metric")


def runs(place: Place) -> Iterator[Name]:
    yield from _stored(place, "run")
    yield from labels(place)


def sessions(place: Place) -> Sequence[Name]:
    return _stored(place, "session")


def arms(place: Place) -> Iterator[Name]:
    """What `crt compare` takes: labels, and sessions."""
    yield from labels(place)
    yield from sessions(place)


def findings(place: Place) -> Sequence[Name]:
    return _stored(place, "finding")


def bisections(place: Place) -> Sequence[Name]:
    return _stored(place, "bisection")


def datasets(place: Place) -> Iterator[Name]:  # noqa: ARG001  they are the same everywhere
    from coiled_runtime_cli import datasets as made

    yield from (Name(name, recipe.summary) for name, recipe in made.recipes().items())


def scales(place: Place) -> Iterator[Name]:  # noqa: ARG001
    yield from (Name(name, about) for name, about in _SCALES)


def clusters(place: Place) -> Iterator[Name]:
    yield Name("local", "the default")
    yield Name("coiled", "a cluster of Coiled")
    yield from (Name(name, "configured") for name in place.settings.clusters)


def profilers(place: Place) -> Iterator[Name]:  # noqa: ARG001
    from coiled_runtime_cli.core.artifacts import PLACES, TOOLS

    for tool in TOOLS:
        yield Name(tool)
        yield from (Name(f"{tool}:{where}") for where in PLACES)


def circumstances(place: Place) -> Iterator[Name]:  # noqa: ARG001
    from coiled_runtime_cli.core.series import CIRCUMSTANCES

    yield from map(Name, CIRCUMSTANCES)


def platforms(place: Place) -> Iterator[Name]:  # noqa: ARG001
    from coiled_runtime_cli.build.channel import PLATFORMS

    yield from map(Name, PLATFORMS)


def environment_files(place: Place) -> Iterator[Name]:  # noqa: ARG001
    from coiled_runtime_cli.core.environment_files import FILES

    yield from map(Name, FILES)


def references(place: Place) -> Iterator[Name]:
    """Branches and tags of a clone, the newest tags first."""
    from coiled_runtime_cli import git

    yield Name("HEAD", "what is checked out")
    yield from (Name(each) for each in git.references(place.repository, longest=_LONGEST))


def remotes(place: Place) -> Iterator[Name]:
    from coiled_runtime_cli import git

    yield from (Name(each) for each in git.remotes(place.repository, longest=_LONGEST))


def aws_profiles(place: Place) -> Iterator[Name]:  # noqa: ARG001
    import configparser

    for file in config.aws_files():
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        yield from (Name(each.removeprefix("profile ").strip()) for each in parser.sections())


def revisions(place: Place) -> Iterator[Name]:  # noqa: ARG001
    from coiled_runtime_cli import locations

    yield Name("head", "the newest")
    for file in sorted(locations.migrations_folder().glob("versions/*.py"), reverse=True):
        name, _, about = file.stem.split("_", 3)[3].partition("_")
        yield Name(name, about.replace("_", " "))


def fitting(names: Iterable[Name], word: str) -> list[Name]:
    """Those that begin with ``word``, each once. What breaks on the way ends the list: a shell wants no message."""
    found: dict[str, Name] = {}
    try:
        for each in names:
            if each.value.startswith(word) and each.value.isprintable():
                found.setdefault(each.value, each)
    except (CrtError, OSError, ValueError):
        pass
    return list(found.values())


def _stored(place: Place, kind: str, *, whole: bool = False) -> Sequence[Name]:
    """Names of the database, if it is a file; a server is not asked, for it may be slow. ``whole``: whatever they begin with."""
    from coiled_runtime_cli.db import names

    file = config.sqlite_file(place.settings.db)
    if file is None:
        return ()
    return [Name(*each) for each in names.names(file, kind, start="" if whole else place.word)]
