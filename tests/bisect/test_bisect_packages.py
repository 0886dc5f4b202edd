"""Releases of a package, and packages that moved between two environments: real wheels, real environments, no network."""

import base64
import hashlib
import json
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import slowpoke

from coiled_runtime_cli.bisect.releases import told_versions
from coiled_runtime_cli.errors import UsageError


def wheel(folder, name, version, seconds):
    """A wheel of a package whose work takes so long."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": slowpoke.MODULE.format(number=0, seconds=seconds, memory=1 << 16).encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in {**files, f"{info}/RECORD": (record + f"{info}/RECORD,,\n").encode()}.items():
            archive.writestr(path, data)
    return file


@pytest.fixture
def index(crt):
    """A folder of wheels instead of an index, for pip and for uv."""
    folder = crt.folder.parent / "wheels"  # both take a space for the end of a place
    folder.mkdir()
    crt.environment.update(
        PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder), UV_NO_INDEX="1", UV_FIND_LINKS=str(folder), UV_OFFLINE="1"
    )
    return folder


def answer(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_release_that_got_slower_is_named(crt, index):
    for number in range(9):
        wheel(index, "slowpoke", f"1.{number}", 0.02 if number < 6 else 0.08)
    (crt.folder / "repro.py").write_text(slowpoke.COMMAND)
    ask = ["bisect", "--package", "slowpoke", "--metric", "stdout", "--format", "json"]
    newest = ["--as-of", "today"]
    found = answer(crt.run(*ask, *newest, "--good", "1.1", "--bad", "1.8", "--", "python", "repro.py"))
    assert found["culprit"]["commit"] == "1.6"
    assert found["culprit"]["repository"] == "slowpoke"
    assert found["builds"] >= 3
    assert len(found["candidates"]) == 8
    wrong = crt.run(*ask, "--good", "1.1", "--bad", "1.80", "--", "python", "repro.py")
    assert wrong.returncode == 2
    assert "unknown version of slowpoke '1.80'" in wrong.stderr
    swapped = crt.run(*ask, "--good", "1.8", "--bad", "1.1", "--", "python", "repro.py")
    assert "1.1 comes before 1.8" in swapped.stderr
    # a Python that is not the environment's measures something else
    elsewhere = crt.run(*ask, "--good", "1.1", "--bad", "1.8", "--", sys.executable, "-c", "print(1)")
    assert elsewhere.returncode == 3
    assert "no Python below the command imported slowpoke" in elsewhere.stderr


@pytest.mark.slow
def test_the_package_that_made_an_environment_slower_is_named(crt, index):
    names = ["alpha", "beta", "dask", "gamma"]
    lines = {"good": [], "bad": []}
    for name in names:
        for end, version in (("good", "1.0"), ("bad", "2.0")):
            slow = (name, end) == ("beta", "bad")
            file = wheel(index, name, version, 0.09 if slow else 0.01)
            lines[end].append(f"{name} @ {file.as_uri()}" if name != "gamma" else f"{name}=={version}")
    for end, requirements in lines.items():
        (crt.folder / f"{end}.txt").write_text("\n".join(requirements) + "\n")
    (crt.folder / "repro.py").write_text(
        f"import time\nimport {', '.join(names)}\nbegan = time.perf_counter()\n"
        + "".join(f"{name}.work()\n" for name in names)
        + "print(time.perf_counter() - began)\n"
    )
    ask = ["bisect", "--good", "env:good.txt", "--bad", "env:bad.txt", "--metric", "stdout", "--format", "json"]
    found = answer(crt.run(*ask, "--", "python", "repro.py"))
    assert found["culprit"]["commit"] == "beta"
    assert found["culprit"]["subject"] == "beta 1.0 -> 2.0"
    assert [each["commit"] for each in found["candidates"]] == ["good", "alpha", "beta", "gamma", "dask"]
    # what the field's code stands on came first: whether it was that or the code is what was asked first
    searched = [each["candidate"] for each in found["probes"] if each["purpose"] == "search"]
    assert searched[0] == "gamma"


@pytest.mark.slow
def test_the_package_that_made_an_environment_faster_is_named_and_the_command_to_see_it_names_files(crt, index):
    for name in ("alpha", "beta", "gamma"):
        for version in ("1.0", "2.0"):
            wheel(index, name, version, 0.09 if (name, version) == ("beta", "1.0") else 0.01)
    for version, file in (("1.0", "older.txt"), ("2.0", "newer.txt")):
        (crt.folder / file).write_text(f"alpha=={version}\nbeta=={version}\ngamma=={version}\n")
    (crt.folder / "repro.py").write_text(
        "import time\nimport alpha, beta, gamma\nbegan = time.perf_counter()\n"
        "alpha.work(), beta.work(), gamma.work()\nprint(time.perf_counter() - began)\n"
    )
    ends = ["--find-fix", "--good", "env:newer.txt", "--bad", "env:older.txt"]
    command = ["--", "python", "repro.py"]
    planned = crt.run("bisect", *ends, "--dry-run", *command).stdout
    assert "bad         bad  the bad environment" in planned
    assert "good        gamma  gamma 1.0 -> 2.0" in planned
    found = answer(crt.run("bisect", *ends, "--metric", "stdout", "--format", "json", *command))
    assert found["culprit"]["subject"] == "beta 1.0 -> 2.0"
    assert found["effect"]["ratio"] < 1
    assert [each["commit"] for each in found["candidates"]] == ["bad", "alpha", "beta", "gamma"]
    # culprit and parent alone are measured again, even when what was pruned has gone
    for name in ("older.txt", "newer.txt"):
        (crt.folder / name).unlink()
    assert crt.run("bisect", "--prune").returncode == 0
    shown = crt.run("bisect", "--show", found["id"]).stdout
    assert "bad, good" in shown
    told = shlex.split(shown.partition("to see it: crt ")[2])
    again = answer(crt.run(*told[:1], "--format", "json", *told[1:]))
    assert [each["subject"] for each in again["candidates"]] == ["the bad environment", "beta 1.0 -> 2.0"]
    assert again["culprit"]["commit"] == "beta"


def test_what_an_improvement_of_detect_came_with_is_searched_from_older_to_newer(inside, whole_history):
    shutil.copy(whole_history, inside.folder / "benchmark.db")
    inside.suite("benchmarks/test_x.py", "def test_faster(): pass\ndef test_slower(): pass\n")
    detected = inside.json("detect", "--format", "json")
    found = {each["benchmark"]: each["id"] for each in (*detected["improvements"], *detected["regressions"])}
    assert {"benchmarks/test_x.py::test_faster", "benchmarks/test_x.py::test_slower"} <= found.keys()
    for test, ends in (("faster", ("bad", "good")), ("slower", ("good", "bad"))):
        identity = found[f"benchmarks/test_x.py::test_{test}"]
        planned = inside.run("bisect", "--regression", identity, "--dry-run").stdout
        assert f"{ends[0]:10}  {ends[0]}  the {ends[0]} environment" in planned
        assert f"{ends[1]:10}  dask  dask 2026.19.0 -> 2026.20.0" in planned


@pytest.mark.slow
def test_without_uv_pip_and_venv_make_the_environments(crt, index, monkeypatch, tmp_path):
    from coiled_runtime_cli import environments

    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, crt.environment[name])
    monkeypatch.setattr(environments, "uv_program", lambda: None)
    for version in ("1.0", "1.1"):
        wheel(index, "slowpoke", version, 0.01)
    locked = environments.lock(["slowpoke<1.1"], python=None, folder=tmp_path)
    assert locked == ("slowpoke==1.0",)
    python = environments.build(locked, python=None, cache=tmp_path / "cache")
    _, there = environments.inspect(python, ["slowpoke"])
    assert there["slowpoke"].version == "1.0"
    with pytest.raises(UsageError, match="the environment cannot be made"):
        environments.lock(["slowpoke>2"], python=None, folder=tmp_path)
    with pytest.raises(UsageError, match=r"no interpreter 9\.9"):
        environments.lock(["slowpoke"], python="9.9", folder=tmp_path)
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 1, 1)
    made = environments.build_wheel(repository.folder, python=None, folder=tmp_path / "wheel")
    assert made.name == "slowpoke-1.0-py3-none-any.whl"
    environments.install_into(tmp_path / "target", repository.folder, python=sys.executable)
    assert (tmp_path / "target" / "slowpoke" / "_generated.py").is_file()


def test_versions_that_are_none_are_left_out_of_what_an_old_pip_tells():
    told = "dask (0.9.0)\nAvailable versions: 0.9.0, 0.8.1.macosx-10.5-x86_64, 0.8.1\n  LATEST:    0.9.0\n"
    assert sorted(map(str, told_versions(told))) == ["0.8.1", "0.9.0"]
    assert told_versions("") == set()
