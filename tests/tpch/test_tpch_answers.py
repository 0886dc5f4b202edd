"""TPC-H: every engine answers every query as the reference does, and a wrong answer fails."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).resolve().parents[2] / "suites" / "tpch"


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # a dataclass looks its module up
    spec.loader.exec_module(loaded)
    return loaded


reference = module(Path(__file__).with_name("make_answers.py"), "tpch_make_answers")
checks = module(SUITE / "conftest.py", "tpch_suite_conftest")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where the tables are, generated once for all tests."""
    if shutil.which("tpchgen-cli") is None and not Path(sys.executable).with_name("tpchgen-cli").exists():
        pytest.skip("needs tpchgen-cli")
    return tmp_path_factory.mktemp("tpch tables")


@pytest.fixture
def run(cache, tmp_path, monkeypatch):
    """``run(engine, scale)``: pytest's counts of outcomes of its suite, and what it printed."""
    monkeypatch.setenv("CRT_DATA", str(cache))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(engine, scale, suite=SUITE):
        command = [sys.executable, "-m", "pytest", "-q", "-rfs", "-c", SUITE.parent / "pytest.ini"]
        command += [f"--rootdir={suite.parent}", f"--crt-scale={scale}", suite / f"test_{engine}.py"]
        done = subprocess.run(
            [str(each) for each in command], cwd=tmp_path, capture_output=True, text=True, timeout=900
        )
        counts = {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
        return counts, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb", "optimization"])
def test_every_query_is_right_at_scale_factor_a_hundredth(run, engine):
    counts, output = run(engine, "0.01")
    assert counts == {"passed": 22}, output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "scale"),
    [
        ("correctness", "0.01"),
        ("dask", "0.01"),
        ("dask", "0.1"),
        ("pandas", "0.1"),
        ("polars", "0.1"),
        ("duckdb", "0.1"),
        ("pyspark", "0.01"),
        ("pyspark", "0.1"),
    ],
)
def test_every_query_is_right_at_scale_factor(run, engine, scale):
    if engine == "pyspark" and (shutil.which("java") is None or importlib.util.find_spec("pyspark") is None):
        pytest.skip("needs PySpark and a Java runtime")
    counts, output = run(engine, scale)
    assert counts == {"passed": 22}, output


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_where_no_answers_are_stored_another_engine_is_asked(run, engine):
    counts, output = run(engine, "0.02")
    assert counts == {"passed": 22}, output


def test_a_query_that_is_wrong_fails(run, tmp_path):
    suite = tmp_path / "suites" / "tpch"
    shutil.copytree(SUITE, suite)
    shutil.copy(SUITE.parent / "conftest.py", suite.parent)
    for number, right, wrong in (("06", "0.07", "0.08"), ("09", "o_year DESC", "o_year"), ("22", "'13', ", "")):
        file = suite / "queries" / "sql" / f"{number}.sql"
        text = file.read_text()
        assert right in text
        file.write_text(text.replace(right, wrong))
    counts, output = run("duckdb", "0.01", suite)
    assert counts == {"passed": 19, "failed": 3}, output
    for number in ("06", "09", "22"):
        assert re.search(rf"^FAILED .*test_query_{number}", output, re.MULTILINE), output


ANSWER = [["ASIA", 1.0, 100.001], ["EUROPE", 2.0, 50.0], ["AFRICA", 3.0, 50.0]]


@pytest.mark.parametrize(
    "found",
    [
        ANSWER[:2],
        [*ANSWER, ANSWER[0]],
        [["ASIA", 1.0, 100.02], *ANSWER[1:]],
        [["ASIEN", 1.0, 100.0], *ANSWER[1:]],
        [["ASIA", None, 100.0], *ANSWER[1:]],
        [ANSWER[1], ANSWER[0], ANSWER[2]],
        [[*row, 0.0] for row in ANSWER],
    ],
    ids=["a row less", "a row twice", "two cents", "another word", "nothing", "another order", "a column more"],
)
def test_an_answer_is_wrong_with(found):
    with pytest.raises(AssertionError):
        checks.same(found, ANSWER, (2,))


def test_rows_that_the_query_leaves_unsorted_may_come_in_any_order():
    checks.same([ANSWER[0], ANSWER[2], ANSWER[1]], ANSWER, (2,))
    checks.same([[" ASIA ".strip(), 1.0, 100.0], *ANSWER[1:]], ANSWER, (2,))


@pytest.mark.slow
@pytest.mark.parametrize("factor", reference.FACTORS)
def test_stored_answers_are_those_of_duckdb(factor):
    """Those that DuckDB computes from the exact decimals, and but for free text those that it publishes."""
    pytest.importorskip("duckdb_extension_tpch", reason="needs duckdb-extension-tpch, of the version of duckdb")
    computed, published, stored = reference.computed(factor), reference.published(factor), reference.stored(factor)
    assert sorted(stored) == list(range(1, 23))
    for query, rows in stored.items():
        checks.same(checks.rows_of(computed[query]), rows, checks.SORTED_BY[query])
        if query == reference.DEPENDS_ON_TEXT or (query == 11 and factor != 1):  # its fraction follows the scale
            continue
        assert len(rows) == len(published[query])
        for row, texts in zip(rows, published[query], strict=True):
            for place, (value, text) in enumerate(zip(row, texts, strict=True)):
                if place not in reference.FREE_TEXT.get(query, ()):
                    assert checks.alike(value, of_the_kind(value, text)), (query, row, texts)


def of_the_kind(value, text):
    """What DuckDB prints, as text where the answer is one: a country's code has digits alone."""
    return text.strip() if isinstance(value, str) else float(text) if text.strip() else None


def test_stored_answers_are_those_of_the_specification():
    """Samples of what the specification prints as the answers at scale factor 1 (section 2.4), free text included."""
    stored = reference.stored(1)
    assert stored[2][0][:6] == [
        9938.53,
        "Supplier#000005359",
        "UNITED KINGDOM",
        185358,
        "Manufacturer#4",
        "QKuHYh,vZGiwu2FWEJoLDx04",
    ]
    assert stored[6] == [[pytest.approx(123141078.23, abs=0.01)]]
    assert [9, 6641] in stored[13]
    assert stored[15][0][:3] == [8449, "Supplier#000008449", "Wp34zim9qYFbVctdW"]
    assert stored[17] == [[pytest.approx(348406.05, abs=0.01)]]
    assert stored[20][0] == ["Supplier#000000020", "iybAE,RmTymrZVYaFZva2SH,j"]
