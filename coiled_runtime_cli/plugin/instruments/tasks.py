"""Where the workers' threads spent their time: thread-seconds by action, from the tasks that ended while a block ran.

And how many tasks were asked for under a key that the scheduler still had, with other dependencies: those it may lose.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed import Client, SchedulerPlugin

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.plugin.recorder import RunDraft

NAME = "crt-task-durations"


class TaskDurations(SchedulerPlugin):  # type: ignore[misc, unused-ignore]
    """Sums, for each action, the seconds that workers report with a finished task; counts keys that collide (dask#9888)."""

    #: distributed looks for idempotence on the plugin itself: a second registration is no error
    idempotent = True
    name = NAME

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.key_collisions = 0
        self.tracking = False

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        if self.tracking and start == "processing" and finish == "memory":
            for each in kwargs.get("startstops") or ():
                action = each["action"]
                self.seconds[action] = self.seconds.get(action, 0.0) + each["stop"] - each["start"]

    def log_event(self, topic: str, msg: Any) -> None:
        if not self.tracking or not isinstance(msg, dict):
            return
        if topic == "scheduler" and msg.get("action") == "update-graph":
            self.key_collisions += (msg.get("metrics") or {}).get("key_collisions", 0)
        elif topic == "all" and msg.get("action") == "update_graph":  # as distributed 2024.8 says it; before, none does
            self.key_collisions += msg.get("key-collisions", 0)

    def restart(self, scheduler: Any) -> None:  # noqa: ARG002
        self.seconds.clear()


def start_tracking(dask_scheduler: Any = None) -> None:
    """Begin at zero, with the plugin registered if it is not yet. Sent to the scheduler by value."""
    plugin = dask_scheduler.plugins.get(NAME)
    if plugin is None:
        plugin = TaskDurations()
        dask_scheduler.add_plugin(plugin, name=NAME)
    plugin.seconds = {}
    plugin.key_collisions = 0
    plugin.tracking = True


def stop_tracking(dask_scheduler: Any = None) -> tuple[dict[str, float], int]:
    """Seconds by action, and keys that collided, since :func:`start_tracking`. Sent to the scheduler by value."""
    plugin = dask_scheduler.plugins.get(NAME)
    if plugin is None:
        return {}, 0
    plugin.tracking = False
    return dict(plugin.seconds), plugin.key_collisions


@contextmanager
def measure(draft: RunDraft, client: Client) -> Iterator[None]:
    """Store compute, spill, deserialisation and transfer time (thread-seconds: more than the wall time if threads overlap)."""
    client.run_on_scheduler(start_tracking, callback_timeout=ANSWER_TIMEOUT)
    try:
        yield
    finally:
        seconds, key_collisions = client.run_on_scheduler(stop_tracking, callback_timeout=ANSWER_TIMEOUT)
        draft.key_collisions += key_collisions
        draft.compute_time = seconds.get("compute", 0.0)
        draft.disk_spill_time = seconds.get("disk-read", 0.0) + seconds.get("disk-write", 0.0)
        draft.serializing_time = seconds.get("deserialize", 0.0)
        draft.transfer_time = seconds.get("transfer", 0.0)
