"""A metapackage's recipe, read and written in the other format."""

import pytest

from coiled_runtime_cli.core.pins import parse
from coiled_runtime_cli.core.recipe import RecipeError, as_recipe_yaml, disagreements, read

CONTENT = {
    "package": {"name": "Coiled-Runtime", "version": "1.0.0"},
    "build": {"number": 2, "noarch": "python"},
    "requirements": {"run": ["python >=3.11,<3.14", "pip", "dask ==2026.8.0"], "run_constrained": ["numpy >=2"]},
    "test": {"imports": ["dask"], "commands": ["dask --version"]},
    "about": {"home": "https://example.org", "summary": "Pins.", "license": "BSD-3-Clause", "license_family": None},
    "extra": {"recipe-maintainers": ["somebody"]},
}


def changed(**sections):
    return {key: value for key, value in {**CONTENT, **sections}.items() if value is not None}


def test_a_recipe_says_what_the_package_is():
    recipe = read(CONTENT)
    assert (recipe.name, recipe.version, recipe.number, recipe.noarch) == ("coiled-runtime", "1.0.0", 2, "python")
    assert recipe.depends == tuple(map(parse, ("python >=3.11,<3.14", "pip", "dask ==2026.8.0")))
    assert recipe.imports == ("dask",)
    assert dict(recipe.about)["license"] == "BSD-3-Clause"
    bare = read({"package": {"name": "x", "version": 1}})
    assert (bare.version, bare.number, bare.depends, bare.imports) == ("1", 0, (), ())


def test_the_other_format_says_the_same():
    document = as_recipe_yaml(read(CONTENT))
    assert document["requirements"] == {
        "run": ["python >=3.11,<3.14", "pip", "dask ==2026.8.0"],
        "run_constraints": ["numpy >=2"],
    }
    assert document["build"] == {"number": 2, "noarch": "python"}
    assert document["about"]["homepage"] == "https://example.org"
    assert document["tests"] == [
        {"python": {"imports": ["dask"], "pip_check": False}},
        {"script": ["dask --version"]},
    ]


@pytest.mark.parametrize(
    ("content", "words", "conda"),
    [
        ([1], "expected a mapping", False),
        (changed(package={"name": "x"}), "package: version is missing", False),
        (changed(requirements={"run": ["dask =>1"]}), "requirements: run: 'dask =>1' is no pin", False),
        (changed(requirements={"run": ["dask 1", "dask 2"]}), "dask stands there twice", False),
        (changed(requirements={"run": "dask"}), "run: expected a list", False),
        (changed(build={"number": "two"}), "expected a whole number", False),
        (changed(test=["dask"]), "test: expected keys and values", False),
        (changed(build={"script": "make"}), "build: script: not of a metapackage", True),
        (changed(outputs=[{"name": "a"}]), "several outputs", True),
        (changed(source={"url": "x"}), "sources to fetch", True),
        (changed(packge={}), "packge: no section", True),
    ],
)
def test_what_is_no_metapackage_is_said(content, words, conda):
    with pytest.raises(RecipeError, match=words) as raised:
        read(content)
    assert raised.value.needs_conda_build is conda


def test_an_artefact_is_held_against_its_recipe():
    recipe = read(CONTENT)
    right = {"name": "coiled-runtime", "version": "1.0.0", "noarch": "python", "license_": "BSD-3-Clause"}
    # as conda-build writes them: sorted, and without the equals signs
    assert not disagreements(recipe, **right, depends=["dask 2026.8.0", "pip", "python >=3.11,<3.14"])
    assert disagreements(
        recipe, **{**right, "noarch": None}, depends=["dask 2026.7.1", "pip", "python >=3.11,<3.14"]
    ) == [
        "noarch is None, and the recipe says python",
        "dask ==2026.8.0 is ==2026.7.1",
    ]
