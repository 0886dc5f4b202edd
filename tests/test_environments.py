"""Environments made by uv: resolved, built once, proved."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from coiled_runtime_cli import environments, suites
from coiled_runtime_cli.ab.environments import make_environments
from coiled_runtime_cli.ab.proof import proved
from coiled_runtime_cli.ab.record import Record
from coiled_runtime_cli.core.experiment import Arm, Experiment
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder")
    try:
        return environments.lock(
            ["pluggy>=1", "iniconfig"], python=None, folder=folder, prefer=environments.preferences()
        )
    except RemoteError as error:
        pytest.skip(f"packages cannot be fetched here: {error.message}")


def test_what_is_not_asked_for_stays_as_it_is_here(locked):
    assert set(locked) == {f"pluggy=={version('pluggy')}", f"iniconfig=={version('iniconfig')}"}


def test_an_environment_is_built_once_and_has_what_is_locked(locked, tmp_path):
    python = environments.build(locked, python=None, cache=tmp_path)
    told, there = environments.inspect(python, ["pluggy"])
    assert told == ".".join(map(str, sys.version_info[:3]))
    assert set(there) == {"pluggy", "iniconfig"}
    assert there["pluggy"].version == version("pluggy")
    assert Path(there["pluggy"].file).is_relative_to(tmp_path)
    stamp = python.parent.parent.stat().st_mtime_ns
    assert environments.build(locked, python=None, cache=tmp_path) == python
    assert python.parent.parent.stat().st_mtime_ns == stamp
    assert [each.name for each in tmp_path.iterdir()] == [python.parent.parent.name]


def test_a_commit_is_installed_and_proved(tmp_path):
    project = tmp_path / "project"
    (project / "small_thing").mkdir(parents=True)
    (project / "small_thing" / "__init__.py").write_text("")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbackend-path = ["."]\nbuild-backend = "backend"\n'
    )
    (project / "backend.py").write_text(
        "import zipfile\n"
        "NAME = 'small_thing-1.0-py3-none-any.whl'\n"
        "META = 'Metadata-Version: 2.1\\nName: small-thing\\nVersion: 1.0\\n'\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    with zipfile.ZipFile(f'{folder}/{NAME}', 'w') as wheel:\n"
        "        wheel.writestr('small_thing/__init__.py', '')\n"
        "        wheel.writestr('small_thing-1.0.dist-info/METADATA', META)\n"
        "        wheel.writestr('small_thing-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\n"
        "Root-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('small_thing-1.0.dist-info/RECORD', '')\n"
        "    return NAME\n"
    )
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True).stdout.strip()
    requirement = f"small-thing @ git+file://{project}"
    found = environments.lock([requirement], python=None, folder=tmp_path)
    assert found == (f"{requirement}@{commit}",)
    python = environments.build(found, python=None, cache=tmp_path / "cache")
    arm = Arm(name="x", packages=(requirement,))
    assert proved(arm, python, [requirement], found)[1] == {"small-thing": f"1.0 ({commit[:9]})"}
    other = f"{requirement}@{'0' * 40}"
    with pytest.raises(ToolError, match="and 0000000"):
        proved(arm, python, [requirement], [other])


def test_an_arm_that_did_not_get_what_it_asked_for_is_an_error():
    arm = Arm(name="older")
    with pytest.raises(ToolError, match=r"older has pytest .* and pytest==1\.0 was asked for"):
        proved(arm, Path(sys.executable), ["pytest==1.0"], [])
    with pytest.raises(ToolError, match="has no no-such-thing"):
        proved(arm, Path(sys.executable), ["no-such-thing"], [])


def test_what_is_asked_for_elsewhere_need_not_be_there():
    arm = Arm(name="marked")
    wanted = [
        "no-such-thing; python_version < '3'",
        "pytest; python_version >= '3'",
        "pytest==1.0; sys_platform == 'nowhere'",
        f"pluggy; python_full_version == '{'.'.join(map(str, sys.version_info[:3]))}'",
    ]
    there = proved(arm, Path(sys.executable), wanted, [])[1]
    assert there == {name: version(name) for name in ("pytest", "pluggy")}
    with pytest.raises(ToolError, match="has no no-such-thing"):
        proved(arm, Path(sys.executable), ["no-such-thing; python_version >= '3'"], [])


def test_the_interpreter_of_an_arm_is_found_from_its_folder(locked, tmp_path, monkeypatch):
    arms = tmp_path / "arms"
    arms.mkdir()
    (tmp_path / "elsewhere").mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(suites, "NEEDED", ("iniconfig",))  # resolved in no time
    plain = Arm(name="baseline")
    made_with = Arm(name="other", python="../env/bin/python", packages=("pluggy",))
    experiment = Experiment(arms=(plain, made_with))
    record = Record(arms, experiment)
    made = make_environments(experiment, arms, record, tmp_path / "cache", tell=lambda *_: None)
    assert made["other"].versions == {"pluggy": version("pluggy")}
    assert made["other"].python.is_relative_to(tmp_path / "cache")


def test_what_cannot_be_resolved_is_the_users_to_mend(locked, tmp_path):
    with pytest.raises(UsageError, match=r"no version of pluggy==0\.0\.99"):
        environments.lock(["pluggy==0.0.99"], python=None, folder=tmp_path)
    with pytest.raises(UsageError, match="cannot be made"):
        environments.lock(["pluggy === === x"], python=None, folder=tmp_path)
    with pytest.raises(UsageError, match=r"2\.5"):
        environments.lock(["pluggy"], python="2.5", folder=tmp_path)
    with pytest.raises(UsageError, match=r"3\.99"):
        environments.build(locked, python="3.99", cache=tmp_path)


def test_no_network_is_told_as_such(monkeypatch, tmp_path):
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(RemoteError, match="cannot be fetched"):
        environments.lock(["six"], python=None, folder=tmp_path)
