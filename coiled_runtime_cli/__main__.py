"""The console script ``crt``, and ``python -m coiled_runtime_cli``."""

from __future__ import annotations

import sys

from coiled_runtime_cli.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
