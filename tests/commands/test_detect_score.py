"""`crt detect --score`: the detector on a history's own noise."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


def test_a_score_card_says_how_far_to_trust_it(inside):
    engine = open_database(str(inside.folder / "benchmark.db"))
    for number in range(90):
        ingest(engine, histories.session("local", number, {f"t{each}": 1.0 for each in range(6)}, version="1"))
    engine.dispose()
    done = inside.run("detect", "--score", "--replay", "30", "--format", "json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)["score"]
    assert card["series"] == 6
    assert card["weeks"] == pytest.approx(30 / 7, rel=0.05)
    rows = {each["threshold"]: each for each in card["scores"]}
    assert [each["false_alarms"] for each in card["scores"]] == sorted(
        (each["false_alarms"] for each in card["scores"]), reverse=True
    )
    # noise of 1 %: a step of 10 % is found in every series as soon as it has held
    steps = {each["step"]: each for each in rows[1e-7]["steps"]}
    assert steps[0.1]["found"] == 1.0
    assert 6 <= steps[0.1]["median_delay_runs"] <= 8
    assert card["threshold"] is not None
    table = inside.run("detect", "--score", "--replay", "30")
    assert "false alarms a week" in table.stdout
    assert "--threshold" in table.stderr


def test_a_short_history_has_no_score(inside):
    engine = open_database(str(inside.folder / "short.db"))
    for number in range(10):
        ingest(engine, histories.session("local", number, {"slow": 0.002}, version="1"))
    engine.dispose()
    done = inside.run("detect", "--score", "--db", "short.db")
    assert done.returncode == 5
    assert "too few to learn their noise" in done.stderr
