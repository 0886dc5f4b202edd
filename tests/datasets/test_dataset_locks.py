import contextlib
import threading
import time
from pathlib import Path

import pytest

from coiled_runtime_cli.datasets.locks import locked


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files as Linux shows them")
def test_who_waited_for_a_lock_file_that_was_removed_takes_the_new_one(tmp_path):
    lock = tmp_path / ".data.lock"
    entered = threading.Event()
    with locked(lock):
        waiting = threading.Thread(target=lambda: stay(lock, entered), daemon=True)
        waiting.start()
        while not is_waited_for(lock):
            time.sleep(0.01)
        lock.unlink()
    assert entered.wait(30)
    with pytest.raises(BlockingIOError), locked(lock, wait=False):
        pass
    lock.with_suffix(".done").touch()
    waiting.join(30)


def stay(lock, entered):
    with locked(lock):
        entered.set()
        while not lock.with_suffix(".done").exists():
            time.sleep(0.01)


def is_waited_for(lock):
    """Is a second descriptor of this process open on the file?"""
    inode = lock.stat().st_ino
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += each.stat().st_ino == inode
    return found > 1
