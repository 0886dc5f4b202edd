"""What cannot be bisected is said in a line, with what to type next, before anything is built."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import slowpoke


@pytest.fixture
def clone(crt):
    return slowpoke.with_a_slow_commit(crt.folder / "clone", 3, 2)


def told(inside, *arguments, code=2):
    done = inside.run("bisect", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    return done.stderr


COMMAND = ("--", "python", "repro.py")


def test_nothing_to_measure(inside):
    assert "nothing was named that could be measured" in told(inside, "--good", "v0")
    assert "crt bisect --good REF -- python repro.py" in told(inside)


def test_no_repository_here(inside):
    errors = told(inside, "--good", "v0", *COMMAND)
    assert "in no git repository" in errors
    assert "--repo ../dask" in errors
    assert "is not in a git repository" in told(inside, "--repo", "suites", "--good", "v0", *COMMAND)
    assert "no folder" in told(inside, "--repo", "nowhere", "--good", "v0", *COMMAND)


def test_a_ref_that_there_is_not_names_the_nearest_tag(inside, clone):
    errors = told(inside, "--repo", clone.folder, "--good", "v2", *COMMAND)
    assert "unknown commit, tag or branch 'v2'" in errors
    assert "v0" in errors


def test_ends_that_are_equal_swapped_or_unrelated(inside, clone):
    assert "are one commit" in told(inside, "--repo", clone.folder, "--good", "v1", "--bad", "v1", *COMMAND)
    errors = told(inside, "--repo", clone.folder, "--good", "v1", "--bad", "v0", *COMMAND)
    assert "v0 comes before v1" in errors
    assert "--good v0 --bad v1" in errors
    clone.git("checkout", "-q", "--orphan", "alone")
    clone.git("commit", "-q", "--allow-empty", "-m", "another history")
    assert "no history in common" in told(inside, "--repo", clone.folder, "--good", "v0", "--bad", "alone", *COMMAND)


def test_a_shallow_clone_says_which_fetch(inside, clone):
    os.system(f"git clone -q --depth 1 'file://{clone.folder}' '{inside.folder}/shallow' 2>/dev/null")
    errors = told(inside, "--repo", "shallow", "--good", "v0", *COMMAND)
    assert "git fetch --unshallow --tags" in errors


def test_a_date_before_the_first_commit(inside, clone):
    assert "no commit is as old as 1999-01-01" in told(inside, "--repo", clone.folder, "--good", "1999-01-01", *COMMAND)


def test_a_dirty_clone_is_measured_by_its_commits_and_it_is_said(inside, clone):
    (clone.folder / "slowpoke" / "__init__.py").write_text("raise SystemExit")
    done = inside.run("bisect", "--repo", clone.folder, "--good", "v0", "--dry-run", *COMMAND)
    assert done.returncode == 0
    assert "not committed" in done.stderr


def test_a_test_that_there_is_not(inside, clone):
    inside.suite("test_fast.py", "def test_one(): pass\n")
    errors = told(inside, "--repo", clone.folder, "--good", "v0", "test_two")
    assert "unknown test 'test_two'" in errors
    assert "test_one" in errors


def test_a_program_and_a_metric_that_there_are_not(inside, clone):
    assert "no program pythn" in told(inside, "--repo", clone.folder, "--good", "v0", "--", "pythn", "repro.py")
    errors = told(inside, "--repo", clone.folder, "--good", "v0", "--metric", "memory", *COMMAND)
    assert "peak_memory" in errors


def test_jobs_that_would_share_a_core(inside, clone):
    errors = told(inside, "--repo", clone.folder, "--good", "v0", "--jobs", "9999", *COMMAND)
    assert "disturb each other" in errors


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--confidence", "1.5"), "above 0.5 and below 1"),
        (("--min-effect", "x"), "expected a share"),
        (("--max-time", "soon"), "expected a time"),
        (("--package", "numpy"), "searches releases"),
        (("--on-failure", "bad", "--metric", "duration"), "choose one"),
        (("--bad", "env:bad.txt"), "one end is an environment"),
        (("--python", "no/such/python"), "no such file"),
        (("--requirements", "none.txt"), "cannot be read"),
        (("--with-repo", "nowhere"), "no folder"),
        (("--install-command", "pip install 'x"), "No closing quotation"),
        (("--install-command", " "), "--install-command is empty"),
    ],
)
def test_flags_that_cannot_be(inside, clone, flags, words):
    assert words in told(inside, "--repo", clone.folder, "--good", "v0", *flags, *COMMAND)


def test_environments_that_are_the_same_or_not_exact(inside):
    for name, text in (("a.txt", "numpy==2.2.0\n"), ("b.txt", "numpy==2.2.0\n"), ("c.txt", "numpy>=2\n")):
        (inside.folder / name).write_text(text)
    assert "same packages" in told(inside, "--good", "env:a.txt", "--bad", "env:b.txt", *COMMAND)
    errors = told(inside, "--good", "env:a.txt", "--bad", "env:c.txt", *COMMAND)
    assert "no exact requirement" in errors
    assert "pip freeze" in errors


def test_nothing_to_resume_to_show_or_to_list(inside):
    assert "no database" in told(inside, "--resume")
    inside.suite("test_fast.py", "def test_one(): pass\n")
    inside.run("bench", "--suite", "fast")
    assert "no bisection is open" in told(inside, "--resume")
    assert "unknown bisection '1234'" in told(inside, "--show", "1234")
    assert inside.run("bisect", "--list").stdout == "no bisection yet\n"
    assert "cannot be changed" in told(inside, "--resume", "--good", "v0")


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        (("--all",), "--all"),
        (("--all-commits",), "--all-commits"),
        (("--path", "docs"), "--path"),
        (("--on-failure", "bad"), "--on-failure"),
        (("--no-verify",), "--no-verify"),
        (("--with", "numpy"), "--with"),
        (("--max-runs", "7"), "--max-runs"),
        (COMMAND, "--"),
    ],
)
def test_a_flag_that_a_bisection_cannot_change_is_named_as_it_was_typed(inside, flags, flag):
    assert f"as it was begun: {flag} cannot be changed" in told(inside, "--resume", *flags)


@pytest.mark.parametrize("flag", ["--dry-run", "--reuse"])
def test_what_has_no_meaning_for_a_bisection_that_goes_on_is_refused(inside, flag):
    assert flag in told(inside, "--resume", flag)


def test_a_dry_run_says_what_it_would_take(inside, clone):
    done = inside.run("bisect", "--repo", clone.folder, "--good", "v0", "--dry-run", "--format", "json", *COMMAND)
    import json

    plan = json.loads(done.stdout)["plan"]
    assert plan["candidates"] == 3
    assert 6 < plan["runs"]["low"] < plan["runs"]["mean"] < plan["runs"]["high"] < 30
    assert plan["names"] == clone.hashes
    assert not (inside.folder / "benchmark.db").exists()


def test_a_database_that_cannot_be_written_is_said_before_anything_is_measured(inside, clone):
    (inside.folder / "repro.py").write_text(slowpoke.COMMAND)
    done = inside.run("bisect", "--repo", clone.folder, "--good", "v0", "--db", "/proc/none.db", *COMMAND)
    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr


def test_a_cache_that_cannot_be_written_is_said(crt, clone):
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    (crt.folder / "file").write_text("no folder")
    done = crt.run(
        "bisect",
        "--repo",
        clone.folder,
        "--good",
        "v0",
        *COMMAND,
        environment={"XDG_CACHE_HOME": str(crt.folder / "file")},
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert str(crt.folder / "file") in done.stderr


def test_a_step_for_git_is_good_bad_or_cannot_be_told(crt, clone):
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    step = ["bisect-step", "--repo", clone.folder, "--metric", "stdout", "--runs", "1"]
    command = ["--", sys.executable, "repro.py"]
    clone.git("checkout", "-q", clone.hashes[0])
    assert crt.run(*step, "--above", "0.06", *command).returncode == 0
    clone.git("checkout", "-q", clone.hashes[3])
    assert crt.run(*step, "--above", "0.06", *command).returncode == 1
    assert crt.run(*step, "--below", "10", *command).returncode == 1
    assert (
        crt.run(*step, "--above", "0.06", "--", sys.executable, "-c", "import slowpoke, sys; sys.exit(3)").returncode
        == 125
    )
    assert crt.run(*step, *command).returncode == 128
    assert crt.run(*step, "--above", "soon", *command).returncode == 128
    assert crt.run(*step, "--abov", "1", *command).returncode == 128


def test_a_step_that_was_killed_is_no_bisection_to_go_on_with(crt, clone):
    command = [sys.executable, "-c", "import slowpoke, time; open('begun', 'w'); time.sleep(600)"]
    running = crt.start("bisect-step", "--repo", clone.folder, "--above", "1", "--", *command)
    deadline = time.monotonic() + 60
    while not (crt.folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.kill()
    running.communicate()
    resumed = crt.run("bisect", "--resume")
    assert resumed.returncode == 2
    assert "no bisection is open" in resumed.stderr


def test_an_error_blames_no_commit_when_git_drives(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    project = repository.folder / "pyproject.toml"
    text = project.read_text()
    for number in range(4):
        project.unlink() if number == 2 else project.write_text(text)
        repository.commit(seconds=0.02 if number < 3 else 0.08)
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    step = crt.command("bisect-step", "--metric", "stdout", "--runs", "1", "--db", crt.folder / "steps.db")
    command = ["--", sys.executable, str(crt.folder / "repro.py")]

    def driven(*arguments, **environment):
        options = {"cwd": repository.folder, "capture_output": True, "text": True}
        done = subprocess.run(["git", "bisect", *arguments], env={**crt.environment, **environment}, **options)
        return done, done.stdout + done.stderr

    driven("start", "HEAD", repository.hashes[1])  # git asks for the commit between them, which has no project
    _, told = driven("run", *step, "--above", "0.06", *command)
    assert "holds no Python project" in told
    assert "only 'skip'ped commits left" in told
    assert "is the first bad commit" not in told
    driven("reset")
    driven("start", repository.hashes[3], repository.hashes[0])
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    _, told = driven("run", *step, "--above", "0.06", "--with", "something", *command, **nowhere)
    assert "packages cannot be fetched" in told
    assert "is the first bad commit" not in told
    driven("reset")
    driven("start", repository.hashes[3], repository.hashes[1])
    done, told = driven("run", *step, *command)
    assert "where does bad begin?" in told
    assert "128" in told
    assert done.returncode != 0
    assert "is the first bad commit" not in told
