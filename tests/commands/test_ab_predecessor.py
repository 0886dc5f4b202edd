"""`crt ab run` on the folders of the predecessor."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from timed_arms import SUITE, labels


@pytest.fixture
def triplets(inside):
    """AB_environments as the predecessor had it, and a stand-in for conda that makes an environment of this interpreter."""
    inside.suite("benchmarks/test_timed.py", SUITE)
    folder = inside.folder / "AB_environments"
    folder.mkdir()
    for name, config in (("baseline", ""), ("slow", "ab:\n  factor: 3.0\n")):
        conda = "channels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip:\n  - dask\n"
        (folder / f"AB_{name}.conda.yaml").write_text(conda)
        (folder / f"AB_{name}.dask.yaml").write_text(config)
        (folder / f"AB_{name}.cluster.yaml").write_text("")
    (folder / "config.yaml").write_text(
        "repeat: 2\ntest_null_hypothesis: false\ntargets:\n- tests/benchmarks\nh2o_datasets:\n- 0.5 GB (csv)\n"
        "max_parallel:\n  ci_jobs: 1\n  pytest_workers_per_job: 4\n"
    )
    return inside


def test_conda_files_without_conda_are_told_with_what_to_install(triplets):
    done = triplets.run("ab", "run", "AB_environments", environment={"PATH": "/nowhere"})
    assert done.returncode == 2
    assert "none of mamba, micromamba, conda, pixi is installed" in done.stderr


@pytest.mark.slow
def test_the_predecessors_triplets_and_settings_are_run(triplets, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "mamba"
    fake.write_text(
        "#!/bin/sh\n"
        'echo "$@" >> ' + json.dumps(str(tmp_path / "called")) + "\n"
        'mkdir -p "$4/bin"\n'
        f'printf \'#!/bin/sh\\nexec {sys.executable} "$@"\\n\' > "$4/bin/python"\n'
        'chmod +x "$4/bin/python"\n'
    )
    fake.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = triplets.run("ab", "run", "AB_environments", "--format", "json", environment={"PATH": path})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ratios = {each["benchmark"]: each["ratio"] for each in found["arms"][0]["comparisons"]}
    assert 2 < ratios["benchmarks/test_timed.py::test_slowed"] < 4
    assert found["arms"][0]["label"] == "AB_slow"
    assert "null hypothesis off" in done.stderr
    assert "pytest_workers_per_job is left out" in done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert len(called) == 1  # both files are the same, but for what is set in them
    assert called[0].startswith("env create -p ")
    assert labels(triplets) == {"AB_baseline": 6, "AB_null": 6, "AB_slow": 6}
