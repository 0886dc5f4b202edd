"""Values, texts and bytes that break readers."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

#: JSON values of the kinds that break readers: deep, huge, not finite, of the wrong type.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 99_999_999_999])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["\0", "\ud800", "../../x", "run", "1e999", "2026-11-20", "passed"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
DEEP = "[" * 20_000
HUGE = "9" * 5_000


def mutated(whole: bytes, draw: Any) -> bytes:
    """A valid file with some bytes changed, removed, doubled, or its end cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        how = draw(st.sampled_from(["flip", "cut", "remove", "double", "insert"]))
        if how == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[at:]
        elif how == "remove":
            del content[at : at + draw(st.integers(1, 20))]
        elif how == "double":
            content[at:at] = content[at : at + draw(st.integers(1, 40))]
        else:
            content[at:at] = draw(st.binary(max_size=8))
    return bytes(content)
