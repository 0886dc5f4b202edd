"""Ctrl-C and SIGTERM end any command alike: tidied up, without a traceback, with code 130."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: A command that has made a temporary folder, says where, and works on.
WORKING = """
import sys, tempfile, threading
from coiled_runtime_cli import __main__, cli

def run(arguments):
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        threading.Event().wait(60)

cli.run = run
__main__.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_tidied_up_and_without_a_traceback(number):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert not folder.exists()
