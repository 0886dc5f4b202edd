"""docs/tutorial.md, from its first line to its last, as a stranger types it: new environment, empty home, a package index."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pages
from conftest import ISOLATED

PAGE = "docs/tutorial.md"
CLONE = "https://github.com/dask/dask"
#: What must be said after a command that begins so, beside the exit code 0.
SAID = {
    "crt bench --suite parquet": "test_write_wide_data",
    "crt bench test_ravel.py --python june": "20 passed",
    "crt bench test_ravel.py --python december": "20 passed",
    "crt compare": "worse",
    "crt detect": "dask 2024.6.0 to 2024.12.0",
    "crt sync push": "pushed",
    "crt sync pull": "pulled",
    "crt bisect --package": "culprit     2024.12.0",
    "crt bisect --repo": "of dask",
    "crt bisect --list": "2024.12.0",
    "crt report --summary": "test_ravel",
}


@pytest.fixture
def home(tmp_path):
    """The environment of a stranger, whose git finds a stand-in where Dask's repository is."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith((*ISOLATED, "PYTHON", "XDG_"))
    }
    environment.update(HOME=str(tmp_path), NO_COLOR="1")
    standing_in = releases_as_commits(tmp_path / "upstream", environment)
    (tmp_path / ".gitconfig").write_text(
        f'[url "{standing_in.as_uri()}"]\n\tinsteadOf = {CLONE}\n[user]\n\tname = a\n\temail = a@localhost\n'
    )
    return environment


def releases_as_commits(folder, environment):
    """A repository whose commits are Dask's code of 2024.11.2, and, one of four commits later, of 2024.12.0."""
    folder.mkdir()

    def run(*words):
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)

    def commit(message, *tag):
        run("git", "add", "-A")
        run("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", message)
        for each in tag:
            run("git", "tag", each)

    def code(version):
        run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            "dask",
            "-d",
            "..",
            f"dask=={version}",
        )
        run("tar", "--strip-components=1", "-xzf", f"../dask-{version}.tar.gz")

    run("git", "init", "-q")
    code("2024.11.2")
    commit("All until 2024.11.2", "2024.11.2")
    (folder / "NOTES").write_text("before")
    commit("Notes")
    code("2024.12.0")
    commit("What came with 2024.12.0")
    (folder / "NOTES").write_text("after")
    commit("More notes", "2024.12.0")
    return folder


@pytest.mark.slow
def test_the_tutorial_is_true_from_its_first_line_to_its_last(home, tmp_path):
    for name, text in ((text.partition("\n")[0][2:], text) for _, text in pages.fenced(PAGE, "python")):
        (tmp_path / "crt-tutorial").mkdir(exist_ok=True)
        (tmp_path / "crt-tutorial" / name).write_text(text)
    commands = [command for _, block in pages.fenced(PAGE, "console") for command, _ in pages.typed(block)]
    said = {}
    # one shell for all of it, as for a reader: what is activated, and the folder, stay
    with subprocess.Popen(
        ["bash"],
        cwd=pages.ROOT,
        env=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        for command in commands:
            shell.stdin.write(f"{command} </dev/null; code=$?; echo; echo this ended with $code\n")
            shell.stdin.flush()
            lines = []
            for line in shell.stdout:
                if line.startswith("this ended with "):
                    break
                lines.append(line)
            said[command] = "".join(lines)
            assert line == "this ended with 0\n", f"{command}\n{said[command]}"
    for start, words in SAID.items():
        found = [text for command, text in said.items() if command.startswith(start)]
        assert found, start
        assert all(words in text for text in found), (start, found)
    (commit,) = [text for command, text in said.items() if command.startswith("crt bisect --repo")]
    assert "What came with 2024.12.0" in commit
    assert (tmp_path / "crt-tutorial" / "site" / "index.html").is_file()
