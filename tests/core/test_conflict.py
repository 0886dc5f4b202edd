import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from coiled_runtime_cli.core.conflict import smallest_conflict


@st.composite
def demands_and_conflicts(draw):
    count = draw(st.integers(1, 8))
    conflicts = draw(st.lists(st.sets(st.integers(0, count - 1), min_size=1, max_size=4), max_size=4))
    return list(range(count)), conflicts


def possible_under(conflicts):
    def possible(chosen):
        return not any(each <= set(chosen) for each in conflicts)

    return possible


@given(demands_and_conflicts())
@settings(max_examples=300)
def test_what_is_found_cannot_be_met_and_any_part_of_it_can(drawn):
    demands, conflicts = drawn
    possible = possible_under(conflicts)
    found = smallest_conflict(demands, possible)
    if possible(demands):
        assert found == []
        return
    assert not possible(found)
    for part in itertools.combinations(found, len(found) - 1):
        assert possible(list(part))


def test_one_pair_among_many_is_found_with_few_questions():
    asked = []

    def possible(chosen):
        asked.append(len(chosen))
        return not {7, 60} <= set(chosen)

    assert sorted(smallest_conflict(range(64), possible)) == [7, 60]
    assert len(asked) <= 2 * 2 * 6 + 2 * 2  # the bound of the paper, for 2 of 64


def test_where_there_is_a_choice_what_comes_first_is_named():
    assert smallest_conflict([0, 1, 2, 3], possible_under([{0, 1}, {2, 3}])) == [0, 1]
    assert smallest_conflict([2, 3, 0, 1], possible_under([{0, 1}, {2, 3}])) == [2, 3]
