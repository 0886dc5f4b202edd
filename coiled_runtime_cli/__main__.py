"""The console script ``crt``, and ``python -m coiled_runtime_cli``."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    try:
        from coiled_runtime_cli.cli import run
    except KeyboardInterrupt:  # before anything that could handle it is there
        sys.exit(130)
    code = run(sys.argv[1:])
    if code in {4, 130} and any(
        each is not threading.main_thread() and not each.daemon for each in threading.enumerate()
    ):
        # threads that wait for an answer of the network, which nobody needs any more: the interpreter would wait for them
        os._exit(code)
    if "rattler" in sys.modules:
        # its threads may hold Python while that ends, which then aborts; everything is written and flushed by now
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
