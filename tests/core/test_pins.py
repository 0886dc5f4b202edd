"""Pins, read and written for pip."""

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
    parse,
    same,
    to_pypi,
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
