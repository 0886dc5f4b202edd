"""Whatever a file or a text holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coiled_runtime_cli import ab, config, journal
from coiled_runtime_cli.build import archive, artifact
from coiled_runtime_cli.build.render import given_settings, render
from coiled_runtime_cli.clusters.shapes import load_shapes
from coiled_runtime_cli.core import artifacts, catalog, experiment, pins, quantity, recipe, record, segment
from coiled_runtime_cli.core.experiment import ExperimentError
from coiled_runtime_cli.core.pins import PinError
from coiled_runtime_cli.core.recipe import RecipeError
from coiled_runtime_cli.core.retention import Policy, PolicyError
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.core.segment import SegmentError
from coiled_runtime_cli.core.versions import parse_version
from coiled_runtime_cli.db import legacy
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.errors import CrtError

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


# --- the journal

LINES = [
    record.SessionStarted(id="s1", started=1.7e9, label="a", host=record.Host(cores=2)),
    record.Environment(python="3.11.7.final.0", platform="linux", packages=(record.Package(name="dask", version="1"),)),
    record.Cluster(kind="local", spec={"n": 1}),
    record.Benchmark(path="a.py", name="test", originalname="test", params={"a": 1}, markers=("m",)),
    record.Run(
        uuid="u1",
        session="s1",
        benchmark="a.py::test",
        outcome="passed",
        duration=1.0,
        metrics=(record.Metric(name="m", value=1.0),),
    ),
    record.Collected(benchmarks=("a.py::test",), errors=(("a", "b"),)),
    record.TestStarted(uuid="u1", benchmark="a.py::test", at=1.0),
    record.Progress(what="x", done=1.0),
    record.SessionEnded(id="s1", ended=1.7e9),
]


@given(st.data())
@settings(max_examples=150)
def test_a_line_with_any_value_in_any_field_is_a_record_or_a_value_error(data: st.DataObject) -> None:
    fields = json.loads(record.encode(data.draw(st.sampled_from(LINES))))
    for _ in range(data.draw(st.integers(1, 3))):
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
    with contextlib.suppress(ValueError):
        record.decode(json.dumps(fields))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "benchmark.db"
    open_database(str(path)).dispose()
    return path


@given(data=st.data())
@FEW
def test_what_reads_as_a_journal_can_be_stored(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    lines = []
    for line in LINES:
        fields = json.loads(record.encode(line))
        if data.draw(st.booleans()):
            fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
        with contextlib.suppress(ValueError):
            lines.append(record.decode(json.dumps(fields)))
    database = tmp_path / "benchmark.db"
    shutil.copyfile(empty, database)
    engine = open_database(str(database))
    with contextlib.suppress(CrtError):
        ingest(engine, [each for each in lines if each is not None])
    engine.dispose()


@given(data=st.data())
@FEW
def test_a_journal_of_any_bytes_is_read(data: st.DataObject, tmp_path: Path) -> None:
    whole = "".join(record.encode(each) + "\n" for each in LINES).encode()
    folder = tmp_path / "session"
    folder.mkdir(exist_ok=True)
    (folder / "main.jsonl").write_bytes(mutated(whole, data.draw))
    journal.read(folder)
    journal.settle(folder, "s1", reason="died")


# --- what comes from the shared history

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


# --- texts

VERSIONS = st.text(max_size=40) | st.from_regex(r"v?\d{1,3}(\.\d{1,3}){0,3}[a-z+.\-]{0,9}\d{0,9}", fullmatch=True)
LONG = (
    "9" * 5_000,
    "1." * 2_500,
    "1-" * 2_500 + "g",
    "a" * 5_000,
    " " * 5_000 + "x",
    "1.0+" * 1_000,
    ">=1," * 1_000,
    "1!" * 2_500,
)


@given(VERSIONS, VERSIONS, st.text(max_size=40))
@example("9" * 5_000, "1", "")
@example("1", "9" * 5_000, "")
def test_versions_and_pins_of_any_text_are_read_or_refused(version: str, other: str, text: str) -> None:
    parse_version(version)
    for sign in ("==", ">=", "~=", "=", "!=", "<", ""):
        pins.allows(f"{sign}{other}", version)
    with contextlib.suppress(PinError):
        pins.parse(f"{text} {version}")
    for change in (pins.with_version, pins.with_pin):
        with contextlib.suppress(PinError):
            change("requirements:\n  run:\n    - dask ==1.0\n", "dask", version)
    with contextlib.suppress(PinError):
        pins.with_package_version('{% set version = "1.0" %}\n', version)


@pytest.mark.parametrize("text", LONG)
def test_long_texts_are_read_in_no_time_to_speak_of(text: str) -> None:
    """A pattern that backtracks without end would not come back at all."""
    parse_version(text)
    pins.allows(text, "1.0")
    for read in (
        pins.parse,
        quantity.parse_seconds,
        quantity.parse_bytes,
        quantity.parse_fraction,
        Scale.parse,
        Policy.parse,
    ):
        with contextlib.suppress(ValueError):
            read(text)  # type: ignore[operator]
    segment.parse_key(text)
    with contextlib.suppress(CrtError):
        given_settings([f"dask={text}"])
    config.masked(f"postgresql://{text}")


@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str))
def test_quantities_of_any_text_are_numbers_or_value_errors(text: str) -> None:
    for read in (
        quantity.parse_seconds,
        quantity.parse_bytes,
        quantity.parse_fraction,
        Scale.parse,
        artifacts.parse_profile,
    ):
        with contextlib.suppress(ValueError):
            read(text)  # type: ignore[operator]


@given(st.floats())
def test_any_number_can_be_written(value: float) -> None:
    for write in (quantity.bytes_text, quantity.seconds_text, quantity.number_text, quantity.ratio_text):
        assert write(value)
    assert quantity.value_text(value, "s", 1e-3)


# --- configuration

KEYS = st.sampled_from(sorted(config.KEYS)) | st.text("abc-_.", min_size=1, max_size=6)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if value is None:
        return '"none"'
    return str(value) if isinstance(value, float) else json.dumps(value)


@given(data=st.data())
@settings(FEW, max_examples=100)
def test_a_configuration_of_any_values_holds_or_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    table = data.draw(st.dictionaries(KEYS, values, max_size=3))
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())
    (tmp_path / "crt.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(CrtError):
        loaded = config.load({}, environ={"HOME": str(tmp_path)}, folder=tmp_path)
        config.remote(loaded)
        config.build_settings(loaded)


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + DEEP.encode(),
        b"timeout = " + HUGE.encode(),
        b"db = '~nobody-of-this-name/x'",
        b"db = '" + b"x" * 6_000 + b"'",
        b"suites = '~nobody-of-this-name/x'",
        b"runs = '\\u0000'",
        b"timeout = nan",
        b"timeout = inf",
        b"precision = 2026-11-20",
        b"label = 07:32:00",
        b"\xff\xfe",
        b"\0",
        b"a." * 2_000 + b"a = 1",
        b"[clusters.x]\nkind = 3",
        b"[sync]\nremote = ''",
        b"[build]\nchannels = 'x'",
    ],
)
def test_files_of_toml_that_break_parsers_are_refused_or_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "crt.toml").write_bytes(content)
    with contextlib.suppress(CrtError):
        config.load({}, environ={"HOME": str(tmp_path)}, folder=tmp_path)


@given(
    table=st.dictionaries(
        st.sampled_from(["blocks", "suites", "max_time", "seed", "metrics", "parallel", "packages", "x"]),
        values,
        max_size=4,
    ),
    arm=st.dictionaries(
        st.sampled_from(["packages", "python", "interpreter", "config", "cluster", "x"]), values, max_size=3
    ),
)
def test_an_experiment_of_any_values_is_made_or_refused(table: Any, arm: Any) -> None:
    with contextlib.suppress(ExperimentError):
        arms = [experiment.arm("baseline", {}), experiment.arm("newer", arm)]
        made = experiment.make(arms, table)
        assert made.looks[-1] == made.blocks
    with contextlib.suppress(ExperimentError):
        experiment.from_ancestor([experiment.arm("baseline", {}), experiment.arm("newer", {})], table)


YAML = [
    "a: &a\n  b: *a\n",
    "&a [*a]",
    DEEP,
    "a: " + HUGE,
    "2026-11-20: 1",
    "a: !!python/object/apply:os.system [false]",
    "? [a]\n: b",
    "x: {1: 2}",
    "x: .nan",
    "- 1",
    "\0",
    "a: &x [1, 1]\nb: &y [*x, *x]\nc: &z [*y, *y]\n",
    "x: 9999-99-99",
    "0x" + "f" * 6000 + ": 1",
]


@pytest.mark.parametrize("text", YAML)
def test_yaml_that_breaks_parsers_is_refused_or_read_by_each_reader(text: str, tmp_path: Path) -> None:
    shapes = tmp_path / "clusters.yaml"
    shapes.write_text(text)
    with contextlib.suppress(CrtError):
        load_shapes(shapes)
    folder = tmp_path / "arms"
    folder.mkdir()
    for name in ("baseline", "newer"):
        (folder / f"AB_{name}.conda.yaml").write_text("dependencies: []\n")
        (folder / f"AB_{name}.dask.yaml").write_text(text)
        (folder / f"AB_{name}.cluster.yaml").write_text(text)
    with contextlib.suppress(CrtError):
        ab.read(folder)
    meta = tmp_path / "meta.yaml"
    meta.write_text(text)
    with contextlib.suppress(CrtError):
        render(meta, {})


# --- recipes and packages


@given(
    st.dictionaries(
        st.sampled_from(["package", "build", "requirements", "test", "about", "extra", "x"]), values, max_size=5
    )
)
def test_a_recipe_of_any_values_is_read_or_refused(content: Any) -> None:
    package = {"name": "x", "version": "1"}
    for each in (content, {"package": package, **content}):
        with contextlib.suppress(RecipeError):
            recipe.as_recipe_yaml(recipe.read(each))


@given(data=st.data())
@FEW
def test_a_template_of_any_text_is_rendered_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    whole = (Path(__file__).parents[1] / "recipe" / "meta.yaml").read_bytes()
    (tmp_path / "meta.yaml").write_bytes(mutated(whole, data.draw))
    with contextlib.suppress(CrtError):
        render(tmp_path / "meta.yaml", {})


@given(data=st.data())
@FEW
def test_a_package_of_any_bytes_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = {"index.json": b'{"name":"x","version":"1","build":"0","build_number":0,"depends":[],"subdir":"noarch"}'}
    files["tests/tests.yaml"] = json.dumps(data.draw(values)).encode()
    whole = archive.conda_bytes("x-1-0", files, moment=1_700_000_000)
    path = tmp_path / "x-1-0.conda"
    path.write_bytes(mutated(whole, data.draw) if data.draw(st.booleans()) else whole)
    with contextlib.suppress(CrtError):
        artifact.opened(path)


# --- the predecessor's databases

SCHEMAS = [
    "create table test_run (id integer primary key, name varchar)",
    "create table test_run (x)",
    "create view test_run as select 1 as id, 'a' as name",
    "create table test_run (id integer, session_id, name, originalname, path, call_outcome, start, end, duration, peak_memory)",
    "create table tpch_run (id integer, query, scale)",
    "create table test_run (id integer, name); create trigger t after insert on test_run begin delete from test_run; end",
    "create table alembic_version (version_num); insert into alembic_version values ('x')",
]
cells = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=8)
    | st.text(max_size=8)
    | st.sampled_from(["passed", "2026-11-20 00:00:00", "9999-12-31 23:59:59", "x" * 5000, "\0"])
)


@given(data=st.data())
@FEW
def test_an_old_database_of_any_shape_is_imported_or_refused(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    old, database = tmp_path / "old.db", tmp_path / "benchmark.db"
    for each in (old, database):
        each.unlink(missing_ok=True)
    shutil.copyfile(empty, database)
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.executescript(data.draw(st.sampled_from(SCHEMAS)))
        for table in ("test_run", "tpch_run"):
            with contextlib.suppress(sqlite3.Error):
                width = len(connection.execute(f"pragma table_info({table})").fetchall())
                for _ in range(data.draw(st.integers(0, 3))):
                    row = [data.draw(cells) for _ in range(width)]
                    connection.execute(f"insert into {table} values ({','.join('?' * width)})", row)
        connection.commit()
    if data.draw(st.booleans()):
        content = old.read_bytes()
        at = data.draw(st.integers(0, len(content) - 1))
        old.write_bytes(
            content[:at]
            if data.draw(st.booleans())
            else content[:at] + data.draw(st.binary(min_size=4, max_size=16)) + content[at + 16 :]
        )
    engine = open_database(str(database))
    with contextlib.suppress(CrtError), legacy.opened(old) as source:
        legacy.import_history(engine, source)
    engine.dispose()


@given(data=st.data())
@FEW
def test_a_database_of_any_bytes_is_opened_or_refused(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    path = tmp_path / "benchmark.db"
    content = empty.read_bytes()
    at = data.draw(st.integers(0, 4096) | st.integers(0, len(content) - 1))
    path.write_bytes(
        content[:at]
        if data.draw(st.booleans())
        else content[:at] + data.draw(st.binary(min_size=1, max_size=64)) + content[at + 64 :]
    )
    with contextlib.suppress(CrtError):
        open_database(str(path)).dispose()
