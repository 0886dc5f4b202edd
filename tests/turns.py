"""Tests run beside each other, but for those that judge how long something takes: beside these runs none.

Each test holds a lock while it runs, shared with the others; one that is marked ``alone`` holds it for itself. Who wants the
lock waits behind a turnstile, so that one who waits for all others to end is not passed by the next of them.
"""

import contextlib
import fcntl
import os


@contextlib.contextmanager
def turn(folder, *, alone):
    """Hold the lock in ``folder``, which is the same for all processes of a session of tests."""
    with _open(folder / "turnstile") as turnstile, _open(folder / "running") as running:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield  # closing lets go


@contextlib.contextmanager
def _open(path):
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited by what tests start, which may outlive them
    try:
        yield number
    finally:
        os.close(number)
