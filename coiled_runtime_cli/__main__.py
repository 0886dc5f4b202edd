"""The console script ``crt``, and ``python -m coiled_runtime_cli``."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from coiled_runtime_cli.cli import run
    except KeyboardInterrupt:  # before anything that could handle it is there
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
