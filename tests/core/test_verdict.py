from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check, overall

WORDS = st.sampled_from([VERIFIED, FAILED, NOT_VERIFIED])


def test_nothing_looked_at_is_not_verified():
    assert overall([]) == NOT_VERIFIED


@given(st.lists(WORDS, min_size=1))
def test_one_failure_is_a_failure_and_only_all_verified_is_verified(words):
    found = overall([Check("solve", each) for each in words])
    assert (found == FAILED) == (FAILED in words)
    assert (found == VERIFIED) == (set(words) == {VERIFIED})
