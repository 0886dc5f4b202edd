"""A profiler of processes of the cluster: begun in each, ended in each, and what it wrote fetched from each.

A run that was profiled is marked so, and never enters a comparison. What cannot be had (a library that is missing on a worker,
a cluster that died, a full disk) is said, and costs no run. What runs in the processes is sent by value.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT
from coiled_runtime_cli.plugin.instruments.harmless import check_answers, ends, unharmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import RunDraft

#: What is fetched at once of a profile (bytes).
_PIECE = 16 * 2**20

_SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class Tool:
    """A profiler that runs within each profiled process, or beside it."""

    name: str
    suffix: str  # of its files
    start: Callable[..., Any]
    stop: Callable[..., Any]
    column: str  # of the run that says where its files are


@contextmanager
def profiled(tool: Tool, draft: RunDraft, client: Client, keep: Keep, where: str) -> Iterator[None]:
    """Profile ``where`` (scheduler, workers or all) during the block; the draft says where the files are."""
    began: list[str] = []
    with unharmed(keep, f"no profile of {tool.name}"):
        for place, answer in _ask(client, where, tool.start, draft.uuid).items():
            if isinstance(answer, dict) and "began" in answer:
                began.append(place)
            elif not isinstance(answer, dict) or "shared" not in answer:
                keep.say(_missing(tool, place, answer))
    end = partial(_end, tool, draft, client, keep, where, began)
    with ends(partial(end, fetch=True), hurried=partial(end, fetch=False)):
        yield


def _end(tool: Tool, draft: RunDraft, client: Client, keep: Keep, where: str, began: list[str], *, fetch: bool) -> None:
    if not began:
        return
    with unharmed(keep, f"no profile of {tool.name}"):
        check_answers(client)
        ended = _ask(client, where, tool.stop, draft.uuid, places=began)
        if fetch:
            _fetch(tool, draft, client, keep, ended)


def _fetch(tool: Tool, draft: RunDraft, client: Client, keep: Keep, ended: dict[str, Any]) -> None:
    workers = sorted(place for place in ended if place != _SCHEDULER)
    for place, answer in ended.items():
        if not isinstance(answer, dict) or not answer.get("size"):
            keep.say(_missing(tool, place, answer))
            continue
        title = place if place == _SCHEDULER else f"worker-{workers.index(place)}"
        with unharmed(keep, f"no profile of {tool.name} of {title}"):
            with keep.file(f"{tool.name}/{title}{tool.suffix}") as path, path.open("wb") as stream:
                while (offset := stream.tell()) < answer["size"]:
                    piece = _ask_one(client, place, read_piece, answer["path"], offset, _PIECE)
                    if not piece:
                        raise OSError(f"the file of {place} ended early")
                    stream.write(piece)
            setattr(draft, tool.column, keep.url(f"{tool.name}/"))
        with unharmed(keep, f"a file of {tool.name} could not be removed"):
            _ask_one(client, place, forget, answer["path"])


def _missing(tool: Tool, place: str, answer: object) -> str:
    from coiled_runtime_cli.plugin.artifacts import one_line

    why = one_line(answer) if isinstance(answer, BaseException) else "nothing was recorded"
    if isinstance(answer, dict):
        why = str(answer.get("trouble") or why)
    kind = "the scheduler" if place == _SCHEDULER else "a worker"  # not which one: it is said once, not for each
    return f"no profile of {tool.name} of {kind}: {why}"


def _ask(
    client: Client, where: str, function: Callable[..., Any], *arguments: object, places: list[str] | None = None
) -> dict[str, Any]:
    """The answers of ``where``, or of ``places`` alone, by address; one that did not answer has the error for an answer."""
    found: dict[str, Any] = {}
    workers = None if places is None else [each for each in places if each != _SCHEDULER]
    if where in {"workers", "all"} and workers != []:
        found |= client.run(
            function, *arguments, workers=workers, on_error="return", callback_timeout=2 * ANSWER_TIMEOUT
        )
    if where in {_SCHEDULER, "all"} and (places is None or _SCHEDULER in places):
        found[_SCHEDULER] = client.run_on_scheduler(function, *arguments, callback_timeout=2 * ANSWER_TIMEOUT)
    return found


def _ask_one(client: Client, place: str, function: Callable[..., Any], *arguments: object) -> Any:
    if place == _SCHEDULER:
        return client.run_on_scheduler(function, *arguments, callback_timeout=ANSWER_TIMEOUT)
    return client.run(function, *arguments, workers=[place], callback_timeout=ANSWER_TIMEOUT)[place]


def read_piece(path: str, offset: int, length: int) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def forget(path: str) -> None:
    """Remove the folder that a profile was written in."""
    import os
    import shutil

    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
