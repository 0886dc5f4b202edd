from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.detect import ALERT, CONFIRMED, HELD, q_values, ranges, state

p_values = st.lists(st.floats(0, 1), max_size=12)


@given(found=p_values, more=st.integers(0, 20), rate=st.floats(0.001, 0.999))
def test_findings_are_those_of_benjamini_and_hochberg(found: list[float], more: int, rate: float) -> None:
    tested = len(found) + more
    every = sorted([*found, *[1.0] * more])
    # as the paper has it: the largest k with p(k) <= k/m * rate, and all up to it are findings
    fits = [place for place, p in enumerate(every, start=1) if p * tested / place <= rate]
    threshold = every[max(fits) - 1] if fits else -1.0
    assert [q <= rate for q in q_values(found, tested)] == [p <= threshold for p in found]


@given(found=p_values)
def test_q_values_keep_the_order_and_are_no_smaller_than_p_values(found: list[float]) -> None:
    q = q_values(found, len(found))
    assert all(p <= each <= 1 or each == pytest.approx(p) for p, each in zip(found, q, strict=True))
    pairs = sorted(zip(found, q, strict=True))
    assert all(one[1] <= other[1] for one, other in itertools.pairwise(pairs))


def test_more_findings_than_tests_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 p-values of 1 tests"):
        q_values([0.1, 0.2], 1)


@pytest.mark.parametrize(
    ("before", "later", "held", "expected"),
    [
        (1.0, [], 1, "suspect"),
        (1.0, [], HELD - 1, "suspect"),
        (1.0, [], HELD, "new"),
        (1.0, [], CONFIRMED - 1, "new"),
        (1.0, [], CONFIRMED, "confirmed"),
        (1.0, [1.5], 4, "confirmed"),
        (1.0, [1.02], 4, "fixed"),
        (1.0, [0.98], 4, "fixed"),
        (1.0, [1.5, 1.0], 4, "fixed"),
        (0.0, [0.0], 4, "confirmed"),
    ],
)
def test_how_a_change_stands(before: float, later: list[float], held: int, expected: str) -> None:
    assert state(before, later, held) == expected


def test_what_is_not_sure_enough_stays_a_suspect() -> None:
    assert state(1.0, [], 50, p_value=2 * ALERT) == "suspect"
    assert state(1.0, [], 50, p_value=2 * ALERT, threshold=1e-5) == "confirmed"
    assert state(1.0, [1.0], 50, p_value=2 * ALERT) == "fixed"


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda each: (each[0], sum(each))), max_size=12
    )
)
def test_changes_of_a_group_can_have_happened_at_one_time(spans: list[tuple[int, int]]) -> None:
    groups: dict[int, list[tuple[int, int]]] = {}
    for group, span in zip(ranges(spans), spans, strict=True):
        groups.setdefault(group, []).append(span)
    for members in groups.values():
        assert max(good for good, _ in members) < min(bad for _, bad in members)
    assert sorted(groups) == list(range(len(groups)))


def test_a_wide_range_does_not_tie_together_what_is_apart() -> None:
    wide, early, late = ranges([(0, 100), (10, 12), (50, 52)])
    assert early != late
    assert wide in (early, late)
