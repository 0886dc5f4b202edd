import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core import record
from coiled_runtime_cli.core.record import (
    Benchmark,
    Cluster,
    Collected,
    Environment,
    Host,
    Metric,
    Package,
    Progress,
    Run,
    SessionEnded,
    SessionStarted,
    TestStarted,
    decode,
    encode,
)

text = st.text(max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
lines = st.one_of(
    st.builds(
        SessionStarted, id=text, started=finite, command=st.lists(text).map(tuple), host=st.builds(Host, load=finite)
    ),
    st.builds(SessionEnded, id=text, ended=finite, interrupted=st.booleans()),
    st.builds(
        Environment,
        python=text,
        platform=text,
        packages=st.lists(st.builds(Package, name=text, version=text, dirty=st.booleans()), max_size=3).map(tuple),
    ),
    st.builds(Cluster, kind=text, spec=st.dictionaries(text, finite, max_size=3)),
    st.builds(Benchmark, path=text, name=text, originalname=text, source=text, formerly=st.lists(text).map(tuple)),
    st.builds(
        Run,
        uuid=text,
        session=text,
        benchmark=text,
        outcome=st.sampled_from(record.OUTCOMES),
        duration=st.none() | finite,
        metrics=st.lists(st.builds(Metric, name=text, value=finite), max_size=3).map(tuple),
    ),
    st.builds(Collected, benchmarks=st.lists(text).map(tuple), errors=st.lists(st.tuples(text, text)).map(tuple)),
    st.builds(TestStarted, uuid=text, benchmark=text, at=finite),
    st.builds(Progress, what=text, done=finite, total=st.none() | finite),
)


@given(lines)
def test_a_line_reads_back_as_it_was_written(line):
    written = encode(line)
    assert "\n" not in written
    assert written.isascii()
    assert decode(written) == line


def test_fields_and_types_of_a_newer_crt_are_ignored():
    line = json.loads(encode(SessionEnded(id="a", ended=1.0)))
    assert decode(json.dumps({**line, "weather": "fine"})) == SessionEnded(id="a", ended=1.0)
    assert decode('{"type":"forecast","rain":true}') is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"run"', '{"type":"run"}', '{"type":["run"]}', "[" * 100_000])
def test_what_is_no_line_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - json has its own wording
        decode(text)


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(SessionEnded(id="a", ended=float("nan")))


def test_equal_environments_have_one_id_and_different_ones_have_two():
    packages = (Package(name="dask", version="2026.8.0"),)
    first = Environment(python="3.11.7.final.0", platform="linux", packages=packages)
    assert first.id == Environment(python="3.11.7.final.0", platform="linux", packages=packages).id
    changed = dataclasses.replace(first, packages=(Package(name="dask", version="2026.8.0", dirty=True),))
    assert first.id != changed.id


def test_a_fingerprint_survives_load_and_a_reboot_but_not_another_processor():
    host = Host(cpu_model="A", cores=8, memory=16 * 2**30, machine="x86_64", system="Linux", load=0.1, release="6.1")
    later = dataclasses.replace(host, load=7.5, release="6.2", hostname="elsewhere", memory=16 * 2**30 - 5_000_000)
    assert host.fingerprint == later.fingerprint
    assert host.fingerprint != dataclasses.replace(host, cpu_model="B").fingerprint


def test_the_topic_of_a_benchmark_is_the_name_of_its_file():
    benchmark = Benchmark(
        path="benchmarks/test_parquet.py", name="test_x[1]", originalname="test_x", source="def test_x(): ..."
    )
    assert (benchmark.id, benchmark.suite) == ("benchmarks/test_parquet.py::test_x[1]", "parquet")
    assert len(benchmark.source_hash) == 32


def test_a_source_that_is_no_utf_8_has_a_hash_too():
    assert len(Benchmark(path="a.py", name="t", originalname="t", source="'\udc80'").source_hash) == 32


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uuid", 5),
        ("uuid", None),
        ("outcome", ["passed"]),
        ("repeat", "first"),
        ("repeat", 2**63),
        ("duration", "long"),
        ("duration", True),
        ("duration", float("nan")),
        ("cluster_id", 1.5),
        ("metrics", [{"name": "x", "value": None}]),
        ("metrics", [5]),
    ],
)
def test_a_value_of_another_kind_is_damage_and_no_record_that_cannot_be_stored(field, value):
    line = json.loads(encode(Run(uuid="a", session="s", benchmark="b", outcome="passed")))
    with pytest.raises(ValueError):  # noqa: PT011 - json has its own wording
        decode(json.dumps({**line, field: value}))
