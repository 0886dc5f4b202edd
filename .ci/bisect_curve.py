"""Simulated bisections by the search of `crt bisect`, with a seeded fake measurement: how often right, in how many runs.

python .ci/bisect_curve.py --trials 100                  the cells of the table in docs/bisection.md
python .ci/bisect_curve.py --trials 100 --grid           all 48 cells of size, noise and effect
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from coiled_runtime_cli.bisect.simulation import TABLE, grid, trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grid", action="store_true", help="all cells of size, noise and effect")
    parser.add_argument("--only", default="", help="cells whose name has this text")
    options = parser.parse_args()
    cells = {name: each for name, each in (grid() if options.grid else TABLE).items() if options.only in name}
    print("| cell | right | wrong | no answer | runs to search: median, 95 %, mean | runs in all | rounds | builds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    named = wrong = 0
    began = time.perf_counter()
    for name, cell in cells.items():
        trials = [trial(cell, options.seed * 100_000 + number) for number in range(options.trials)]
        runs = [each.runs for each in trials]
        searching = [each.runs - each.verifying for each in trials]
        named += sum(each.named for each in trials)
        bad = sum(each.named and not each.right for each in trials)
        wrong += bad
        print(
            f"| {name} | {np.mean([each.right for each in trials]):.1%} | {bad / len(trials):.1%} | "
            f"{np.mean([not each.named for each in trials]):.1%} | {_spread(searching)} | {_spread(runs)} | "
            f"{np.median([each.rounds for each in trials]):.0f} | {np.mean([each.builds for each in trials]):.0f} |",
            flush=True,
        )
    print(f"\n{named} commits named in all, {wrong} of them wrong ({wrong / max(1, named):.2%}); ", end="")
    print(f"{time.perf_counter() - began:.0f} s")


def _spread(values: list[int]) -> str:
    return f"{np.median(values):.0f}, {np.percentile(values, 95):.0f}, {np.mean(values):.1f}"


if __name__ == "__main__":
    main()
