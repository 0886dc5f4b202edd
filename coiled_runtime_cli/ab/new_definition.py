"""The files of a folder that is begun: an example, or the arms that were named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from coiled_runtime_cli.ab.definition import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def examples() -> dict[str, str]:
    """Files of an example: today's Dask against its development version."""
    from importlib.metadata import version

    return {
        SETTINGS: """\
# What is run, and how long. Every key may be left out.
suites = ["parquet"]       # or targets = ["benchmarks/test_parquet.py::test_write_wide_data"], keyword, markers
scale = "laptop"           # smoke, laptop, full, or a multiple of laptop
blocks = 10                # at most; in each block every arm runs once, the baseline twice
max_time = "4h"            # begin no block that would end later
metrics = ["duration"]     # what is compared
packages = []              # in the environment of every arm, beside Dask, pandas, pyarrow and pytest
# cluster = "local"        # as --cluster of crt bench
# parallel = 1             # arms at once, each on a cluster of its own; on one machine they would disturb each other
""",
        "baseline.toml": f"""\
# The arm that the others are compared with. What it does not name is as in the environment of crt.
packages = ["dask=={version("dask")}"]
# python = "3.12"
# interpreter = "../env/bin/python"   # instead of both: an environment that is there, as it is
""",
        "newer.toml": """\
# Any requirement of pip: a version, a commit, a folder. What it does not name is as in the baseline.
packages = [
  "dask @ git+https://github.com/dask/dask@main",
  "distributed @ git+https://github.com/dask/distributed@main",
]

# [config]                 # of Dask, nested or dotted
# distributed.scheduler.work-stealing = false

# [cluster]                # keywords of the cluster that differ
# n_workers = 4
""",
    }


def files_of(arms: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> dict[str, str]:
    """The files of an experiment: the requirements of each arm, and the suites that are run."""

    def listed(texts: Sequence[str]) -> str:
        # what JSON has as a text is one in TOML too
        return "".join(f"  {json.dumps(each, ensure_ascii=False)},\n" for each in texts)

    settings = f"suites = [\n{listed(chosen)}]\n"
    return {SETTINGS: settings, **{f"{name}.toml": f"packages = [\n{listed(each)}]\n" for name, each in arms.items()}}
