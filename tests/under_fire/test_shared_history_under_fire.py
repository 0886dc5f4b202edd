"""Whatever the shared history holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from broken import DEEP, HUGE, mutated, values

from coiled_runtime_cli.core import catalog, record, segment
from coiled_runtime_cli.core.retention import Policy, PolicyError
from coiled_runtime_cli.core.segment import SegmentError

SEGMENT = segment.Segment(
    revision="a7c9a77d8d2b", session={"id": "s1", "started": None}, tables={"run": [{"uuid": "a", "duration": 1.5}]}
)


@given(st.data())
@settings(max_examples=150)
def test_a_segment_of_any_bytes_is_read_or_refused(data: st.DataObject) -> None:
    raw = mutated(segment.to_bytes(SEGMENT), data.draw)
    key = segment.key_of(SEGMENT, segment.to_bytes(SEGMENT))
    with contextlib.suppress(SegmentError):
        segment.from_bytes(raw)
    with contextlib.suppress(SegmentError):
        segment.unpack(key, mutated(segment.pack(raw), data.draw))


@given(st.lists(values, max_size=3), values)
def test_a_segment_of_any_json_is_read_or_refused(rows: list[Any], header: Any) -> None:
    text = "".join(f"{json.dumps(each)}\n" for each in (header, *rows))
    with contextlib.suppress(SegmentError):
        segment.from_bytes(text.encode())


@pytest.mark.parametrize("text", [DEEP, HUGE, f'{{"format":{HUGE}}}', f'{{"format":{DEEP}', "\0", ""])
def test_texts_that_break_parsers_are_refused_by_each_reader_of_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(SegmentError):
        segment.from_bytes(text.encode())
    assert catalog.read(gzip.compress(text.encode())) is None
    with pytest.raises(PolicyError):
        Policy.from_bytes(text.encode())
    with pytest.raises(ValueError):  # noqa: PT011 - json has its own wording
        record.decode(text)


def test_a_bomb_is_unpacked_no_further_than_its_limit() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    assert len(bomb) < 100_000
    key = segment.key_of(SEGMENT, segment.to_bytes(SEGMENT))
    with pytest.raises(SegmentError, match="more than"):
        segment.unpack(key, bomb, limit=1 << 20)
    assert catalog.read(gzip.compress(b"[" * (64 << 20))) is None


@given(st.binary(max_size=60) | values.map(lambda each: gzip.compress(json.dumps(each).encode())))
def test_a_catalog_of_any_bytes_is_read_or_none(raw: bytes) -> None:
    catalog.read(raw)


@given(
    st.fixed_dictionaries(
        {"format": st.just("crt-catalog"), "version": st.just(1), "through": values, "segments": values}
    )
)
def test_a_catalog_of_any_values_is_read_or_none(document: Any) -> None:
    read = catalog.read(gzip.compress(json.dumps(document).encode()))
    if read is not None:
        assert read.after


@given(values)
@example(99_999_999_999)
@example(4_000_000)
def test_days_to_keep_of_any_size_keep_or_are_refused(days: Any) -> None:
    with contextlib.suppress(PolicyError):
        policy = Policy.from_bytes(json.dumps({"keep_days": days}).encode())
        policy.keeps(date(2026, 11, 20), date(2026, 11, 27), grace=7)
        policy.first(date(2026, 11, 27))


@given(st.text(max_size=20) | st.integers(0, 10**7).map("{}y".format))
@example("99999y")
def test_a_time_to_keep_of_any_text_keeps_or_is_refused(text: str) -> None:
    with contextlib.suppress(PolicyError):
        Policy.parse(text).first(date(2026, 11, 27))
