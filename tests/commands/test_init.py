"""`crt init`: real folders, real files of configuration, and the suite that it writes, measured."""

import json
import subprocess
import sys

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMENTED = """\
# The project's own words.
[project]
name = "Wordy-Words"   # as on the index
version = "0.1.0"

[tool.ruff]
line-length   =  99  # odd on purpose
"""


@pytest.fixture
def project(crt):
    """`crt` in a project of its own: nothing names its suites."""
    crt.environment.pop("CRT_SUITES")
    folder = crt.folder / "wordy"
    folder.mkdir()
    crt.folder = folder
    return crt


@pytest.fixture
def inside_project(inside):
    inside.environment.pop("CRT_SUITES")
    folder = inside.folder / "wordy"
    folder.mkdir()
    inside.folder = folder
    return inside


def files(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_the_suite_that_it_writes_is_all_there_is_and_runs_without_a_cluster(project):
    done = project.run("init")
    assert done.returncode == 0, done.stderr
    listed = project.json("bench", "--list", "--format", "json")["suites"]
    assert [each["path"] for each in listed] == ["benchmarks/test_example.py"]
    assert listed[0]["tests"] == ["benchmarks/test_example.py::test_round_trip"]
    measured = project.json("bench", "--suite", "benchmarks", "--format", "json")
    (run,) = measured["runs"]
    assert run["outcome"] == "passed"
    assert run["duration"] > 0
    assert run["benchmark"] == "benchmarks/test_example.py::test_round_trip"
    assert project.rows("select cluster_name from test_run") == [(None,)]
    assert [(each["name"], each["unit"]) for each in run["metrics"]] == [("size", "B")]


def test_a_pyproject_keeps_every_byte_and_gains_a_table(inside_project):
    file = inside_project.folder / "pyproject.toml"
    file.write_text(COMMENTED)
    done = inside_project.run("init")
    assert done.returncode == 0, done.stderr
    assert file.read_text() == COMMENTED + '\n[tool.crt]\nsuites = "suites"\n'
    assert not (inside_project.folder / "crt.toml").exists()
    assert inside_project.json("config", "show", "--format", "json")["values"]["suites"] == str(
        inside_project.folder / "suites"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[tool.crt]\nsuites = "suites"\n'),
        ("[a]\nb = 1", '[a]\nb = 1\n\n[tool.crt]\nsuites = "suites"\n'),
        ("[a]\r\nb = 1\r\n", '[a]\r\nb = 1\r\n\r\n[tool.crt]\r\nsuites = "suites"\r\n'),
        ('[tool.crt] # ours\nscale = "smoke"\n', '[tool.crt] # ours\nsuites = "suites"\nscale = "smoke"\n'),
        ("[tool.crt]\n", '[tool.crt]\nsuites = "suites"\n'),
        (
            '[tool.crt.sync]\nremote = "there"\n',
            '[tool.crt.sync]\nremote = "there"\n\n[tool.crt]\nsuites = "suites"\n',
        ),
        # a text that only looks like the table
        ("a = '''\n[tool.crt]\n'''\n", "a = '''\n[tool.crt]\n'''\n\n[tool.crt]\nsuites = \"suites\"\n"),
    ],
)
def test_the_settings_are_added_where_toml_takes_them(inside_project, before, after):
    file = inside_project.folder / "pyproject.toml"
    file.write_bytes(before.encode())
    done = inside_project.run("init")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes().decode() == after
    assert tomllib.loads(after)["tool"]["crt"]["suites"] == "suites"


@pytest.mark.parametrize("text", ['tool = { crt = { scale = "smoke" } }\n', "tool.crt.scale = 'smoke'\n"])
def test_a_pyproject_that_cannot_be_added_to_stays_and_the_message_says_what_to_write(inside_project, text):
    file = inside_project.folder / "pyproject.toml"
    file.write_text(text)
    done = inside_project.run("init")
    assert done.returncode == 2
    assert 'write suites = "suites" into tool.crt' in done.stderr
    assert files(inside_project.folder) == {"pyproject.toml": text.encode()}


def test_a_crt_toml_that_is_there_is_what_holds_the_settings(inside_project):
    (inside_project.folder / "pyproject.toml").write_text(COMMENTED)
    (inside_project.folder / "crt.toml").write_text('# mine\nscale = "smoke"\n[sync]\nremote = "there"\n')
    assert inside_project.run("init").returncode == 0
    text = (inside_project.folder / "crt.toml").read_text()
    assert text == 'suites = "suites"\n# mine\nscale = "smoke"\n[sync]\nremote = "there"\n'
    assert (inside_project.folder / "pyproject.toml").read_text() == COMMENTED


def test_run_again_it_changes_nothing_and_says_so(inside_project):
    (inside_project.folder / "pyproject.toml").write_text(COMMENTED)
    first = inside_project.json("init", "--workflow", "--format", "json")
    before = files(inside_project.folder)
    again = inside_project.json("init", "--workflow", "--format", "json")
    assert {each["action"] for each in first["files"]} == {"add", "write"}
    assert {each["action"] for each in again["files"]} == {"keep"}
    assert files(inside_project.folder) == before


def test_what_the_project_has_is_never_overwritten(inside_project):
    folder = inside_project.folder
    (folder / "speed" / "deep").mkdir(parents=True)
    (folder / "speed" / "pytest.ini").write_text("[pytest]\n")
    (folder / "speed" / "deep" / "test_own.py").write_text("def test_own(benchmark_time): pass\n")
    (folder / "crt.toml").write_text("suites = 'speed'\n")
    (folder / ".gitignore").write_text("*.pyc\n/crt-runs")
    done = inside_project.run("init")
    assert done.returncode == 0, done.stderr
    assert (folder / "speed" / "pytest.ini").read_text() == "[pytest]\n"
    assert (folder / ".gitignore").read_text() == (
        "*.pyc\n/crt-runs\n\n# what crt leaves here\n/benchmark.db*\n/benchmark-artifacts/\n__pycache__/\n"
    )
    assert sorted(files(folder)) == [
        ".gitignore", "crt.toml", "speed/conftest.py", "speed/deep/test_own.py", "speed/pytest.ini",
    ]  # fmt: skip
    assert "1 file of benchmarks, so no example" in done.stdout
    assert "crt bench --suite deep" in done.stderr


def test_a_dry_run_writes_nothing(inside_project):
    done = inside_project.run("init", "--workflow", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("would be written") == 6
    assert files(inside_project.folder) == {}


def test_the_import_of_the_package_is_measured_where_it_is_installed_and_skipped_where_not(project, tmp_path):
    (project.folder / "pyproject.toml").write_text(COMMENTED)
    (project.folder / "src" / "wordy_words").mkdir(parents=True)
    (project.folder / "src" / "wordy_words" / "__init__.py").write_text("")
    assert project.json("init", "--format", "json")["package"] == "wordy_words"
    command = ("bench", "test_import", "--format", "json")
    (run,) = project.json(*command)["runs"]
    assert run["outcome"] == "skipped"
    path = f"{project.folder / 'src'}:{project.environment['PYTHONPATH']}"
    (run,) = project.json(*command, environment={"PYTHONPATH": path})["runs"]
    assert run["outcome"] == "passed"


def test_a_plain_pytest_of_the_project_passes_over_the_benchmarks_where_crt_is_not_installed(project):
    (project.folder / "test_own.py").write_text("def test_own(): pass\n")
    assert project.run("init").returncode == 0

    def collected(*flags):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags],
            cwd=project.folder, env=project.environment, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.splitlines()[-1].split(" in ")[0]

    assert collected("-p", "no:coiled_runtime_cli.plugin") == (0, "1 passed")
    assert collected() == (0, "2 passed")


def test_the_workflow_is_yaml_at_the_root_of_the_repository_and_its_commands_are_those_of_crt(inside_project):
    import yaml

    folder = inside_project.folder
    below = folder / "python" / "wordy"
    below.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    assert inside_project.run("init", "python/wordy", "--workflow").returncode == 0
    workflow = yaml.safe_load((folder / ".github/workflows/benchmarks.yml").read_text())
    job = workflow["jobs"]["benchmarks"]
    assert job["defaults"]["run"]["working-directory"] == "python/wordy"
    commands = [each["run"].partition(" | ")[0] for each in job["steps"] if each.get("run", "").startswith("crt ")]
    assert len(commands) == 3
    inside_project.folder = below
    assert inside_project.run(*commands[0].split()[1:], "--dry-run").returncode == 0
    outer = yaml.safe_load((folder / ".github/workflows/benchmarks.yml").read_text())
    assert outer["permissions"] == {"contents": "read"}


@pytest.mark.slow
def test_the_commands_of_the_workflow_measure_both_sides_and_compare_them(project):
    import yaml

    assert project.run("init", "--workflow").returncode == 0
    workflow = yaml.safe_load((project.folder / ".github/workflows/benchmarks.yml").read_text())
    steps = [each["run"].partition(" | ")[0] for each in workflow["jobs"]["benchmarks"]["steps"] if "run" in each]
    commands = [each for each in steps if each.startswith("crt ")]
    for command in commands[:-1]:
        assert project.run(*command.split()[1:]).returncode == 0
    done = project.run(*commands[-1].split()[1:])
    assert "| test_round_trip |" in done.stdout
    assert done.returncode in (0, 1)  # the machine may be busy


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "there is no such folder"),
        (("a-file",), "is no folder"),
    ],
)
def test_a_folder_that_is_none_is_a_mistake_that_says_so(inside_project, arguments, says):
    (inside_project.folder / "a-file").write_text("")
    done = inside_project.run("init", *arguments)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("pyproject.toml", "[tool\n", "is not valid TOML"),
        ("crt.toml", "suites = 3\n", "expected a path"),
        ("pyproject.toml", "[tool]\ncrt = 3\n", "expected a table"),
    ],
)
def test_a_configuration_that_is_wrong_is_named_and_nothing_is_written(inside_project, name, text, says):
    (inside_project.folder / name).write_text(text)
    done = inside_project.run("init")
    assert done.returncode == 2
    assert says in done.stderr
    assert name in done.stderr
    assert list(files(inside_project.folder)) == [name]


def test_a_variable_that_names_other_suites_is_told(inside_project, tmp_path):
    done = inside_project.run("init", environment={"CRT_SUITES": str(tmp_path)})
    assert done.returncode == 0
    assert "CRT_SUITES names another folder" in done.stderr


@pytest.mark.parametrize("document", [(), ("--dry-run",)])
def test_its_json_says_what_happened_to_each_file(inside_project, document):
    told = json.loads(inside_project.run("init", "--format", "json", *document).stdout)
    assert told["schema"] == 1
    assert told["dry_run"] is bool(document)
    assert [each["action"] for each in told["files"]] == ["write"] * 5
