from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from coiled_runtime_cli import console
from coiled_runtime_cli.console import live, streams
from coiled_runtime_cli.core.table import Column, Table
from coiled_runtime_cli.errors import UsageError

LONG = "benchmarks/test_parquet.py::test_write_wide_data[tasks-1]"
TABLE = Table(
    (
        Column("test"),
        Column("outcome"),
        Column("wall time", "right"),
        Column("average memory", "right", drop=2),
        Column("peak memory", "right", drop=1),
        Column("transfer", "right", drop=3),
        Column("change"),
    ),
    (
        (LONG, "passed", "12.3 s", "1.12 GiB", "2.22 GiB", "1.22 s", "1.04x [0.99, 1.10]"),
        ("test_[red]x[/red] :smile:", "failed", "", "", "", "", "new"),
    ),
    ((None, "good", None, None, None, None, "dim"), (None, "bad", None, None, None, None, None)),
    "2 runs",
)
#: The code under test is this one, wherever the tests were started.
CHECKOUT = str(Path(__file__).parents[1])
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(autouse=True)
def plain_settings() -> None:
    console.configure()


def run_in_terminal(
    body: str, *, columns: int = 80, environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    """What a terminal of this width receives from a script that has ``console`` and ``TABLE`` in reach."""
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_console import *\n{body}\n"
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": CHECKOUT,
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
        **(environment or {}),
    }
    child = pexpect.spawn(
        sys.executable,
        ["-c", script],
        dimensions=(24, columns),
        env=environ,  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=30,
        cwd=folder,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return (child.before or "").replace("\r\n", "\n")


def test_into_a_pipe_a_table_is_whole_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_table(TABLE)
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "test"
    assert all(cell in lines[2] for cell in TABLE.rows[0])
    assert "test_[red]x[/red] :smile:" in lines[3]
    assert lines[-1] == "2 runs"
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_in_a_terminal_no_line_is_wider_than_the_window(columns: int) -> None:
    out = ESCAPE.sub("", run_in_terminal("console.show_table(TABLE)", columns=columns)).split("hint:")[0]
    assert max(len(line) for line in out.splitlines()) <= columns
    together = "".join(out.split())
    assert "test_[red]x[/red]" in together
    assert "passed" in together


def test_at_80_columns_names_are_folded_at_a_separator_and_what_went_is_named() -> None:
    out = ESCAPE.sub("", run_in_terminal("console.show_table(TABLE)", columns=80))
    assert re.search(r"^benchmarks/test_parquet\.py::(test_)?\s+passed .*1\.04x \[0\.99, 1\.10\]$", out, re.MULTILINE)
    assert "hint: the window is too narrow for average memory, transfer: widen it" in out


def test_at_40_columns_each_cell_has_its_line() -> None:
    narrow = run_in_terminal("console.configure(columns=30)\nconsole.show_table(TABLE)")
    assert re.search(r"^wall time       12\.3 s$", ESCAPE.sub("", narrow), re.MULTILINE)


def test_colours_are_for_terminals_and_can_be_forced_or_forbidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[32mpassed" in run_in_terminal("console.show_table(TABLE)", columns=200)
    assert "\x1b" not in run_in_terminal("console.configure(color='never')\nconsole.show_table(TABLE)", columns=200)
    console.configure(color="always")
    console.show_table(TABLE)
    console.warning("w")
    out, err = capsys.readouterr()
    assert "\x1b[1;31mfailed" in out
    assert "\x1b[33mwarning:" in err


def test_an_encoding_without_lines_gets_ascii() -> None:
    code = "from test_console import *; console.configure(); console.show_table(TABLE); console.result('\\u00b5')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=Path(__file__).parent,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin", "PYTHONPATH": CHECKOUT},
    )
    assert done.stderr == b""
    assert b"-----" in done.stdout
    assert done.stdout.endswith(b"\\xb5\n")


@pytest.mark.parametrize("form", ["markdown", "github"])
def test_markdown_is_for_github_too(capsys: pytest.CaptureFixture[str], form: str) -> None:
    console.show_table(TABLE, form)
    assert capsys.readouterr().out.startswith("| test | outcome | wall time |")


def test_csv_is_nothing_but_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_table(TABLE, "csv")
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{LONG},passed,12.3 s,")


def test_json_is_one_document_with_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"runs": []})
    assert capsys.readouterr().out == '{\n  "schema": 1,\n  "runs": []\n}\n'
    console.show_json({"b": 1, "schema": 2, "a": None})
    assert list(json.loads(capsys.readouterr().out).items()) == [("schema", 2), ("b", 1), ("a", None)]
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.show_json({"value": float("nan")})


def test_only_results_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(verbose=True)
    console.result("the result")
    console.note("a note")
    console.verbose("a detail")
    console.warning("a warning")
    console.hint("a hint")
    console.error(UsageError("an error", hint="a way out"))
    out, err = capsys.readouterr()
    assert out == "the result\n"
    assert err == "a note\na detail\nwarning: a warning\nhint: a hint\nerror: an error\nhint: a way out\n"


def test_quiet_leaves_results_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(quiet=True, verbose=True)
    for write in (console.result, console.note, console.verbose, console.warning, console.hint):
        write(write.__name__)
    with console.progress(2) as bar:
        bar.update(1)
        bar.log("log")
    console.error(UsageError("an error", hint="a way out"))
    assert capsys.readouterr() == ("result\n", "warning: warning\nerror: an error\nhint: a way out\n")


def test_control_characters_in_user_text_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("label \x1b[2J\x07 \u202e \x9b tab\there\nnext \udcff")
    assert capsys.readouterr().err == "label \\x1b[2J\\x07 \\u202e \\x9b tab\there\nnext \\udcff\n"
    assert console.printable("a\nb\tc") == "a\\nb\\tc"


def test_names_that_are_no_text_are_still_valid_json() -> None:
    code = "from test_console import *; console.configure(); console.show_json({'name': '\\u00b5\\udc80'})"
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent,
            env={"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin", "PYTHONPATH": CHECKOUT},
        )
        assert json.loads(done.stdout)["name"] == "\u00b5\udc80"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "_clock", clock)
    return clock


def test_without_a_terminal_progress_is_a_line_every_few_seconds(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with console.progress(12) as bar:
        for done in range(13):
            bar.update(done, text=f"test_{done}")
            clock.now += 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "[0/12] test_0  elapsed 0:00",
        "[3/12] test_3  elapsed 0:06  left about 0:18",
        "[6/12] test_6  elapsed 0:12  left about 0:12",
        "[9/12] test_9  elapsed 0:18  left about 0:06",
        "[12/12] test_12  elapsed 0:24",
    ]


def test_progress_without_a_total_and_in_bytes(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with console.progress(None, "generating") as bar:
        bar.update(3, text="part [red]3\x1b")
        clock.now += 60
        bar.update(5e8, total=2e9)
    assert capsys.readouterr().err.splitlines() == [
        "generating part [red]3\\x1b  elapsed 0:00",
        "generating [25%]  elapsed 1:00  left about 3:00",
    ]


def test_no_progress_silences_the_lines_but_not_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(progress=False)
    with console.progress(2) as bar:
        bar.update(2)
        bar.log("a test failed")
    assert capsys.readouterr().err == "a test failed\n"


LIVE = """
import time
with console.progress(4, "bench") as bar:
    bar.update(1, text="test_[red]one")
    bar.log("test_zero failed [bold]here")
    console.note("a note")
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        time.sleep(0.05)
console.result("done")
"""


def test_in_a_terminal_a_live_bar_comes_and_goes() -> None:
    out = run_in_terminal(LIVE)
    assert "\x1b[?25l" in out
    assert out.rindex("\x1b[?25h") > out.rindex("\x1b[?25l")
    plain = ESCAPE.sub("", out)
    assert "bench [1/4] \u2588\u2588\u2588\u2588\u2588" in plain
    assert "test_[red]one" in plain
    assert "test_zero failed [bold]here\n" in plain
    assert "a note\n" in plain
    assert plain.rstrip().endswith("done")


def test_a_dumb_terminal_gets_lines() -> None:
    out = run_in_terminal(LIVE, environment={"TERM": "dumb"})
    assert "\x1b" not in out
    assert "bench [1/4] test_[red]one  elapsed 0:00" in out


def test_a_live_bar_follows_the_window_and_gives_the_cursor_back_after_an_interrupt() -> None:
    body = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from test_console import console\n"
        "try:\n"
        "    with console.progress(4, 'bench') as bar:\n"
        "        bar.update(1, text='x' * 300)\n"
        "        while True: time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n"
        "    console.warning('interrupted')\n"
    )
    child = pexpect.spawn(
        sys.executable,
        ["-c", body, str(Path(__file__).parent)],
        dimensions=(24, 120),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": CHECKOUT, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=30,
    )
    child.expect("bench ")
    child.setwinsize(24, 50)
    child.expect(r"bench \[1/4\]  elapsed \d+:\d\d  left about \d+:\d\d  x+\u2026")
    assert len(child.match.group(0)) == 49
    child.sendintr()
    child.expect(pexpect.EOF)
    last = child.before or ""
    assert "warning: interrupted" in ESCAPE.sub("", last)
    assert "\x1b[?25h" in last
    assert "\x1b[?25l" not in last


def test_rich_is_not_imported_for_messages_and_plain_forms() -> None:
    code = (
        "from test_console import console, TABLE; import sys\n"
        "console.note('n'); console.show_table(TABLE, 'csv'); console.show_json({})\n"
        "with console.progress(1) as bar: bar.update(1)\n"
        "sys.exit('rich' in sys.modules)"
    )
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": CHECKOUT}
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parent, env=environ
    )


def test_a_hint_is_broken_between_words_and_what_is_laid_out_is_not(monkeypatch, capsys):
    monkeypatch.setattr(streams, "width", lambda *_: 30)
    console.hint("repeat until each mean is known: the same command with --repeat auto")
    console.warning("it does not import:\n    a line of code that is laid out and longer than that")
    lines = capsys.readouterr().err.splitlines()
    assert " ".join(lines[:3]) == "hint: repeat until each mean is known: the same command with --repeat auto"
    assert all(len(line) <= 30 for line in lines[:3])
    assert lines[-1] == "    a line of code that is laid out and longer than that"
