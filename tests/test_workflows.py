"""The workflows of GitHub: commands that crt has, actions by commit, and no more rights than are used."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from coiled_runtime_cli import cli

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "workflows"
NAMES = ("ab-comment.yml", "ab.yml", "benchmarks.yml", "nightly.yml", "release.yml", "tests.yml")
FILES = {name: (FOLDER / name).read_text(encoding="utf-8") for name in NAMES}
#: YAML 1.1 reads the key "on" as true.
WORKFLOWS = {name: yaml.safe_load(text) for name, text in FILES.items()}
JOBS = {(name, job): each for name, workflow in WORKFLOWS.items() for job, each in workflow["jobs"].items()}
RUNS = [(name, job, step["run"]) for (name, job), each in JOBS.items() for step in each["steps"] if "run" in step]
COMMANDS = sorted({run for _, _, run in RUNS if run.startswith("crt ")})

#: What may be set as a right, and where: all else is read.
WRITES = {
    ("ab-comment.yml", "comment", "pull-requests"),
    ("benchmarks.yml", "measure", "id-token"),
    ("benchmarks.yml", "decide", "id-token"),
    ("benchmarks.yml", "decide", "issues"),
    ("benchmarks.yml", "pages", "id-token"),
    ("benchmarks.yml", "pages", "pages"),
    ("release.yml", "build", "id-token"),
    ("release.yml", "release", "contents"),
}


def parsed(command):
    """Parse a command line as crt does, without running it. Raises what crt would."""
    words = shlex.split(re.sub(r"\$\{?\w+\}?", "1.0.0", command.partition(" >> ")[0].partition(" > ")[0]))
    assert words[0] == "crt"
    here, parent, rest = typer.main.get_command(cli.app), None, words[1:]
    flags = cli._Flags()
    while True:
        context = here.make_context(here.name or "crt", rest, parent=parent, obj=flags)
        if not hasattr(here, "commands"):
            return context
        rest = [*context._protected_args, *context.args]
        if not rest:
            return context
        _, here, rest = here.resolve_command(context, rest)
        parent = context


def test_there_are_these_workflows_and_no_others():
    assert {each.name for each in FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_workflow_is_one_that_crt_has(command):
    assert "\n" not in command
    parsed(command)


def test_a_command_that_crt_has_not_would_be_told():
    for wrong, says in {
        "crt detect isues": "isues",
        "crt bench --pushed": "pushed",
        "crt ab comment": "file",
        "crt release upload --too x": "too",
    }.items():
        with pytest.raises(Exception, match=says):
            parsed(wrong)


def test_what_the_workflows_are_for_is_a_command_in_them():
    said = {(name, " ".join(run.split()[:3]).rstrip("\\")) for name, _, run in RUNS if run.startswith("crt ")}
    assert said >= {
        ("benchmarks.yml", "crt bench --push"),
        ("benchmarks.yml", "crt detect issues"),
        ("benchmarks.yml", "crt sync publish"),
        ("benchmarks.yml", "crt report --out"),
        ("ab.yml", "crt ab run"),
        ("ab-comment.yml", "crt ab comment"),
        ("nightly.yml", "crt build --nightly"),
        ("release.yml", "crt release check"),
    }


def test_the_readmes_test_command_is_what_each_python_runs():
    assert "python3 -m pip install '.[test]' && python3 -m pytest" in (ROOT / "README.md").read_text()
    assert ("tests.yml", "linux", "python3 -m pip install '.[test]' && python3 -m pytest") in RUNS
    assert ("tests.yml", "everything", "bash .ci/run") in RUNS
    oldest = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert JOBS["tests.yml", "linux"]["strategy"]["matrix"]["python"][0] == oldest


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_by_a_commit_with_its_version_beside_it(name):
    uses = [line.strip() for line in FILES[name].splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert uses
    for each in uses:
        assert re.fullmatch(r"(- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each
    pins = {}
    for text in FILES.values():
        for action, commit, version in re.findall(r"uses: (\S+)@([0-9a-f]{40}) # (\S+)", text):
            assert pins.setdefault(action, (commit, version)) == (commit, version), (
                "one version of an action everywhere"
            )


@pytest.mark.parametrize("name", NAMES)
def test_no_right_is_given_that_no_job_says_it_needs(name):
    assert WORKFLOWS[name]["permissions"] == {}
    given = {
        (name, job, right)
        for (file, job), each in JOBS.items()
        if file == name
        for right, level in each["permissions"].items()
        if level == "write"
    }
    assert given == {each for each in WRITES if each[0] == name}


@pytest.mark.parametrize("name", NAMES)
def test_each_job_ends_and_jobs_of_a_kind_do_not_pile_up(name):
    assert WORKFLOWS[name]["concurrency"]["group"]
    for (file, job), each in JOBS.items():
        if file == name:
            assert 0 < each["timeout-minutes"] <= 330, job


def test_nothing_of_an_event_is_put_into_a_shells_text():
    assert [run for _, _, run in RUNS if "${{" in run] == []


def test_no_checkout_leaves_its_token_behind():
    steps = [step for each in JOBS.values() for step in each["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) > 8
    assert [each for each in checkouts if each["with"].get("persist-credentials") is not False] == []


def test_what_runs_the_code_of_a_pull_request_has_no_secret_and_may_write_nothing():
    for name, workflow in WORKFLOWS.items():
        events = workflow[True]
        assert "pull_request_target" not in events
        if "pull_request" in events:
            assert "secrets." not in FILES[name]
            assert "github.token" not in FILES[name]
            assert not [each for each in WRITES if each[0] == name]


def test_what_writes_the_comment_takes_no_code_from_the_pull_request():
    (job,) = WORKFLOWS["ab-comment.yml"]["jobs"].values()
    (checkout,) = [each for each in job["steps"] if each.get("uses", "").startswith("actions/checkout@")]
    assert set(checkout["with"]) == {"persist-credentials"}  # the default branch, as the event has it
    assert [each["run"].split()[:3] for each in job["steps"] if "run" in each] == [
        ["python3", "-m", "pip"],
        ["crt", "ab", "comment"],
    ]


def test_zizmor_finds_nothing():
    program = beside("zizmor")
    done = subprocess.run(
        [program, "--offline", "--no-progress", "--color", "never", ROOT / ".github"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing():
    program = beside("actionlint")
    done = subprocess.run([program, *(FOLDER / name for name in NAMES)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def beside(name):
    """A program of this environment, or of the path; a test that lacks it is skipped by name."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: pip install '.[workflows]'")
    return found
