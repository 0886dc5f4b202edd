"""Channels of conda: folders that packages are put into, and what there is in them and elsewhere.

Solving and reading channels is py-rattler's work (https://conda.github.io/rattler/py-rattler), in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from coiled_runtime_cli import atomic
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

EXTRA = "pip install 'coiled-runtime-cli[build]'"

NOARCH = "noarch"

#: Platforms that Dask's users are on, as conda names them.
PLATFORMS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")

#: The oldest systems that conda-forge still makes packages for: what solves there solves on newer ones.
#: https://conda-forge.org/docs/maintainer/knowledge_base
_VIRTUAL: dict[str, tuple[tuple[str, str], ...]] = {
    "linux": (("__unix", "0"), ("__linux", "4.18"), ("__glibc", "2.28")),
    "osx": (("__unix", "0"), ("__osx", "11.0")),
    "win": (("__win", "10.0"),),
}

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)

#: What a thread of py-rattler takes to let go of Python (s).
_MOMENT = 0.002

_Result = TypeVar("_Result")


class UnsatisfiableError(Exception):
    """There is no set of packages that meets these demands; the text is the solver's own reasoning."""


@dataclass(frozen=True, slots=True)
class Package:
    """One that a channel has. ``record`` is py-rattler's own, to install it."""

    name: str
    version: str
    build: str
    depends: tuple[str, ...]
    url: str
    timestamp: float | None  # s since 1970
    record: Any

    @property
    def md5(self) -> str | None:
        return self.record.md5.hex() if self.record.md5 is not None else None

    @property
    def sha256(self) -> str | None:
        return self.record.sha256.hex() if self.record.sha256 is not None else None


def _rattler() -> Any:
    try:
        import rattler
        import rattler.exceptions
    except ImportError as error:
        raise ToolError("py-rattler, which reads channels, is not installed here", hint=EXTRA) from error
    return rattler


def installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("rattler") is not None


def located(channel: str) -> str:
    """A channel as py-rattler takes it: a folder by its whole path, all else as it is. Raises UsageError."""
    if _URL.match(channel):
        return channel
    folder = expanded(channel)
    if not folder.is_dir():
        if channel.startswith((".", "/", "~")) or "\\" in channel:
            raise UsageError(f"no channel folder {channel}")
        return channel
    if not (folder / NOARCH / "repodata.json").is_file():
        if not channel.startswith((".", "/", "~")) and not any(folder.glob("*/repodata.json")):
            return channel  # a name that happens to be a folder's, too: conda-forge
        raise UsageError(
            f"{channel} is no channel: it has no {NOARCH}/repodata.json",
            hint="crt build indexes its own output folder; conda index does so for any",
        )
    return str(folder.resolve())


def index(folder: Path, packages: Mapping[Path, str]) -> None:
    """Write what a channel folder has into its repodata: surely these packages, by their SHA-256. Raises ToolError."""
    rattler = _rattler()
    from rattler.index import index_fs

    (folder / NOARCH).mkdir(parents=True, exist_ok=True)
    for file in packages:
        atomic.part_of(file).unlink(missing_ok=True)  # a build that was killed left it
    try:
        asyncio.run(_awaited(index_fs(folder, write_zst=True, write_shards=False)))
        if not all(_has(file, sha256) for file, sha256 in packages.items()):
            # it goes by names: one that was replaced, perhaps by a crt that was killed then, it does not look at again
            asyncio.run(_awaited(index_fs(folder, write_zst=True, write_shards=False, force=True)))
    except rattler.exceptions.IoError as error:
        raise ToolError(f"the channel {folder} cannot be indexed: {error}") from error
    with contextlib.suppress(OSError):
        (folder / ".tmp").rmdir()


def _has(file: Path, sha256: str) -> bool:
    """Whether the index of a package's folder has the package as it is."""
    try:
        document = json.loads((file.parent / "repodata.json").read_bytes())
    except (OSError, ValueError):
        return False
    record = {**document.get("packages", {}), **document.get("packages.conda", {})}.get(file.name)
    return record is not None and record.get("sha256") == sha256


class Channels:
    """Several channels, the first one first, read once. A context manager."""

    def __init__(self, names: Sequence[str], *, cache: Path) -> None:
        """Raises UsageError on a folder that is no channel, ToolError without py-rattler."""
        rattler = _rattler()
        self.names = tuple(dict.fromkeys(names))
        self._channels = [rattler.Channel(located(each)) for each in self.names]
        self._cache = cache
        self._gateway = rattler.Gateway(cache_dir=cache / "repodata")
        self._loop = asyncio.new_event_loop()
        self._known: dict[tuple[str, str, bool], list[Package]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(work)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        exceptions = _rattler().exceptions
        try:
            yield
        except exceptions.SolverError as error:
            raise UnsatisfiableError(str(error)) from error
        except exceptions.GatewayError as error:
            lines = str(error).splitlines()
            address = re.search(r"(\S+?://[^\s)]+)/[^/\s)]+/[^/\s)]+", lines[0])
            where = address[1].lstrip("(") if address is not None else "a channel"
            why = lines[-1].removeprefix("Caused by: ") if len(lines) > 1 else lines[0]
            raise RemoteError(
                f"{where} does not answer: {why}",
                hint="-c names channels, --override-channels leaves out conda-forge",
            ) from error

    def packages(self, name: str, platform: str, *, noarch: bool = True) -> list[Package]:
        """All of one name that are there for a platform. Raises RemoteError."""
        key = name, platform, noarch
        if key not in self._known:
            where = [platform, NOARCH] if noarch else [platform]
            with self._explained():
                found = self._run(_awaited(self._gateway.query(self._channels, where, [name], recursive=False)))
            self._known[key] = [_package(each) for records in found for each in records]
        return self._known[key]

    def fitting(self, demand: str, platform: str) -> list[Package]:
        """Those packages that one demand lets pass, whatever they depend on. Raises RemoteError."""
        spec = _rattler().MatchSpec(demand)
        return [each for each in self.packages(demand.split(maxsplit=1)[0], platform) if spec.matches(each.record)]

    def platforms(self) -> list[str]:
        """Those of :data:`PLATFORMS`, and this machine's, that a Python can be had for. Raises RemoteError."""
        here = this_platform()
        asked = PLATFORMS if here in PLATFORMS else (*PLATFORMS, here)
        return [each for each in asked if self.packages("python", each, noarch=False)]

    def solve(self, demands: Sequence[str], platform: str) -> list[Package]:
        """The packages of an environment. Raises UnsatisfiableError, RemoteError; UsageError on a demand that is none."""
        rattler = _rattler()
        try:
            specs = [rattler.MatchSpec(each) for each in demands]
        except (rattler.exceptions.InvalidMatchSpecError, rattler.exceptions.InvalidPackageNameError) as error:
            raise UsageError(f"a pin that no solver can read: {error}") from error
        with self._explained():
            found = self._run(
                _awaited(
                    rattler.solve(
                        self._channels,
                        specs,
                        gateway=self._gateway,
                        platforms=[platform, NOARCH],
                        virtual_packages=_virtual_packages(platform),
                    )
                )
            )
        return [_package(each) for each in found]

    def install(self, packages: Sequence[Package], prefix: Path) -> None:
        """Make an environment of packages for this platform. Raises RemoteError where one cannot be had, ToolError."""
        rattler = _rattler()
        try:
            self._run(
                _awaited(
                    rattler.install(
                        [each.record for each in packages],
                        prefix,
                        cache_dir=self._cache / "packages",
                        show_progress=False,
                    )
                )
            )
        except rattler.exceptions.InstallerError as error:
            lines = str(error).splitlines()
            text = f"{lines[0]}: {lines[-1].removeprefix('Caused by: ')}" if len(lines) > 1 else lines[0]
            if "No space left" in str(error):
                raise ToolError(f"no environment could be made: the disk is full ({prefix.parent})") from error
            if "fetch" in lines[0]:
                raise RemoteError(text) from error
            raise ToolError(f"no environment could be made: {text}") from error


async def _awaited(future: Any) -> Any:
    """A future's value. What runs it lets go of Python a moment after, which must not be while Python ends."""
    value = await future
    await asyncio.sleep(_MOMENT)
    return value


def _package(record: Any) -> Package:
    return Package(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        depends=tuple(map(str, record.depends)),
        url=str(record.url),
        timestamp=record.timestamp.timestamp() if record.timestamp is not None else None,
        record=record,
    )


def this_platform() -> str:
    return str(_rattler().Subdir.current())


def _virtual_packages(platform: str) -> list[Any]:
    """What a system of the platform has by itself: this machine's, or the oldest that conda-forge serves."""
    rattler = _rattler()
    if platform == this_platform():
        return list(rattler.VirtualPackage.detect())
    system = platform.partition("-")[0]
    return [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0"))
        for name, version in _VIRTUAL.get(system, ())
    ]
