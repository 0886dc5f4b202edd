"""`crt bench` with reports, profiles and dumps: what is said before anything is measured."""

import subprocess
import sys

import pytest


def test_a_plan_says_what_it_keeps_and_where(inside):
    inside.suite("test_one.py", "def test_one(): ...\n")
    flags = ("--profile", "memray", "--profile", "py-spy:scheduler", "--cluster-dump", "fail")
    plan = inside.json("bench", "--suite", "one", "--dry-run", *flags, "--format", "json")["plan"]
    assert plan["keeps"] == ["memray of scheduler and workers", "py-spy of the scheduler", "cluster dump of what fails"]
    assert plan["artifacts"] == str(inside.folder / "benchmark-artifacts")
    url = ("--artifacts", "s3://team/kept")
    assert "s3://team/kept" in inside.run("bench", "--suite", "one", "--dry-run", *flags, *url).stdout
    assert "keeps" not in inside.json("bench", "--suite", "one", "--dry-run", "--format", "json")["plan"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--profile", "memary"], "did you mean 'memray'?"),
        (["--profile", "memray:workes"], "did you mean 'workers'?"),
        (["--artifacts", "kept"], "none is asked for"),
        (["--performance-report", "--repeat", "auto"], "--repeat auto"),
        (["--cluster-dump", "always", "--artifacts", "s3://me:secret@team/kept"], "without credentials"),
        (["--cluster-dump", "always", "--artifacts", ""], "--artifacts: expected a path"),
    ],
)
def test_flags_that_cannot_be_are_told_before_anything_runs(inside, flags, words):
    inside.suite("test_one.py", "def test_one(): ...\n")
    done = inside.run("bench", "--suite", "one", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "secret" not in done.stderr
    assert not (inside.folder / "benchmark.db").exists()


def test_a_library_that_is_missing_is_an_error_with_what_to_type_before_anything_runs(crt, tmp_path):
    crt.suite("test_one.py", "def test_one(): ...\n")
    hides = tmp_path / "hides"
    hides.mkdir()
    (hides / "sitecustomize.py").write_text("import sys; sys.modules['memray'] = sys.modules['bokeh'] = None\n")
    crt.environment["PYTHONPATH"] = f"{hides}:{crt.environment['PYTHONPATH']}"
    for flags, words in (
        ("--profile=memray", "--profile memray needs memray"),
        ("--performance-report", "needs bokeh"),
    ):
        done = crt.run("bench", "--suite", "one", flags)
        assert done.returncode == 3
        assert words in done.stderr
        assert 'pip install "coiled-runtime-cli[profile]"' in done.stderr
        assert not (crt.folder / "benchmark.db").exists()
    done = crt.run("bench", "--suite", "one", "--cluster-dump=fail", "--artifacts", "nonsense://x/y")
    assert done.returncode == 3
    assert "nonsense" in done.stderr
    # a test without a cluster has nothing to keep, and needs nothing
    assert crt.run("bench", "--suite", "one", "--cluster-dump=always").returncode == 0


def test_another_environment_is_told_where_to_install(crt, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    crt.suite("test_one.py", "def test_one(): ...\n")
    done = crt.run("bench", "--suite", "one", "--python", python, "--profile", "memray")
    assert done.returncode == 3
    assert f"{python} -m pip install memray" in " ".join(done.stderr.split())
