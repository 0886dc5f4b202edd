"""What the README and docs/how-to.md promise is what happens."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pages

#: What the pages have a reader type. A command that stands on both of them is done once.
README = pages.commands("README.md")
COMMANDS = list(dict.fromkeys([*README, *pages.commands("docs/how-to.md")]))


def test_the_readme_has_the_two_commands_and_they_are_what_ci_runs():
    assert README[0] == "python3 -m pip install . && crt bench --suite parquet"
    assert "python3 -m pip install '.[test]' && python3 -m pytest" in README
    assert (
        "python3 -m pip install '\\.\\[test\\]' && python3 -m pytest"
        in Path(__file__).parents[1].joinpath(".ci/run").read_text()
    )


EVERY_SUITE = "crt bench --scale smoke"
QUICK = ["crt bench --list", "crt bench --suite parquet --dry-run", "crt config show --origin"]


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_of_the_pages_works_in_an_empty_folder(crt, command):
    assert command in COMMANDS
    crt.environment.pop("CRT_SUITES")
    done = crt.run(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
def test_the_commands_of_the_pages_that_measure_work_one_after_the_other(crt):
    """On the smoke scale, from an empty folder: the suite, the query, the report, and the look at the database."""
    crt.environment.pop("CRT_SUITES")
    crt.environment["CRT_SCALE"] = "smoke"
    commands = [
        each.rpartition("&& ")[2]
        for each in COMMANDS
        if any(word in each for word in ("crt bench", "crt report", "crt sync", "crt db", "sqlite3"))
        and "--repeat auto" not in each
        and each not in (*QUICK, EVERY_SUITE)
    ]
    assert len(commands) == 20
    for command in commands:
        if command == "crt db merge other.db":
            assert crt.run("sync", "pull", "--db", "other.db").returncode == 0
        words = shlex.split(command)
        if "tpch" in words:
            words += ["-k", "test_query_06 and not pyspark"]  # all of it takes minutes
        if words[0] == "sqlite3":
            ((version, memory), *_) = crt.rows(words[2])
            assert version
            assert memory > 0
            continue
        done = crt.run(*words[1:])
        assert done.returncode == 0, command + done.stdout + done.stderr


def test_the_command_of_the_pages_that_measures_every_suite_is_what_ci_runs():
    assert EVERY_SUITE in COMMANDS
    assert EVERY_SUITE in Path(__file__).parents[1].joinpath(".ci/run").read_text()


def test_the_commands_of_the_pages_that_look_after_data_work_in_this_order(crt):
    crt.environment["CRT_SCALE"] = "smoke"
    commands = [each for each in COMMANDS if each.startswith("crt data")]
    assert len(commands) == 4
    for command in commands:
        done = crt.run(*shlex.split(command)[1:])
        assert done.returncode == 0, command + done.stdout + done.stderr
    assert "nyc_taxi" in crt.run("data", "list").stdout


def test_the_commands_of_the_pages_that_decide_work_on_a_history(inside):
    sys.path.insert(0, str(Path(__file__).parent / "commands"))
    import histories

    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.db.ingest import ingest

    engine = open_database(str(inside.folder / "benchmark.db"))
    for number in range(40):
        for label in ("main", "my-branch"):
            effects = {"write_wide_data": 1.0, "b": 1.0}
            ingest(engine, histories.session(label, number, effects, version="2026.8.0"))
    engine.dispose()
    commands = [each for each in COMMANDS if each.startswith(("crt detect", "crt compare", "crt diff", "crt noise"))]
    assert len(commands) == 7
    for command in commands:
        words = command.replace("RUN1", "main").replace("RUN2", "my-branch")
        done = inside.run(*shlex.split(words)[1:])
        assert done.returncode == 0, command + done.stdout + done.stderr
        assert done.stdout


def test_the_commands_of_the_pages_that_build_and_release_work(inside, tmp_path):
    sys.path[:0] = [str(Path(__file__).parent / each) for each in ("build", "release")]
    from channels import HERE, metadata_channel, subdir_here
    from index_server import served
    from recipes import put_recipe

    # no network is asked for: a channel and an index on this machine have the few pins of a small recipe
    put_recipe(inside)
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", [])]
    native = [("python", f"{HERE}.9", []), ("openssl", "3.5.0", [])]
    channel = metadata_channel(tmp_path / "channel", {"noarch": rows, subdir_here(): native})
    commands = [each for each in COMMANDS if each.startswith(("crt build", "crt release"))]
    assert len(commands) == 6
    with served() as index:
        index.add("dask", "2026.8.0")
        index.add("distributed", "2026.8.0")
        for command in commands:
            words = shlex.split(command)[1:]
            if words[:2] == ["release", "pins"]:
                words += ["--index-url", index.url]
            if words == ["build", "--check"] or words[:2] == ["release", "check"]:
                words += ["-c", str(channel), "--override-channels"]
            done = inside.run(*words)
            # of a check: that these packages cannot be fetched, and nothing was measured, is not verified, or failed
            assert done.returncode in ({1, 5} if "check" in command else {0}), command + done.stdout + done.stderr
            assert done.stdout


@pytest.mark.slow
def test_the_commands_of_the_pages_that_try_arms_work_in_this_order(inside):
    inside.suite("test_x.py", "def test_a():\n    pass\n")
    init, plan, run = (
        each.strip() for command in COMMANDS if command.startswith("crt ab") for each in command.split("&&")
    )
    assert inside.run(*shlex.split(init)[1:]).returncode == 0
    # the example asks for the newest commits, which are not everywhere to be had: here both arms are this environment
    for name in ("baseline", "newer"):
        (inside.folder / "ab" / f"{name}.toml").write_text(f"interpreter = {json.dumps(sys.executable)}\n")
    (inside.folder / "ab" / "experiment.toml").write_text('suites = ["x"]\nblocks = 2\n')
    for command in (plan, run):
        done = inside.run(*shlex.split(command)[1:])
        assert done.returncode == 0, command + done.stdout + done.stderr
        assert done.stdout


@pytest.mark.slow
def test_the_commands_of_the_pages_that_bisect_name_the_commit(crt):
    sys.path.insert(0, str(Path(__file__).parent / "bisect"))
    import slowpoke

    # no network is asked for: a small project stands for Dask, and this environment for that of its time
    repository = slowpoke.Repository(crt.folder.parent / "dask")
    for number in range(7):
        repository.commit(seconds=0.02 if number < 4 else 0.2, tag={0: "2022.7.0", 6: "2022.8.0"}.get(number))
    crt.suite(
        "test_parquet.py", "import slowpoke\ndef test_write_wide_data(auto_benchmark_time):\n    slowpoke.work()\n"
    )
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    commands = [each for each in COMMANDS if each.startswith("crt bisect")]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command)[1:]
        if "--list" not in words:
            words[1:1] = ["--python", sys.executable]
        done = crt.run(*words)
        assert done.returncode == 0, command + done.stdout + done.stderr
        assert repository.hashes[4][:10] in done.stdout


@pytest.mark.slow
def test_repeating_until_the_numbers_are_good_works_as_the_page_says(crt):
    crt.environment.pop("CRT_SUITES")
    crt.environment["CRT_SCALE"] = "smoke"
    (command,) = [each for each in COMMANDS if "--repeat auto" in each]
    done = crt.run(*shlex.split(command)[1:], "--max-time", "100s", timeout=900)
    assert done.returncode == 0, done.stderr
    ((least, most),) = crt.rows(
        "select min(n), max(n) from (select count(*) as n from test_run where outcome = 'passed' group by name)"
    )
    assert 1 <= least <= most


def test_the_exit_codes_of_the_pages_are_those_of_the_errors():
    from coiled_runtime_cli import errors

    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", pages.read("docs/how-to.md"), flags=re.MULTILINE))
    codes = {kind.exit_code for kind in errors.CrtError.__subclasses__()}
    assert {int(each) for each in table} == {0, 1, 130} | codes


def test_the_package_is_started_as_a_module_and_as_a_script_alike():
    done = subprocess.run([sys.executable, "-m", "coiled_runtime_cli", "--version"], capture_output=True, text=True)
    assert re.fullmatch(r"crt \d+\.\d+\.\d+\n", done.stdout)
