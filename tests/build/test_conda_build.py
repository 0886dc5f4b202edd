"""`crt build` with conda-build: the real one where it is installed, and a stand-in that writes as it does everywhere."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recipes import put_recipe

from coiled_runtime_cli.build import artifact, nightly
from coiled_runtime_cli.errors import RemoteError

STAND_IN = Path(__file__).parent / "conda_build_stand_in.py"


@pytest.fixture
def with_conda_build(inside, tmp_path):
    """A machine with conda-build on PATH, and a list of how it is called."""
    folder = tmp_path / "conda" / "bin"
    folder.mkdir(parents=True)
    program = folder / "conda-build"
    program.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    inside.environment["PATH"] = f"{folder}{os.pathsep}{inside.environment['PATH']}"
    inside.environment["CONDA_BUILD_CALLS"] = str(tmp_path / "calls")
    inside.calls = lambda: [json.loads(each) for each in (tmp_path / "calls").read_text().splitlines()]
    inside.program = program
    return inside


def test_where_conda_build_is_it_builds_and_says_so(with_conda_build):
    crt = with_conda_build
    put_recipe(crt)
    done = crt.run("build", "-c", "conda-forge", "-c", "ours", "--override-channels")
    assert done.returncode == 0, done.stderr
    assert "conda-build 26.7.1" in done.stdout
    assert "BUILD START" in done.stderr  # its output is streamed
    (call,) = crt.calls()
    assert call["arguments"][3:] == [
        "--no-anaconda-upload",
        "-c",
        "conda-forge",
        "-c",
        "ours",
        "--override-channels",
        "--no-test",
    ]
    assert call["root"]
    assert not Path(call["root"]).exists()  # a build root of its own, gone by now
    assert list((crt.folder / "dist" / "conda" / "noarch").glob("*.tar.bz2"))


def test_conda_build_is_found_beside_the_conda_that_conda_exe_names(with_conda_build):
    crt = with_conda_build
    crt.environment["PATH"] = os.environ["PATH"]
    put_recipe(crt)
    assert "rattler-build" in crt.run("build").stdout
    crt.environment["CONDA_EXE"] = str(crt.program.with_name("conda"))
    assert "conda-build 26.7.1" in crt.run("build", "--output-folder", "other").stdout


def test_rattler_build_can_be_asked_for_and_conda_build_missing_is_3(with_conda_build):
    crt = with_conda_build
    put_recipe(crt)
    assert "rattler-build" in crt.run("build", "--builder", "rattler-build").stdout
    crt.environment["PATH"] = os.environ["PATH"]
    done = crt.run("build", "--builder", "conda-build", "--output-folder", "other")
    assert done.returncode == 3
    assert "conda install conda-build" in done.stderr


def test_nightly_versions_can_be_asked_of_conda(tmp_path):
    """What `conda search --json` prints, as conda 26.7 does."""
    conda = tmp_path / "conda"
    answers = {
        name: [{"version": each} for each in ("2026.8.1a260901", "2026.8.1a261010")] for name in nightly.REPOSITORIES
    }
    conda.write_text(
        f"#!{sys.executable}\nimport json, sys\nname = sys.argv[-1]\nprint(json.dumps({{name: {answers!r}[name]}}))\n"
    )
    conda.chmod(0o755)
    assert nightly.newest_by_conda(conda, "dask/label/dev") == dict.fromkeys(nightly.REPOSITORIES, "2026.8.1a261010")
    conda.write_text(f'#!{sys.executable}\nprint(\'{{"error": "CondaHTTPError: no network"}}\')\nraise SystemExit(1)\n')
    with pytest.raises(RemoteError, match="no network"):
        nightly.newest_by_conda(conda, "dask/label/dev")
    conda.write_text(f'#!{sys.executable}\nprint(\'{{"error": "x", "exception_name": "PackagesNotFoundError"}}\')\n')
    with pytest.raises(RemoteError, match="has no dask"):
        nightly.newest_by_conda(conda, "dask/label/dev")


@pytest.mark.parametrize("flags", [["--env", "conda"], ["--env", "pixi", "--env", "requirements"], ["--wheel"]])
def test_files_of_a_recipe_that_only_conda_build_can_read_are_refused(with_conda_build, flags):
    crt = with_conda_build
    put_recipe(crt, **{"    - openssl >3.0  # any of them\n": "    - pywin32  # [win]\n"})
    done = crt.run("build", *flags)
    assert done.returncode == 2, done.stderr
    assert "holds on some platforms only (- pywin32  # [win]): it needs conda-build" in done.stderr
    assert not (crt.folder / "dist").exists()


def both(crt):
    """The same recipe through both builders."""
    for builder in ("conda-build", "rattler-build"):
        done = crt.run("build", "--builder", builder, "--output-folder", builder)
        assert done.returncode == 0, done.stderr
    files = [
        next(each for each in (crt.folder / name / "noarch").iterdir() if each.name.endswith((".conda", ".tar.bz2")))
        for name in ("conda-build", "rattler-build")
    ]
    return [artifact.opened(each) for each in files]


def test_both_builders_give_the_same_metadata(with_conda_build):
    put_recipe(with_conda_build)
    first, second = both(with_conda_build)
    assert first.depends != second.depends  # each in its own way of writing
    assert first.normalised() == second.normalised()
    assert first.normalised()["imports"] == ["dask", "distributed"]


def test_the_real_conda_build_gives_the_same_metadata(inside, without_conda):
    if without_conda is None:
        pytest.skip("conda-build is not installed")
    inside.environment["PATH"] += os.pathsep + str(Path(without_conda).parent)
    put_recipe(inside)
    first, second = both(inside)
    assert first.normalised() == second.normalised()


def test_what_is_set_reaches_conda_build(with_conda_build):
    crt = with_conda_build
    put_recipe(crt)
    done = crt.run(
        "build",
        "--set",
        "dask=2026.7.1",
        "--set",
        "openssl=>=3.2,<4",
        "--version-suffix",
        "a1",
        environment={"DASK_VERSION": "1.1"},
    )
    assert done.returncode == 0, done.stderr
    (file,) = (crt.folder / "dist" / "conda" / "noarch").glob("*.tar.bz2")
    made = artifact.opened(file)
    assert made.version == "1.0.0a1"
    assert {"dask 2026.7.1", "openssl >=3.2,<4"} <= set(made.depends)
    assert "{{ dask_version }}" in (crt.folder / "recipe" / "meta.yaml").read_text()


def test_a_recipe_that_only_conda_build_can_read_is_its(with_conda_build):
    crt = with_conda_build
    put_recipe(crt, **{"openssl >3.0  # any of them": "openssl >3.0  # [linux]"})
    done = crt.run("build", "--format", "json")
    assert done.returncode == 0, done.stderr
    (check,) = json.loads(done.stdout)["checks"]
    assert (check["what"], check["word"]) == ("contents", "not verified")
    refused = crt.run("build", "--builder", "rattler-build", "--output-folder", "other")
    assert refused.returncode == 2
    assert "it needs conda-build" in refused.stderr


def test_its_own_tests_are_what_test_means(with_conda_build):
    crt = with_conda_build
    put_recipe(crt)
    done = crt.run("build", "--test", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "--no-test" not in crt.calls()[0]["arguments"]
    assert json.loads(done.stdout)["check"] == "verified"
    # zero tests are not verified, never verified
    put_recipe(crt, **{"test:\n  imports:\n    - dask\n    - distributed\n": ""})
    done = crt.run("build", "--test", "--output-folder", "other")
    assert done.returncode == 5
    assert "carries no tests" in done.stdout


@pytest.mark.parametrize(
    ("behaviour", "code", "expected"),
    [
        ("http", 4, "a channel does not answer"),
        ("unsatisfiable", 3, "crt build --no-test --check says which pin to change"),
        ("tests", 3, "its tests failed"),
        ("nothing", 3, "made no package"),
        ("other", 3, "dask ==2026.8.0 is missing"),
    ],
)
def test_what_goes_wrong_in_conda_build_is_explained(with_conda_build, behaviour, code, expected):
    crt = with_conda_build
    put_recipe(crt)
    done = crt.run("build", environment={"CONDA_BUILD_STAND_IN": behaviour})
    assert done.returncode == code
    assert expected in done.stderr
    assert 'File "' not in done.stderr.rpartition("error: ")[2]  # of its traceback, the last words
    assert not list(crt.folder.glob("dist/conda/noarch/*.tar.bz2"))


def test_output_names_what_conda_build_would_make(with_conda_build):
    crt = with_conda_build
    put_recipe(crt)
    assert crt.run("build", "--output").stdout == "dist/conda/noarch/coiled-runtime-1.0.0-py_0.tar.bz2\n"
    assert not (crt.folder / "dist").exists()


def test_interrupted_conda_build_is_ended_and_nothing_is_left(with_conda_build, crt, tmp_path):
    put_recipe(crt)
    crt.environment.update(PATH=with_conda_build.environment["PATH"], CONDA_BUILD_STAND_IN="hang", TMPDIR=str(tmp_path))
    crt.environment["CONDA_BUILD_CALLS"] = str(tmp_path / "calls")
    started = crt.start("build")
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "calls").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 130
    assert "Traceback" not in told
    assert not list(tmp_path.glob("crt-build-*"))
    assert not (crt.folder / "dist").exists()
