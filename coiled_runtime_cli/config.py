"""Configuration: defaults < user file < project file < environment < flags. The sole reader of the environment.

The user file is ``$XDG_CONFIG_HOME/crt/config.toml``; the project file is the nearest ``crt.toml`` (or
``pyproject.toml`` with a ``[tool.crt]`` table) in the working folder or above it. Each value remembers where it
came from.
"""

from __future__ import annotations

import math
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import locations
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.quantity import parse_fraction, parse_seconds
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Tables that belong to one command each, kept as they are written.
COMMAND_TABLES = ("sync", "build", "report", "detect", "bisect")

#: Keys of command tables that a variable may hold: ``CRT_SYNC_REMOTE`` is ``remote`` of ``[tool.crt.sync]``.
SYNC_KEYS = ("remote", "endpoint_url", "profile", "region")

#: Tables that have no keys yet: what is written there would be heeded by nobody.
_EMPTY_TABLES = ("detect", "bisect")

#: Variables that a bisection sets for what it starts, which may be a crt: where a probe says what it imported, of which
#: modules, and where a build goes.
_OF_BISECTIONS = ("CRT_BISECT_IMPORTS", "CRT_BISECT_MODULES", "CRT_TARGET")

#: Names that the predecessor's users have in their CI, in the order in which they are asked for.
HISTORIC = {
    "db": ("DB_NAME",),
    "software": ("COILED_SOFTWARE_NAME",),
    "label": ("AB_VERSION", "COILED_RUNTIME_VERSION"),
    "cluster_override": ("CLUSTER_KWARGS",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    db: str  # path of an SQLite file, or an SQLAlchemy URL
    suites: Path
    data: Path  # cache of data sets
    history: Path  # cache of what was read from databases
    environments: Path  # cache of environments that were made to be measured
    cluster: str  # local, coiled, an address, or a name in ``clusters``
    clusters: dict[str, dict[str, Any]]
    cluster_override: Path | None  # file of cluster shapes, merged over those of the suites
    scale: str
    label: str  # the runtime under test
    timeout: float  # s, for each test
    precision: float  # half-width of the interval that ``--repeat auto`` stops at, as a fraction
    max_time: float  # s, that ``--repeat auto`` may take
    software: str | None  # Coiled software environment
    ci_url: str | None  # of the CI run that is measuring
    scratch: str | None  # folder or URL prefix for what tests write
    artifacts: str  # folder or URL prefix for performance reports, profiles and cluster dumps
    runs: Path  # journals of sessions that are not yet in the database
    sync: dict[str, Any]
    build: dict[str, Any]
    report: dict[str, Any]
    detect: dict[str, Any]
    bisect: dict[str, Any]
    files: tuple[Path, ...] = ()  # that were read, the weakest first
    origins: dict[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where the value came from: "default", "user file PATH", "PATH", "CRT_DB" or "--db"."""
        return self.origins.get(key, "default")

    def shown(self, key: str) -> str:
        """The value as text for people, as it could be written: without passwords, and "" for what is not set."""
        value = getattr(self, key)
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value * 100:g}%" if key == "precision" else f"{value:g} s"
        if isinstance(value, dict):
            import json

            return masked(json.dumps(value, default=str)) if value else ""
        return masked(str(value))


KEYS = (
    "db",
    "suites",
    "data",
    "history",
    "environments",
    "cluster",
    "clusters",
    "cluster_override",
    "scale",
    "label",
    "timeout",
    "precision",
    "max_time",
    "software",
    "ci_url",
    "scratch",
    "artifacts",
    "runs",
    *COMMAND_TABLES,
)
TABLES = ("clusters", *COMMAND_TABLES)


@dataclass(frozen=True, slots=True)
class _Given:
    """One value as it was written: ``base`` is the folder that a relative path starts from; None keeps it as it is."""

    value: object
    origin: str
    place: str  # where it is written, for messages: "PATH: key", "CRT_KEY" or "--key"
    base: Path | None


@dataclass(slots=True)
class _Files:
    chosen: Path | None = None
    ignored: bool = False


_files = _Files()


def choose_files(config_file: Path | None, *, no_config: bool) -> None:
    """Say once, for every later ``load``, what ``--config`` and ``--no-config`` said."""
    _files.chosen, _files.ignored = config_file, no_config


def load(
    flags: Mapping[str, object] | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    no_config: bool = False,
) -> Config:
    """Read the configuration that holds in ``folder`` (the working folder).

    ``flags`` are by key; None is "not given". ``config_file`` is read instead of the user's and the project's
    file; with ``no_config`` none is read. Raises UsageError that names the file, variable or flag,
    the key and what was expected.
    """
    environ = os.environ if environ is None else environ
    config_file, no_config = config_file or _files.chosen, no_config or _files.ignored
    if config_file is not None and no_config:
        raise UsageError("--config and --no-config contradict each other", hint="give one of them")
    here = _working_folder() if folder is None else folder.absolute()
    given: dict[str, _Given] = {}
    files: list[Path] = []
    for file, title in [] if no_config else _config_files(here, environ, config_file):
        table = _read(file)
        if table is None:
            continue
        files.append(file)
        _add_file(given, table, file, title)
    written = given.get("sync")
    given.update(_from_environment(environ, folder))
    if written is not None and given["sync"] is not written:
        variables = given["sync"]
        values_of_both = {**_table(written), **_table(variables)}
        given["sync"] = _Given(values_of_both, f"{written.origin}, {variables.origin}", variables.place, None)
    for key, value in (flags or {}).items():
        if key not in KEYS:
            raise ValueError(unknown("key", key, KEYS))
        if value is not None:
            flag = "--" + key.replace("_", "-")
            given[key] = _Given(value, flag, flag, folder)
    values = {key: _READERS[key](each) for key, each in given.items()}
    database = values.setdefault("db", "benchmark.db" if folder is None else str(here / "benchmark.db"))
    defaults: dict[str, Any] = {
        "suites": locations.suites_folder(),
        "data": _home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "datasets",
        "history": _home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "history",
        "environments": _home(environ, "XDG_CACHE_HOME", ".cache") / "crt" / "environments",
        "cluster": "local",
        "clusters": {},
        "cluster_override": None,
        "scale": "laptop",
        "label": "local",
        "timeout": 3600.0,
        "precision": 0.05,
        "max_time": 1800.0,
        "software": None,
        "ci_url": None,
        "scratch": None,
        "artifacts": str(_artifacts_folder(database, environ)),
        "runs": _runs_folder(database, environ),
        **{name: {} for name in COMMAND_TABLES},
    }
    origins = {key: each.origin for key, each in given.items()}
    return Config(**{**defaults, **values}, files=tuple(files), origins=origins)


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the shared history is; ``origin`` says who named it."""

    remote: str
    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    origin: str = "default"


def remote(settings: Config, **flags: str | None) -> Remote:
    """The remote as ``[tool.crt.sync]``, ``CRT_SYNC_*`` and flags (by the same keys) name it: by default a folder of the user's.

    Where it is a folder, what files and variables say of a bucket is not meant; what flags say is, and whoever opens it
    refuses it.
    Raises UsageError on a key or a value that the table cannot have.
    """
    origin = settings.origin("sync")
    for key, value in settings.sync.items():
        if key not in SYNC_KEYS:
            raise UsageError(f"sync.{key} ({origin}): {unknown('key', key, SYNC_KEYS)}")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"sync.{key} ({origin}): expected a text that is not empty, not {masked(repr(value))}")
    given = {key: value for key, value in flags.items() if value is not None}
    chosen = {**settings.sync, **given}
    if "remote" in chosen and not chosen["remote"].lower().startswith("s3:"):
        chosen = {**given, "remote": chosen["remote"]}
    if "remote" not in chosen:
        folder = _home(os.environ, "XDG_DATA_HOME", ".local/share") / "crt" / "remote"
        if set(given) - {"remote"}:
            flag = "--" + min(given).replace("_", "-")
            raise UsageError(f"{flag} is of a bucket, and none is named", hint="--remote s3://bucket/prefix")
        return Remote(str(folder))
    return Remote(**chosen, origin="--remote" if "remote" in given else origin)


def artifacts(settings: Config) -> tuple[Path, str | None]:
    """The folder that artefacts are written to, and the URL that they are uploaded below; None: they stay in the folder."""
    if "://" in settings.artifacts:
        return _artifacts_folder(settings.db, os.environ), settings.artifacts
    return Path(settings.artifacts), None


#: Paths in ``[tool.crt.report]``, which start from the file that names them; so do the folders of ``[tool.crt.build]``.
_REPORT_PATHS = ("out", "plotly")

#: Keys of ``[tool.crt.build]``.
_BUILD_FOLDERS = ("recipe", "output_folder")
BUILD_KEYS = (*_BUILD_FOLDERS, "channels", "nightly_channel", "repositories")


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """``repositories`` are those that nightly wheels are made from, by project."""

    recipe: Path | None = None
    output_folder: Path | None = None
    channels: tuple[str, ...] | None = None
    nightly_channel: str | None = None
    repositories: dict[str, str] = field(default_factory=dict)


def build_settings(settings: Config) -> BuildSettings:
    """What ``[tool.crt.build]`` says. Raises UsageError on a key or a value that the table cannot have."""
    origin = settings.origin("build")
    found: dict[str, Any] = {}
    for key, value in settings.build.items():
        if key not in BUILD_KEYS:
            raise UsageError(f"build.{key} ({origin}): {unknown('key', key, BUILD_KEYS)}")
        if key == "channels":
            fits = isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)
            expected = 'a list of texts, as ["conda-forge"]'
        elif key == "repositories":
            fits = isinstance(value, dict) and all(isinstance(each, str) and each for each in value.values())
            expected = "a table of addresses by project"
        else:
            fits, expected = isinstance(value, str) and bool(value.strip()), "a text that is not empty"
        if not fits:
            raise UsageError(f"build.{key} ({origin}): expected {expected}, not {value!r}")
        found[key] = tuple(value) if key == "channels" else Path(value) if key in _BUILD_FOLDERS else value
    return BuildSettings(**found)


@dataclass(frozen=True, slots=True)
class GitHub:
    """What a workflow is told of where it runs. The token is in no representation, and so in no message."""

    token: str | None = field(repr=False)
    api_url: str | None
    repository: str | None  # OWNER/NAME


def github(environ: Mapping[str, str] | None = None) -> GitHub:
    """``GH_TOKEN`` or ``GITHUB_TOKEN``, ``GITHUB_API_URL`` and ``GITHUB_REPOSITORY``; what is empty is not set.

    Raises UsageError for a token that is none, without showing it.
    """
    given = os.environ if environ is None else environ
    name = next((each for each in ("GH_TOKEN", "GITHUB_TOKEN") if given.get(each)), None)
    token = given[name].strip() if name is not None else None
    if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UsageError(f"{name} is no token: it has spaces, or characters that are not ASCII")
    return GitHub(token, given.get("GITHUB_API_URL") or None, given.get("GITHUB_REPOSITORY") or None)


def environment() -> dict[str, str]:
    """The variables of the environment, for recipes, which may read any."""
    return dict(os.environ)


def conda_cache() -> Path:
    """Where what channels say, and their packages, are kept between commands."""
    return _home(os.environ, "XDG_CACHE_HOME", ".cache") / "crt" / "conda"


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the user's own configuration is, or would be."""
    return _home(os.environ if environ is None else environ, "XDG_CONFIG_HOME", ".config") / "crt" / "config.toml"


def masked(text: str) -> str:
    """The text with the passwords of the URLs in it replaced by ``***``."""
    text = re.sub(r"(\w://[^\s/:@\"]*):[^\s/\"]*@", r"\1:***@", text)
    return re.sub(r"(?i)([?&][a-z_]*(?:password|secret|token)[a-z_]*=)[^&\s\"]+", r"\1***", text)


def sqlite_file(db: str) -> Path | None:
    """The file of an SQLite database given by path or URL; None for a server, or a database in memory."""
    if "://" not in db:
        return None if db == ":memory:" else Path(db)
    scheme, _, rest = db.partition("://")
    path = rest.partition("?")[0].removeprefix("/")
    return Path(path) if scheme.partition("+")[0] == "sqlite" and path not in {"", ":memory:"} else None


def no_color() -> bool:
    """https://no-color.org: set to anything but nothing. A dumb terminal has no colours either."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def force_color() -> bool:
    return os.environ.get("FORCE_COLOR", "").lower() not in {"", "0", "false", "no"}


def terminal_columns() -> int | None:
    """The width that the user asks for, rather than the terminal's."""
    for name in ("TERMINAL_WIDTH", "COLUMNS"):
        text = os.environ.get(name, "")
        if text.isascii() and text.isdigit() and int(text) > 0:
            return int(text)
    return None


def completion_requested() -> bool:
    """Is a shell asking for completions?"""
    return bool(os.environ.get("_CRT_COMPLETE"))


@dataclass(frozen=True, slots=True)
class Completion:
    """A shell that asks. ``breaks`` are the letters between which bash replaces a part of a word."""

    shell: str
    breaks: str


def completion() -> Completion:
    return Completion(os.environ.get("_CRT_COMPLETE", ""), os.environ.get("_CRT_BREAKS", ""))


def shell_folders() -> tuple[Path, Path]:
    """Where bash and zsh have their files, and where fish has its own."""
    return _home(os.environ, "", "."), _home(os.environ, "XDG_CONFIG_HOME", ".config") / "fish"


def login_shell() -> str | None:
    return os.environ.get("SHELL")


def aws_files() -> tuple[Path, Path]:
    """Where AWS's tools keep their profiles."""
    folder = _home(os.environ, "", ".aws")
    named = (os.environ.get("AWS_CONFIG_FILE"), os.environ.get("AWS_SHARED_CREDENTIALS_FILE"))
    config_file, credentials = (locations.expanded(each) if each else None for each in named)
    return config_file or folder / "config", credentials or folder / "credentials"


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working folder no longer exists", hint="change to a folder that does") from error


def _home(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification, which says to ignore relative ones."""
    folder = environ.get(variable, "")
    if folder and Path(folder).is_absolute():
        return Path(folder)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / fallback  # noqa: PTH111  Path.home() may raise


def _runs_folder(db: str, environ: Mapping[str, str]) -> Path:
    file = sqlite_file(db)
    return file.parent / "crt-runs" if file is not None else _state(environ) / "runs" / _server_name(db)


def _artifacts_folder(db: str, environ: Mapping[str, str]) -> Path:
    file = sqlite_file(db)
    if file is not None:
        # "." and "/" have no name: that no database is there is said elsewhere
        return file.parent / f"{file.stem}-artifacts"
    return _state(environ) / "artifacts" / _server_name(db)


def _state(environ: Mapping[str, str]) -> Path:
    return _home(environ, "XDG_STATE_HOME", ".local/state") / "crt"


def _server_name(db: str) -> str:
    import hashlib

    return hashlib.sha256(re.sub(r"(://[^/@]*?):[^/]*@", r"\1@", db).encode()).hexdigest()[:16]


def _config_files(here: Path, environ: Mapping[str, str], chosen: Path | None) -> Iterator[tuple[Path, str]]:
    """The files to read, the weakest first, each with how its values' origin is written."""
    if chosen is not None:
        file = here / locations.expanded(chosen)
        if not file.is_file():
            raise UsageError(f"--config: no such file: {file}")
        yield file, str(file)
        return
    user = user_file(environ)
    if user.is_file():
        yield user, f"user file {user}"
    for folder in (here, *here.parents):
        for name in ("crt.toml", "pyproject.toml"):
            file = folder / name
            if file.is_file() and _read(file) is not None:
                yield file, str(file)
                return


def read_toml(file: Path) -> dict[str, Any]:
    """A whole file of TOML. Raises UsageError, naming it, where it cannot be read or is none."""
    return parse_toml(file, _content(file))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _read(file: Path) -> dict[str, Any] | None:
    """The table of crt in a file; None for a ``pyproject.toml`` that has none."""
    content = _content(file)
    embedded = file.name == "pyproject.toml"
    if embedded and b"crt" not in content:
        return None
    table: object = parse_toml(file, content)
    for part in ("tool", "crt") if embedded else ():
        table = table.get(part) if isinstance(table, dict) else None
        if table is None:
            return None
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.crt: expected a table, not {table!r}")
    return table


def parse_toml(file: Path, content: bytes) -> dict[str, Any]:
    """What would be read of a file with this content. Raises UsageError, naming it, where that is no TOML."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise UsageError(
                f"{file}: Python 3.10 needs tomli to read it", hint="python -m pip install tomli, or crt --no-config"
            ) from error
    try:
        table: dict[str, Any] = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # a TOMLDecodeError is one; so are numbers and nesting beyond all measure
        raise UsageError(f"{file}: is not valid TOML: {error}") from error
    return table


def _add_file(given: dict[str, _Given], table: dict[str, Any], file: Path, title: str) -> None:
    for written, value in table.items():
        key = written.replace("-", "_")
        if key not in KEYS:
            raise UsageError(f"{file}: {unknown('key', written, KEYS)}", hint="crt config show lists every key")
        if key in TABLES:
            _check_table(key, value, file)
            if key == "sync":
                value = _with_absolute_remote(value, file)  # noqa: PLW2901
            if key == "build":
                value = _with_absolute_paths(value, _BUILD_FOLDERS, file)  # noqa: PLW2901
            if key == "report":
                value = _with_absolute_paths(value, _REPORT_PATHS, file)  # noqa: PLW2901
            weaker = given[key].value if key in given else {}
            value = {**(weaker if isinstance(weaker, dict) else {}), **value}  # noqa: PLW2901
        given[key] = _Given(value, title, f"{file}: {key}", file.absolute().parent)


def _check_table(key: str, value: object, file: Path) -> None:
    if not isinstance(value, dict):
        raise UsageError(f"{file}: {key}: expected a table, not {value!r}", hint=f"write [{key}] and its keys below")
    if key in _EMPTY_TABLES and value:
        name = next(iter(value))
        raise UsageError(f"{file}: {key}.{name}: {key} has no keys", hint=f"crt {key} --help names its flags")
    if key == "clusters":
        for name, each in value.items():
            if not isinstance(each, dict):
                raise UsageError(
                    f"{file}: clusters.{name}: expected a table, not {each!r}",
                    hint=f"write [clusters.{name}] and the keywords of the cluster below",
                )


def _with_absolute_remote(table: object, file: Path) -> object:
    """A remote that is a folder starts from the file that names it, as every path does."""
    remote = table.get("remote") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(remote, str) or "://" in remote or not remote.strip():
        return table
    return {**table, "remote": str(file.absolute().parent / locations.expanded(remote))}


def _with_absolute_paths(table: object, keys: Sequence[str], file: Path) -> object:
    if not isinstance(table, dict):
        return table
    paths = {key: table[key] for key in keys if isinstance(table.get(key), str) and table[key].strip()}
    return {**table, **{key: str(file.absolute().parent / locations.expanded(each)) for key, each in paths.items()}}


def _from_environment(environ: Mapping[str, str], base: Path | None) -> dict[str, _Given]:
    variables = {f"CRT_{key.upper()}": key for key in KEYS}
    of_sync = {f"CRT_SYNC_{key.upper()}": key for key in SYNC_KEYS}
    for name in environ:
        if name.startswith("CRT_") and not any(name in each for each in (variables, of_sync, _OF_BISECTIONS)):
            settable = [*(each for each, key in variables.items() if key not in TABLES), *of_sync]
            raise UsageError(unknown("environment variable", name, settable), hint=f"unset {name}")
    given = {}
    for variable, key in variables.items():
        # An empty variable is how CI systems write "not set".
        named = next((each for each in (variable, *HISTORIC.get(key, ())) if environ.get(each)), None)
        if named is None:
            continue
        if key in TABLES:
            raise UsageError(f"{named}: {key} is a table: a variable cannot hold it", hint="set it in crt.toml")
        given[key] = _Given(environ[named], named, named, base)
    chosen = [variable for variable in of_sync if environ.get(variable)]
    if chosen:
        named = ", ".join(chosen)
        given["sync"] = _Given({of_sync[each]: environ[each] for each in chosen}, named, named, base)
    if "ci_url" not in given and (url := _github_run(environ)):
        given["ci_url"] = _Given(url, "GITHUB_RUN_ID", "GITHUB_RUN_ID", base)
    return given


def _github_run(environ: Mapping[str, str]) -> str | None:
    server, repository, run = (environ.get(f"GITHUB_{part}") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None


def _refuse(given: _Given, expected: str) -> UsageError:
    return UsageError(f"{given.place}: expected {expected}, not {masked(repr(given.value))}")


def _text(given: _Given) -> str:
    value = given.value
    if not isinstance(value, str) or not value.strip():
        raise _refuse(given, "a text that is not empty")
    if not value.isprintable():
        raise _refuse(given, "a text without control characters")
    return value


def _path(given: _Given) -> Path:
    if not isinstance(given.value, str | Path) or not str(given.value).strip() or "\0" in str(given.value):
        raise _refuse(given, "a path")
    path = locations.expanded(given.value)
    return path if given.base is None else given.base / path


def _database(given: _Given) -> str:
    value = str(given.value) if isinstance(given.value, Path) else given.value
    if isinstance(value, str) and "://" in value:
        file = sqlite_file(value)
        if file is None or file.is_absolute() or given.base is None:
            return _text(given)
        scheme, _, query = value.partition("?")
        return f"{scheme.partition('://')[0]}:///{given.base / file}" + (f"?{query}" if query else "")
    return str(_path(given))


def _artifacts(given: _Given) -> str:
    """A folder, or a URL without the password that would be in every row."""
    from urllib.parse import unquote, urlsplit

    value = str(given.value) if isinstance(given.value, Path) else given.value
    if not isinstance(value, str) or "://" not in value:
        return str(_path(given))
    _text(given)
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise _refuse(given, "a folder or a URL") from error
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return unquote(parts.path)
    if (
        not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", parts.scheme)
        or "@" in parts.netloc
        or "?" in value
        or "#" in value
    ):
        raise _refuse(given, "a folder, or a URL as s3://bucket/prefix, without credentials")
    return value


def _scale(given: _Given) -> str:
    number = isinstance(given.value, int | float) and not isinstance(given.value, bool)
    try:
        return Scale.parse(str(given.value) if number else _text(given)).name
    except ValueError as error:
        raise UsageError(f"{given.place}: {error}") from error


def _number(expected: str, read: Callable[[str], float], limit: float) -> Callable[[_Given], float]:
    def reader(given: _Given) -> float:
        value = given.value
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise _refuse(given, expected)
        try:
            number = read(str(value))
        except ValueError as error:
            raise _refuse(given, expected) from error
        if not 0 < number < limit:
            raise _refuse(given, expected)
        return number

    return reader


def _table(given: _Given) -> dict[str, Any]:
    if not isinstance(given.value, dict):
        raise _refuse(given, "a table")
    return given.value


_duration = _number('seconds above 0, as 90, "10m" or "1h30m"', parse_seconds, math.inf)
_READERS: dict[str, Callable[[_Given], Any]] = {
    "db": _database,
    "suites": _path,
    "data": _path,
    "history": _path,
    "environments": _path,
    "cluster": _text,
    "cluster_override": _path,
    "scale": _scale,
    "label": _text,
    "timeout": _duration,
    "precision": _number('a share between 0 and 1, as "5%" or 0.05', parse_fraction, 1.0),
    "max_time": _duration,
    "software": _text,
    "ci_url": _text,
    "scratch": _text,
    "artifacts": _artifacts,
    "runs": _path,
    **dict.fromkeys(TABLES, _table),
}
