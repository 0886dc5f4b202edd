"""Ways of measuring, one file each: a context manager around the measured block that fills in the run's draft."""

from __future__ import annotations

#: Longest that an instrument waits for an answer of scheduler or workers (s); a dead cluster must not stop the session.
ANSWER_TIMEOUT = 30.0
