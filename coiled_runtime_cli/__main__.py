"""The console script ``crt``, and ``python -m coiled_runtime_cli``."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

#: After which an interrupt that was lost is given once more (s): whatever lost it is over by then.
_AGAIN = 0.02


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _unraisable
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
    _end(code)


def _end(code: int) -> NoReturn:
    """End this process, all of whose work is done, written and flushed.

    Not as Python ends: it would wait for threads that wait for an answer of the network, which nobody needs any more; and those
    of a library, which may hold it at that moment (rattler's, a loop of Dask's within C++), would abort it.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  there is no other way to have done what libraries promised for the end
    for stream in (sys.stdout, sys.stderr):  # what those functions said; crt's own is flushed, or could not be
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _interrupt(_signal: int, _frame: object) -> None:
    """SIGTERM (a CI job that is cancelled, a machine that shuts down) ends a command as Ctrl-C does: tidied up, with code 130."""
    raise KeyboardInterrupt


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """A Ctrl-C that came where nothing can be raised, while garbage was collected, is given once more."""
    if not issubclass(found.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(found)
        return
    import threading

    # a real one, which ends what the main thread waits for
    again = threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


if __name__ == "__main__":
    main()
