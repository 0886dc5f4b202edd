"""Names, references and texts that were made to break SQL, shells, terminals or paths: they stay what they are, texts."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from coiled_runtime_cli import git
from coiled_runtime_cli.core.record import Benchmark, Run, SessionEnded, SessionStarted
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.errors import CrtError, RemoteError, ToolError, UsageError
from coiled_runtime_cli.sync.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "'; drop table run; --",
    "x' or '1'='1",
    '"; select 1; --',
    "%_\\",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "| touch pwned",
    "--upload-pack=touch pwned",
    "-x",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a b\tc",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "🚀 ünïcödé 测试",
    "x" * 5_000,
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()

    def run(*arguments: str, **options: Any) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, **options)

    run("init", "-q", "-b", "main")
    run("config", "user.name", "x\u2028y")
    run("config", "user.email", "x@localhost")
    (folder / "a").write_text("1")
    run("add", ".")
    run("commit", "-q", "-m", "first")
    for number, subject in enumerate(("form\x0cfeed \x1c \u2028 end", "carriage\rreturn", "-x $(touch pwned) `id`")):
        (folder / "a").write_text(f"{number}")
        run("commit", "-q", "-a", "-F", "-", "--cleanup=verbatim", input=subject.encode())
    return folder


@pytest.mark.parametrize(
    "reference", [*HOSTILE, "a\nb", "a\0b", "", "--help", "--output=pwned", "HEAD\n--output=pwned"]
)
def test_a_reference_that_is_an_option_or_a_command_is_a_reference_that_there_is_not(
    reference: str, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    repository = git.Repository(clone)
    before = sorted(os.listdir(clone))
    with pytest.raises((UsageError, ToolError)):
        repository.resolve(reference)
    with pytest.raises((UsageError, ToolError)):
        repository.line(reference, "HEAD")
    assert sorted(os.listdir(clone)) == before


@pytest.mark.parametrize(
    "url", ["--upload-pack=touch pwned", "ext::touch pwned", "-x", "file:///nowhere/$(touch pwned)"]
)
def test_an_address_that_is_an_option_or_a_command_does_not_answer(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RemoteError):
        git.tip(url)
    assert list(tmp_path.iterdir()) == []


def test_commits_whose_subjects_hold_what_ends_lines_elsewhere_are_read(clone: Path) -> None:
    repository = git.Repository(clone)
    found = repository.line("HEAD~3", "HEAD")
    assert len(found) == 4
    assert found[1].subject == "form\x0cfeed \x1c \u2028 end"
    assert found[2].subject.startswith("carriage")
    assert found[3].subject == "-x $(touch pwned) `id`"
    assert {each.author for each in found} == {"x\u2028y"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "benchmark.db"
    engine = open_database(str(path))
    for number, text in enumerate(HOSTILE):
        test = Benchmark(
            path="benchmarks/test_x.py", name=f"test_{number}[{text}]", originalname=f"test_{number}", source=text
        )
        session = f"s{number}"
        run = Run(
            uuid=f"u{number}",
            session=session,
            benchmark=test.id,
            source_hash=test.source_hash,
            outcome="passed",
            duration=1.0,
            failure=text,
            start=1.7e9,
        )
        ingest(
            engine,
            [
                SessionStarted(id=session, started=1.7e9 + number, label=text[:200], command=("crt", text)),
                test,
                run,
                SessionEnded(id=session, ended=1.7e9 + 60),
            ],
        )
    engine.dispose()
    return path


def count(path: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select count(*) from run").fetchone()[0])


@pytest.mark.parametrize("text", [HOSTILE[number] for number in (0, 1, 3, 8, 10, 13, -1)])
def test_a_filter_is_a_value_and_no_sql(text: str, filled: Path, inside: Any) -> None:
    for arguments in (
        ("detect", "--label", text),
        ("compare", f"label:{text}", "label:nothing of the kind"),
        ("noise", f"--db={filled}", text) if text.startswith("-") else ("noise", "--", text),
        ("report", "--summary", "markdown", "--label", text),
        ("diff", text, "u1") if not text.startswith("-") else ("diff", "--", text, "u1"),
        ("db", "prune", "--session", text, "--yes"),
    ):
        done = inside.run(*arguments, environment={"CRT_DB": str(filled)})
        assert "this is a bug" not in done.stderr, arguments
        assert "system refused" not in done.stderr, arguments
        assert done.returncode in {0, 1, 2, 5}, (arguments, done.stderr)
    assert count(filled) == len(HOSTILE)
    assert not (inside.folder / "pwned").exists()


def test_an_export_has_each_text_as_it_is_also_one_that_a_spreadsheet_would_take_for_a_formula(
    filled: Path, inside: Any
) -> None:
    """docs/reliability.md says so: what reads CSV as data gets the data, and who opens it as a spreadsheet is warned."""
    target = inside.folder / "runs.csv"
    assert inside.run("db", "export", target, "--db", filled).returncode == 0
    names = {row["name"] for row in csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"), newline=""))}
    assert names == {f"test_{number}[{text}]" for number, text in enumerate(HOSTILE)}


#: Colours of crt's own.
_OWN = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_no_control_character_of_a_text_reaches_a_terminal(form: str, filled: Path, crt: Any) -> None:
    child = pexpect.spawn(
        sys.executable,
        [
            "-m",
            "coiled_runtime_cli",
            "--color=never",
            "db",
            "query",
            "select name from test_run",
            "--format",
            form,
            "--db",
            str(filled),
        ],
        env={**crt.environment, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        cwd=str(crt.folder),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 200),
    )
    child.expect(pexpect.EOF)
    child.close()
    shown = (child.before or "").replace("\r\n", "\n")
    assert "title" in shown
    strange = re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert strange == []
    if form == "json":
        assert len(json.loads(shown)["rows"]) == len(HOSTILE)


def test_a_failure_text_with_escapes_is_shown_and_not_obeyed(crt: Any) -> None:
    crt.suite("test_red.py", "def test_red():\n    raise AssertionError('\\x1b]0;pwned\\x07\\x1b[2J')\n")
    done = crt.run("bench", "test_red.py", "--color", "never", "--no-progress")
    assert done.returncode == 1
    assert "pwned" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("bench", "test_x.py", "--label={}"),
        ("bench", "{}"),
        ("bench", "--suite={}"),
        ("bench", "--cluster={}", "test_x.py"),
        ("bench", "--scale={}"),
        ("bench", "--python={}", "test_x.py"),
        ("sync", "push", "--remote={}"),
        ("sync", "push", "--remote=s3://{}/x", "--endpoint-url=http://127.0.0.1:9"),
        ("data", "make", "{}"),
        ("ab", "run", "{}"),
        ("bisect", "--good={}", "--", "true"),
        ("build", "--set={}"),
        ("build", "{}"),
        ("--config={}", "config", "show"),
        ("db", "import", "{}"),
    ],
    ids=" ".join,
)
def test_a_text_that_a_command_cannot_take_is_one_message(command: tuple[str, ...], inside: Any) -> None:
    inside.suite("test_x.py", "def test_x(): ...\n")
    for text in (*HOSTILE, "", " ", "a\nb"):
        arguments = ["--", text] if command[-1] == "{}" and text.startswith("-") else None
        given = [*command[:-1], *arguments] if arguments else [each.replace("{}", text) for each in command]
        dry = ["--dry-run"] if command[0] == "bench" else []
        done = inside.run(given[0], *dry, *given[1:], environment={"AWS_EC2_METADATA_DISABLED": "true"})
        for word in ("this is a bug", "system refused", "Traceback"):
            assert word not in done.stderr, (text, done.stderr)
        assert done.returncode in {0, 1, 2, 3, 4, 5}, text
        assert "\x1b[31m" not in done.stdout + done.stderr
        assert not list(inside.folder.rglob("pwned")), text


@pytest.mark.parametrize("key", ["../../x", "/etc/passwd", "a\0b", "segments/v1/../../../x", "", "x" * 5_000])
def test_a_key_of_the_shared_history_never_leaves_its_folder(key: str, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "remote"
    root.mkdir(parents=True)
    store = open_store(str(root))
    for act in (lambda: store.put(key, b"pwned"), lambda: store.get(key, limit=10), lambda: store.delete(key)):
        with pytest.raises((CrtError, ValueError)):
            act()
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
