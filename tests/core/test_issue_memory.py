"""What the body of an issue remembers, also when somebody damaged it or made it up."""

import base64
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from issue_examples import DAY, finding, opened

from coiled_runtime_cli.core.issue_memory import known, merged, remembered


def test_a_body_remembers_what_it_told_of():
    issue = opened([finding(), finding("aaaa00000002", name="test_b")])
    assert remembered(issue.body) == issue.memory
    assert remembered(issue.body.replace("\n", "\r\n")) == issue.memory
    there = known([issue])
    assert [each.id for each in there] == ["aaaa00000001", "aaaa00000002"]
    assert there[0].key == finding().key
    assert there[0].since == DAY
    assert not there[0].accepted


@pytest.mark.parametrize(
    "body",
    ["", "<!-- crt:finding aaaa -->", "<!-- crt:finding aaaa -->\n<!-- crt:memory AAAA -->", "<!-- crt:memory x -->"],
)
def test_a_body_that_is_not_ours_or_damaged_remembers_nothing(body):
    assert remembered(body) is None


@given(st.text(alphabet="abcdefghABCDEFGH0123456789_=-", max_size=80))
def test_a_memory_that_somebody_made_up_is_none_or_well_formed(text):
    found = remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {text} -->")
    assert found is None or found.members


def test_a_memory_that_would_unpack_without_end_is_none():
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 40_000_000, 9)).decode()
    assert remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {bomb} -->") is None


def test_a_memory_that_nests_without_end_is_none():
    nested = base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000, 9)).decode()
    assert remembered(f"<!-- crt:finding aaaa -->\n<!-- crt:memory {nested} -->") is None


def test_an_issue_that_was_closed_as_not_planned_says_so_to_the_next_search():
    issue = opened([finding()], open=False, reason="not_planned")
    assert [each.accepted for each in known([issue])] == [True]
    stored = known([opened([finding()])])
    assert [each.accepted for each in merged(stored, known([issue]))] == [True]
