"""`crt db`: the database of runs: its schema, and its rows."""

from __future__ import annotations

import typer

from coiled_runtime_cli.commands import db_schema
from coiled_runtime_cli.commands.db_export import export
from coiled_runtime_cli.commands.db_import import import_
from coiled_runtime_cli.commands.db_merge import merge
from coiled_runtime_cli.commands.db_prune import prune
from coiled_runtime_cli.commands.db_query import query

_HELP = """\
Look after the database of runs.

\b
crt db query "select name, duration from test_run"
crt db export runs.parquet
crt db merge laptop.db ci.db
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

for _command in (db_schema.upgrade, db_schema.current, db_schema.check, db_schema.stamp, db_schema.revision):
    app.command()(_command)
app.command()(query)
app.command()(export)
app.command()(merge)
app.command("import")(import_)
app.command()(prune)
