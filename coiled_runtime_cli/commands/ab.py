"""`crt ab`: several environments against a baseline, interleaved, with the baseline against itself beside them."""

from __future__ import annotations

import typer

from coiled_runtime_cli.commands.ab_comment import comment
from coiled_runtime_cli.commands.ab_init import init
from coiled_runtime_cli.commands.ab_run import run

_HELP = """\
Compare environments in interleaved runs, with a null arm beside them.

\b
crt ab init                  an example: two arms, and the settings
crt ab run ab --dry-run      what it would cost
crt ab run ab                measure, and compare
"""

app = typer.Typer(help=_HELP, no_args_is_help=True)

app.command()(init)
app.command()(run)
app.command()(comment)
