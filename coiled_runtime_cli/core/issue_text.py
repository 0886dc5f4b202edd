"""What a person reads in an issue: its title, its body, and the comments that tell of what has happened since.

Nothing in a body changes unless what was found does. Each comment begins with a mark, by which it is not written twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.findings_table import change_text, change_with_interval, is_open
from coiled_runtime_cli.core.issue_memory import packed
from coiled_runtime_cli.core.mention import bare, code, link, title
from coiled_runtime_cli.core.quantity import counted, value_text
from coiled_runtime_cli.core.series import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coiled_runtime_cli.core.findings import Finding
    from coiled_runtime_cli.core.issue_memory import Memory

#: Rows of a table, and packages that are named: a body has at most 65,536 characters, and is read in a minute or not at all.
_ROWS, _MOVED, _NAMED = 20, 15, 10

_FOOTER = (
    "Written by `crt detect issues`, which keeps this text up to date, and closes the issue when the level is back. Close it as "
    "not planned to say that the change is as it should be. What is added here by hand is replaced; comments stay."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the words of an issue need beside its findings. ``page`` gives a finding's page of the site; None: there is none."""

    page: Callable[[Finding], str | None]


def title_of(members: Sequence[Finding]) -> str:
    """What changed, by how much and since when, and how many findings more have the same cause."""
    first = members[0]
    name = title(short_name(first.key.benchmark), longest=120)
    rest = f", and {counted(len(members) - 1, 'finding')} more" if len(members) > 1 else ""
    return f"{name}: {title(first.metric.key, longest=40)} {change_text(first)} since {first.first_bad.start:%Y-%m-%d}{rest}"


def body_of(members: Sequence[Finding], memory: Memory, words: Words) -> str:
    """The whole text of an issue. Nothing in it changes unless what was found does."""
    shown = sorted(
        (each for each in members if is_open(each)),
        key=lambda each: (each.id != memory.id, -abs(each.ratio - 1), each.id),
    )
    first = shown[0]
    direction = "got worse" if first.kind == "regression" else "got better"
    begins = min(each.last_good.start for each in shown)
    ends = max(each.first_bad.start for each in shown)
    what = _name(first) + (f" and {counted(len(shown) - 1, 'more finding')}" if len(shown) > 1 else "")
    parts = [
        f"{what} {direction} between {begins:%Y-%m-%d %H:%M} and {ends:%Y-%m-%d %H:%M} UTC.",
        _table(shown, words),
        _moved(shown),
        "\n".join(_bisect(first)),
        _FOOTER,
        packed(memory),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _name(each: Finding) -> str:
    return code(short_name(each.key.benchmark))


def _table(shown: Sequence[Finding], words: Words) -> str:
    lines = [
        "| test | where | metric | before | after | change (95 %) | since | state |",
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for each in shown[:_ROWS]:
        unit, scale = each.metric.display_unit, each.metric.display_scale
        cells = (
            link(_name(each), words.page(each)),
            _where(each),
            code(each.metric.key),
            _value(each.before, unit, scale),
            _value(each.after, unit, scale),
            change_with_interval(each),
            f"{each.first_bad.start:%Y-%m-%d}",
            each.state,
        )
        lines.append("| " + " | ".join(cells) + " |")
    if len(shown) > _ROWS:
        lines += ["", f"and {len(shown) - _ROWS:,} more: `crt detect` lists them."]
    return "\n".join(lines)


def _value(value: float, unit: str, scale: float) -> str:
    text = value_text(value, unit, scale)
    return text if re.fullmatch(r"[-+0-9.,e]+ ?[A-Za-z/%]*", text) else code(text)


def _where(each: Finding) -> str:
    key = each.key
    named = (key.label, key.scale, f"Python {key.python}" if key.python else None)
    return code(", ".join(bare(one, longest=60) for one in named if one))


def _moved(shown: Sequence[Finding]) -> str:
    """What moved between the last good and the first bad run, in all that are shown."""
    everywhere = set(shown[0].moved).intersection(*(one.moved for one in shown))
    common = [each for each in shown[0].moved if each in everywhere]
    whole = common or list(shown[0].moved)
    if not whole:
        return "Nothing that is recorded moved in between: no package, no Python, not the host."
    lead = "What moved in between:" if common else f"What moved in between, for {_name(shown[0])}:"
    # what has commits to look at comes first
    ordered = sorted(whole, key=lambda each: (each.url is None, each.name))
    lines = [
        f"- {code(each.name)} {code(each.before or 'absent')} to {code(each.after or 'absent')}"
        + (f", {link('commits', each.url)}" if each.url else "")
        for each in ordered[:_MOVED]
    ]
    if len(ordered) > _MOVED:
        lines.append(f"- and {len(ordered) - _MOVED:,} more")
    return "\n".join([lead, "", *lines])


def _bisect(first: Finding) -> Iterator[str]:
    yield (
        "Which commit or package it was, on a machine that has the history (`crt sync pull`; `crt detect` lists it, should it "
        "have another id there):"
    )
    yield ""
    yield f"    crt bisect --regression {first.id}"


def duplicate_comment(first: int) -> str:
    """Why an issue is closed whose change issue ``first`` is about as well."""
    return f"<!-- crt:duplicate {first} -->\nThe same change as #{first}: closed, so that there is one issue of it."


def reopened_comment(memory: Memory, held: int) -> str:
    """Why an issue is open again: ``held`` runs after the change it is still there."""
    still = f"The change is still there, {counted(held, 'run')} after it began: opened again."
    return f"<!-- crt:reopened {memory.id} {held} -->\n{still}"


def joined_comment(joined: Sequence[Finding]) -> str:
    """Which findings have come to those that an issue has told of."""
    mark = " ".join(sorted(each.id for each in joined)[:_NAMED])
    lines = [f"- {_name(each)} {code(each.metric.key)} {change_text(each)}" for each in joined[:_NAMED]]
    if len(joined) > _NAMED:
        lines.append(f"- and {len(joined) - _NAMED:,} more")
    return "\n".join([f"<!-- crt:joined {mark} -->", "The same change in:", "", *lines])


def confirmed_comment(memory: Memory, sure: Finding) -> str:
    """That a finding of an issue has been confirmed since it was told of."""
    return (
        f"<!-- crt:confirmed {memory.id} -->\nConfirmed: {_name(sure)} is at {change_text(sure)} "
        f"after {counted(sure.held, 'run')}."
    )


def closed_comment(memory: Memory, members: Sequence[Finding]) -> str:
    """Why an issue is closed none of whose findings is open any more; ``memory`` has the state that they are in."""
    why = {
        "fixed": "the level is back to where it was",
        "accepted": "accepted: the level after the change is the baseline from now on",
        "noise": "fresh runs say that it was noise",
    }[memory.state]
    return f"<!-- crt:{memory.state} {memory.id} {len(_dates(members))} {_dates(members)[-1]} -->\nClosed: {why}."


def _dates(members: Sequence[Finding]) -> list[str]:
    return sorted({f"{each.first_bad.start:%Y-%m-%d}" for each in members})
