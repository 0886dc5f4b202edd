"""docs/own-library.md is what happens: its files are written and its commands typed, in a repository of its own."""

import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-library.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
#: What each command of crt in the table of further ones begins with.
FURTHER = re.findall(r"^\| .*\| `(crt [^`]+)` \|$", PAGE, flags=re.MULTILINE)

INSTALLS_CRT = "python3 -m pip install coiled-runtime-cli"
INSTALLS_LIBRARY = "python3 -m pip install -e ."


class Reader:
    """Who follows the page: in a folder of their own, with a Python of their own that has this crt."""

    def __init__(self, crt, folder):
        self.folder = folder / "wordcount"
        self.folder.mkdir()
        self.python = folder / "environment" / "bin" / "python"
        self.environment = {
            **crt.environment,
            "PATH": f"{self.python.parent}{os.pathsep}{crt.environment['PATH']}",
            "GIT_AUTHOR_NAME": "reader",
            "GIT_AUTHOR_EMAIL": "reader@example.org",
            "GIT_COMMITTER_NAME": "reader",
            "GIT_COMMITTER_EMAIL": "reader@example.org",
        }
        for name in ("CRT_SUITES", "PYTHONPATH", "VIRTUAL_ENV"):
            self.environment.pop(name, None)
        # instead of a download: the packages that these tests run with, this crt among them
        self.type(f"uv venv --quiet --python {shlex.quote(sys.executable)} {self.python.parents[1]}")
        (purelib,) = self.python.parents[1].glob("lib/python*/site-packages")
        found = [str(Path(__file__).parents[1]), sysconfig.get_path("purelib")]
        (purelib / "these-tests.pth").write_text(f"import site; list(map(site.addsitedir, {found!r}))\n")
        program = self.python.with_name("crt")
        program.write_text(f"#!{self.python}\nfrom coiled_runtime_cli.__main__ import main\nmain()\n")
        program.chmod(0o755)

    def write(self, text):
        first, _, rest = text.partition("\n")
        file = self.folder / first.removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rest)

    def type(self, commands):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, commands + done.stdout + done.stderr
        return done.stdout


def test_every_command_in_the_table_is_one(crt):
    assert len(FURTHER) == 3
    for command in FURTHER:
        assert crt.run(*shlex.split(command)[1:2], "--help").returncode == 0


@pytest.mark.slow
def test_the_page_leads_from_a_small_library_to_the_commit_that_made_it_slower(crt, tmp_path):
    reader = Reader(crt, tmp_path)
    told = ""
    for kind, text in BLOCKS:
        if kind != "sh":
            reader.write(text)
            continue
        commands = text.replace(INSTALLS_CRT, "crt --version").replace(
            INSTALLS_LIBRARY, f"uv pip install --quiet --python {reader.python} -e ."
        )
        told += reader.type(commands)
    # only what is the reader's own is listed
    assert re.search(r"^count +benchmarks +test_count$", told, re.MULTILINE)
    assert "test_write_wide_data" not in told
    # the culprit, as the page says
    assert re.search(r"^culprit +[0-9a-f]{12} of wordcount$", told, re.MULTILINE)
    assert re.search(r"^subject +Words without punctuation$", told, re.MULTILINE)
    # runs are stored with the commits of the library, without a cluster, and git has nothing new to look at
    with contextlib.closing(sqlite3.connect(reader.folder / "benchmark.db")) as database:
        (runs,) = database.execute("select count(*) from test_run where call_outcome = 'passed'").fetchone()
        clusters = database.execute("select distinct cluster_name from test_run").fetchall()
    assert runs > 12
    assert clusters == [(None,)]
    assert reader.type("git status --porcelain") == ""
    compared = json.loads(
        reader.type("crt compare --format json $(git rev-parse --short v0.1) $(git rev-parse --short HEAD)")
    )
    times = [each for each in compared["comparisons"] if each["metric"] == "duration"]
    assert [each["verdict"] for each in times] == ["worse"]
    detected = json.loads(reader.type("crt detect --format json"))
    # two sessions are few: what is off in the newest runs is a suspect at most, as the page says; nothing else is one
    found = [*detected["regressions"], *detected["improvements"], *detected["suspects"]]
    assert {(each["kind"], each["metric"]) for each in found} <= {("regression", "duration")}
    assert (reader.folder.parent / "wordcount-site" / "index.html").is_file()
