"""Pins of a recipe, read and written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from coiled_runtime_cli.core.pins import (
    CONDA_ONLY,
    Pin,
    PinError,
    differences,
    names,
    package_version,
    parse,
    same,
    to_pypi,
    version_line,
    with_package_version,
    with_pin,
    with_version,
)

RECIPE = (Path(__file__).parents[2] / "recipe" / "meta.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "pin", "exact"),
    [
        ("dask ==2026.8.0", Pin("dask", "==2026.8.0"), "2026.8.0"),
        ("dask 2026.8.0", Pin("dask", "==2026.8.0"), "2026.8.0"),
        ("dask==2026.8.0", Pin("dask", "==2026.8.0"), "2026.8.0"),
        ("  - dask".strip(" -"), Pin("dask"), None),
        ("pip *", Pin("pip"), None),
        ("openssl >3.0", Pin("openssl", ">3.0"), None),
        ("python >=3.11,<3.14", Pin("python", ">=3.11,<3.14"), None),
        ("numpy =2.4", Pin("numpy", "2.4.*"), None),
        ("numpy ==2.4.*", Pin("numpy", "2.4.*"), None),
        ("NumPy 2.4.6 py311_0", Pin("numpy", "==2.4.6", "py311_0"), "2.4.6"),
    ],
)
def test_a_pin_is_read_whoever_wrote_it(text, pin, exact):
    assert parse(text) == pin
    assert parse(text).exact == exact
    assert parse(str(pin)) == pin


@pytest.mark.parametrize("text", ["", "==1.0", "dask ==", "dask =>1", "dask ==1.0;python", "a b c d", "dask ==1 2 3"])
def test_what_is_no_pin_is_refused(text):
    with pytest.raises(PinError, match="is no pin"):
        parse(text)


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z]", fullmatch=True),
    st.from_regex(r"\d{1,4}(\.\d{1,3}){0,3}", fullmatch=True),
)
def test_both_builders_write_the_same_pin(name, version):
    assert same([f"{name} {version}"], [f"{name} =={version}"])
    assert parse(str(parse(f"{name} {version}"))) == parse(f"{name}=={version}")


def test_differences_are_told_in_words():
    assert not differences(["dask 1.0", "pip"], ["pip", "dask ==1.0"])
    assert differences(["dask 1.0", "pip"], ["dask ==2.0", "zict"]) == [
        "dask ==1.0 is ==2.0",
        "pip is missing",
        "zict is not in the recipe",
    ]


def test_pypi_has_other_names_and_not_everything():
    pins = [parse(each) for each in ("msgpack-python ==1.2.4", "openssl >3.0", "numpy =2.4.*", "coiled >=1.0", "zict")]
    assert to_pypi(pins) == (["msgpack==1.2.4", "numpy==2.4.*", "coiled>=1.0", "zict"], [parse("openssl >3.0")])


@pytest.mark.parametrize(
    "text",
    [
        "zarr >=2.16|>=3",
        "numpy 1.26.*|2.*",
        "pyarrow ==26.0 *cuda*",
        "pyarrow * *cuda*",
        "dask-core ==2026.8.0 py_0",
        "scipy >=1.2.*",
        "scipy 1.2*",
    ],
)
def test_what_pip_cannot_say_is_left_and_told(text):
    assert to_pypi([parse(text), parse("zict ==3.0")]) == (["zict==3.0"], [parse(text)])


@given(st.from_regex(r"(?:(?:==|>=|<=|!=|~=|=|>|<)?[0-9*][0-9a-z.*]{0,5}[,|]?){1,3}", fullmatch=True))
def test_requirements_of_pip_are_ones_that_pip_reads(constraint):
    try:
        pin = parse(f"dask {constraint}")
    except PinError:
        return
    requirements, left = to_pypi([pin])
    assert len(requirements) + len(left) == 1
    assert [Requirement(each).name for each in requirements] == ["dask"] * len(requirements)


def requirements():
    return re.findall(r"^    - ([a-z][^#\n]*)", RECIPE[: RECIPE.index("test:")], flags=re.MULTILINE)


def test_every_requirement_of_the_recipe_is_a_pin():
    lines = [
        line.replace("{{ dask_version }}", "1").replace("{{ distributed_version }}", "1") for line in requirements()
    ]
    pins = [parse(line) for line in lines]
    assert len(pins) >= 35
    assert len({each.name for each in pins}) == len(pins)
    loose = {each.name for each in pins if each.exact is None}
    assert loose == {"python", "pip", "coiled", "openssl"}
    assert loose - {"coiled"} <= CONDA_ONLY


@pytest.mark.parametrize("name", ["dask", "distributed", "numpy", "msgpack-python", "sqlalchemy"])
def test_an_edit_changes_one_version_and_nothing_else(name):
    before = version_line(RECIPE, name)["version"]
    edited = with_version(RECIPE, name, "9999.1")
    assert version_line(edited, name)["version"] == "9999.1"
    assert with_version(edited, name, before) == RECIPE
    changed = [pair for pair in zip(RECIPE.splitlines(), edited.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 1


#: A recipe whose names stand in other places, too.
ELSEWHERE = """\
requirements:
  host:
    - numpy ==1.0
    - dask ==1
  run:
    # the one that matters
    - dask-core ==1
    - "quoted ==1"

    - {{ pin_compatible("scipy") }}
{% if more %}
    - numpy >=1.0  # any of them
{% endif %}
  run_constrained:
    - zict ==1
test:
  imports:
    - dask
    - zict ==2
"""


def test_only_what_is_required_to_run_is_a_pin():
    assert names(ELSEWHERE) == ["dask-core", "numpy"]
    for name in ("dask", "zict", "pip"):
        for value in ("2026.8.0", ">=2"):
            with pytest.raises(PinError, match=f"unknown package '{name}'"):
                with_pin(ELSEWHERE, name, value)
        with pytest.raises(PinError, match=f"no exact pin of {name}"):
            version_line(ELSEWHERE, name)
    assert with_pin(ELSEWHERE, "dask-core", "2") == ELSEWHERE.replace("dask-core ==1", "dask-core ==2")
    assert with_pin(ELSEWHERE, "numpy", "2.0") == ELSEWHERE.replace("numpy >=1.0", "numpy ==2.0")
    assert names("package:\n  name: a\n") == []
    with pytest.raises(PinError, match="unknown package"):
        with_pin("package:\n  name: a\ntest:\n  imports:\n    - dask\n", "dask", ">=2")


def test_what_cannot_be_edited_is_said():
    with pytest.raises(PinError, match="no exact pin of openssl"):
        with_version(RECIPE, "openssl", "3.5")
    with pytest.raises(PinError, match="no exact pin of scikit"):
        with_version(RECIPE, "scikit", "1")  # scikit-learn is another package
    with pytest.raises(PinError, match="is no version"):
        with_version(RECIPE, "dask", "latest")


def test_the_version_of_the_package_only_grows():
    assert package_version(RECIPE)["version"] == "1.0.0"
    assert package_version(with_package_version(RECIPE, "1.10.0"))["version"] == "1.10.0"
    with pytest.raises(PinError, match=r"0\.9\.0 comes before 1\.0\.0"):
        with_package_version(RECIPE, "0.9.0")
    with pytest.raises(PinError, match=r"expected X\.Y\.Z"):
        with_package_version(RECIPE, "1.0.0a1")
