"""What `crt bisect --dry-run` says that a bisection would take: candidates, runs, builds and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli import config, console
from coiled_runtime_cli.bisect import rig
from coiled_runtime_cli.bisect.plan import COMMITS, Plan
from coiled_runtime_cli.core import bisection_table as text
from coiled_runtime_cli.core import forecast
from coiled_runtime_cli.core.quantity import seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.bisection import Candidate


def show(plan: Plan, candidates: Sequence[Candidate], settings: Config, format_: str) -> None:
    needed = forecast.runs_needed(len(candidates) - 1)
    length = _length_of_a_run(plan, settings)
    document = {
        "schema": 1,
        "plan": {
            "candidates": len(candidates) - 1,
            "runs": {"mean": needed.mean, "low": needed.low, "high": needed.high},
            "noise": forecast.NOISE,
            "effect": forecast.EFFECT,
            "seconds": None if length is None else needed.mean * length,
            "names": [each.name for each in candidates],
        },
    }
    if format_ == "json":
        console.show_json(document)
        return
    first, last = candidates[0], candidates[-1]
    names = plan.ends
    runs = f"about {needed.mean:.0f} ({needed.low:.0f} to {needed.high:.0f})"
    lines = [
        f"{names[0]:10}  {text.short_name(first)}  {first.subject or ''}".rstrip(),
        f"{names[1]:10}  {text.short_name(last)}  {last.subject or ''}".rstrip(),
        f"candidates  {len(candidates) - 1:,}",
        f"runs        {runs}, if it changes by {forecast.EFFECT:.0%} and the noise is {forecast.NOISE:.0%}",
    ]
    if plan.kind != COMMITS or plan.install_command:
        lines.append(
            f"builds      about {min(len(candidates), needed.mean * 0.6):.0f}, one for each candidate measured"
        )
    if length is None:
        lines.append("time        not known: nothing like it was measured before")
    else:
        lines.append(f"time        about {seconds_text(needed.mean * length)}, and the builds")
    console.result("\n".join(lines))


def _length_of_a_run(plan: Plan, settings: Config) -> float | None:
    """How long a run took before (s), of the same test at the same scale."""
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.engine import open_database

    file = config.sqlite_file(settings.db)
    if plan.target is None or (file is not None and not file.exists()):
        return None
    settings = rig.settings_of(plan, settings)
    engine = open_database(settings.db)
    try:
        took = queries.last_duration(engine, scale=settings.scale)
        beside = queries.session_overhead(engine, scale=settings.scale) or 0.0
    finally:
        engine.dispose()
    wanted = _test_of(plan.target)
    # a name alone is that of all its parameters
    known = [length for name, length in took.items() if wanted in {_test_of(name), _test_of(name).partition("[")[0]}]
    return known[0] + beside if known else None


def _test_of(benchmark: str) -> str:
    """The name of a test with its parameters, in which there may be anything."""
    path, bracket, parameters = benchmark.partition("[")
    return path.rpartition("::")[2] + bracket + parameters
