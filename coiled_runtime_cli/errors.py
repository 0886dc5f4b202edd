"""What can go wrong for a user, and the exit code of each.

CrtError
├── UsageError         2  a wrong flag, name, file or configuration: the user can mend it
├── ToolError          3  a tool, a build, a database or a benchmark could not run
├── RemoteError        4  credentials, a bucket, a scheduler or the network
└── InconclusiveError  5  everything ran, and the answer is still open
"""

from __future__ import annotations

#: What `git bisect run` is told by an error: to step over the commit, or to stop. Any other code is "bad" to it.
GIT_SKIPS, GIT_STOPS = 125, 128


class CrtError(Exception):
    """Base of every error that is shown to a user as a message, never as a traceback.

    ``message`` says what went wrong and where; ``hint`` says what to type next.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CrtError):
    exit_code = 2


class ToolError(CrtError):
    exit_code = 3


class RemoteError(CrtError):
    exit_code = 4


class InconclusiveError(CrtError):
    exit_code = 5
