"""`crt ab run` as a user types it: real sessions in this interpreter, whose arms differ by a configuration that slows a test."""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from timed_arms import SUITE, labels


@pytest.fixture
def ab(inside):
    """An experiment of two arms, `newer` three times as slow."""
    inside.suite("test_timed.py", SUITE)
    folder = inside.folder / "my arms"
    folder.mkdir()
    here = json.dumps(sys.executable)
    (folder / "baseline.toml").write_text(f"interpreter = {here}\n")
    (folder / "newer.toml").write_text(f"interpreter = {here}\n[config]\nab.factor = 3.0\n")
    (folder / "experiment.toml").write_text('suites = ["timed"]\nblocks = 2\nseed = 7\n')
    inside.arms = folder
    return inside


@pytest.mark.slow
@pytest.mark.alone
def test_a_slower_arm_is_told_from_the_baseline_and_the_null_arm_is_the_baseline_again(ab):
    done = ab.run("ab", "run", "my arms", "--blocks", "3", "--format", "json", "--fail-on", "10%")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    newer, null = (
        {each["benchmark"].rpartition("::")[2]: each for each in arm["comparisons"]}
        for arm in (found["arms"][0], found["null"])
    )
    assert newer["test_slowed"]["verdict"] == "worse"
    # sizes, not verdicts: of three tests that do not differ, one is called changed in one experiment of twenty, by intent
    assert 2 < newer["test_slowed"]["ratio"] < 4
    for same in (newer["test_steady"], null["test_steady"], null["test_slowed"]):
        assert 0.6 < same["ratio"] < 1.7
    assert found["null"]["tests"] == len(null) == 3
    assert found["null"]["false_verdicts"] == sum(each["verdict"] in {"worse", "better"} for each in null.values())
    assert found["blocks"] == 3
    assert labels(ab) == {"AB_baseline": 9, "AB_null": 9, "AB_newer": 9}
    assert "crt-runs" not in [each.name for each in ab.folder.iterdir() if any(each.glob("*"))]
    # each block was every arm once, in an order of its own, and so they ran
    record = json.loads((ab.arms / ".crt-ab" / "record.json").read_text())
    blocks = [[each["arm"] for each in record["cells"] if each["block"] == block] for block in range(3)]
    assert all(sorted(each) == ["baseline", "newer", "null"] for each in blocks)
    assert len({tuple(each) for each in blocks}) > 1
    assert record["ended"]
    assert [each for (each,) in ab.rows("select label from session order by started")] == [
        f"AB_{name}" for each in blocks for name in each
    ]
    # what was stored can be compared later, as any two labels
    later = ab.run("compare", "AB_baseline", "AB_newer", "--format", "json")
    assert later.returncode == 0, later.stderr
    ratios = {each["benchmark"]: each["ratio"] for each in json.loads(later.stdout)["comparisons"]}
    assert 2 < ratios["test_timed.py::test_slowed"] < 4
    # and is no change of any runtime
    detected = ab.run("detect")
    assert detected.returncode == 3
    assert "nothing was measured" in detected.stderr


def test_configuration_keeps_its_types_and_nests(ab):
    (ab.arms / "newer.toml").write_text(
        f"interpreter = {json.dumps(sys.executable)}\n"
        '[config]\nab.list = [1, 2]\nab.none = {}\nab.text = "a b"\n[config.ab.deep]\nflag = false\nshare = 0.5\n'
    )
    ab.suite(
        "test_timed.py",
        """
        import dask.config

        def test_config():
            found = dask.config.get("ab", None)
            assert found is None or found == {
                "list": [1, 2], "none": {}, "text": "a b", "deep": {"flag": False, "share": 0.5}
            }
        """,
    )
    done = ab.run("ab", "run", "my arms", "--blocks", "1", "--format", "json")
    assert json.loads(done.stdout)["arms"][0]["failures"] == []


@pytest.mark.slow
def test_a_test_that_fails_in_one_arm_only_is_a_finding(ab):
    (ab.arms / "newer.toml").write_text(f"interpreter = {json.dumps(sys.executable)}\n[config]\nab.broken = true\n")
    done = ab.run("ab", "run", "my arms", "--fail-on", "10%")
    assert done.returncode == 1
    assert "test_breaks: fails now (0 of 2 failed, then 2 of 2" in done.stderr


def test_arms_in_which_nothing_passes_are_no_success(ab):
    ab.suite("test_timed.py", "def test_x():\n    raise AssertionError('never')\n")
    done = ab.run("ab", "run", "my arms", "--blocks", "1")
    assert done.returncode == 3
    assert "nothing to compare" in done.stderr


@pytest.mark.slow
def test_one_block_is_inconclusive(ab):
    done = ab.run("ab", "run", "my arms", "--max-time", "1s")
    assert done.returncode == 5
    assert "the time was up after 1 of 2 blocks" in done.stderr
    assert "--blocks 5" in done.stderr
    assert "too few runs" in done.stdout


@pytest.mark.slow
def test_a_crash_costs_one_round_and_the_same_command_goes_on(ab):
    process = ab.start("ab", "run", "my arms", "--no-progress", start_new_session=True)
    record = ab.arms / ".crt-ab" / "record.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        cells = json.loads(record.read_text())["cells"] if record.exists() else []
        if sum(each["done"] for each in cells) >= 3 and not cells[-1]["done"]:
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = json.loads(record.read_text())["cells"]
    done = ab.run("ab", "run", "my arms")
    assert done.returncode == 0, done.stderr
    assert "test_slowed" in done.stdout
    assert "2 blocks" in done.stderr
    assert "null arm: 0 of 3 comparisons" in done.stderr
    assert f"{sum(each['done'] for each in before)} of 6 rounds are done" in done.stderr
    after = json.loads(record.read_text())["cells"]
    assert after[: len(before) - 1] == before[:-1]
    finished = Counter((each["arm"], each["block"]) for each in after if each["done"])
    assert set(finished.values()) == {1}
    assert len(finished) == 6
    assert len(after) <= 7
    assert all(count >= 6 for count in labels(ab).values())


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(ab):
    process = ab.start("ab", "run", "my arms", "--no-progress", start_new_session=True)
    record = ab.arms / ".crt-ab" / "record.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        cells = json.loads(record.read_text())["cells"] if record.exists() else []
        if sum(each["done"] for each in cells) >= 2:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert sum(labels(ab).values()) >= 6


def test_a_test_that_ctrl_c_cuts_short_is_no_run_that_the_next_command_recovers(ab):
    ab.suite("test_timed.py", "import time\n\n\ndef test_long():\n    time.sleep(600)\n")
    process = ab.start("ab", "run", "my arms", "--no-progress", start_new_session=True)
    deadline = time.monotonic() + 120
    while '"type":"started"' not in "".join(each.read_text() for each in ab.folder.glob("crt-runs/*/*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "recovered" not in ab.run("db", "current").stderr
    assert labels(ab) == {}


@pytest.mark.slow
def test_an_experiment_that_has_changed_is_not_gone_on_with(ab):
    process = ab.start("ab", "run", "my arms", "--no-progress", start_new_session=True)
    record = ab.arms / ".crt-ab" / "record.json"
    while not record.exists() or not json.loads(record.read_text())["cells"]:
        time.sleep(0.05)
    assert "another crt is running" in ab.run("ab", "run", "my arms").stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (ab.arms / "newer.toml").write_text(f"interpreter = {json.dumps(sys.executable)}\n[config]\nab.factor = 2.0\n")
    done = ab.run("ab", "run", "my arms")
    assert done.returncode == 2
    assert "--restart begins anew" in done.stderr
    assert ab.run("ab", "run", "my arms", "--restart", "--blocks", "1").returncode == 5


def test_arms_run_beside_each_other_where_asked(ab):
    done = ab.run("ab", "run", "my arms", "--parallel", "3", "--blocks", "1")
    assert done.returncode == 5, done.stderr
    assert "disturb each other" in done.stderr
    assert labels(ab) == {"AB_baseline": 3, "AB_null": 3, "AB_newer": 3}


def test_a_plan_names_arms_rounds_and_after_a_run_how_long(ab):
    first = ab.run("ab", "run", "my arms", "--dry-run")
    assert first.returncode == 0, first.stderr
    assert "6 rounds of 3 test functions" in first.stderr
    assert "not known" in first.stderr
    assert not (ab.folder / "benchmark.db").exists()
    assert not (ab.arms / ".crt-ab").exists()
    ab.run("bench", "--suite", "timed")
    plan = ab.json("ab", "run", "my arms", "--dry-run", "--blocks", "10", "--format", "json")["plan"]
    assert plan["rounds"] == 30
    assert plan["looks"] == [5, 8, 10]
    assert 3 < plan["seconds"] < 600


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "has no arms"),
        ({"baseline.toml": ""}, "one arm only"),
        ({"newer.toml": "", "older.toml": ""}, "no arm is named 'baseline'"),
        ({"baseline.toml": "", "newer.toml": "package = []"}, "did you mean 'packages'"),
        ({"baseline.toml": "", "newer.toml": "packages = ["}, "is not valid TOML"),
        ({"baseline.toml": "", "x.toml": "", "experiment.toml": "block = 3"}, "did you mean 'blocks'"),
        ({"baseline.toml": "", "x.toml": "", "experiment.toml": 'suites = ["timde"]'}, "did you mean 'timed'"),
        ({"baseline.toml": "", "x.toml": "", "experiment.toml": 'scale = "smal"'}, "smal"),
        ({"baseline.toml": "", "x.toml": 'interpreter = "no/python"'}, "no such file"),
        ({"baseline.toml": "", "AB_x.conda.yaml": ""}, "keep one kind"),
        ({"AB_baseline.conda.yaml": "", "AB_x.conda.yaml": ""}, "has no AB_baseline.dask.yaml"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is_built(inside, files, told):
    inside.suite("test_timed.py", SUITE)
    folder = inside.folder / "arms"
    folder.mkdir()
    here = f"interpreter = {json.dumps(sys.executable)}\n"
    for name, content in files.items():
        plain = name.endswith(".toml") and name != "experiment.toml" and not content
        (folder / name).write_text(here if plain else content)
    done = inside.run("ab", "run", "arms")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (inside.folder / "benchmark.db").exists()


def test_a_folder_that_is_not_there_is_told_with_what_makes_one(inside):
    done = inside.run("ab", "run", "arsm")
    assert done.returncode == 2
    assert "crt ab init arsm" in done.stderr
