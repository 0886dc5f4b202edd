from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def test_the_reference_is_what_the_commands_are() -> None:
    done = subprocess.run(
        [sys.executable, CHECKOUT / ".ci" / "reference.py", "--check"], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert (done.returncode, done.stderr) == (0, "")
