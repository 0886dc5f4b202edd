"""The variables of the environment, and the values that those of crt give."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from coiled_runtime_cli.config.settings import KEYS, TABLES
from coiled_runtime_cli.config.sync_table import SYNC_KEYS
from coiled_runtime_cli.config.values import Given
from coiled_runtime_cli.config.workflow import github_run
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Variables that a bisection sets for what it starts, which may be a crt: where a probe says what it imported, of which
#: modules, and where a build goes.
_OF_BISECTIONS = ("CRT_BISECT_IMPORTS", "CRT_BISECT_MODULES", "CRT_TARGET")

#: Names that the predecessor's users have in their CI, in the order in which they are asked for.
HISTORIC = {
    "db": ("DB_NAME",),
    "software": ("COILED_SOFTWARE_NAME",),
    "label": ("AB_VERSION", "COILED_RUNTIME_VERSION"),
    "cluster_override": ("CLUSTER_KWARGS",),
}


def from_environment(environ: Mapping[str, str], base: Path | None) -> dict[str, Given]:
    """What variables say, by key. Raises UsageError on one that is named as crt's, and that crt does not know."""
    variables = {f"CRT_{key.upper()}": key for key in KEYS}
    of_sync = {f"CRT_SYNC_{key.upper()}": key for key in SYNC_KEYS}
    for name in environ:
        if name.startswith("CRT_") and not any(name in each for each in (variables, of_sync, _OF_BISECTIONS)):
            settable = [*(each for each, key in variables.items() if key not in TABLES), *of_sync]
            raise UsageError(unknown("environment variable", name, settable), hint=f"unset {name}")
    given = {}
    for variable, key in variables.items():
        # An empty variable is how CI systems write "not set".
        named = next((each for each in (variable, *HISTORIC.get(key, ())) if environ.get(each)), None)
        if named is None:
            continue
        if key in TABLES:
            raise UsageError(f"{named}: {key} is a table: a variable cannot hold it", hint="set it in crt.toml")
        given[key] = Given(environ[named], named, named, base)
    chosen = [variable for variable in of_sync if environ.get(variable)]
    if chosen:
        named = ", ".join(chosen)
        given["sync"] = Given({of_sync[each]: environ[each] for each in chosen}, named, named, base)
    if "ci_url" not in given and (url := github_run(environ)):
        given["ci_url"] = Given(url, "GITHUB_RUN_ID", "GITHUB_RUN_ID", base)
    return given


def environment() -> dict[str, str]:
    """The variables of the environment, for recipes, which may read any."""
    return dict(os.environ)
