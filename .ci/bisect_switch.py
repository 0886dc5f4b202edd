"""How long it takes to have another commit of a pure-Python project importable: median and 95 % over the commits of a range.

python .ci/bisect_switch.py ../dask 2024.6.0 2024.12.0
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from coiled_runtime_cli import git
from coiled_runtime_cli.bisect.candidates import Clone, commits, commits_of
from coiled_runtime_cli.bisect.projects import mirror, read_project
from coiled_runtime_cli.bisect.workshop import Part, Workshop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("good")
    parser.add_argument("bad")
    parser.add_argument("--switches", type=int, default=60)
    options = parser.parse_args()
    repository = git.Repository(options.clone)
    line = commits([Clone("project", repository)], options.good, options.bad)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        source = mirror(repository, cache)
        part = Part("project", source, read_project(source, line[-1].name, python=None, cache=cache))
        workshop = Workshop([part], python="python3", python_version="any", cache=cache, key="timed")
        workshop.ready(commits_of(line[0]), build=0, slot=0)
        random = np.random.default_rng(1)
        took = []
        for _ in range(options.switches):
            wanted = line[int(random.integers(len(line)))]
            began = time.perf_counter()
            workshop.ready(commits_of(wanted), build=0, slot=0)
            took.append(time.perf_counter() - began)
        workshop.close()
    print(f"{len(line)} commits, {options.switches} switches: ", end="")
    print(f"median {np.median(took):.3f} s, 95 % within {np.percentile(took, 95):.3f} s")


if __name__ == "__main__":
    main()
