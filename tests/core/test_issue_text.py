"""What issues and their comments show, with names that mean harm."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from issue_examples import METRIC, WORDS, finding, opened
from test_mention import HOSTILE, rendered

from coiled_runtime_cli.core.findings import Moved
from coiled_runtime_cli.core.issue_memory import remembered
from coiled_runtime_cli.core.issues import plan


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_names_are_the_body_has_only_our_own_marks(name):
    metric = replace(METRIC, key=name, display_unit=name)
    moved = (Moved(name=name, before=name, after=name, url="https://github.com/a/b/compare/1...2"),)
    issue = opened([finding(name=name, label=name, metric=metric, moved=moved)])
    found = rendered(issue.body)
    assert set(found.tags) <= {
        *("p", "table", "thead", "tbody", "tr", "th", "td", "code", "a", "ul", "li", "pre"),
    }
    assert len(found.comments) == 2
    assert "@" not in found.outside
    assert "evil" not in found.outside
    assert "#12" not in found.outside
    assert remembered(issue.body) == issue.memory
    assert "\n" not in issue.title
    assert "`" not in issue.title
    # a comment that tells of it is as harmless
    (updated,) = plan([finding(), finding("aaaa00000009", name=name)], [opened([finding()])], WORDS)
    (comment,) = updated.comments
    told = rendered(comment.partition("\n")[2])
    assert set(told.tags) <= {"p", "ul", "li", "code"}
    assert "@" not in told.outside


def test_a_body_never_outgrows_what_github_takes():
    moved = tuple(Moved(name=f"p{each}" * 40, before="1", after="2") for each in range(100))
    many = [finding(f"{each:012x}", name=f"test_{each}[{'x' * 180}]", moved=moved) for each in range(1_000)]
    issue = opened(many)
    assert len(issue.body) < 65_536
    assert len(issue.title) < 256
    assert len(issue.memory.members) == 300
