"""The result of an A/B as a comment on a pull request, written from what `crt ab run --format json` gave.

The measuring side runs code that nobody has reviewed, so its document is read as a stranger's: what does not fit is refused, and
names are shown as text. It can be wrong about the numbers; it can do nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core import untrusted
from coiled_runtime_cli.core.compare import VERDICT_WORDS
from coiled_runtime_cli.core.mention import code, link
from coiled_runtime_cli.core.quantity import counted, interval_text, number_text, ratio_text, seconds_text
from coiled_runtime_cli.core.series import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: By it the comment is found again.
MARK = "<!-- crt:ab -->"

#: As everywhere, but for "2 the same", which stands in a sentence.
_WORDS = {**VERDICT_WORDS, "same": "the same"}
_DECIDED = ("worse", "better")

#: Rows of a table, and arms: a comment has at most 65,536 characters.
_ROWS, _ARMS, _LARGEST = 30, 5, 60_000


@dataclass(frozen=True, slots=True)
class _Compared:
    benchmark: str
    metric: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    runs: tuple[int, int]


def comment(document: object, *, run: str | None = None, commit: str | None = None) -> str:
    """The whole comment in Markdown. ``run`` is the address of the job, ``commit`` what was measured. Raises DocumentError."""
    whole = untrusted.mapping(document, "the document")
    if whole.get("schema") != 1 or "arms" not in whole:
        raise untrusted.DocumentError("it has no arms: is it from crt ab run --format json?")
    arms = [untrusted.mapping(each, "arms") for each in untrusted.sequence(whole["arms"], "arms")][:_ARMS]
    parts = [MARK, "### Benchmarks: this pull request against its base"]
    for each in arms:
        parts += _arm(each, alone=len(arms) == 1)
    parts.append(_worth(untrusted.mapping(whole.get("null", {}), "null")))
    ended = whole.get("ended")
    told = [f"{counted(untrusted.count(whole.get('blocks', 0), 'blocks'), 'block')} of every arm, interleaved"]
    told += [code(ended)] if isinstance(ended, str) else []
    told += [f"measured at {code(commit[:12])}"] if commit else []
    told += [link("the run", run)] if run else []
    parts.append("; ".join(told) + ".")
    text = "\n\n".join(filter(None, parts)) + "\n"
    if len(text) > _LARGEST:
        raise untrusted.DocumentError("it is too long for a comment")
    return text


def _arm(arm: Mapping[str, Any], *, alone: bool) -> Iterator[str]:
    compared = [_compared(each) for each in untrusted.sequence(arm.get("comparisons"), "comparisons")]
    if not alone:
        yield f"#### {code(untrusted.text(arm.get('name'), 'name'))}"
    if compared:
        yield _headline(compared, arm)
    else:
        yield "**No test passed on both sides: nothing was compared.**"
    decided = [each for each in compared if each.verdict in _DECIDED]
    if decided:
        yield _table(decided)
    broken = [untrusted.mapping(each, "failures") for each in untrusted.sequence(arm.get("failures") or [], "failures")]
    if broken:
        yield "\n".join(_failures(broken))
    rest = [each for each in compared if each.verdict not in _DECIDED]
    if rest:
        yield f"<details><summary>{counted(len(rest), 'other comparison')}</summary>\n\n{_table(rest)}\n\n</details>"


def _headline(compared: Sequence[_Compared], arm: Mapping[str, Any]) -> str:
    counts = {word: sum(each.verdict == word for each in compared) for word in _WORDS}
    said = [
        f"**{count} {_WORDS[word]}**" if word in _DECIDED else f"{count} {_WORDS[word]}"
        for word, count in counts.items()
        if count
    ]
    whole = arm.get("overall")
    if whole is None:
        return ", ".join(said) + "."
    overall = untrusted.mapping(whole, "overall")
    low, high = (untrusted.number_or_none(overall.get(each), "overall") for each in ("low", "high"))
    told = interval_text(low, high)
    interval = f" ({told})" if told else ""
    ratio = untrusted.number(overall.get("ratio"), "overall")
    return f"{', '.join(said)}. Overall {ratio_text(ratio)}{interval}, the geometric mean."


def _table(rows: Sequence[_Compared]) -> str:
    lines = [
        "| test | metric | base | pull request | change | interval | verdict | runs |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for each in rows[:_ROWS]:
        interval = interval_text(each.low, each.high)
        shown = seconds_text if each.metric == "duration" else number_text
        cells = (
            code(short_name(each.benchmark)),
            code(each.metric),
            shown(each.before),
            shown(each.after),
            ratio_text(each.ratio),
            interval,
            _WORDS[each.verdict],
            f"{each.runs[0]}, {each.runs[1]}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    if len(rows) > _ROWS:
        lines += ["", f"and {len(rows) - _ROWS:,} more."]
    return "\n".join(lines)


def _failures(broken: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in broken[:_ROWS]:
        sides = [untrusted.mapping(each.get(side), "failures") for side in ("baseline", "contender")]
        failed = [
            f"{untrusted.count(one.get('failed'), 'failures')} of {untrusted.count(one.get('runs'), 'failures')}"
            for one in sides
        ]
        name = code(untrusted.text(each.get("benchmark"), "benchmark"))
        yield f"- {name} failed in {failed[0]} runs of the base, {failed[1]} of this"
    if len(broken) > _ROWS:
        yield f"- and {len(broken) - _ROWS:,} more"


def _worth(null: Mapping[str, Any]) -> str:
    tests = untrusted.count(null.get("tests", 0), "null")
    if not tests:
        return ""
    false = untrusted.count(null.get("false_verdicts", 0), "null")
    return (
        f"The base against itself, measured beside them: {false} of {counted(tests, 'comparison')} called changed"
        + (", though nothing differs: what is above is worth as little." if false > max(1, 0.05 * tests) else ".")
    )


def _compared(value: object) -> _Compared:
    each = untrusted.mapping(value, "comparisons")
    runs = untrusted.sequence(each.get("n"), "n")
    verdict = untrusted.text(each.get("verdict"), "verdict")
    if verdict not in _WORDS or len(runs) != 2:
        raise untrusted.DocumentError(f"comparisons: {verdict!r} is no verdict, or its runs are not two numbers")
    return _Compared(
        benchmark=untrusted.text(each.get("benchmark"), "benchmark"),
        metric=untrusted.text(each.get("metric"), "metric"),
        before=untrusted.number(each.get("before"), "before"),
        after=untrusted.number(each.get("after"), "after"),
        ratio=untrusted.number(each.get("ratio"), "ratio"),
        low=untrusted.number_or_none(each.get("low"), "low"),
        high=untrusted.number_or_none(each.get("high"), "high"),
        verdict=verdict,
        runs=(untrusted.count(runs[0], "n"), untrusted.count(runs[1], "n")),
    )
