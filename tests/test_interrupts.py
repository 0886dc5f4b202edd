"""Ctrl-C and SIGTERM end any command alike: tidied up, without a traceback, with code 130."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=ENVIRONMENT)


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
        env=ENVIRONMENT,
    )
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert not folder.exists()


#: A command that is interrupted where Python ignores what is raised, and works on.
DEAF = """
import os, signal, sys, threading, time
from coiled_runtime_cli import __main__, cli

class Garbage:
    def __del__(self):
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])
        time.sleep(1)

def run(arguments):
    Garbage()
    print("goes on", flush=True)
    threading.Event().wait(60)

cli.run = run
__main__.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_comes_while_garbage_is_collected_is_not_lost(name):
    done = run(DEAF, name)
    assert (done.returncode, done.stdout, done.stderr) == (130, "goes on\n", "")


#: A command whose thread is somewhere in a library, and which has promised something for the end.
THREADED = """
import atexit, threading, time
from coiled_runtime_cli import __main__, cli

def run(arguments):
    threading.Thread(target=time.sleep, args=(60,)).start()
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    atexit.register(print, "kept")
    return 3

cli.run = run
__main__.main()
"""


def test_no_thread_is_waited_for_when_all_is_done():
    done = run(THREADED)
    assert (done.returncode, done.stdout, done.stderr) == (3, "kept\n", "")
