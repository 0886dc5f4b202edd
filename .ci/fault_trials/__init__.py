"""What .ci/faults.py is made of: the commands, what happens to them, and what is looked at afterwards."""

import sys
from pathlib import Path

# histories, S3 servers and slow commits are made as the tests make them
sys.path.extend(
    str(Path(__file__).resolve().parents[2] / "tests" / each) for each in ("sync", "db", "bisect", "commands")
)
