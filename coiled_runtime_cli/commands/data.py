"""`crt data`: the data sets that suites read: what there is, making it, proving it, and freeing the space."""

from __future__ import annotations

import typer

from coiled_runtime_cli.commands.data_list import list_
from coiled_runtime_cli.commands.data_make import make
from coiled_runtime_cli.commands.data_prune import prune
from coiled_runtime_cli.commands.data_verify import verify

_HELP = """\
Look after the data sets that suites read.

\b
crt data list                what there is, its size, seed and hash
crt data make nyc_taxi tpch  make it now, on all cores
crt data verify --repair     read everything; make again what is damaged
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

app.command("list")(list_)
app.command()(make)
app.command()(verify)
app.command()(prune)
