"""The report in a screenful of Markdown: what changed, how the last session went. For a terminal, or a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.core.quantity import ratio_text
from coiled_runtime_cli.core.table import Column, Table, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.report.views import ChangeView, HealthView, IndexView

#: Rows of each table: a comment is read in a minute or not at all.
_ROWS = 20


def summary(view: IndexView, *, title: str, flavour: str = "markdown", comparison: str | None = None) -> str:
    """``flavour`` github folds what is long away. ``comparison`` is a section that stands before the health."""
    sections = [f"### {_line(title)}", _headline(view)]
    if view.changes:
        sections.append(_folded(_changes(view.changes), "What changed", flavour, len(view.changes) > 5))
    if comparison is not None:
        sections.append(comparison)
    sections += _health(view.health, flavour)
    return "\n\n".join(sections).rstrip() + "\n"


def _headline(view: IndexView) -> str:
    if not view.health:
        return "No run is stored yet."
    kinds = [change.kind for change in view.changes if change.is_open]
    counts = [f"**{_count(kinds.count(kind), kind)}**" for kind in ("regression", "improvement") if kind in kinds]
    states = [change.state for change in view.changes]
    if fixed := states.count("fixed"):
        counts.append(f"{fixed} fixed since")
    if accepted := states.count("accepted"):
        counts.append(f"{accepted} accepted")
    if suspects := states.count("suspect"):
        counts.append(_count(suspects, "suspect"))
    found = ", ".join(counts) if counts else "No change"
    return f"{found} in the last {view.window} days."


def _changes(changes: Sequence[ChangeView]) -> str:
    shown = changes[:_ROWS]
    table = Table(
        (
            Column("change"),
            Column("benchmark"),
            Column("metric"),
            Column("ratio", "right"),
            Column("from", "right"),
            Column("to", "right"),
            Column("since"),
            Column("moved"),
            Column("state"),
        ),
        tuple(
            (
                change.kind,
                change.name + (f" and {len(change.alike)} alike" if change.alike else ""),
                change.metric.label,
                ratio_text(change.ratio) + _range(change),
                change.before,
                change.after,
                f"{change.since:%Y-%m-%d}",
                _moved(change),
                change.state,
            )
            for change in shown
        ),
        caption=f"and {len(changes) - len(shown)} more" if len(changes) > len(shown) else None,
    )
    return markdown(table)


def _range(change: ChangeView) -> str:
    if change.low is None or change.high is None:
        return ""
    return f" ({ratio_text(change.low)} to {ratio_text(change.high)})"


def _moved(change: ChangeView) -> str:
    texts = [f"{each.name} {each.before or 'none'} to {each.after or 'none'}" for each in change.moved[:3]]
    more = len(change.moved) - len(texts) + change.more_moved
    return "; ".join([*texts, f"{more} more"] if more else texts)


def _health(views: Sequence[HealthView], flavour: str) -> Iterator[str]:
    for view in views:
        when = f" of {view.started:%Y-%m-%d %H:%M} UTC" if view.started else ""
        outcomes = ", ".join(f"{count} {name}" for name, count in view.outcomes)
        state = "; interrupted" if view.interrupted else ""
        yield f"**{_line(view.runtime)}**{when}: {view.passed} of {view.runs} passed" + (
            f", {outcomes}{state}." if outcomes else f"{state}."
        )
        troubles = [
            *(("failed", each) for each in view.failed),
            *(("slow", each) for each in view.slow),
            *(("missing", each) for each in view.missing),
        ]
        if troubles:
            table = Table(
                (Column("trouble"), Column("benchmark"), Column("what"), Column("detail")),
                tuple((kind, each.name, each.what, each.detail or "") for kind, each in troubles[:_ROWS]),
                caption=f"and {len(troubles) - _ROWS} more" if len(troubles) > _ROWS else None,
            )
            yield _folded(
                markdown(table), _count(len(troubles), "benchmark") + " to look at", flavour, len(troubles) > 5
            )


def _folded(text: str, title: str, flavour: str, long: bool) -> str:
    if flavour != "github" or not long:
        return text.rstrip()
    return f"<details><summary>{title}</summary>\n\n{text.rstrip()}\n\n</details>"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _line(text: str) -> str:
    """Text from outside on one line of Markdown that it cannot leave."""
    return markdown(Table((Column(text),))).splitlines()[0].strip("| ")
