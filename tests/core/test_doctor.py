import pytest

from coiled_runtime_cli.core import doctor
from coiled_runtime_cli.core.doctor import Finding, Place
from coiled_runtime_cli.core.quietness import Remark

GIB = 2**30


def install(requirement):
    return f"install {requirement}"


def test_each_package_that_is_missing_or_does_not_fit_is_a_problem_with_its_own_command():
    needed = ["typer<0.29,>=0.21", "dask[dataframe]>=2024.4", "PyYAML>=6"]
    found = doctor.packages(needed, {"typer": "0.30", "pyyaml": "6.0.2"}, install)
    assert [(each.state, each.seen, each.mend) for each in found] == [
        ("problem", "typer 0.30 is not <0.29,>=0.21", "install typer<0.29,>=0.21"),
        ("problem", "dask is missing", "install dask[dataframe]>=2024.4"),
        ("ok", "1 of 3 are as crt needs them", ""),
    ]


def test_a_nightly_build_is_as_new_as_its_version():
    (found,) = doctor.packages(["dask>=2024.4"], {"dask": "2026.9.0.dev3+g123"}, install)
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (doctor.disk(Place(("data",), "/", 100 * GIB)), "ok"),
        (doctor.disk(Place(("data",), "/", GIB)), "warning"),
        (doctor.disk(Place(("data",), "/", 1)), "problem"),
        (doctor.memory(16 * GIB, 16 * GIB), "ok"),
        (doctor.memory(16 * GIB, 4 * GIB), "note"),
        (doctor.memory(None, 4 * GIB), "ok"),
        (doctor.memory(GIB, GIB), "warning"),
        (doctor.memory(16 * GIB, GIB // 4), "problem"),
        (doctor.shared_memory(None), "note"),
        (doctor.shared_memory(64 * 2**20), "warning"),
        (doctor.shared_memory(GIB), "ok"),
        (doctor.open_files(256, -1), "warning"),
        (doctor.open_files(1024, 4096), "ok"),
        (doctor.open_files(-1, -1), "ok"),
        (doctor.clock(stepped=1e-5, elapsed=1.0, behind=-9e6, set_clock="set"), "ok"),
        (doctor.clock(stepped=-3.0, elapsed=1.0, behind=-9e6, set_clock="set"), "warning"),
        (doctor.clock(stepped=0.0, elapsed=1.0, behind=9e6, set_clock="set"), "warning"),
        (doctor.skew(0.4, set_clock="set"), "ok"),
        (doctor.skew(-60.0, set_clock="set"), "warning"),
        (doctor.skew(3600.0, set_clock="set"), "problem"),
    ],
)
def test_what_is_seen_is_judged(finding, state):
    assert finding.state == state
    assert finding.seen
    assert bool(finding.mend) == (state in {"warning", "problem"})


@pytest.mark.parametrize(("soft", "hard", "mend"), [(256, -1, 4096), (256, 512, 512), (256, 9999, 4096)])
def test_a_limit_is_raised_to_what_the_user_may_have(soft, hard, mend):
    assert doctor.open_files(soft, hard).mend == f"ulimit -n {mend}"


def test_a_limit_that_cannot_be_raised_has_no_command_that_would_fail():
    assert doctor.open_files(256, 256).mend == ""


def test_noise_of_the_moment_is_a_warning_and_what_the_machine_is_set_to_a_note():
    said = [Remark("load", "6 on 2 cores", "wait"), Remark("governor", "powersave", "cpupower"), Remark("timer", "0 s")]
    assert [(each.check, each.state) for each in doctor.quiet(said)] == [
        ("noise: load", "warning"),
        ("noise: governor", "note"),
    ]
    (calm,) = doctor.quiet([Remark("load", "0.1 on 2 cores")])
    assert (calm.state, calm.seen) == ("ok", "quiet: load 0.1 on 2 cores")


def test_the_exit_code_is_that_of_the_problem_that_is_to_be_mended_first():
    fine, odd = Finding("a", "ok", "fine"), Finding("b", "warning", "odd", "do")
    elsewhere, here = Finding("c", "problem", "gone", "do", 4), Finding("d", "problem", "missing", "do", 3)
    assert doctor.exit_code([fine, odd]) == 0
    assert doctor.exit_code([fine, elsewhere, odd]) == 4
    assert doctor.exit_code([elsewhere, here]) == 3


def test_a_problem_without_an_exit_code_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="exit code"):
        Finding("a", "problem", "bad")
    with pytest.raises(ValueError, match="exit code"):
        Finding("a", "warning", "bad", code=3)


def test_the_table_counts_the_worst_first():
    table = doctor.table([Finding("a", "ok", "x"), Finding("b", "problem", "y", "do", 3)], mends=True)
    assert table.caption == "1 problem, 0 warnings, 0 notes, 1 ok"
    assert table.rows[1] == ("b", "problem", "y", "do")
