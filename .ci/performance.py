"""Write the figures of docs/performance.md from the rows of the suite that measures crt.

    python .ci/performance.py --measure              crt bench --suite toolkit --scale full, then write
    python .ci/performance.py --db toolkit.db        write what a database has, of each test the newest run that passed

What stands outside of the marks, the reasons for a budget that is missed above all, is written by hand and kept.
"""

from __future__ import annotations

import argparse
import json
import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- written by .ci/performance.py: begin -->", "<!-- written by .ci/performance.py: end -->"
LENGTHS = {"1e3": 1e3, "1e4": 1e4, "1e5": 1e5, "1e6": 1e6}
ON_PAPER = 1e8
GIB = 2**30


@dataclass(frozen=True)
class Row:
    """The newest run of a test that passed: its duration (s), its peak memory (bytes) and its metrics by name, in base units."""

    duration: float
    memory: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Budget:
    """What is promised: the test and the figures that say whether it is kept.

    ``sized``: it is promised of the size that the full scale has.
    """

    what: str
    test: str
    promised: str
    told: Callable[[Row], str]
    kept: Callable[[Row], bool]
    sized: bool = False

    def cells(self, row: Row | None, scale: str) -> str:
        """What was measured, and whether that keeps the promise."""
        if row is None:
            return "not measured | "
        if self.sized and scale != "full":
            return f"{self.told(row)} | of another size"
        return f"{self.told(row)} | {'kept' if self.kept(row) else '**missed**'}"


def rows(database: Path) -> tuple[dict[str, Row], dict[str, object]]:
    """Rows by the name of the test with its parameters, and where they were measured."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        newest: dict[str, sqlite3.Row] = {}
        last = None
        for row in connection.execute(
            "select t.name, t.uuid, t.duration, t.peak_memory, t.session_id, t.python_version, t.start from test_run t "
            "join session s on s.id = t.session_id "
            "where t.path like 'toolkit/%' and t.call_outcome = 'passed' order by s.started, t.start"
        ):
            newest[row["name"]] = last = row
        if last is None:
            raise SystemExit(
                f"{database} has no run of suites/toolkit: crt bench --suite toolkit --scale full --db {database}"
            )
        found = {}
        for name, row in newest.items():
            metrics = connection.execute(
                "select i.name, m.value from metric m join metric_info i on i.key = m.metric_info_key "
                "join run r on r.key = m.run_key where r.uuid = ?",
                (row["uuid"],),
            )
            found[name] = Row(row["duration"], row["peak_memory"], dict(metrics.fetchall()))
        session = dict(connection.execute("select * from session where id = ?", (last["session_id"],)).fetchone())
        return found, {**session, "python": last["python_version"]}


def seconds(value: float) -> str:
    """A time with the digits that matter."""
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 0.1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(value: float) -> str:
    for unit, factor in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def part_of(ratio: float) -> str:
    return f"1/{1 / ratio:.3g}" if ratio < 0.1 else f"{ratio:.2g}"


def told_of_sampling(row: Row) -> str:
    on, control = (
        f"{row.metrics[f'ratio_{name}']:.3f} [{row.metrics[f'ratio_{name}_low']:.3f}, {row.metrics[f'ratio_{name}_high']:.3f}]"
        for name in ("on", "control")
    )
    return f"on/off {on}, off/off {control}"


BUDGETS = [
    *(
        Budget(
            f"`crt {command} --help`".replace("  ", " "),
            f"test_help[{command or 'crt'}]",
            "10 times a bare interpreter's processor time",
            lambda row: (
                f"{row.metrics['ratio_to_interpreter']:.1f} times ({seconds(row.metrics['least_processor_time'])})"
            ),
            lambda row: row.metrics["ratio_to_interpreter"] <= 10,
        )
        for command in ("", "bench", "db", "config show", "bisect")
    ),
    *(
        Budget(
            f"{what} completed in bash",
            f"test_completion[{what}]",
            "200 ms of processor time",
            lambda row: seconds(row.metrics["least_processor_time"]),
            lambda row: row.metrics["least_processor_time"] <= 0.2,
        )
        for what in ("suites", "tests", "labels")
    ),
    Budget(
        "the plugin, a test that it times, over the plugin off",
        "test_cost[timed]",
        "1 ms",
        lambda row: f"{seconds(row.metrics['on_per_test'])} (control {seconds(abs(row.metrics['control_per_test']))})",
        lambda row: row.metrics["on_per_test"] <= 1e-3,
        sized=True,
    ),
    Budget(
        "the plugin, a session",
        "test_cost[unmeasured]",
        "0.15 s",
        lambda row: f"{seconds(max(0.0, row.metrics['on_per_session']))}",
        lambda row: row.metrics["on_per_session"] <= 0.15,
        sized=True,
    ),
    Budget(
        "the plugin when it is off, a test",
        "test_cost[unmeasured]",
        "not measurable",
        lambda row: (
            f"{row.metrics['off_per_test'] * 1e6:+.0f} µs (control {row.metrics['control_per_test'] * 1e6:+.0f} µs)"
        ),
        lambda row: row.metrics["off_per_test"] <= max(5e-5, 2 * abs(row.metrics["control_per_test"])),
        sized=True,
    ),
    Budget(
        "memory, tasks and scheduler measured, 10,000 tasks",
        "test_graph",
        "no slow-down that the control cannot explain",
        told_of_sampling,
        lambda row: row.metrics["ratio_on_low"] <= max(1.0, row.metrics["ratio_control_high"]),
        sized=True,
    ),
    Budget(
        "`crt report`, 1,000,000 runs",
        "test_build[1e6]",
        "60 s, 1.5 GiB",
        lambda row: f"{seconds(row.duration)}, {size(row.memory)}",
        lambda row: row.duration <= 60 and row.memory <= 1.5 * GIB,
    ),
    Budget(
        "`crt report` with nothing new, 1,000,000 runs",
        "test_build_of_nothing_new[1e6]",
        "5 s",
        lambda row: seconds(row.duration),
        lambda row: row.duration <= 5,
    ),
    Budget(
        "`crt report`, 273,750 runs",
        "test_build_of_a_year",
        "a 30th of the predecessor's processor time",
        lambda row: f"{part_of(row.metrics['ratio_to_predecessor'])} of it ({seconds(row.metrics['processor_time'])})",
        lambda row: row.metrics["ratio_to_predecessor"] <= 1 / 30,
        sized=True,
    ),
    Budget(
        "`crt report`, 250 series of 365 runs",
        "test_build_beside_asv_publish",
        "a third of the processor time of `asv publish`",
        lambda row: f"{row.metrics['processor_ratio_to_asv']:.2f} of it ({seconds(row.metrics['processor_time'])})",
        lambda row: row.metrics["processor_ratio_to_asv"] <= 1 / 3,
        sized=True,
    ),
    Budget(
        "first paint of the index, from the disk",
        "test_first_paint",
        "1 s, no request",
        lambda row: f"{seconds(row.metrics['first_paint'])}, none",
        lambda row: row.metrics["first_paint"] <= 1,
        sized=True,
    ),
    Budget(
        "`crt detect`, 1,000 series of 365 runs",
        "test_detect_beside_otava",
        "4 s",
        lambda row: seconds(row.duration),
        lambda row: row.duration <= 4,
        sized=True,
    ),
    Budget(
        "`crt sync push` of a session into 1,000,000 runs",
        "test_push_of_a_session[1e6]",
        "1 % of the file's bytes",
        lambda row: f"{row.metrics['share_of_the_file']:.2%} ({size(row.metrics['transferred'])})",
        lambda row: row.metrics["share_of_the_file"] < 0.01,
    ),
    Budget(
        "`crt sync pull` of nothing new, 1,000,000 runs",
        "test_pull[1e6]",
        "3 requests",
        lambda row: f"{row.metrics['requests_of_nothing_new']:.0f} requests",
        lambda row: row.metrics["requests_of_nothing_new"] <= 3,
    ),
    Budget(
        "`crt bisect`, 128 commits, noise 5 %, a change of 20 % (simulated)",
        "test_search",
        "99 % right, 20 runs at the median",
        lambda row: f"{row.metrics['right']:.1%}, {row.metrics['runs']:.0f} runs",
        lambda row: row.metrics["right"] >= 0.99 and row.metrics["runs"] <= 20,
        sized=True,
    ),
    Budget(
        "another commit of pure Python, importable",
        "test_switch",
        "0.1 s",
        lambda row: seconds(row.metrics["switch"]),
        lambda row: row.metrics["switch"] <= 0.1,
    ),
]

INSTALLERS = {"uv": "`uv pip install` of it", "fresh": "a fresh environment by uv", "pip": "`pip install` of it"}


@dataclass(frozen=True)
class Peer:
    """What a user would pick instead, and what either takes: seconds, or what ``shown`` makes a text of."""

    what: str
    test: str
    beside: str
    ours: Callable[[Row], float]
    theirs: Callable[[Row], float]
    shown: Callable[[float], str] = seconds


PEERS = [
    Peer(
        "help",
        "test_help_beside_asv",
        "`asv --help` (asv 0.6.6)",
        lambda row: row.metrics["ratio_to_asv"] * row.metrics["processor_time_of_asv"],
        lambda row: row.metrics["processor_time_of_asv"],
    ),
    Peer(
        "a test timed once, over pytest without the plugin",
        "test_cost_beside_pytest_benchmark",
        "pytest-benchmark 5.3.1, pedantic, one round",
        lambda row: row.metrics["per_test"],
        lambda row: row.metrics["per_test_of_pytest_benchmark"],
    ),
    Peer(
        "a site of 250 series of 365 runs",
        "test_build_beside_asv_publish",
        "`asv publish` (asv 0.6.6)",
        lambda row: row.metrics["ratio_to_asv"] * row.metrics["elapsed_of_asv"],
        lambda row: row.metrics["elapsed_of_asv"],
    ),
    Peer(
        "changes in 1,000 series of 365 runs (processor time)",
        "test_detect_beside_otava",
        "`otava analyze` (apache-otava 0.8.0)",
        lambda row: row.metrics["ratio_to_otava"] * row.metrics["processor_time_of_otava"],
        lambda row: row.metrics["processor_time_of_otava"],
    ),
    Peer(
        "a session shared, 1,000,000 runs (bytes)",
        "test_push_of_a_session[1e6]",
        "a copy of the whole file",
        lambda row: row.metrics["transferred"],
        lambda row: row.metrics["transferred"] / row.metrics["share_of_the_file"],
        size,
    ),
    Peer(
        "a session shared, 1,000,000 runs (time, a local disk)",
        "test_push_of_a_session[1e6]",
        "a copy of the whole file",
        lambda row: row.duration,
        lambda row: row.metrics["elapsed_of_a_copy"],
    ),
    *(
        Peer(
            "another commit made importable",
            "test_switch_beside_installing",
            beside,
            lambda row: row.metrics["switch_by_crt"],
            lambda row, name=name: row.metrics[f"switch_by_{name}"],
        )
        for name, beside in INSTALLERS.items()
    ),
]

#: What grows with a history.
GROWING = {
    "test_import": "`crt db import` of the predecessor's database",
    "test_store_a_session": "a session of 250 runs stored",
    "test_merge": "`crt db merge`, nothing new",
    "test_build": "`crt report`, first",
    "test_build_of_nothing_new": "`crt report`, nothing new",
    "test_build_of_a_session_more": "`crt report`, a session more",
    "test_detect": "`crt detect --metric duration`",
    "test_compare": "`crt compare`, a week with the next",
    "test_push_of_everything": "`crt sync push` of everything",
    "test_push_of_a_session": "`crt sync push` of a session",
    "test_push_of_nothing_new": "`crt sync push`, nothing new",
    "test_pull": "`crt sync pull` of everything",
    "test_publish": "`crt sync publish`",
}


def budgets(found: dict[str, Row], scale: str) -> list[str]:
    told = (f"| {each.what} | {each.promised} | {each.cells(found.get(each.test), scale)} |" for each in BUDGETS)
    return ["| what | budget | measured | |", "|---|---|---|---|", *told]


def peers(found: dict[str, Row]) -> list[str]:
    lines = ["| what | crt | beside it | | crt takes |", "|---|---|---|---|---|"]
    for each in PEERS:
        if each.test in found:
            ours, theirs = each.ours(found[each.test]), each.theirs(found[each.test])
            texts = f"{each.shown(ours)} | {each.beside} | {each.shown(theirs)}"
            lines.append(f"| {each.what} | {texts} | {ours / theirs:.2g} of it |")
    return lines


def growth(found: dict[str, Row]) -> list[str]:
    """Processor time by the length of a history, and what the slope of the last decade says of a longer one."""
    lengths = [name for name in LENGTHS if any(f"{test}[{name}]" in found for test in GROWING)]
    lines = [f"| runs | {' | '.join(lengths)} | grows as | 1e8, on paper |", "|---|" + "---|" * (len(lengths) + 2)]
    for test, title in GROWING.items():
        rows = {name: found[f"{test}[{name}]"] for name in lengths if f"{test}[{name}]" in found}
        have = {name: row.metrics["processor_time"] for name, row in rows.items()}
        cells = [seconds(have[name]) if name in have else "" for name in lengths]
        power = paper = ""
        if len(have) > 1:
            (few, before), (many, after) = list(have.items())[-2:]
            slope = math.log(after / before) / math.log(LENGTHS[many] / LENGTHS[few])
            # a cost that is there without any run hides the slope of few of them: the line through both is for the paper
            rise = max(0.0, (after - before) / (LENGTHS[many] - LENGTHS[few]))
            power, paper = f"n^{max(0.0, slope):.2f}", seconds(after + rise * (ON_PAPER - LENGTHS[many]))
        lines.append(f"| {title} | {' | '.join(cells)} | {power} | {paper} |")
    memory = [name for name in lengths if f"test_build[{name}]" in found]
    cells = [size(found[f"test_build[{name}]"].memory) if name in memory else "" for name in lengths]
    return [*lines, f"| memory of `crt report`, first | {' | '.join(cells)} | | |"]


def written(database: Path) -> str:
    found, session = rows(database)
    host = json.loads(str(session["host"] or "{}"))
    facts = [host.get("cpu_model"), f"{host['cores']} cores" if host.get("cores") else None]
    facts += [f"{host['memory'] / GIB:.0f} GiB" if host.get("memory") else None, host.get("system")]
    facts += [f"Python {str(session['python']).partition('.final')[0]}", f"crt {session['crt_version']}"]
    day = str(session["started"])[:10]
    parts = [
        f"Measured on {day} at scale {session['scale']}: {', '.join(each for each in facts if each)}.",
        "\n".join(budgets(found, str(session["scale"]))),
        "## Beside what you would use instead",
        "\n".join(peers(found)),
        "## As a history grows",
        "Seconds of processor, start-up included; a machine that does nothing else takes about as long.",
        "\n".join(growth(found)),
    ]
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has no marks to write between")
    text = "\n\n".join(parts)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, default=Path("toolkit.db"))
    parser.add_argument("--measure", action="store_true", help="measure first, at --scale")
    parser.add_argument("--scale", default="full")
    parser.add_argument("--show", action="store_true", help="print the page, and write nothing")
    given = parser.parse_args()
    if given.measure:
        command = [sys.executable, "-m", "coiled_runtime_cli", "bench", "--suite", "toolkit", "--scale", given.scale]
        done = subprocess.run([*command, "--db", str(given.db)])
        if done.returncode not in (0, 1):
            sys.exit(done.returncode)
    text = written(given.db)
    if given.show:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
