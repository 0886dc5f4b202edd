"""Where the artefacts of a run are: a folder of its own while they come in, and below a URL afterwards if there is one.

What cannot be kept costs no run: it is said once, and the row has no address of it.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.atomic import part_of
from coiled_runtime_cli.core.artifacts import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coiled_runtime_cli.core.settings import SessionSettings
    from coiled_runtime_cli.plugin.recorder import RunDraft


@dataclass(frozen=True, slots=True)
class Keep:
    """What instruments put artefacts into. ``say`` tells the user, once, what is missing and why."""

    folder: Path
    say: Callable[[str], None]

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A path to write ``name`` at, a path below the folder; it has its name when the block has ended well."""
        final = self.folder / name
        part = part_of(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
            if not any(final.parent.iterdir()):
                final.parent.rmdir()

    def url(self, name: str) -> str:
        """The address of a file or (with a slash at its end) a folder."""
        return (self.folder / name).as_uri() + ("/" if name.endswith("/") else "")


def name_of(draft: RunDraft) -> str:
    """The run's part of the path: the test's name in characters that any store takes, and what tells two runs apart."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", draft.benchmark.name).strip("-.")[:80]
    return f"{plain}-{draft.uuid[-12:]}"


def folder_of(settings: SessionSettings, draft: RunDraft) -> Path:
    return Path(settings.artifacts) / settings.session / name_of(draft)


def deliver(settings: SessionSettings, draft: RunDraft, *, seconds: float) -> str | None:
    """Upload what was kept of a run, if there is a URL to, and have the draft say where it is.

    ``seconds``: how long it may take. Says what went wrong, None if nothing did: the files are then where they were.
    """
    if not settings.artifacts_url or not settings.artifacts:
        return None
    folder = folder_of(settings, draft)
    here = folder.as_uri() + "/"
    kept = {name: url for name in COLUMNS if (url := getattr(draft, name)) is not None and url.startswith(here)}
    if not kept:
        return None
    target = f"{settings.artifacts_url.rstrip('/')}/{settings.session}/{folder.name}/"
    trouble = _trouble_of(lambda: _put(folder, target), seconds=seconds)
    if trouble is not None:
        return (
            f"artefacts could not be uploaded to {settings.artifacts_url}: {trouble}; they are in {settings.artifacts}"
        )
    for name, url in kept.items():
        setattr(draft, name, target + url.removeprefix(here))
    shutil.rmtree(folder, ignore_errors=True)
    for above in (folder.parent, folder.parent.parent):
        try:
            above.rmdir()
        except OSError:  # not empty: another process of this session, or an upload that failed
            break
    return None


def _put(folder: Path, target: str) -> None:
    """One by one: what putting a folder does to a folder that is there differs between stores."""
    import fsspec

    system, root = fsspec.core.url_to_fs(target)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            system.put_file(str(file), f"{root.rstrip('/')}/{file.relative_to(folder).as_posix()}")


def _trouble_of(put: Callable[[], None], *, seconds: float) -> str | None:
    """What goes wrong in it, as a line; None if nothing does. A store may never answer."""
    import asyncio

    from coiled_runtime_cli.clusters.running import bounded

    def tried() -> str | None:
        try:
            put()
        except Exception as error:  # noqa: BLE001 - stores raise what they like, and none of it is the test's fault
            return one_line(error)
        return None

    try:
        return bounded(tried, timeout=seconds)
    except asyncio.TimeoutError:
        return f"not done within {seconds:.0f} s"


def one_line(error: BaseException) -> str:
    """An error in a line: its own first one, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
