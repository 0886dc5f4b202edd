"""The text of a recipe, edited in place."""

from pathlib import Path

import pytest

from coiled_runtime_cli.core.pins import PinError
from coiled_runtime_cli.core.recipe_text import (
    names,
    package_version,
    version_line,
    with_package_version,
    with_pin,
    with_version,
)

RECIPE = (Path(__file__).parents[2] / "recipe" / "meta.yaml").read_text()


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
