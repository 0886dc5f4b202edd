"""How long a history is searched for changes, and two weeks of it are compared; beside Apache Otava on the same numbers."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
import statistics

OTAVA = "apache-otava==0.8.0"


def test_detect(shape, history, crt, record_cost, record_metric):
    """`crt detect` of the durations of a history that it has not read before, then again."""
    folder = history(shape)
    cost = crt("detect", "--metric", "duration", folder=folder)
    record_cost(cost)
    record_metric("series", cost.told["searched"], unit="series", better="higher")
    again = crt("detect", "--metric", "duration", folder=folder)
    record_metric("elapsed_again", again.elapsed, unit="s")
    assert cost.told["searched"] == shape.tests * shape.runtimes
    assert len(again.told["regressions"]) == len(cost.told["regressions"])
    if shape.runs >= 10_000:
        assert cost.told["regressions"]


def test_detect_a_year(crt, history, shape_of, record_cost, record_metric, scale):
    """`crt detect` of all metrics of a year: 250 tests with 11 metrics each have 2,750 series of 365 runs."""
    tests, days = scale.count(smoke=10, laptop=250, full=250), scale.count(smoke=40, laptop=365, full=365)
    folder = history(shape_of(tests, days))
    cost = crt("detect", folder=folder)
    record_cost(cost)
    searched = cost.told["searched"]
    record_metric("series", searched, unit="series", better="higher")
    record_metric("elapsed_for_1000_series", 1000 * cost.elapsed / searched, unit="s")
    assert searched >= 5 * tests


def write_series(folder, series, days):
    """The same numbers as columns of a file for Otava: one series in five has a step of 20 %."""
    seeded = random.Random(0)
    names = [f"metric_{number}" for number in range(series)]
    levels = [seeded.uniform(1, 60) for _ in names]
    steps = [seeded.randrange(30, days - 10) if number % 5 == 0 else days for number in range(series)]
    rows = [
        [
            level * (1.2 if day >= step else 1) * seeded.lognormvariate(0, 0.05)
            for level, step in zip(levels, steps, strict=True)
        ]
        for day in range(days)
    ]
    with (folder / "series.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", "commit", *names])
        for day, values in enumerate(rows):
            moment = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(days=day)
            writer.writerow([moment.strftime("%Y-%m-%d %H:%M:%S"), f"commit-{day}", *values])
    lines = ["tests:", "  history:", "    type: csv", "    file: series.csv", "    time_column: time"]
    lines += ["    attributes: [commit]", "    metrics:"]
    for name in names:
        lines += [f"      {name}:", f"        column: {name}", "        direction: -1"]
    (folder / "otava.yaml").write_text("\n".join([*lines, ""]))
    return names, rows


def test_detect_beside_otava(
    tmp_path, write_session, alternate, run, crt, peer, record_cost, record_metric, record_ratio, scale
):
    """`crt detect` and `otava analyze` of the same series of a year's runs, in turn."""
    otava = peer(OTAVA)
    series, days = scale.count(smoke=20, laptop=334, full=1000), scale.count(smoke=60, laptop=365, full=365)
    names, rows = write_series(tmp_path, series, days)
    for day, values in enumerate(rows):
        write_session(tmp_path, f"day-{day:03}", 1.75e9 + 86_400 * day, dict(zip(names, values, strict=True)))
    question = ["history", "--since", "2025-12-31", "--output", "json"]
    arms = {
        "otava": lambda: run(
            [otava, "-m", "otava.main", "analyze", *question], variables={"OTAVA_CONFIG": "otava.yaml"}
        ),
        "crt": lambda: crt("detect", "--metric", "duration"),
    }
    crt("db", "query", "select count(*) as runs from test_run")  # stores what the journal holds
    rounds = scale.count(smoke=1, laptop=3, full=3)
    found = alternate(arms, rounds)
    told = found["crt"][-1].told
    assert told["searched"] == series
    if series > 100:
        assert len(told["regressions"]) > series / 10
    arms["otava"]()
    theirs = json.loads((tmp_path / "out").read_text())["history"]
    record_cost(found["crt"][-1])
    record_metric("regressions", len(told["regressions"]), unit="", better="higher")
    record_metric("changes_of_otava", sum(len(each["changes"]) for each in theirs), unit="")
    processor = {name: [each.processor for each in costs] for name, costs in found.items()}
    record_metric("processor_time_of_otava", statistics.median(processor["otava"]), unit="s")
    record_ratio("ratio_to_otava", processor["crt"], processor["otava"])


def test_compare(shape, history, crt, record_cost):
    """`crt compare` of two weeks of a history."""
    folder = history(shape)
    cost = crt("compare", "upstream,2026-11-07..2026-11-13", "upstream,2026-11-14..2026-11-20", folder=folder)
    record_cost(cost)
    assert len(cost.told["comparisons"]) == shape.tests * shape.runtimes
