"""Whatever a file of settings, arms or clusters holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from broken import DEEP, FEW, HUGE, values

from coiled_runtime_cli import config
from coiled_runtime_cli.ab import definition
from coiled_runtime_cli.build.render import render
from coiled_runtime_cli.clusters.shapes import load_shapes
from coiled_runtime_cli.core import experiment
from coiled_runtime_cli.core.experiment import ExperimentError
from coiled_runtime_cli.errors import CrtError

KEYS = st.sampled_from(sorted(config.KEYS)) | st.text("abc-_.", min_size=1, max_size=6)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if value is None:
        return '"none"'
    return str(value) if isinstance(value, float) else json.dumps(value)


@given(data=st.data())
@settings(FEW, max_examples=100)
def test_a_configuration_of_any_values_holds_or_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    table = data.draw(st.dictionaries(KEYS, values, max_size=3))
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())
    (tmp_path / "crt.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(CrtError):
        loaded = config.load({}, environ={"HOME": str(tmp_path)}, folder=tmp_path)
        config.remote(loaded)
        config.build_settings(loaded)


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + DEEP.encode(),
        b"timeout = " + HUGE.encode(),
        b"db = '~nobody-of-this-name/x'",
        b"db = '" + b"x" * 6_000 + b"'",
        b"suites = '~nobody-of-this-name/x'",
        b"runs = '\\u0000'",
        b"timeout = nan",
        b"timeout = inf",
        b"precision = 2026-11-20",
        b"label = 07:32:00",
        b"\xff\xfe",
        b"\0",
        b"a." * 2_000 + b"a = 1",
        b"[clusters.x]\nkind = 3",
        b"[sync]\nremote = ''",
        b"[build]\nchannels = 'x'",
    ],
)
def test_files_of_toml_that_break_parsers_are_refused_or_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "crt.toml").write_bytes(content)
    with contextlib.suppress(CrtError):
        config.load({}, environ={"HOME": str(tmp_path)}, folder=tmp_path)


@given(
    table=st.dictionaries(
        st.sampled_from(["blocks", "suites", "max_time", "seed", "metrics", "parallel", "packages", "x"]),
        values,
        max_size=4,
    ),
    arm=st.dictionaries(
        st.sampled_from(["packages", "python", "interpreter", "config", "cluster", "x"]), values, max_size=3
    ),
)
def test_an_experiment_of_any_values_is_made_or_refused(table: Any, arm: Any) -> None:
    with contextlib.suppress(ExperimentError):
        arms = [experiment.arm("baseline", {}), experiment.arm("newer", arm)]
        made = experiment.make(arms, table)
        assert made.looks[-1] == made.blocks
    with contextlib.suppress(ExperimentError):
        experiment.from_ancestor([experiment.arm("baseline", {}), experiment.arm("newer", {})], table)


YAML = [
    "a: &a\n  b: *a\n",
    "&a [*a]",
    DEEP,
    "a: " + HUGE,
    "2026-11-20: 1",
    "a: !!python/object/apply:os.system [false]",
    "? [a]\n: b",
    "x: {1: 2}",
    "x: .nan",
    "- 1",
    "\0",
    "a: &x [1, 1]\nb: &y [*x, *x]\nc: &z [*y, *y]\n",
    "x: 9999-99-99",
    "0x" + "f" * 6000 + ": 1",
]


@pytest.mark.parametrize("text", YAML)
def test_yaml_that_breaks_parsers_is_refused_or_read_by_each_reader(text: str, tmp_path: Path) -> None:
    shapes = tmp_path / "clusters.yaml"
    shapes.write_text(text)
    with contextlib.suppress(CrtError):
        load_shapes(shapes)
    folder = tmp_path / "arms"
    folder.mkdir()
    for name in ("baseline", "newer"):
        (folder / f"AB_{name}.conda.yaml").write_text("dependencies: []\n")
        (folder / f"AB_{name}.dask.yaml").write_text(text)
        (folder / f"AB_{name}.cluster.yaml").write_text(text)
    with contextlib.suppress(CrtError):
        definition.read(folder)
    meta = tmp_path / "meta.yaml"
    meta.write_text(text)
    with contextlib.suppress(CrtError):
        render(meta, {})
