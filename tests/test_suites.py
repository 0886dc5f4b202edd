import pytest

from coiled_runtime_cli import locations, suites
from coiled_runtime_cli.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "my suites"
    for path, source in {
        "benchmarks/test_parquet.py": '"""Reading and writing.\n\nMore."""\ndef test_read(): ...\ndef test_write(): ...\n',
        "benchmarks/test_array.py": "class TestSum:\n    def test_rows(self): ...\ndef helper(): ...\n",
        "stability/test_parquet.py": "def test_deadlock(): ...\n",
        "stability/deep/test_broken.py": "def test_(:\n",
    }.items():
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    suites.find.cache_clear()
    return base


def selected(folder, names=(), node_ids=(), here=None):
    found = suites.select(folder, names=names, node_ids=node_ids, here=here or folder.parent)
    return [each.removeprefix(f"{folder}/") for each in found]


def test_suites_and_tests_are_read_without_importing(folder):
    found = {each.path: each for each in suites.find(folder)}
    assert found["benchmarks/test_parquet.py"].summary == "Reading and writing."
    assert found["benchmarks/test_parquet.py"].tests == ("test_read", "test_write")
    assert found["benchmarks/test_array.py"].tests == ("TestSum::test_rows",)
    assert found["stability/deep/test_broken.py"].tests == ()


def test_a_topic_takes_every_file_of_that_name_and_a_folder_all_below_it(folder):
    assert selected(folder, ["parquet"]) == ["benchmarks/test_parquet.py", "stability/test_parquet.py"]
    assert selected(folder, ["stability"]) == ["stability/test_parquet.py", "stability/deep/test_broken.py"]
    assert selected(folder, ["array", "array"]) == ["benchmarks/test_array.py"]


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [
        ("benchmarks/test_parquet.py", ["benchmarks/test_parquet.py"]),
        ("my suites/benchmarks/test_parquet.py::test_read", ["benchmarks/test_parquet.py::test_read"]),
        ("test_array.py::TestSum::test_rows", ["benchmarks/test_array.py::TestSum::test_rows"]),
        ("test_array.py::TestSum", ["benchmarks/test_array.py::TestSum"]),
        ("test_write", ["benchmarks/test_parquet.py::test_write"]),
        ("test_write[a-1]", ["benchmarks/test_parquet.py::test_write[a-1]"]),
        ("benchmarks", ["benchmarks"]),
    ],
)
def test_a_test_is_named_by_path_or_by_its_bare_name(folder, node_id, expected):
    assert selected(folder, node_ids=[node_id]) == expected


@pytest.mark.parametrize(
    ("names", "node_ids", "message"),
    [
        (["parqet"], [], "unknown suite 'parqet': did you mean 'parquet'?"),
        ([], ["test_wirte"], "did you mean 'test_write'?"),
        ([], ["benchmarks/test_parquet.py::test_raed"], "did you mean 'test_read'?"),
        ([], ["benchmarks/test_parqet.py::test_read"], "did you mean 'benchmarks/test_parquet.py'?"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_one(folder, names, node_ids, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?").replace("[", r"\[")):
        selected(folder, names, node_ids)


def test_a_missing_folder_of_suites_is_told(tmp_path):
    suites.find.cache_clear()
    with pytest.raises(UsageError, match="no folder of suites"):
        suites.find(tmp_path / "nowhere")


def test_the_projects_own_suites_hold_the_parquet_suite():
    from coiled_runtime_cli.locations import suites_folder

    suites.find.cache_clear()
    tests = {test for each in suites.find(suites_folder()) if each.topic == "parquet" for test in each.tests}
    assert {"test_write_wide_data", "test_quickstart_parquet", "test_download_throughput"} <= tests


def test_suites_that_say_nothing_of_dask_need_pytest_alone(tmp_path):
    from coiled_runtime_cli import suites

    (tmp_path / "test_words.py").write_text("import json\n\n\ndef test_words(benchmark_time): pass\n")
    assert suites.needed(tmp_path) == ("pytest",)
    elsewhere = tmp_path / "elsewhere" / "test_work.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_text("def test_work(small_client): pass\n")
    assert suites.needed(tmp_path, [f"{elsewhere}::test_work"]) == suites.NEEDED
    (tmp_path / "test_frames.py").write_text("import dask.dataframe\n")
    assert suites.needed(tmp_path) == suites.NEEDED


def test_a_glance_finds_what_reading_finds():
    folder = locations.suites_folder()
    assert suites.glance(folder) == suites.find(folder)


def test_a_glance_at_no_folder_finds_nothing(tmp_path):
    assert suites.glance(tmp_path / "absent") == ()
