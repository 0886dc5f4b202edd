"""The line of commits that a bisection searches: of one or several repositories, from good to bad, or back through tags."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timezone
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import forge
from coiled_runtime_cli.core.bisection import Candidate
from coiled_runtime_cli.core.record import Package
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coiled_runtime_cli import git

#: How much likelier a commit is that touched what the user points at; and one that touches nothing of the package.
_POINTED_AT, _BESIDE = 10.0, 0.05

#: How often the way back to a good tag is doubled.
_STEPS_BACK = 6


@dataclass(frozen=True, slots=True)
class Clone:
    """A repository of the user's by the name that answers call it."""

    name: str
    repository: git.Repository


def resolve(repository: git.Repository, ref: str) -> str:
    """The commit of a tag, branch, hash or relative name, or the last one on or before a date. Raises UsageError."""
    try:
        return repository.resolve(ref)
    except UsageError:
        moment = _date(ref)
        if moment is None:
            raise
    found = repository.before(moment)
    if found is None:
        raise UsageError(f"{repository.folder}: no commit is as old as {ref}")
    return found


def _date(text: str) -> float | None:
    """The last moment of a day, or a moment (UTC where nothing is said), in seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= 10:
        moment = datetime.combine(moment.date(), time.max)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)).timestamp()


def between(clones: Sequence[Clone], good: str, bad: str, *, first_parent: bool = True) -> tuple[Candidate, ...]:
    """The commits of the first clone from good to bad; with others, the commits of all of them in the order of time.

    Each candidate then has every repository at its last commit of that time. Raises UsageError.
    """
    first, *others = clones
    # by their names where they have one: what is wrong is said in the user's words
    start, end = (each if _date(each) is None else resolve(first.repository, each) for each in (good, bad))
    line = first.repository.line(start, end, first_parent=first_parent)
    if not others:
        return tuple(candidate(first, each) for each in line)
    moment, events = 0.0, []
    for number, each in enumerate(line):
        moment = max(moment, each.committed)  # a rebase may have put a commit after a later one
        events.append((moment, 0, number, first, each))
    at: dict[str, str] = {}
    for order, clone in enumerate(others, 1):
        ends = [clone.repository.before(line[index].committed, on=clone.repository.trunk()) for index in (0, -1)]
        if ends[0] is None or ends[1] is None:
            raise UsageError(f"{clone.repository.folder} has no commit as old as {good}", hint="a full clone is needed")
        at[clone.name] = ends[0]
        if ends[0] != ends[1]:
            moving = clone.repository.line(ends[0], ends[1], first_parent=first_parent)[1:]
            late = line[0].committed
            for number, each in enumerate(moving):
                late = max(late, each.committed)
                events.append((late, order, number, clone, each))
    events.sort(key=lambda each: each[:3])
    found = []
    for _, _, _, clone, commit in events:
        at[clone.name] = commit.hash
        if first.name in at:  # what the others did before the good end of the first is where they begin
            found.append(candidate(clone, commit, {name: each for name, each in at.items() if name != clone.name}))
    return tuple(found)


def candidate(clone: Clone, commit: git.Commit, others: Mapping[str, str] | None = None) -> Candidate:
    """A commit as a candidate; ``others``: what the other repositories are at."""
    package = Package(name=clone.name, url=clone.repository.url, commit=commit.hash)
    return Candidate(
        name=commit.hash,
        subject=commit.subject,
        date=commit.date,
        author=commit.author,
        url=forge.commit_url(package),
        repository=clone.name,
        merge=len(commit.parents) > 1,
        others=tuple(sorted((others or {}).items())),
    )


def commits_of(candidate: Candidate) -> dict[str, str]:
    """Every repository's commit at a candidate."""
    assert candidate.repository is not None
    return {candidate.repository: candidate.name, **dict(candidate.others)}


def goods_before(repository: git.Repository, bad: str) -> list[str]:
    """Tags on the way to a commit, the newest first: where to look for a good one."""
    end = resolve(repository, bad)
    return [each for each in reversed(repository.tags(of=end)) if repository.resolve(each) != end]


def walk_back(
    clones: Sequence[Clone], bad: str, *, first_parent: bool
) -> tuple[tuple[Candidate, ...], tuple[int, ...]]:
    """A line that goes back through tags, and the places in it where to try a good end, the newest first.

    Each is about twice as far back as the one before. Raises UsageError where there is no tag.
    """
    tags = goods_before(clones[0].repository, bad)
    chosen = [tags[2**step - 1] for step in range(_STEPS_BACK) if 2**step <= len(tags)]
    if not chosen:
        raise UsageError("--good is missing, and there is no tag to go back to", hint="--good takes a date as well")
    found = between(clones, chosen[-1], bad, first_parent=first_parent)
    place = {each.name: number for number, each in enumerate(found)}
    starts = [place.get(clones[0].repository.resolve(each)) for each in chosen]
    return found, tuple(each for each in starts if each is not None)


def weights(
    clones: Sequence[Clone],
    candidates: Sequence[Candidate],
    *,
    paths: Sequence[str],
    modules: Mapping[str, Sequence[str]],
) -> list[float] | None:
    """How likely each candidate but the first is by what it touches: an opinion, which the measurements outweigh.

    ``paths`` are patterns of git that a culprit would touch. ``modules``: of each repository the folders of its package; a commit
    that touches none of them is unlikely.
    """
    if not paths and not modules:
        return None
    found = [1.0] * (len(candidates) - 1)
    for clone in clones:
        mine = [each.name for each in candidates if each.repository == clone.name]
        pointed = clone.repository.touching(mine, [f":(glob){each}" for each in paths]) if paths else set()
        inside = clone.repository.touching(mine, modules[clone.name]) if modules.get(clone.name) else set(mine)
        for place, each in enumerate(candidates[1:]):
            if each.repository == clone.name:
                found[place] *= _POINTED_AT if each.name in pointed else 1.0
                found[place] *= 1.0 if each.name in inside else _BESIDE
    return found
