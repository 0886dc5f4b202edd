"""The console script ``crt``, and ``python -m coiled_runtime_cli``."""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from coiled_runtime_cli import config
        from coiled_runtime_cli.cli import run

        if config.completion_requested():
            from coiled_runtime_cli.commands.completion import hush

            hush()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before anything that could handle it is there, or once more while it is handled
        code = 130
    # while Python ends nobody handles one any more: it would only say where it was
    signal.signal(signal.SIGINT, signal.SIG_IGN if code == 130 else signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if code in {4, 130} and any(
        each is not threading.main_thread() and not each.daemon for each in threading.enumerate()
    ):
        # threads that wait for an answer of the network, which nobody needs any more: the interpreter would wait for them
        os._exit(code)
    if "rattler" in sys.modules:
        # its threads may hold Python while that ends, which then aborts; everything is written and flushed by now
        os._exit(code)
    sys.exit(code)


def _interrupt(_signal: int, _frame: object) -> None:
    """SIGTERM (a CI job that is cancelled, a machine that shuts down) ends a command as Ctrl-C does: tidied up, with code 130."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
