from __future__ import annotations

import gzip
import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core import segment
from coiled_runtime_cli.core.segment import Segment, SegmentError

REVISION = "a7c9a77d8d2b"
SESSION = {"id": "0193-ab", "started": "2026-11-20T03:00:00.000000Z", "label": "upstream"}
RUNS = ({"uuid": "b", "duration": 1.5}, {"uuid": "a", "duration": None, "failure": "ü\n\ud800"})


def a_segment(**changes: Any) -> Segment:
    return Segment(
        **{"revision": REVISION, "session": SESSION, "tables": {"run": RUNS, "benchmark": ({"id": "x"},)}, **changes}
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
rows = st.dictionaries(st.text(max_size=6), json_values, max_size=4)
segments = st.builds(
    Segment,
    revision=st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    session=st.builds(
        lambda name, started, rest: {**rest, "id": name, "started": started},
        st.text(max_size=90),
        st.sampled_from([None, "2026-11-20T03:00:00.000000Z", "2026-11-20", "soon", "../../x"]),
        rows,
    ),
    tables=st.dictionaries(
        st.sampled_from(["run", "benchmark", "cluster_spec"]), st.lists(rows, min_size=1, max_size=5)
    ),
)


@given(one=segments)
def test_a_segment_is_read_back_as_it_was(one: Segment) -> None:
    raw = segment.to_bytes(one)
    again = segment.from_bytes(raw)
    assert segment.to_bytes(again) == raw
    assert again.session == one.session
    assert {table: sorted(map(repr, each)) for table, each in again.tables.items()} == {
        table: sorted(repr(json.loads(json.dumps(row, sort_keys=True))) for row in each)
        for table, each in one.tables.items()
    }
    key = segment.key_of(one, raw)
    assert segment.parse_key(key) is not None
    assert segment.unpack(key, segment.pack(raw)) == raw


@given(one=segments, chance=st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_found_is_no_part_of_it(one: Segment, chance: Any) -> None:
    tables = {}
    for table in chance.sample(sorted(one.tables), len(one.tables)):
        tables[table] = [
            dict(reversed(row.items())) for row in chance.sample(list(one.tables[table]), len(one.tables[table]))
        ]
    other = Segment(revision=one.revision, session=dict(reversed(one.session.items())), tables=tables)
    assert segment.to_bytes(other) == segment.to_bytes(one)


def test_the_bytes_are_the_same_everywhere() -> None:
    # frozen: others would make a second segment of every session that was ever pushed
    raw = segment.to_bytes(a_segment())
    assert raw.decode() == (
        '{"format":"crt-segment","revision":"a7c9a77d8d2b","rows":{"benchmark":1,"run":2},"session":{"id":"0193-ab",'
        '"label":"upstream","started":"2026-11-20T03:00:00.000000Z"},"version":1}\n'
        '{"id":"x"}\n'
        '{"duration":1.5,"uuid":"b"}\n'
        '{"duration":null,"failure":"\\u00fc\\n\\ud800","uuid":"a"}\n'
    )
    assert segment.key_of(a_segment(), raw) == "segments/v1/2026-11-20/0193-ab-3e78efc2f5d2ee49.jsonl.gz"


@pytest.mark.parametrize("id", ["../../etc/passwd", "", "-x", "_x", "a b", "é", "x" * 81])
def test_an_id_that_could_lead_elsewhere_is_told_by_its_hash(id: str) -> None:  # noqa: A002
    one = a_segment(session={"id": id})
    key = segment.key_of(one, segment.to_bytes(one))
    name = segment.parse_key(key)
    assert key.startswith("segments/v1/unknown/_")
    assert name is not None
    assert name.session == segment.session_part(id)
    assert len(name.session) == 33


@pytest.mark.parametrize(
    "key",
    [
        "segments/v1/2026-11-20/../x-0123456789abcdef.jsonl.gz",
        "segments/v1/2026-11-20/x-0123456789abcdeg.jsonl.gz",
        "segments/v2/2026-11-20/x-0123456789abcdef.jsonl.gz",
        "segments/v1/2026-11-20/x-0123456789abcdef.jsonl.gz\n",
        "segments/v1/2026-11-20/a/b-0123456789abcdef.jsonl.gz",
        "benchmark.db",
    ],
)
def test_other_names_are_no_segments(key: str) -> None:
    assert segment.parse_key(key) is None
    with pytest.raises(SegmentError, match="name"):
        segment.unpack(key, b"")


def damaged() -> list[tuple[str, bytes]]:
    raw = segment.to_bytes(a_segment())
    head, _, rest = raw.partition(b"\n")
    header = json.loads(head)

    def with_header(**changes: Any) -> bytes:
        return json.dumps({**header, **changes}, sort_keys=True, separators=(",", ":")).encode() + b"\n" + rest

    return [
        ("nothing", b""),
        ("no JSON", b"x\n"),
        ("another format", with_header(format="x")),
        ("a newer version", with_header(version=2)),
        ("no revision", with_header(revision="../x")),
        ("no session", with_header(session=[])),
        ("a session without id", with_header(session={})),
        ("too few rows", with_header(rows={"benchmark": 1, "run": 3})),
        ("too many rows", with_header(rows={"benchmark": 1, "run": 1})),
        ("rows of a table that cannot be", with_header(rows={"benchmark": 1, "run; drop": 2})),
        ("negative rows", with_header(rows={"benchmark": -1, "run": 2})),
        ("rows that are true", with_header(rows={"benchmark": True, "run": 2})),
        ("a cut end", raw[:-1]),
        ("a cut line", raw[:-5]),
        ("a line that is no object", raw.replace(b'{"id":"x"}', b'["x"]')),
        ("other spaces", raw.replace(b'"id":"x"', b'"id": "x"')),
        ("NaN", raw.replace(b"1.5", b"NaN")),
        ("bytes beyond ASCII", raw.replace(b"upstream", "über".encode())),
        ("a depth without end", raw.replace(b"1.5", b"[" * 100_000 + b"]" * 100_000)),
    ]


@pytest.mark.parametrize(("what", "raw"), damaged(), ids=[name for name, _ in damaged()])
def test_what_is_no_segment_is_refused(what: str, raw: bytes) -> None:
    with pytest.raises(SegmentError):
        segment.from_bytes(raw)


def test_content_that_is_not_what_the_name_says_is_not_read() -> None:
    one = a_segment()
    raw = segment.to_bytes(one)
    key = segment.key_of(one, raw)
    for packed in (
        segment.pack(raw.replace(b"1.5", b"1.4")),
        segment.pack(raw)[:-1],
        segment.pack(raw) + b"x",
        segment.pack(raw) + segment.pack(raw),
        raw,
        b"",
    ):
        with pytest.raises(SegmentError):
            segment.unpack(key, packed)
    # another build of zlib compresses otherwise: the name is still right
    assert segment.unpack(key, gzip.compress(raw, compresslevel=1, mtime=7)) == raw


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    packed = bomb.compress(b"0" * 50_000_000) + bomb.flush()
    assert len(packed) < 60_000
    with pytest.raises(SegmentError, match="more than 1,000"):
        segment.unpack(segment.key_of(a_segment(), b""), packed, limit=1_000)


@given(value=st.none() | st.floats())
def test_every_measured_value_goes_through_json(value: float | None) -> None:
    again = segment.from_number(json.loads(json.dumps(segment.number(value), allow_nan=False)))
    if value is not None and math.isnan(value):
        assert again is not None
        assert math.isnan(again)
    else:
        assert again == value
        assert repr(again) == repr(value)


@pytest.mark.parametrize("value", ["1", "nan", True, [], {}, "1e999"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(SegmentError):
        segment.from_number(value)
