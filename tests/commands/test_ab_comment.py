"""`crt ab comment`, against a server that keeps a repository's state (and is not GitHub)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from test_mention import HOSTILE, rendered

from coiled_runtime_cli.core import contrast_comment

HEAD = "0123456789abcdef" * 2 + "01234567"


def compared(name: str, verdict: str, ratio: float) -> dict[str, Any]:
    return {
        "benchmark": f"benchmarks/test_x.py::{name}",
        "metric": "duration",
        "before": 10.0,
        "after": 10.0 * ratio,
        "ratio": ratio,
        "low": ratio - 0.01,
        "high": ratio + 0.01,
        "verdict": verdict,
        "n": [10, 10],
    }


def result(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    arm = {
        "name": "pull-request",
        "comparisons": list(rows),
        "overall": {"ratio": 1.02, "low": 1.01, "high": 1.03, "tests": 3},
        "failures": [
            {
                "benchmark": "benchmarks/test_x.py::test_broken",
                "finding": "broken",
                "baseline": {"runs": 10, "failed": 0},
                "contender": {"runs": 10, "failed": 10},
            }
        ],
    }
    null = {"tests": 3, "false_verdicts": 0}
    return {"schema": 1, "arms": [arm], "null": null, "blocks": 10, "ended": "10 blocks", **changes}


ROWS = (compared("test_slow", "worse", 1.2), compared("test_fast", "better", 0.8), compared("test_same", "same", 1.0))


def write(crt: Any, document: Any) -> None:
    (Path(crt.folder) / "ab.json").write_text(document if isinstance(document, str) else json.dumps(document))


def test_a_dry_run_prints_what_was_found_the_decided_first(inside: Any) -> None:
    write(inside, result(*ROWS))
    done = inside.run("ab", "comment", "ab.json", "--dry-run", "--run-url", "https://github.com/o/p/actions/runs/1")
    assert done.returncode == 0, done.stderr
    assert "**1 worse**, **1 better**, 1 the same. Overall +2.0 % (+1.0 % to +3.0 %)" in done.stdout
    assert done.stdout.index("`test_slow`") < done.stdout.index("<details>") < done.stdout.index("`test_same`")
    assert "`benchmarks/test_x.py::test_broken` failed in 0 of 10 runs of the base, 10 of 10 of this" in done.stdout
    assert "The base against itself, measured beside them: 0 of 3 comparisons called changed." in done.stdout
    assert "[the run](https://github.com/o/p/actions/runs/1)" in done.stdout


def test_there_is_one_comment_that_the_next_result_replaces(inside: Any, github: Any) -> None:
    github.comment(12, f"{contrast_comment.MARK}\nnot by us", kind="User")  # anybody could copy the mark
    write(inside, result(*ROWS))
    first = inside.json("ab", "comment", "ab.json", "--pull-request", "12", "--format", "json")
    assert (first["action"], first["pull_request"]) == ("created", 12)
    again = inside.json("ab", "comment", "ab.json", "--pull-request", "12", "--format", "json")
    assert again["action"] == "unchanged"
    write(inside, result(compared("test_slow", "same", 1.0)))
    done = inside.run("ab", "comment", "ab.json", "--pull-request", "12")
    assert done.stdout.startswith("updated https://github.com/owner/project/")
    stranger, ours = github.comments[12]
    assert stranger["body"].endswith("not by us")
    assert "1 the same" in ours["body"]


@pytest.mark.parametrize("fault", ["lost", "half"])
def test_an_answer_that_is_lost_makes_no_second_comment(inside: Any, github: Any, fault: str) -> None:
    write(inside, result(*ROWS))
    github.faults.append(("POST", "/issues/12/comments", fault))
    assert inside.run("ab", "comment", "ab.json", "--pull-request", "12").returncode == 0
    assert len(github.comments[12]) == 1


def test_a_pull_request_without_a_commit_comes_from_another_api(inside: Any, github: Any) -> None:
    github.pulls.append({"number": 1, "state": "open"})
    write(inside, result())
    done = inside.run("ab", "comment", "ab.json", "--head", HEAD)
    assert done.returncode == 4
    assert "GitHub's answer has no 'head'" in done.stderr


def test_the_pull_request_is_found_by_its_newest_commit_also_on_a_later_page(inside: Any, github: Any) -> None:
    github.pulls += [{"number": each, "state": "open", "head": {"sha": f"{each:040x}"}} for each in range(1, 131)]
    github.pulls.append({"number": 140, "state": "open", "head": {"sha": HEAD}})
    write(inside, result(*ROWS))
    assert inside.json("ab", "comment", "ab.json", "--head", HEAD, "--format", "json")["pull_request"] == 140
    assert HEAD[:12] in github.comments[140][0]["body"]
    github.pulls[-1]["state"] = "closed"
    done = inside.run("ab", "comment", "ab.json", "--head", HEAD)
    assert done.returncode == 0
    assert "nothing was written" in done.stdout


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_names_are_the_comment_is_ours(name: str) -> None:
    document = result(*(compared(name, each, 1.2) for each in ("worse", "same")), ended=name)
    document["arms"].append({**document["arms"][0], "name": name})
    document["arms"][0]["failures"][0]["benchmark"] = name
    text = contrast_comment.comment(document)
    # details folds, and its summary is ours: what is within is Markdown
    found = rendered(text)
    assert set(found.tags) <= {
        *(
            "h3",
            "h4",
            "p",
            "strong",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "code",
            "ul",
            "li",
            "details",
            "summary",
        ),
    }
    assert len(found.comments) == 1
    assert "@" not in found.outside
    assert "evil" not in found.outside


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        {},
        {"schema": 1, "plan": {}},
        result({"benchmark": 3}),
        result({**ROWS[0], "ratio": "1.2"}),
        result({**ROWS[0], "ratio": 10**400}),
        result({**ROWS[0], "verdict": "<b>worse</b>"}),
        result({**ROWS[0], "n": [1]}),
        result(blocks=-1),
        result(null=[]),
        json.dumps(result({**ROWS[0], "ratio": float("inf")})),
    ],
)
def test_a_document_that_is_no_result_is_refused_and_nothing_is_written(
    inside: Any, github: Any, document: Any
) -> None:
    write(inside, document)
    done = inside.run("ab", "comment", "ab.json", "--pull-request", "12")
    assert done.returncode == 2, done.stderr
    assert "ab.json: " in done.stderr
    assert github.asked == []


def test_a_result_of_any_length_fits_into_a_comment() -> None:
    rows = [compared(f"test_{each}[{'x' * 300}]", "worse", 1.2) for each in range(3_000)]
    assert len(contrast_comment.comment(result(*rows))) < 65_536


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ab.json"], "which pull request"),
        (["ab.json", "--pull-request", "1", "--head", HEAD], "which pull request"),
        (["ab.json", "--head", "main"], "40 hexadecimal digits"),
        (["nowhere.json", "--pull-request", "1"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_two(inside: Any, arguments: list[str], says: str) -> None:
    write(inside, result(*ROWS))
    done = inside.run("ab", "comment", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
