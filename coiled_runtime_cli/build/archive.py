"""Packages of conda as files: what is in one, and one written so that the same content gives the same bytes.

A ``.conda`` is a zip of two tars in Zstandard, one of them what the package says of itself
(https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html); a ``.tar.bz2`` is one tar of everything.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIXES = (".conda", ".tar.bz2")

#: What a package says of itself is small; more than this is no metadata (bytes).
_LARGEST = 64 * 2**20

_LEVEL = 19  # of Zstandard: a metapackage is small enough for the best

#: The first moment that a zip can name (s since 1970).
_EARLIEST = 315_532_800


@dataclass(frozen=True, slots=True)
class Contents:
    """``files`` are those below ``info/``, by their path without it; ``code`` is whether the package has any others."""

    files: Mapping[str, bytes]
    code: bool

    def json(self, name: str) -> dict[str, Any]:
        """A file of metadata; {} where there is none. Raises ToolError on one that is no JSON object."""
        if name not in self.files:
            return {}
        try:
            value = json.loads(self.files[name])
        except ValueError as error:
            raise ToolError(f"info/{name} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise ToolError(f"info/{name}: expected an object")
        return value


def read(file: Path) -> Contents:
    """What a package says of itself. Raises ToolError where it is no package, or a broken one."""
    try:
        return _read_conda(file) if file.name.endswith(".conda") else _read_tar(file.read_bytes(), "bz2")
    except (OSError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        raise ToolError(f"{file} is no package of conda: {error}") from error


def _read_conda(file: Path) -> Contents:
    files: dict[str, bytes] = {}
    code = False
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.endswith(".tar.zst"):
                found = _read_tar(_decompressed(archive.read(name)), "")
                files.update(found.files)
                code = code or found.code
    if not files:
        raise ValueError("it has no metadata")
    return Contents(files, code)


def _read_tar(content: bytes, compression: str) -> Contents:
    files, code = {}, False
    with tarfile.open(fileobj=io.BytesIO(content), mode=f"r:{compression}") as archive:  # type: ignore[call-overload]
        for member in archive:
            if not member.name.startswith("info/"):
                code = code or not member.isdir()
            elif member.isfile() and member.size <= _LARGEST:
                stream = archive.extractfile(member)
                files[member.name.removeprefix("info/")] = stream.read() if stream is not None else b""
    return Contents(files, code)


def _decompressed(content: bytes) -> bytes:
    import pyarrow as pa

    with pa.input_stream(pa.BufferReader(content), compression="zstd") as stream:
        found = stream.read(_LARGEST + 1)
    if len(found) > _LARGEST:
        raise ValueError("its metadata is far too large")
    return bytes(found)


def conda_bytes(stem: str, files: Mapping[str, bytes], *, moment: int) -> bytes:
    """A ``.conda`` of a package without code, named ``stem``, with these files below ``info/``, as of ``moment`` (s).

    The same files and moment give the same bytes: members are sorted, and nothing of who wrote it is kept.
    """
    stamp = _zip_date(moment)
    stream = io.BytesIO()
    parts = (
        ("metadata.json", json.dumps({"conda_pkg_format_version": 2}).encode()),
        (f"pkg-{stem}.tar.zst", _compressed(_tar({}, moment))),
        (f"info-{stem}.tar.zst", _compressed(_tar({f"info/{name}": each for name, each in files.items()}, moment))),
    )
    # parts are stored, not packed again, so that readers can find what they need in place
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts:
            entry = zipfile.ZipInfo(name, stamp)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, content)
    return stream.getvalue()


def _zip_date(moment: int) -> tuple[int, int, int, int, int, int]:
    from datetime import datetime, timezone

    at = datetime.fromtimestamp(max(moment, _EARLIEST), timezone.utc)
    return at.year, at.month, at.day, at.hour, at.minute, at.second


def _tar(files: Mapping[str, bytes], moment: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(files[name]), moment, 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return stream.getvalue()


def _compressed(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", compression_level=_LEVEL).compress(content, asbytes=True))
