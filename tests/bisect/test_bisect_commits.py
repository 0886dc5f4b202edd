"""`crt bisect` of commands, on real clones with real git."""

import json
import re
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import slowpoke


def bisect(crt, repository, *flags, metric="stdout", good="v0", bad="v1", command=None, code=0):
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    ends = [*(["--good", good] if good else []), *(["--bad", bad] if bad else [])]
    done = crt.run(
        "bisect", *ends, "--repo", repository.folder, "--metric", metric, "--format", "json", *flags,
        "--", *(command or [sys.executable, "repro.py"]),
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def status(repository):
    return (
        repository.git("status", "--porcelain", "--ignored"),
        repository.git("worktree", "list"),
        repository.git("branch", "-a"),
    )


def test_a_slow_commit_among_64_is_named_with_its_effect(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "the clone", 64, 41)
    before = status(repository)
    found, _ = bisect(crt, repository)
    assert found["status"] == "found"
    assert found["culprit"]["commit"] == repository.hashes[41]
    assert found["culprit"]["subject"] == "change 41"
    assert found["culprit"]["author"] == "A. U. Thor"
    assert found["effect"]["low"] < 4 < found["effect"]["high"] * 1.3
    assert found["confidence"] >= 0.99
    assert found["runs"] <= 25
    assert found["builds"] == 0  # pure Python is switched
    purposes = {each["purpose"] for each in found["probes"]}
    assert purposes == {"calibrate", "search", "verify"}
    assert status(repository) == before  # the user's clone is read, and nothing else
    shown = crt.run("bisect", "--show", found["id"][-8:], "--replay", "log.txt", "--page", "page.html")
    assert shown.returncode == 0, shown.stderr
    assert repository.hashes[41][:12] in shown.stdout
    assert "Plotly" in (crt.folder / "page.html").read_text()
    repository.git("bisect", "replay", str(crt.folder / "log.txt"))
    assert repository.git("rev-parse", "bisect/bad") == repository.hashes[41]
    repository.git("bisect", "reset")
    listed = crt.run("bisect", "--list")
    assert "found" in listed.stdout
    assert repository.hashes[41][:10] in listed.stdout


@pytest.mark.slow
def test_an_allocation_is_found_by_the_memory_of_all_processes(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    for number in range(13):
        repository.commit(memory=(1 << 20) if number < 5 else (80 << 20), seconds=0.1)
    command = [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, 'repro.py'], check=True)"]
    found, _ = bisect(crt, repository, metric="peak_memory", good=repository.hashes[0], bad="HEAD", command=command)
    assert found["culprit"]["commit"] == repository.hashes[5]
    assert found["unit"] == "B"
    assert found["effect"]["ratio"] > 2


def test_commits_that_do_not_run_are_stepped_over_and_the_answer_is_a_set(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 16, 8, breaks=(7, 8, 9))
    found, _ = bisect(crt, repository)
    assert found["status"] == "found"
    assert found["culprit"] is None
    assert [each["commit"] for each in found["culprits"]] == repository.hashes[7:11]
    failed = [each for each in found["probes"] if each["outcome"] == "failed"]
    assert failed
    assert "this commit is broken" in failed[0]["message"]
    assert "ImportError" in Path(failed[0]["log"]).with_name("errors.log").read_text()


@pytest.mark.slow
def test_a_compiled_project_is_built_once_a_commit_and_what_does_not_build_is_skipped_with_its_log(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 12, 6, broken=(3, 9), compiled=True)
    found, _ = bisect(crt, repository)
    assert found["culprit"]["commit"] == repository.hashes[6]
    measured = {
        each["candidate"] for each in found["probes"] if each["purpose"] != "verify" and each["outcome"] == "measured"
    }
    assert found["builds"] == len(measured) + 4  # and two of each side, afresh
    skipped = [each for each in found["probes"] if each["outcome"] == "unbuildable"]
    assert all("this commit does not build" in Path(each["log"]).read_text() for each in skipped)
    again, _ = bisect(crt, repository)
    assert again["culprit"] == found["culprit"]
    assert again["builds"] <= 4 + len({each["candidate"] for each in again["probes"]} - measured)


@pytest.mark.slow
def test_what_a_build_adds_is_there_after_a_switch_too(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 3, 2)
    (crt.folder / "generated.py").write_text(
        "import slowpoke._generated, importlib.metadata\n"
        "assert importlib.metadata.version('slowpoke') == '1.0'\n" + slowpoke.COMMAND
    )
    found, _ = bisect(crt, repository, command=[sys.executable, "generated.py"])
    assert found["culprit"]["commit"] == repository.hashes[2]


def test_a_command_that_imports_something_else_is_no_measurement(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2)
    (crt.folder / "slowpoke.py").write_text("def work(): pass\n")  # python puts a script's folder first
    _, errors = bisect(crt, repository, code=3)
    assert f"slowpoke was imported from {crt.folder / 'slowpoke.py'}" in errors
    (crt.folder / "slowpoke.py").unlink()
    _, errors = bisect(crt, repository, code=3, command=[sys.executable, "-c", "print(1)"])
    assert "no Python below the command imported slowpoke" in errors


@pytest.mark.slow
def test_two_repositories_go_along_with_each_other_and_either_may_have_the_culprit(crt):
    first = slowpoke.Repository(crt.folder / "slowpoke")
    second = slowpoke.Repository(crt.folder / "helper", "helper")
    for number in range(13):
        first.commit(moment=slowpoke.BEGAN + number * 7200)
        second.commit(moment=slowpoke.BEGAN + number * 7200 + 3600, seconds=0.02 if number < 7 else 0.1)
    (crt.folder / "both.py").write_text(
        "import time, slowpoke, helper\n"
        "assert helper.NUMBER in (slowpoke.NUMBER, slowpoke.NUMBER - 1), (helper.NUMBER, slowpoke.NUMBER)\n"
        "began = time.perf_counter()\nslowpoke.work()\nhelper.work()\nprint(time.perf_counter() - began)\n"
    )
    found, _ = bisect(
        crt, first, "--with-repo", second.folder,
        good=first.hashes[2], bad="HEAD", command=[sys.executable, "both.py"],
    )  # fmt: skip
    assert found["culprit"]["repository"] == "helper"
    assert found["culprit"]["commit"] == second.hashes[7]
    assert found["culprit"]["with"] == {"slowpoke": first.hashes[7]}
    assert len(found["candidates"]) == 21  # of the first 2 (the good end) to 12, of the other 2 to 11


@pytest.mark.slow
def test_without_a_good_end_it_goes_back_through_the_tags(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    for number in range(17):
        repository.commit(seconds=0.02 if number < 6 else 0.08, tag=f"v{number // 4}" if number % 4 == 0 else None)
    found, errors = bisect(crt, repository, good=None, bad=None)
    assert "no good end was named" in errors
    assert found["culprit"]["commit"] == repository.hashes[6]
    assert [each["status"] for each in found["changes"]] == ["no-change", "no-change", "found"]  # v3 and v2 are as slow


@pytest.mark.slow
def test_a_fix_is_found_from_the_older_bad_end_to_the_newer_good_one(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 8, 5, seconds=(0.08, 0.02))
    _, errors = bisect(crt, repository, good="v1", bad="v0", code=2)
    assert "--find-fix" in errors
    found, _ = bisect(crt, repository, "--find-fix", good="v1", bad="v0")
    assert found["culprit"]["commit"] == repository.hashes[5]
    assert found["effect"]["ratio"] < 1
    none, _ = bisect(crt, repository, code=5)
    assert none["status"] == "no-change"
    assert none["message"] == "the change goes the other way"


def test_failing_is_a_verdict_only_where_it_is_asked_for(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 9, 99, breaks=range(4, 10))
    _, errors = bisect(crt, repository, code=3)
    assert "the bad end fails" in errors
    (crt.folder / "repro.py").write_text("import slowpoke")
    done = crt.json(
        "bisect", "--good", "v0", "--bad", "v1", "--repo", repository.folder, "--on-failure", "bad",
        "--format", "json", "--", sys.executable, "repro.py",
    )  # fmt: skip
    assert done["culprit"]["commit"] == repository.hashes[4]
    shown = crt.run(
        "bisect", "--good", "v0", "--bad", "v1", "--repo", repository.folder, "--on-failure", "bad",
        "--", sys.executable, "repro.py",
    ).stderr  # fmt: skip
    assert "calibrate passes" in shown
    assert "calibrate fails" in shown
    assert not re.search(r"(calibrate|search|verify) \d", shown)


@pytest.mark.slow
def test_what_takes_longer_than_allowed_is_bad(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 8, 3, seconds=(0.01, 60))
    found, _ = bisect(crt, repository, "--timeout", "1s", metric="duration")
    assert found["culprit"]["commit"] == repository.hashes[3]
    assert found["effect"]["ratio"] > 3


def test_what_hangs_is_ended_after_the_configured_time_and_has_no_value(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 4, 2, seconds=(0.01, 600))
    (crt.folder / "crt.toml").write_text('timeout = "2s"\n')
    _, errors = bisect(crt, repository, metric="duration", code=3)
    assert "the bad end takes too long: took longer than 2 s" in errors
    _, errors = bisect(crt, repository, "--good", "HEAD~1", metric="duration", code=3)
    assert "the good end takes too long: took longer than 2 s" in errors
    _, errors = bisect(crt, repository, "--find-fix", good="v1", bad="HEAD~1", metric="duration", code=3)
    assert "the bad end takes too long: took longer than 2 s" in errors


@pytest.mark.slow
def test_every_change_is_named_on_request(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    for number in range(15):
        repository.commit(seconds=0.03 if number < 4 else 0.07 if number < 10 else 0.2)
    found, _ = bisect(crt, repository, "--all", "--min-effect", "30%", good=repository.hashes[0], bad="HEAD")
    named = {each["culprits"][0]["commit"] for each in found["changes"] if each["status"] == "found"}
    assert named == {repository.hashes[4], repository.hashes[10]}


def test_a_budget_ends_it_without_an_answer(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 32, 20)
    found, _ = bisect(crt, repository, "--max-runs", "7", code=5)
    assert found["status"] == "inconclusive"
    assert found["culprit"] is None
    assert "7 runs were made" in found["message"]
    assert found["runs"] <= 8


@pytest.mark.slow
def test_a_merge_that_is_the_culprit_is_searched_in_turn(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    for _ in range(4):
        repository.commit()
    repository.git("checkout", "-q", "-b", "feature")
    for number in range(5):
        repository.commit(f"step {number}", seconds=0.02 if number < 3 else 0.08)
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "Merge the feature", "feature", moment=slowpoke.BEGAN + 40_000)
    for _ in range(3):
        repository.commit()
    found, errors = bisect(crt, repository, good=repository.hashes[0], bad="HEAD")
    assert "merges 5 commits" in errors
    assert found["culprit"]["subject"] == "step 3"
    listed = crt.json("bisect", "--list", "--format", "json")["bisections"]
    assert [each["culprit"]["subject"] for each in listed] == ["Merge the feature", "step 3"]
    whole, _ = bisect(crt, repository, "--all-commits", good=repository.hashes[0], bad="HEAD")
    assert whole["culprit"]["subject"] == "step 3"


@pytest.mark.slow
def test_what_a_commit_touches_makes_it_likelier_and_the_measurements_decide(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    for number in range(33):
        repository.commit(
            seconds=0.02 if number < 20 else 0.08,
            files={"docs/text.md": str(number)} if number % 2 else {f"slowpoke/part{number}.py": "PART = 1"},
        )
    plain, _ = bisect(crt, repository, good=repository.hashes[0], bad="HEAD")
    pointed, _ = bisect(crt, repository, "--path", "slowpoke/part20.py", good=repository.hashes[0], bad="HEAD")
    misled, _ = bisect(
        crt, repository, "--path", "slowpoke/part4.py", "--weigh-files", good=repository.hashes[0], bad="HEAD"
    )
    for found in (plain, pointed, misled):
        assert found["culprit"]["commit"] == repository.hashes[20]
    assert pointed["runs"] < plain["runs"]


#: Builds as its commit says; what is built in place is what is imported.
INSTALL = """
import pathlib, time

number = int(pathlib.Path("settings.txt").read_text().split("number=")[1])
time.sleep(600 if number == {hanging} else 0)
pathlib.Path("built.txt").write_text({name!r})
"""


def test_a_build_that_hangs_is_stepped_over(inside, monkeypatch):
    repository = slowpoke.with_a_slow_commit(inside.folder / "clone", 4, 3)
    script = inside.folder / "install.py"
    script.write_text(INSTALL.format(hanging=2, name="it"))
    monkeypatch.setattr("coiled_runtime_cli.bisect.builds._PATIENCE", 5.0)
    found, _ = bisect(inside, repository, "--install-command", f"'{sys.executable}' '{script}'")
    assert found["culprit"] is None
    assert [each["commit"] for each in found["culprits"]] == repository.hashes[2:4]
    (hung,) = (each for each in found["probes"] if each["outcome"] == "unbuildable")
    assert hung["candidate"] == repository.hashes[2]
    assert "did not end within 5 s" in hung["message"]


def test_what_another_install_command_has_built_is_not_taken_for_its_own(inside):
    repository = slowpoke.with_a_slow_commit(inside.folder / "clone", 1, 1)
    for name in ("with-a-name-that-ends-in-one", "with-a-name-that-ends-in-two"):
        script = inside.folder / f"{name}.py"
        script.write_text(INSTALL.format(hanging=None, name=name))
        bisect(inside, repository, "--no-verify", "--install-command", f"'{sys.executable}' '{script}'")
    builds = Path(inside.environment["XDG_CACHE_HOME"]) / "crt" / "environments" / "bisect" / "builds"
    assert sorted(each.read_text() for each in builds.glob("*/built.txt")) == [
        *["with-a-name-that-ends-in-one"] * 2,
        *["with-a-name-that-ends-in-two"] * 2,
    ]


def shown_command(crt):
    """What the newest bisection says to type to see it, as arguments of `crt`."""
    newest = crt.json("bisect", "--list", "--format", "json")["bisections"][-1]["id"]
    (line,) = (each for each in crt.run("bisect", "--show", newest).stdout.splitlines() if each.startswith("to see"))
    return shlex.split(line.partition(": crt ")[2])


@pytest.mark.slow
def test_the_command_to_see_it_measures_the_culprit_as_it_was_measured(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 6, 4)
    flags = [
        "--install-command",
        "true",
        "--timeout",
        "90s",
        "--better",
        "lower",
        "--min-effect",
        "7%",
        "--all-commits",
    ]
    found, _ = bisect(crt, repository, *flags, "--confidence", "0.98")
    assert found["culprit"]["commit"] == repository.hashes[4]
    told = shown_command(crt)
    before = told[: told.index("--")]
    assert [before[before.index(each) + 1] for each in flags[:-1:2]] == flags[1::2]
    assert before[before.index("--confidence") + 1] == "0.98"
    again = crt.json(*told[:1], "--format", "json", *told[1:])
    assert again["culprit"]["commit"] == repository.hashes[4]
    assert [each["commit"] for each in again["candidates"]] == repository.hashes[3:5]


@pytest.mark.slow
def test_the_command_to_see_a_commit_that_came_with_a_merge_names_its_own_parent(crt):
    repository = slowpoke.Repository(crt.folder / "clone")
    repository.commit()
    repository.git("checkout", "-q", "-b", "feature")
    slow = repository.commit("slow", seconds=0.08, moment=slowpoke.BEGAN + 30_000)
    repository.git("checkout", "-q", "main")
    for _ in range(2):  # in the line of all commits they come before the slow one
        repository.commit(seconds=0.02)
    repository.git("merge", "-q", "--no-ff", "-X", "theirs", "-m", "Merge", "feature", moment=slowpoke.BEGAN + 40_000)
    found, _ = bisect(crt, repository, "--all-commits", good=repository.hashes[0], bad="HEAD")
    assert found["culprit"]["commit"] == slow
    told = shown_command(crt)
    again = crt.json(*told[:1], "--format", "json", *told[1:])
    assert [each["commit"] for each in again["candidates"]] == [repository.hashes[0], slow]


def test_the_command_to_see_it_has_the_releases_of_the_day_that_was_searched(crt):
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 3, 1)
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    bisect(crt, repository, "--python", minor, command=["python", "repro.py"])
    told = shown_command(crt)
    day = datetime.fromtimestamp(slowpoke.BEGAN + 3 * slowpoke.EVERY, timezone.utc)
    assert told[told.index("--as-of") + 1] == f"{day:%Y-%m-%dT%H:%M:%SZ}"


def runs(python):
    try:
        return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
def test_old_pythons_run_the_candidates_too(crt):
    # a shim of pyenv is found everywhere, and runs only where it is set up to
    known = ["python3.8", "python3.9", *Path.home().glob(".pyenv/versions/3.[89].*/bin/python")]
    interpreter = next((str(each) for each in known if runs(each)), None)
    if interpreter is None:
        pytest.skip("no Python 3.8 or 3.9 is installed")
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 6, 3)
    answer, _ = bisect(crt, repository, command=[interpreter, "repro.py"])
    assert answer["culprit"]["commit"] == repository.hashes[3]
