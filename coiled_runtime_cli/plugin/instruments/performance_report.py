"""Dask's performance report of the block. It costs accuracy: the run is marked as profiled, and never enters a comparison."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT
from coiled_runtime_cli.plugin.instruments.harmless import LONG, check_answers, ends, unharmed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.artifacts import Keep
    from coiled_runtime_cli.plugin.recorder import RunDraft


@contextmanager
def record(draft: RunDraft, client: Client | None, keep: Keep) -> Iterator[None]:
    """Dask's own report as HTML, which opens without a network. Without ``client`` that of the newest one."""
    import time

    import distributed

    name = "performance-report.html"
    asked = client if client is not None else distributed.get_client()
    draft.profiled = True
    start, count = time.time(), None
    with unharmed(keep, "no performance report"):
        asked.get_task_stream(start=0, stop=0)  # from here on tasks are noted
        count = asked.run_on_scheduler(_samples, callback_timeout=ANSWER_TIMEOUT)
    with ends(lambda: _write_report(draft, asked, keep, name, start=start, last_count=count)):
        yield


def _write_report(
    draft: RunDraft, client: Client, keep: Keep, name: str, *, start: float, last_count: int | None
) -> None:
    if last_count is None:
        return
    with unharmed(keep, "no performance report"):
        check_answers(client)
        html = client.sync(
            client.scheduler.performance_report,
            start=start,
            last_count=last_count,
            code=draft.benchmark.source or "",
            mode="inline",
            callback_timeout=LONG,
        )
        with keep.file(name) as path:
            path.write_text(html, encoding="utf-8")
        draft.performance_report_url = keep.url(name)


def _samples(dask_scheduler: Any = None) -> int:
    return dask_scheduler.monitor.count  # type: ignore[no-any-return]
