"""Whatever a recipe or a package holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from broken import FEW, mutated, values

from coiled_runtime_cli.build import archive, artifact
from coiled_runtime_cli.build.render import render
from coiled_runtime_cli.core import recipe
from coiled_runtime_cli.core.recipe import RecipeError
from coiled_runtime_cli.errors import CrtError


@given(
    st.dictionaries(
        st.sampled_from(["package", "build", "requirements", "test", "about", "extra", "x"]), values, max_size=5
    )
)
def test_a_recipe_of_any_values_is_read_or_refused(content: Any) -> None:
    package = {"name": "x", "version": "1"}
    for each in (content, {"package": package, **content}):
        with contextlib.suppress(RecipeError):
            recipe.as_recipe_yaml(recipe.read(each))


@given(data=st.data())
@FEW
def test_a_template_of_any_text_is_rendered_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    whole = (Path(__file__).parents[2] / "recipe" / "meta.yaml").read_bytes()
    (tmp_path / "meta.yaml").write_bytes(mutated(whole, data.draw))
    with contextlib.suppress(CrtError):
        render(tmp_path / "meta.yaml", {})


@given(data=st.data())
@FEW
def test_a_package_of_any_bytes_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = {"index.json": b'{"name":"x","version":"1","build":"0","build_number":0,"depends":[],"subdir":"noarch"}'}
    files["tests/tests.yaml"] = json.dumps(data.draw(values)).encode()
    whole = archive.conda_bytes("x-1-0", files, moment=1_700_000_000)
    path = tmp_path / "x-1-0.conda"
    path.write_bytes(mutated(whole, data.draw) if data.draw(st.booleans()) else whole)
    with contextlib.suppress(CrtError):
        artifact.opened(path)
