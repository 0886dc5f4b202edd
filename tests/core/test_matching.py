"""Which of the changes found are those that were told of before."""

from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.matching import NEAR, matched

PLACES = st.lists(st.integers(0, 60), max_size=8)


def test_of_two_changes_near_a_known_one_the_nearer_is_it_and_the_other_is_new():
    assert matched([40, 45], [40]) == {0: 0}
    assert matched([45, 41], [40]) == {1: 0}
    assert matched([45], [40]) == {0: 0}
    assert matched([40 + NEAR + 1], [40]) == {}


def test_what_is_known_by_more_than_its_place_is_settled_first():
    assert matched([40, 45], [41, 44], sure={1: 0}) == {1: 0, 0: 1}


@given(PLACES, PLACES)
def test_pairs_are_one_to_one_and_near_and_leave_none_that_could_be_one(found, known):
    pairs = matched(found, known)
    assert len(set(pairs.values())) == len(pairs)
    assert all(abs(found[one] - known[other]) <= NEAR for one, other in pairs.items())
    alone = [place for number, place in enumerate(found) if number not in pairs]
    left = [place for number, place in enumerate(known) if number not in pairs.values()]
    assert all(abs(one - other) > NEAR for one in alone for other in left)
