"""`crt detect issues` on a history whose truth is known, against a server that keeps a repository's state (and is not GitHub)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import github_server
import histories

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

STEP = 24
LABEL = "performance-regression"


def grow(
    crt: Any,
    first: int,
    last: int,
    *,
    fixed: int = 999,
    database: str = "benchmark.db",
    also: dict[str, int] | None = None,
) -> None:
    """Daily sessions: at STEP one test gets 20 % slower; others at the days that ``also`` names."""
    engine = open_database(str(Path(crt.folder) / database))
    for number in range(first, last):
        effects = {"same": 1.0, "slower": 1.2 if STEP <= number < fixed else 1.0}
        effects |= {name: 1.5 if number >= day else 1.0 for name, day in (also or {}).items()}
        ingest(engine, histories.session("upstream", number, effects, version=f"2026.{number}.0"))
    engine.dispose()


def issues(crt: Any, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = crt.run("detect", "issues", "--metric", "duration", "--format", "json", *arguments)
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def anew(crt: Any) -> None:
    """A job of the next night has no database: it pulls the runs, and nothing that was ever said of them."""
    (Path(crt.folder) / "benchmark.db").unlink()


def test_a_finding_gets_one_issue_that_says_what_is_known_and_a_second_run_changes_nothing(
    inside: Any, github: Any
) -> None:
    grow(inside, 0, 40)
    told = issues(inside, "--site", "https://owner.github.io/project")
    assert (told["schema"], told["opened"], told["repository"]) == (1, 1, "owner/project")
    (opened,) = told["issues"]
    (issue,) = github.issues
    assert opened["action"] == "opened"
    assert opened["number"] == issue["number"] == 1
    assert opened["url"] == issue["html_url"]
    assert issue["title"].startswith("test_slower: duration +")
    assert "since 2026-10-15" in issue["title"]
    assert [each["name"] for each in issue["labels"]] == [LABEL]
    assert LABEL in github.labels
    body = issue["body"]
    assert f"<!-- crt:finding {opened['id']} -->" in body
    assert f"    crt bisect --regression {opened['id']}" in body
    assert "[commits](https://github.com/dask/dask/compare/0000017abcdef" in body
    assert "https://owner.github.io/project/benchmark/benchmarks.test_x.test_slower" in body
    assert "10.0 s" in body
    assert "between 2026-10-14" in body
    github.asked.clear()
    again = issues(inside, "--site", "https://owner.github.io/project")
    assert [again[each] for each in ("opened", "updated", "reopened", "closed")] == [0, 0, 0, 0]
    assert github.made() == []


def test_the_issue_is_found_again_by_a_job_whose_database_is_new_and_has_more_runs(inside: Any, github: Any) -> None:
    for last in range(STEP + 7, STEP + 17):
        grow(inside, 0, last)
        issues(inside)
        anew(inside)
    assert len(github.issues) == 1
    assert "Confirmed" in "".join(github.told(1))
    assert len([each for each in github.told(1) if "Confirmed" in each]) == 1


def test_another_test_of_the_same_cause_joins_with_one_comment(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    anew(inside)
    grow(inside, 0, 41, also={"late": STEP})
    told = issues(inside)
    (updated,) = told["issues"]
    assert (updated["action"], len(updated["findings"])) == ("updated", 2)
    assert [each for each in github.told(1) if "`test_late`" in each]
    assert "`test_late`" in github.issue(1)["body"]
    anew(inside)
    grow(inside, 0, 42, also={"late": STEP})
    issues(inside)
    assert sum("`test_late`" in each for each in github.told(1)) == 1
    assert len(github.issues) == 1


def test_another_cause_gets_an_issue_of_its_own(inside: Any, github: Any) -> None:
    grow(inside, 0, 60, also={"other": 44})
    assert issues(inside)["opened"] == 2
    assert {each["title"].partition(":")[0] for each in github.issues} == {"test_slower", "test_other"}


def test_it_is_closed_when_it_is_fixed_and_opened_again_when_it_comes_back(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    grow(inside, 40, 60, fixed=40)
    told = issues(inside)
    assert (told["closed"], told["issues"][0]["why"]) == (1, "fixed")
    assert (github.issue(1)["state"], github.issue(1)["state_reason"]) == ("closed", "completed")
    assert "back to where it was" in github.told(1)[-1]
    github.asked.clear()
    issues(inside)
    assert github.made() == []
    github.reopen(1)  # a person knows better
    issues(inside)
    assert github.issue(1)["state"] == "open"


def test_it_is_closed_when_the_change_is_accepted(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    identity = issues(inside)["issues"][0]["id"]
    assert inside.run("detect", "accept", identity, "--reason", "right so").returncode == 0
    assert issues(inside)["issues"][0]["why"] == "accepted"
    assert github.issue(1)["state_reason"] == "not_planned"
    anew(inside)
    grow(inside, 0, 41)
    assert issues(inside)["opened"] == 0
    assert github.open_issues() == []


def test_who_closes_it_as_not_planned_has_accepted_the_change(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    identity = issues(inside)["issues"][0]["id"]
    github.close(1, "not_planned")
    for last in (41, 42):
        anew(inside)
        grow(inside, 0, last)
        issues(inside)
    assert github.open_issues() == []
    found = json.loads(inside.run("detect", "--all", "--format", "json", "--metric", "duration").stdout)
    assert {each["id"]: each["state"] for each in found["regressions"]}[identity] == "accepted"
    assert inside.rows("select reason from finding where accepted is not null") == [
        ("closed as not planned: https://github.com/owner/project/issues/1",)
    ]


def test_who_closes_it_as_completed_has_a_week_until_it_is_opened_again(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    github.close(1)
    for last in range(41, 48):
        grow(inside, last - 1, last)
        issues(inside)
        assert github.open_issues() == []
    grow(inside, 47, 48)
    assert issues(inside)["reopened"] == 1
    assert github.open_issues() == [1]
    assert "still there" in github.told(1)[-1]


def test_a_dry_run_needs_no_token_sends_nothing_and_says_what_it_would_do(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    del inside.environment["GITHUB_TOKEN"]
    done = inside.run("detect", "issues", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would open" in done.stdout
    assert "nothing was sent" in done.stderr
    assert github.made() == []
    assert inside.rows("select count(*) from finding") == [(0,)]
    done = inside.run("detect", "issues")
    assert done.returncode == 4
    assert "no token" in done.stderr


def test_two_jobs_at_once_leave_one_issue(inside: Any, github: Any) -> None:
    """The other job opens its issue between this one's look and its own."""
    grow(inside, 0, 40)
    issues(inside)
    (theirs,) = github.issues
    github.issues.clear()
    github.faults.append(("GET", f"/labels/{LABEL}", lambda: github.issues.append(theirs)))
    told = issues(inside)
    assert len(github.issues) == 2
    assert github.open_issues() == [1]
    assert told["opened"] == 0
    assert told["issues"][0]["why"] == "another job had opened #1 of it"
    assert "#1" in github.told(2)[0]
    github.asked.clear()
    issues(inside)
    assert github.made() == []


def test_a_label_that_another_job_made_meanwhile_is_taken(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    github.faults.append(("GET", f"/labels/{LABEL}", lambda: github.labels.add(LABEL)))
    assert issues(inside)["opened"] == 1
    assert ("POST", "/repos/owner/project/labels") in github.made()


def test_a_label_that_is_refused_is_told(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    github.faults.append(("POST", "/labels", (422, {}, "Validation Failed")))
    done = inside.run("detect", "issues")
    assert done.returncode == 4
    assert "422 Validation Failed" in done.stderr
    assert github.issues == []


def test_duplicates_that_are_there_are_closed_and_the_oldest_stays(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    github.issues.append({**github.issue(1), "number": 2, "html_url": "https://github.com/owner/project/issues/2"})
    assert issues(inside)["issues"][0]["why"] == "duplicate of #1"
    assert github.open_issues() == [1]


@pytest.mark.parametrize("fault", ["lost", "half"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
def test_an_answer_that_is_lost_makes_nothing_twice(inside: Any, github: Any, fault: str, method: str) -> None:
    grow(inside, 0, 40)
    github.faults += [(method, "/issues", fault), (method, "/issues/1", fault), (method, "/issues/1/comments", fault)]
    issues(inside)
    grow(inside, 40, 60, fixed=40)
    issues(inside)
    assert len(github.issues) == 1
    assert github.issue(1)["state"] == "closed"
    assert len(github.told(1)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        (503, {}, "unavailable"),
        (500, {}, "error"),
        (429, {"Retry-After": "0"}, "slow down"),
        (403, {"Retry-After": "0"}, "You have exceeded a secondary rate limit"),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, "API rate limit exceeded"),
    ],
)
def test_what_passes_is_waited_for(inside: Any, github: Any, fault: Any) -> None:
    grow(inside, 0, 40)
    github.faults += [("GET", "/issues", fault), ("POST", "/issues", fault)]
    assert issues(inside)["opened"] == 1
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ((403, {}, "Resource not accessible by integration"), "issues: write"),
        ((403, {"Retry-After": "3600"}, "You have exceeded a secondary rate limit"), "again from"),
        ((403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, "API rate limit"), "again from"),
        ((404, {}, "Not Found"), "check --repo"),
        ((410, {}, "Issues are disabled"), "issues are turned off"),
        ((422, {}, "Validation Failed"), "Validation Failed"),
        ((301, {"Location": "https://elsewhere.example/"}, "Moved Permanently"), "is elsewhere now"),
    ],
)
def test_a_refusal_is_one_message_and_exit_code_four(inside: Any, github: Any, fault: Any, says: str) -> None:
    grow(inside, 0, 40)
    github.faults.append(("POST", "/issues", fault))
    done = inside.run("detect", "issues")
    assert done.returncode == 4
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert github_server.TOKEN not in done.stdout + done.stderr
    assert github.issues == []


def test_a_wrong_token_and_no_server_are_told_and_the_token_is_not(inside: Any, github: Any) -> None:
    grow(inside, 0, 3)
    wrong = inside.run("--debug", "detect", "issues", environment={"GITHUB_TOKEN": "ghp_wrong"})
    assert wrong.returncode == 4
    assert "refuses the token" in wrong.stderr
    broken = inside.run("--debug", "detect", "issues", environment={"GITHUB_TOKEN": "ghp_wrong\nX-Other: 1"})
    assert broken.returncode == 2
    silent = inside.run("--debug", "detect", "issues", environment={"GITHUB_API_URL": "http://127.0.0.1:9"})
    assert silent.returncode == 4
    assert "does not answer" in silent.stderr
    for each in (wrong, broken, silent):
        assert "ghp_" not in each.stdout + each.stderr


def test_a_token_that_may_not_label_leaves_no_issue_open_that_would_not_be_found_again(
    inside: Any, github: Any
) -> None:
    grow(inside, 0, 40)
    github.drops_labels = True
    done = inside.run("detect", "issues")
    assert done.returncode == 4
    assert "not label them" in done.stderr
    assert github.open_issues() == []


def test_issues_of_others_are_left_alone_on_every_page(inside: Any, github: Any) -> None:
    for number in range(230):
        made = github.create({"title": f"of a person {number}", "body": "<!-- crt:finding beef -->", "labels": [LABEL]})
        before = dict(made)
    grow(inside, 0, 40)
    assert issues(inside)["opened"] == 1
    grow(inside, 40, 41)
    issues(inside)
    assert len(github.issues) == 231
    assert github.issues[229] == before
    mine = ("issues", "labels", "issues/231", "issues/231/comments")
    assert {path for _, path in github.made()} <= {f"/repos/owner/project/{each}" for each in mine}


def test_a_title_that_a_person_gave_stays(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    github.issue(1)["title"] = "Writing got slower: see the pull request of shuffles"
    grow(inside, 40, 44, also={"late": 40})
    issues(inside)
    assert github.issue(1)["title"] == "Writing got slower: see the pull request of shuffles"


def test_of_many_issues_only_so_many_are_opened_at_once_and_the_rest_later(inside: Any, github: Any) -> None:
    grow(inside, 0, 60, also={"other": 44})
    done = inside.run("detect", "issues", "--metric", "duration", "--limit", "1")
    assert "1 issue more would be opened" in done.stderr
    assert len(github.issues) == 1
    issues(inside)
    assert len(github.issues) == 2


def test_a_part_of_the_history_closes_nothing_that_it_does_not_see(inside: Any, github: Any) -> None:
    grow(inside, 0, 40)
    issues(inside)
    told = inside.run("detect", "issues", "--metric", "peak_memory", "--format", "json")
    assert json.loads(told.stdout)["closed"] == 0
    assert github.open_issues() == [1]


def test_a_young_history_is_no_mistake(inside: Any, github: Any) -> None:
    grow(inside, 0, 3)
    done = inside.run("detect", "issues")
    assert done.returncode == 0
    assert "too few" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repo", "project"], "OWNER/NAME"),
        (["--repo", "a/b/c"], "OWNER/NAME"),
        (["--site", "javascript:alert(1)"], "expected an address"),
        (["--issue-label", "a,b"], "without commas"),
        (["--metric", "durations"], "did you mean 'duration'"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_two(inside: Any, github: Any, arguments: list[str], says: str) -> None:
    grow(inside, 0, 3)
    done = inside.run("detect", "issues", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert github.asked == [] or arguments[0] == "--metric"


def test_a_token_is_sent_over_https_alone(inside: Any, github: Any) -> None:
    grow(inside, 0, 3)
    done = inside.run("detect", "issues", environment={"GITHUB_API_URL": "http://api.example.com"})
    assert done.returncode == 2
    assert "https://" in done.stderr
