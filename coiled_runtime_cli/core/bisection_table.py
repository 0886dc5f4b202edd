"""A bisection as a person reads it: its answer, its table, an issue to file, a strip of probabilities, a log for git."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.quantity import counted, ratio_text, seconds_text, value_text
from coiled_runtime_cli.core.table import Column, Table, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.core.bisection import Bisection, Candidate, Effect, Verdict

_HASH = re.compile(r"[0-9a-f]{16,}")

#: From nothing to all, for a strip of probabilities.
_BLOCKS, _PLAIN = " ▁▂▃▄▅▆▇█", " .:-=+*%#"

#: Candidates beside the culprit that are listed: those with a share in the probability.
_LISTED, _SHARE = 5, 0.001


def short_name(candidate: Candidate) -> str:
    """A commit by its first digits, anything else whole."""
    return candidate.name[:10] if _HASH.fullmatch(candidate.name) else candidate.name


def what_of(bisection: Bisection) -> str:
    """What is measured: the benchmark, or the command."""
    if bisection.benchmark:
        return bisection.benchmark.rpartition("::")[2] or bisection.benchmark
    return " ".join(bisection.command) or "the command"


def effect_text(effect: Effect | None) -> str:
    if effect is None:
        return ""
    text = ratio_text(effect.ratio)
    if effect.low is None or effect.high is None:
        return text
    ends = ratio_text(effect.low), ratio_text(effect.high)
    return text if ends == (text, text) else f"{text} ({ends[0]} to {ends[1]})"


def percent(probability: float | None) -> str:
    """``93.2 %``, closer to certainty with two decimals; nothing where it is unknown, or no number."""
    if probability is None or not math.isfinite(probability):
        return ""
    if probability > 0.9999:
        return "> 99.99 %"
    if 0 < probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.2f} %" if probability > 0.99 else f"{100 * probability:.1f} %"


def strip(probabilities: Sequence[float], width: int, *, unicode: bool = True) -> str:
    """Where the change may be, from good to bad, in so many characters: height is probability, the highest column is full.

    Whatever has more than a thousandth of the highest is to be seen.
    """
    count = len(probabilities)
    if not count or width < 1:
        return ""
    width = min(width, count)
    sums = [0.0] * width
    for place, each in enumerate(probabilities):
        sums[place * width // count] += each
    most = max(sums) or 1.0
    marks = _BLOCKS if unicode else _PLAIN
    steps = len(marks) - 1
    # by its root: a linear scale would show the peak alone
    return "".join(
        marks[0] if each / most < 1e-3 else marks[max(1, round(steps * math.sqrt(each / most)))] for each in sums
    )


def bisection_document(bisection: Bisection) -> dict[str, Any]:
    """The object of ``--format json``."""
    culprit = bisection.candidates[bisection.culprit] if bisection.culprit is not None else None
    first = bisection.verdicts[0] if bisection.verdicts else None
    return {
        "schema": 1,
        "id": bisection.id,
        "status": bisection.status,
        "culprit": None if culprit is None else _candidate_document(culprit),
        "culprits": [_candidate_document(bisection.candidates[each]) for each in (first.culprits if first else ())],
        "confidence": bisection.confidence,
        "effect": _effect_document(bisection.effect),
        "metric": bisection.metric,
        "unit": bisection.unit,
        "benchmark": bisection.benchmark,
        "command": list(bisection.command) or None,
        "message": bisection.message,
        "candidates": [{**_candidate_document(each), "probability": each.probability} for each in bisection.candidates],
        "changes": [
            {
                "status": each.status,
                "culprits": [_candidate_document(bisection.candidates[one]) for one in each.culprits],
                "confidence": each.confidence,
                "effect": _effect_document(each.effect),
            }
            for each in bisection.verdicts
        ],
        "runs": runs_of(bisection),
        "builds": bisection.builds,
        "seconds": round(bisection.spent, 3),
        "probes": [
            {
                "candidate": bisection.candidates[each.candidate].name,
                "outcome": each.outcome,
                "value": each.value,
                "purpose": each.purpose,
                "run": each.run,
                "message": each.message,
                "log": each.log,
            }
            for each in bisection.probes
        ],
    }


def _candidate_document(candidate: Candidate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "repository": candidate.repository,
        "commit": candidate.name,
        "subject": candidate.subject,
        "author": candidate.author,
        "date": None if candidate.date is None else _moment(candidate.date).isoformat(),
        "url": candidate.url,
    }
    if candidate.others:
        found["with"] = dict(candidate.others)
    return found


def _effect_document(effect: Effect | None) -> dict[str, float | None] | None:
    return None if effect is None else {"ratio": effect.ratio, "low": effect.low, "high": effect.high}


def runs_of(bisection: Bisection) -> int:
    return sum(each.outcome == "measured" and not each.reused for each in bisection.probes)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def facts(bisection: Bisection) -> Iterator[tuple[str, str]]:
    """What is known, as names and texts, the answer first."""
    for number, verdict in enumerate(bisection.verdicts):
        if number and verdict.status != "found":
            continue
        yield from _answer_facts(bisection, verdict)
    yield "metric", f"{bisection.metric} of {what_of(bisection)}"
    levels = levels_text(bisection)
    if levels:
        yield "bad, good" if bisection.definition.get("find_fix") else "good, bad", levels
    searched = counted(len(bisection.candidates) - 1, "candidate")
    of = " and ".join(dict.fromkeys(each.repository for each in bisection.candidates if each.repository))
    yield "searched", f"{searched} of {of}" if of and len(of) < 100 else searched
    builds = f", {counted(bisection.builds, 'build')}" if bisection.builds else ""
    yield "took", f"{counted(runs_of(bisection), 'run')}{builds} in {seconds_text(bisection.spent)}"
    stepped = {each.candidate: each.outcome for each in bisection.probes if each.outcome != "measured"}
    stepped = {
        each: outcome
        for each, outcome in stepped.items()
        if not any(one.candidate == each and one.outcome == "measured" for one in bisection.probes)
    }
    if stepped:
        names = sorted(set(stepped.values()))
        told = ", ".join(f"{sum(one == name for one in stepped.values())} {name}" for name in names)
        yield "stepped over", told


def _answer_facts(bisection: Bisection, verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.status == "found" and len(verdict.culprits) == 1:
        found = bisection.candidates[verdict.culprits[0]]
        of = f" of {found.repository}" if found.repository and len(found.name) > 20 else ""
        yield "culprit", f"{short_name(found) if not _HASH.fullmatch(found.name) else found.name[:12]}{of}"
        if found.subject and found.subject != found.name:
            yield "subject", found.subject
        if found.author or found.date is not None:
            when = f"{_moment(found.date):%Y-%m-%d}" if found.date is not None else ""
            yield "author", ", ".join(filter(None, [found.author, when]))
        if found.url:
            yield "link", found.url
        for name, commit in found.others:
            yield "with", f"{name} {commit[:12]}"
    elif verdict.status == "found":
        names = ", ".join(short_name(bisection.candidates[each]) for each in verdict.culprits[: _LISTED + 3])
        more = f" and {len(verdict.culprits) - _LISTED - 3} more" if len(verdict.culprits) > _LISTED + 3 else ""
        yield "culprit", f"one of {len(verdict.culprits)} that cannot be measured apart: {names}{more}"
    else:
        yield "answer", {"no-change": "no change between the ends"}.get(verdict.status, verdict.status)
        if verdict.message:
            yield "because", verdict.message
        likely = likely_candidates(bisection, verdict)
        if verdict.status == "inconclusive" and likely:
            yield "likeliest", ", ".join(f"{short_name(each)} {percent(each.probability)}" for each in likely)
    if verdict.effect is not None:
        yield "effect", effect_text(verdict.effect)
    if verdict.confidence is not None and verdict.status == "found":
        yield "confidence", percent(verdict.confidence)


def likely_candidates(bisection: Bisection, verdict: Verdict) -> list[Candidate]:
    mine = bisection.candidates[verdict.first + 1 : verdict.last + 1]
    known = sorted(mine, key=lambda each: -(each.probability or 0.0))
    return [each for each in known[:_LISTED] if (each.probability or 0.0) >= _SHARE]


def levels_text(bisection: Bisection) -> str:
    """The median of either end."""
    last = len(bisection.candidates) - 1
    found = [_middle(bisection, each) for each in (0, last)]
    if found[0] is None or found[1] is None:
        return ""
    if bisection.metric == "failure":
        return ", ".join("passes" if each == 1 else "fails" for each in found)
    return f"{value_text(found[0], bisection.unit, 1.0)}, {value_text(found[1], bisection.unit, 1.0)}"


def _middle(bisection: Bisection, candidate: int) -> float | None:
    values = sorted(
        each.value
        for each in bisection.probes
        if each.candidate == candidate and each.outcome == "measured" and each.value is not None
    )
    return values[len(values) // 2] if values else None


def issue_text(bisection: Bisection, reproduce: str) -> str:
    """Markdown for an issue: what, by how much, how sure, and how to see it oneself."""
    lines = []
    found = bisection.candidates[bisection.culprit] if bisection.culprit is not None else None
    if found is not None:
        link = f"[`{short_name(found)}`]({found.url})" if found.url else f"`{short_name(found)}`"
        change = f" by {effect_text(bisection.effect)}" if bisection.effect else ""
        lines += [
            f"### {link} changed {bisection.metric.replace('_', ' ')} of `{what_of(bisection)}`{change}",
            "",
            f"> {found.subject or found.name}",
            "",
        ]
    else:
        lines += [f"### {bisection.metric.replace('_', ' ')} of `{what_of(bisection)}`: {bisection.status}", ""]
    rows = tuple((name, text) for name, text in facts(bisection) if name != "subject")
    lines += markdown(Table((Column(" "), Column(" ")), rows)).splitlines()
    lines += ["", "To see it:", "", "```", reproduce, "```"]
    return "\n".join(lines)


def replay_log(bisection: Bisection) -> str:
    """What `git bisect replay` takes: the ends, and the verdict that the posterior gives of each commit that was measured."""
    lines = ["git bisect start"]
    after = 0.0
    sums = []
    for each in bisection.candidates:
        after += each.probability or 0.0
        sums.append(after)
    measured = {each.candidate for each in bisection.probes if each.outcome == "measured"}
    stepped = {each.candidate for each in bisection.probes if each.outcome != "measured"} - measured
    last = len(bisection.candidates) - 1
    # git narrows its range with each line: the outermost come first
    inner = sorted(measured - {0, last})
    verdicts = {last: "bad", 0: "good"}
    verdicts |= {place: "good" for place in inner if sums[place] < 0.01}
    verdicts |= {place: "bad" for place in reversed(inner) if sums[place] > 0.99}
    for place in stepped - {0, last}:
        verdicts[place] = "skip"
    for place, word in verdicts.items():
        each = bisection.candidates[place]
        lines += [f"# {word}: [{each.name}] {each.subject or ''}".rstrip(), f"git bisect {word} {each.name}"]
    return "\n".join(lines) + "\n"


def list_table(bisections: Sequence[Bisection]) -> Table:
    """Bisections, one a row, the newest first."""
    rows = []
    for each in reversed(bisections):
        culprit = each.candidates[each.culprit] if each.culprit is not None else None
        rows.append(
            (
                each.id[-8:],
                f"{_moment(each.started):%Y-%m-%d %H:%M}",
                each.status,
                each.repository or "",
                what_of(each),
                each.metric,
                "" if culprit is None else short_name(culprit),
                effect_text(each.effect),
                str(runs_of(each)),
            )
        )
    return Table(
        (
            Column("id"),
            Column("started", drop=1),
            Column("status"),
            Column("of", drop=3),
            Column("measured by"),
            Column("metric", drop=2),
            Column("culprit"),
            Column("effect", drop=4),
            Column("runs", "right", drop=5),
        ),
        tuple(rows),
    )
