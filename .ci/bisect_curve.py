"""Simulated bisections by the search of `crt bisect`, with a seeded fake measurement: how often right, in how many runs.

python .ci/bisect_curve.py --trials 100                  the cells of the table in docs/bisection.md
python .ci/bisect_curve.py --trials 100 --grid           all 48 cells of size, noise and effect
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field

import numpy as np

from coiled_runtime_cli.core.search import Answer, Search


@dataclass(frozen=True)
class Cell:
    """``last``: number of the bad end. ``noise``: standard deviation of a run; ``build_noise``: that of a build."""

    last: int
    noise: float
    effect: float
    broken: float = 0.0
    drift: float = 0.0
    build_noise: float = 0.0
    jobs: int = 1
    outliers: float = 0.05
    options: dict[str, float] = field(default_factory=dict)


@dataclass
class Trial:
    answer: Answer
    right: bool  # the change is in what was named; where nothing changes: nothing was named
    named: bool
    runs: int
    rounds: int
    builds: int
    verifying: int  # of the runs


def trial(cell: Cell, random: np.random.Generator) -> Trial:
    """One bisection of a line with one change, or with none where the effect is 0."""
    change = int(random.integers(1, cell.last + 1)) if cell.effect else None
    broken = set(np.flatnonzero(random.random(cell.last + 1) < cell.broken).tolist()) - {0, cell.last}
    shifts: dict[tuple[int, int], float] = {}
    search = Search(cell.last, jobs=cell.jobs, **cell.options)
    runs = rounds = verifying = 0
    while not isinstance(asks := search.next(), Answer):
        rounds += 1
        for ask in asks:
            if ask.candidate in broken:
                search.tell_broken(ask.candidate)
                continue
            logs = []
            for _ in range(ask.runs):
                build = ask.candidate, ask.build
                if build not in shifts:
                    shifts[build] = cell.build_noise * random.standard_normal()
                value = shifts[build] + cell.noise * random.standard_normal() + cell.drift * runs
                if change is not None and ask.candidate >= change:
                    value += math.log1p(cell.effect)
                if random.random() < cell.outliers:
                    value += math.log(random.uniform(1.5, 3))
                logs.append(value)
                runs += 1
                verifying += ask.purpose == "verify"
            search.tell(ask.candidate, logs, purpose=ask.purpose, build=ask.build)
        if runs > 5000:
            raise RuntimeError(f"{cell}: no end after {runs} runs")
    named = asks.status == "found"
    right = not named if change is None else named and change in asks.candidates
    return Trial(asks, right, named, runs, rounds, len(shifts), verifying)


TABLE = {
    "16 commits, 5 %, +20 %": Cell(16, 0.05, 0.2),
    "128 commits, 5 %, +20 %": Cell(128, 0.05, 0.2),
    "128 commits, 10 %, +20 %": Cell(128, 0.1, 0.2),
    "1024 commits, 5 %, +20 %": Cell(1024, 0.05, 0.2),
    "1024 commits, 10 %, +10 %": Cell(1024, 0.1, 0.1),
    "1024 commits, 5 %, +20 %, 4 at once": Cell(1024, 0.05, 0.2, jobs=4),
    "1024 commits, 5 %, +20 %, 30 % unbuildable": Cell(1024, 0.05, 0.2, broken=0.3),
    "128 commits, 5 %, +20 %, drift of 0.5 % a run": Cell(128, 0.05, 0.2, drift=0.005),
    "128 commits, 3 %, +15 %, builds differ by 4 %": Cell(128, 0.03, 0.15, build_noise=0.04),
    "128 commits, 5 %, no change": Cell(128, 0.05, 0.0),
}


def grid() -> dict[str, Cell]:
    return {
        f"{last} commits, {noise:.0%}, +{effect:.0%}": Cell(last, noise, effect)
        for last in (16, 128, 1024)
        for noise in (0.02, 0.05, 0.1, 0.2)
        for effect in (0.05, 0.1, 0.2, 0.5)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grid", action="store_true", help="all cells of size, noise and effect")
    parser.add_argument("--only", default="", help="cells whose name has this text")
    options = parser.parse_args()
    cells = {name: each for name, each in (grid() if options.grid else TABLE).items() if options.only in name}
    print("| cell | right | wrong | no answer | runs: median, 95 %, mean | of them verifying | rounds | builds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    named = wrong = 0
    began = time.perf_counter()
    for name, cell in cells.items():
        random = np.random.default_rng(options.seed)
        trials = [trial(cell, random) for _ in range(options.trials)]
        runs = [each.runs for each in trials]
        named += sum(each.named for each in trials)
        bad = sum(each.named and not each.right for each in trials)
        wrong += bad
        print(
            f"| {name} | {np.mean([each.right for each in trials]):.1%} | {bad / len(trials):.1%} | "
            f"{np.mean([not each.named for each in trials]):.1%} | "
            f"{np.median(runs):.0f}, {np.percentile(runs, 95):.0f}, {np.mean(runs):.1f} | "
            f"{np.mean([each.verifying for each in trials]):.1f} | "
            f"{np.median([each.rounds for each in trials]):.0f} | {np.mean([each.builds for each in trials]):.0f} |",
            flush=True,
        )
    print(f"\n{named} commits named in all, {wrong} of them wrong ({wrong / max(1, named):.2%}); ", end="")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
