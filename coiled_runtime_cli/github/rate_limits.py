"""Limits of requests: how long GitHub asks to wait, and waiting, where that is short.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from coiled_runtime_cli.errors import RemoteError

if TYPE_CHECKING:
    from email.message import Message

#: For a limit to end (s): what takes longer is told, and left to the next run.
_LONGEST_WAIT = 60.0


def asked_wait(code: int, headers: Message, said: str) -> float | None:
    """How long (s) GitHub asks to wait; None where it is another refusal.

    A limit is 403 or 429, with how long or until when; of secondary limits it may say neither, and then a minute is asked for.
    """
    if code not in {403, 429}:
        return None
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(0.0, float(reset) - time.time())
    return _LONGEST_WAIT if code == 429 or "secondary rate limit" in said.lower() else None


def wait(seconds: float, problem: str) -> str:
    """Wait until a limit has ended. Raises RemoteError where that takes too long."""
    if seconds > _LONGEST_WAIT:
        until = datetime.fromtimestamp(time.time() + seconds, timezone.utc)
        raise RemoteError(
            f"{problem} (again from {until:%H:%M} UTC on)", hint="run it again then: what is done is not done twice"
        )
    time.sleep(seconds)
    return problem
