"""static/stats.js against the Python that it mirrors, in node or, where there is none, in a headless Chromium."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.stats

from coiled_runtime_cli.core import changepoint, compare, detect, stats

if TYPE_CHECKING:
    from collections.abc import Callable

STATIC = Path(stats.__file__).resolve().parents[1] / "report" / "static"


def in_node(node: str, source: str, argument: Any) -> Any:
    script = f"{source}\nprocess.stdout.write(JSON.stringify(run(JSON.parse(require('fs').readFileSync(0, 'utf8')))));"
    done = subprocess.run([node, "-e", script], input=json.dumps(argument), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_chromium(source: str, argument: Any) -> Any:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="neither node nor playwright is here to run JavaScript"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("neither node nor Chromium is here to run JavaScript")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page()
            page.add_script_tag(content=f"{source}\nwindow.answer = run({json.dumps(argument)});")
            return page.evaluate("window.answer")
        finally:
            browser.close()


@pytest.fixture(scope="module")
def evaluate() -> Callable[[str, Any], Any]:
    """Calls a JavaScript function, given as text, that sees ``stats`` and the argument."""
    node = shutil.which("node")

    def call(function: str, argument: Any) -> Any:
        source = (STATIC / "stats.js").read_text(encoding="utf-8")
        source += f"\nconst stats = crt.stats;\nconst run = {function};"
        return in_node(node, source, argument) if node else in_chromium(source, argument)

    return call


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> bool:
    if wanted is None or found is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=tolerance, abs_tol=1e-11)


def test_students_t_is_the_same_in_the_browser(evaluate: Callable[[str, Any], Any]) -> None:
    cases = [
        (t, df)
        for t in (-40.0, -6.5, -2.0, -0.3, 0.0, 1e-6, 0.7, 1.96, 12.0, 300.0)
        for df in (1.0, 1.7, 4.0, 29.3, 400.0)
    ]
    found = evaluate("(cases) => cases.map(([t, df]) => stats.studentCdf(t, df))", cases)
    assert all(close(each, stats.student_t_cdf(*case)) for each, case in zip(found, cases, strict=True))


def test_quantiles_of_students_t_are_the_same_in_the_browser(evaluate: Callable[[str, Any], Any]) -> None:
    cases = [(p, df) for p in (0.001, 0.025, 0.5, 0.8, 0.95, 0.975, 0.9995) for df in (1.0, 2.5, 9.0, 120.0)]
    found = evaluate("(cases) => cases.map(([p, df]) => stats.studentQuantile(p, df))", cases)
    assert all(close(each, stats.student_t_quantile(*case)) for each, case in zip(found, cases, strict=True))


def some_arms(seed: int = 0, count: int = 60) -> list[tuple[list[float], list[float]]]:
    random = np.random.default_rng(seed)
    arms = [
        (
            random.lognormal(0, random.uniform(0.001, 0.4), int(random.integers(2, 30))).tolist(),
            random.lognormal(random.normal(0, 0.2), random.uniform(0.001, 0.4), int(random.integers(2, 30))).tolist(),
        )
        for _ in range(count)
    ]
    return [*arms, ([1.0, 1.0], [1.0, 1.0]), ([1.0, 1.0], [2.0, 2.0, 2.0]), ([1e-9, 2e-9], [3e9, 4e9])]


def test_ratios_and_their_intervals_are_the_same_in_the_browser(evaluate: Callable[[str, Any], Any]) -> None:
    arms = some_arms()
    found = evaluate("(arms) => arms.map(([a, b]) => stats.comparison(a, b))", arms)
    for each, (baseline, contender) in zip(found, arms, strict=True):
        wanted = stats.ratio_of_means(baseline, contender)
        assert close(each["ratio"], wanted.value)
        assert close(each["low"], wanted.low)
        assert close(each["high"], wanted.high)


def test_adjusted_p_values_are_the_same_in_the_browser(evaluate: Callable[[str, Any], Any]) -> None:
    p_values = np.random.default_rng(1).uniform(0, 1, 80) ** 3
    given = [*p_values.tolist(), 0.5, 0.5]
    found = evaluate("(values) => stats.adjusted(values)", given)
    assert all(close(each, wanted) for each, wanted in zip(found, detect.q_values(given, len(given)), strict=True))


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 12, 30, 101])
def test_medians_and_their_intervals_are_the_same_in_the_browser(evaluate: Callable[[str, Any], Any], n: int) -> None:
    values = np.random.default_rng(n).lognormal(0, 0.3, n)
    found = evaluate("(values) => stats.medianInterval(values)", values.tolist())
    (wanted,) = changepoint.levels(values, ())
    assert close(found["median"], wanted.median)
    assert close(found["low"], wanted.low)
    assert close(found["high"], wanted.high)


def test_p_values_are_those_of_welch(evaluate: Callable[[str, Any], Any]) -> None:
    arms = some_arms()[:60]
    found = evaluate("(arms) => arms.map(([a, b]) => stats.comparison(a, b).p)", arms)
    for each, (baseline, contender) in zip(found, arms, strict=True):
        wanted = scipy.stats.ttest_ind(np.log(contender), np.log(baseline), equal_var=False).pvalue
        assert close(each, float(wanted), 1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4, 0.8])
def test_confidence_beyond_a_threshold_is_one_sided_welch(
    evaluate: Callable[[str, Any], Any], threshold: float
) -> None:
    arms = some_arms(seed=3)[:40]
    found = evaluate(
        "([arms, threshold]) => arms.map(([a, b]) => [-1, 1].map("
        "(side) => stats.confidenceBeyond(stats.comparison(a, b), side, threshold)))",
        [arms, threshold],
    )
    for sides, (baseline, contender) in zip(found, arms, strict=True):
        for sure, sign, way in zip(sides, (-1, 1), ("less", "greater"), strict=True):
            moved = np.log(contender) - math.log1p(sign * threshold)
            p_value = scipy.stats.ttest_ind(moved, np.log(baseline), equal_var=False, alternative=way).pvalue
            assert sure == pytest.approx(1 - float(p_value), abs=1e-9)


def test_the_overall_ratio_is_a_geometric_mean_with_students_interval(evaluate: Callable[[str, Any], Any]) -> None:
    ratios = np.random.default_rng(5).lognormal(0.02, 0.1, 30)
    found = evaluate("(ratios) => stats.overall(ratios.map((ratio) => ({ ratio, low: ratio })))", ratios.tolist())
    once = evaluate("(ratios) => stats.overall(ratios.map((ratio) => ({ ratio, low: null })))", ratios.tolist())
    assert (once["ratio"], once["low"], once["high"], once["n"]) == (found["ratio"], None, None, 30)
    logs = np.log(ratios)
    low, high = scipy.stats.t.interval(0.95, len(logs) - 1, logs.mean(), scipy.stats.sem(logs))
    assert close(found["ratio"], math.exp(logs.mean()))
    assert close(found["low"], math.exp(low))
    assert close(found["high"], math.exp(high))


@pytest.mark.parametrize(
    ("baseline", "contender", "better", "verdict"),
    [
        ([1.0, 1.01, 0.99, 1.0], [1.5, 1.51, 1.49, 1.5], "lower", "worse"),
        ([1.0, 1.01, 0.99, 1.0], [1.5, 1.51, 1.49, 1.5], "higher", "better"),
        ([1.0, 1.01, 0.99, 1.0], [0.5, 0.51, 0.49, 0.5], "lower", "better"),
        ([1.0, 1.01, 0.99, 1.0], [1.0, 1.01, 0.99, 1.01], "lower", "same"),
        ([1.0, 2.0, 0.5], [1.1, 2.1, 0.6], "lower", "inconclusive"),
        ([1.0], [2.0, 2.0, 2.0], "lower", "few"),
        ([], [2.0], "lower", "few"),
        ([-1.0, 0.0, None, 1.0], [1.0, 1.0], "lower", "few"),
        ([1.0, 1.0], [1.0, 1.0], "lower", "same"),
        ([1.0, 1.0], [2.0, 2.0], "lower", "worse"),
    ],
)
def test_each_comparison_gets_its_verdict(
    evaluate: Callable[[str, Any], Any], baseline: list[float], contender: list[float], better: str, verdict: str
) -> None:
    found = evaluate(
        "([a, b, better]) => { const one = stats.comparison(a, b); stats.judge([one], { better }); return one.verdict; }",
        [baseline, contender, better],
    )
    assert found == verdict


def test_few_of_many_tests_without_a_change_are_called_changed(evaluate: Callable[[str, Any], Any]) -> None:
    random = np.random.default_rng(11)
    families = [
        [(random.lognormal(0, 0.05, 6).tolist(), random.lognormal(0, 0.05, 6).tolist()) for _ in range(100)]
        for _ in range(60)
    ]
    found = evaluate(
        "(families) => families.map((family) => { const all = family.map(([a, b]) => stats.comparison(a, b));"
        " stats.judge(all, { smallest: 0.02 });"
        " return all.filter((each) => each.verdict === 'worse' || each.verdict === 'better').length; })",
        families,
    )
    assert sum(count > 0 for count in found) / len(found) <= 0.12  # 5 % of families, and what 60 of them can scatter


def test_every_number_of_a_comparison_is_the_one_of_python(evaluate: Callable[[str, Any], Any]) -> None:
    arms = [*some_arms(seed=9), ([], [1.0]), ([1.0], [2.0, 3.0]), ([-1.0, 0.0, 1.0, 2.0], [1.0, 1.5]), ([], [])]
    found = evaluate("(arms) => arms.map(([a, b]) => stats.comparison(a, b))", arms)
    names = {"p": "p_value", "df": "degrees_of_freedom"}
    for each, (baseline, contender) in zip(found, arms, strict=True):
        wanted = compare.comparison(baseline, contender)
        assert tuple(each["n"]) == wanted.n
        for name in ("before", "after", "ratio", "low", "high", "error", "df", "p", "detectable"):
            assert close(each[name], getattr(wanted, names.get(name, name)), 1e-8), (name, baseline, contender)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_families_are_judged_as_python_judges_them(evaluate: Callable[[str, Any], Any], better: str) -> None:
    arms = [*some_arms(seed=21, count=120), ([1.0], [2.0, 3.0])]
    found = evaluate(
        "([arms, better]) => { const all = arms.map(([a, b]) => stats.comparison(a, b));"
        " stats.judge(all, { smallest: 0.1, better });"
        " return { verdicts: all.map((each) => [each.verdict, each.q]), overall: stats.overall(all) }; }",
        [arms, better],
    )
    compared = [compare.comparison(*each) for each in arms]
    wanted = compare.verdicts(compared, better=better, smallest=0.1)
    assert [word for word, _ in found["verdicts"]] == [each.word for each in wanted]
    assert {each.word for each in wanted} == set(compare.VERDICTS)
    assert all(close(q, each.q, 1e-8) for (_, q), each in zip(found["verdicts"], wanted, strict=True))
    overall = compare.overall(compared)
    assert overall is not None
    assert close(found["overall"]["ratio"], overall.value)
    assert close(found["overall"]["low"], overall.low, 1e-8)
    assert close(found["overall"]["high"], overall.high, 1e-8)


def test_confidence_beyond_each_threshold_is_the_one_of_python(evaluate: Callable[[str, Any], Any]) -> None:
    arms = some_arms(seed=4, count=20)
    found = evaluate(
        "([arms, thresholds]) => arms.map(([a, b]) => thresholds.map((each) =>"
        " [-1, 1].map((side) => stats.confidenceBeyond(stats.comparison(a, b), side, each))))",
        [arms, compare.THRESHOLDS],
    )
    for rows, each in zip(found, arms, strict=True):
        compared = compare.comparison(*each)
        for pair, threshold in zip(rows, compare.THRESHOLDS, strict=True):
            for sure, up in zip(pair, (False, True), strict=True):
                assert sure == pytest.approx(compare.confidence_beyond(compared, threshold, up=up), abs=1e-9)


def test_failures_are_found_as_python_finds_them(evaluate: Callable[[str, Any], Any]) -> None:
    random = np.random.default_rng(8)
    cases = [
        (int(random.integers(0, a + 1)), a, int(random.integers(0, b + 1)), b)
        for a, b in random.integers(0, 40, (80, 2)).tolist()
    ]
    found = evaluate(
        "(cases) => cases.map(([one, a, other, b]) => stats.failures({ failed: one, runs: a }, { failed: other, runs: b }))",
        cases,
    )
    for each, (one, a, other, b) in zip(found, cases, strict=True):
        wanted = compare.failures(compare.Attempts(runs=a, failed=one), compare.Attempts(runs=b, failed=other))
        assert (each is None) == (wanted is None)
        if wanted is not None:
            assert each["finding"] == wanted.finding
            assert close(each["p"], wanted.p_value, 1e-7)
