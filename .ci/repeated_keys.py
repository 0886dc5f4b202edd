"""Find benchmarks that fail by chance: a key that a test asks for twice, with other dependencies the second time.

Where a scheduler still has the first one it may lose tasks, and the test fails with a KeyError (dask/dask#9888); where it has
forgotten it, which is a matter of milliseconds, all is well. So every key is remembered here, forgotten or not, until the next
test begins. How low-level graphs fuse differs from process to process, so it may take a few sessions until one is found.

A preload of schedulers, which writes a line for each such test to the file that ``REPEATED_KEYS`` names:

REPEATED_KEYS=found.txt DASK_DISTRIBUTED__SCHEDULER__PRELOAD=.ci/repeated_keys.py crt bench --scale smoke
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from distributed import SchedulerPlugin


def current_test() -> str:
    """The id of the test that runs, without its phase; of a scheduler in the process of the tests."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


class RepeatedKeys(SchedulerPlugin):
    name = "repeated-keys"

    def __init__(self, found: Path) -> None:
        self._found = found
        self._test = ""
        self._dependencies: dict[Any, frozenset[Any]] = {}
        self._told = False

    def _begin_test(self) -> None:
        test = current_test()
        if test != self._test:
            self._test, self._dependencies, self._told = test, {}, False

    def _tell(self, what: str) -> None:
        if not self._told:
            self._told = True
            with self._found.open("a") as file:
                file.write(f"{self._test or 'no test'}: {what}\n")

    def update_graph(self, scheduler: Any, *, tasks: list[Any], **_: Any) -> None:
        self._begin_test()
        for key in tasks:
            task = scheduler.tasks[key]
            # data that was scattered, or persisted before; and a task whose scattered input has been dropped since
            if task.run_spec is None or task.has_lost_dependencies:
                continue
            now = frozenset(each.key for each in task.dependencies)
            if self._dependencies.setdefault(key, now) != now:
                self._tell(f"{key!r} had other dependencies before")

    def log_event(self, topic: str, msg: Any) -> None:
        # of a key that it still has, a scheduler keeps the first dependencies, and counts
        if topic == "scheduler" and isinstance(msg, dict) and (msg.get("metrics") or {}).get("key_collisions"):
            self._begin_test()
            self._tell(f"{msg['metrics']['key_collisions']} keys collide")


def dask_setup(scheduler: Any) -> None:
    scheduler.add_plugin(RepeatedKeys(Path(os.environ["REPEATED_KEYS"])))
