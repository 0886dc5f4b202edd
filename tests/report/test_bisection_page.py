from __future__ import annotations

import dataclasses
import json
import math

import pytest

from coiled_runtime_cli.core.bisection import STATUSES, Bisection, Candidate, Effect, Probe, Verdict
from coiled_runtime_cli.core.bisection_table import facts, percent
from coiled_runtime_cli.report import bisections
from coiled_runtime_cli.report.render import render
from coiled_runtime_cli.report.views import LinkView, SiteView

HOSTILE = "<img src=x onerror=alert(1)>\n\"'&" + "x" * 10_000


def a_bisection(**changes: object) -> Bisection:
    hashes = [f"{number:040x}" for number in range(0xABC000, 0xABC008)]
    found = Bisection(
        id="b1",
        started=1_790_000_000.0,
        ended=1_790_001_230.0,
        status="found",
        repository="distributed",
        benchmark="benchmarks/test_shuffle.py::test_p2p[tasks]",
        candidates=tuple(
            Candidate(
                name=name,
                subject=f"Change {number}",
                date=1_789_000_000.0 + number,
                url=f"https://example.org/commit/{name}",
                probability=0.993 if number == 5 else 0.001,
            )
            for number, name in enumerate(hashes)
        ),
        probes=(
            Probe(candidate=0, outcome="measured", value=1.0, at=1_790_000_010.0, purpose="calibrate"),
            Probe(candidate=7, outcome="measured", value=1.2, at=1_790_000_020.0, purpose="calibrate"),
            Probe(candidate=3, outcome="unbuildable", at=1_790_000_030.0),
            Probe(candidate=4, outcome="measured", value=1.01, at=1_790_000_040.0),
            Probe(candidate=5, outcome="failed", at=1_790_000_050.0),
            Probe(candidate=5, outcome="measured", value=1.21, at=1_790_000_060.0, purpose="verify"),
        ),
        culprit=5,
        confidence=0.993,
        effect=Effect(ratio=1.21, low=1.17, high=1.25),
    )
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def test_the_answer_comes_in_one_sentence() -> None:
    view = bisections.view(a_bisection())
    assert view.answer == f"{f'{0xABC005:040x}'[:10]} of distributed made test_p2p[tasks] 21 % slower."
    assert view.confidence == "99.30 %"
    assert view.effect == "+21 % (+17 % to +25 %)"
    assert view.took == "20m 30s"
    assert view.culprit is not None
    assert view.culprit.href.startswith("https://example.org/commit/")


def test_the_page_says_what_the_terminal_says() -> None:
    answer = Verdict(first=0, last=7, status="found", culprits=(5,), confidence=0.99995, effect=Effect(ratio=1.21))
    bisection = a_bisection(
        verdicts=(answer,), confidence=answer.confidence, effect=answer.effect, benchmark=None, repository=None
    )
    told, view = dict(facts(bisection)), bisections.view(bisection)
    assert (view.confidence, view.effect) == (told["confidence"], told["effect"]) == ("> 99.99 %", "+21 %")
    assert view.title == told["metric"].removeprefix("duration of ") == "the command"
    assert view.culprit is not None
    assert told["culprit"].startswith(view.culprit.text)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5, "50.0 %"),
        (0.993, "99.30 %"),
        (0.99995, "> 99.99 %"),
        (1.0, "> 99.99 %"),
    ],
)
def test_a_probability_is_never_rounded_to_nothing_or_to_certainty(probability: float | None, text: str) -> None:
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"status": "no-change", "culprit": None}, "No change of duration between the ends"),
        (
            {"status": "running", "culprit": None, "probes": (), "candidates": ()},
            "Still searching 0 candidates after 0",
        ),
        ({"status": "inconclusive", "culprit": None}, "Not decided"),
        ({"status": "interrupted", "culprit": None}, "Interrupted after 4 measured runs of 7 candidates; most likely"),
        ({"effect": Effect(ratio=2.4)}, "2.4 times slower"),
        ({"effect": Effect(ratio=0.9)}, "10 % faster"),
        ({"metric": "peak_memory", "unit": "B"}, "21 % higher"),
    ],
)
def test_every_way_to_stand_has_its_sentence(changes: dict[str, object], answer: str) -> None:
    assert answer in bisections.view(a_bisection(**changes)).answer


def test_candidates_that_cannot_be_told_apart_are_the_answer_together_and_other_changes_are_named() -> None:
    several = Verdict(first=0, last=7, status="found", culprits=(4, 5), confidence=0.995)
    view = bisections.view(a_bisection(culprit=None, verdicts=(several,)))
    names = [f"{0xABC000 + number:040x}"[:10] for number in (4, 5)]
    assert view.answer == (
        f"One of 2 made test_p2p[tasks] 21 % slower, which cannot be measured apart: {', '.join(names)}."
    )
    first = Verdict(first=0, last=7, status="found", culprits=(5,))
    second = Verdict(first=0, last=4, status="found", culprits=(2,), effect=Effect(ratio=1.1, low=1.05, high=1.15))
    view = bisections.view(a_bisection(verdicts=(first, second, Verdict(first=5, last=7, status="no-change"))))
    assert view.message == f"Also in the range: {f'{0xABC002:040x}'[:10]} (+10 % (+5.0 % to +15 %))"


def test_measured_points_unbuildable_candidates_and_failures_are_told_apart() -> None:
    figure = bisections.view(a_bisection()).values
    points = {trace["name"]: trace["x"] for trace in figure["data"] if trace["mode"] == "markers"}
    assert points == {
        "calibrating the ends": [0, 7],
        "searching": [4],
        "verifying": [5],
        "did not build": [3],
        "failed to measure": [5],
    }
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [4.5]


def test_the_culprit_has_the_colour_of_a_regression_in_the_posterior() -> None:
    bars = {each["marker"]["color"]: each["x"] for each in bisections.view(a_bisection()).posterior["data"]}
    assert bars == {"series-0": [0, 1, 2, 3, 4, 6, 7], "regression": [5]}


def test_a_bisection_without_probabilities_has_no_posterior() -> None:
    candidates = tuple(Candidate(name=str(number)) for number in range(3))
    view = bisections.view(a_bisection(candidates=candidates, culprit=None, status="running", probes=()))
    assert view.posterior["data"] == []
    assert view.values["data"] == []


@pytest.mark.parametrize("count", [1, 2, 9, 1024])
def test_names_below_the_axis_are_few_and_include_the_ends(count: int) -> None:
    candidates = tuple(Candidate(name=f"{number:040x}") for number in range(count))
    axis = bisections.view(a_bisection(candidates=candidates, culprit=count // 2, probes=())).values["layout"]["xaxis"]
    assert {0, count - 1, count // 2} <= set(axis["tickvals"])
    assert len(axis["tickvals"]) <= 10


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("unit", ["s", "B", ""])
def test_whatever_was_stored_makes_a_page(status: str, unit: str) -> None:
    candidates = (
        Candidate(name=HOSTILE, subject=HOSTILE, date=1e30, url="javascript:alert(1)", probability=math.nan),
        Candidate(name="", probability=1.0),
    )
    probes = (
        Probe(candidate=9, outcome="measured", value=1.0),
        Probe(candidate=0, outcome="measured", value=math.nan, at=-1e30),
        Probe(candidate=1, outcome=HOSTILE, purpose=HOSTILE),
        Probe(candidate=-1, outcome="failed"),
    )
    view = bisections.view(
        a_bisection(
            status=status,
            unit=unit,
            candidates=candidates,
            probes=probes,
            culprit=77,
            benchmark=None,
            command=(HOSTILE,),
            effect=Effect(ratio=math.nan, low=0.0, high=math.inf),
            confidence=math.nan,
            metric=HOSTILE,
            message=HOSTILE,
        )
    )
    assert view.culprit is None
    assert all(url is None for *_, url in view.candidates)
    text = json.dumps([view.values, view.posterior], allow_nan=False)
    assert "<img" not in text


def test_pages_of_bisections_have_names_that_any_disk_takes() -> None:
    assert bisections.href(a_bisection()) == "bisect/b1.html"
    name = bisections.href(a_bisection(id="../../" + HOSTILE))
    assert name.count("/") == 1
    assert len(name) < 120


@pytest.mark.parametrize("text", ["plain", HOSTILE])
@pytest.mark.parametrize("status", STATUSES)
def test_the_page_shows_text_as_text(status: str, text: str) -> None:
    candidates = (Candidate(name=text, subject=text, url="https://example.org/a?b=1&c=2"), Candidate(name="b"))
    probes = (Probe(candidate=0, outcome="measured", value=1.0, purpose=text),)
    bisection = a_bisection(
        status=status, candidates=candidates, probes=probes, culprit=0, benchmark=text, message=text, repository=text
    )
    site = SiteView(
        title="Benchmarks",
        root="../",
        page="bisect",
        path=bisections.href(bisection),
        metrics=(),
        metric="duration",
        suites=(),
        has_tpch=False,
        bisections=(LinkView(text=bisections.title(bisection), href="../" + bisections.href(bisection)),) * 2,
        runs=0,
        sessions=0,
        first=None,
        last=None,
        version="1",
        assets={"crt.css": "crt.css", "crt.js": "crt.js", "bisect.js": "bisect.js"},
    )
    page = render("bisect.html", site=site, view=bisections.view(bisection))
    assert "<img" not in page
    assert page.count('aria-current="page"') == 3  # the header's link, and twice the same page below
    assert "https://example.org/a?b=1&amp;c=2" in page
    assert len(page) < 150_000
