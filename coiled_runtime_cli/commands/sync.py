"""`crt sync`: one shared history, many writers."""

from __future__ import annotations

import typer

from coiled_runtime_cli.commands.sync_publish import publish
from coiled_runtime_cli.commands.sync_pull import pull
from coiled_runtime_cli.commands.sync_push import push
from coiled_runtime_cli.commands.sync_status import status
from coiled_runtime_cli.commands.sync_verify import verify

_HELP = """\
Share the history through a bucket or a folder.

\b
crt sync push      add the sessions that the remote has not
crt sync pull      add those that this database has not
crt sync status    what is where
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

app.command()(push)
app.command()(pull)
app.command()(status)
app.command()(publish)
app.command()(verify)
