"""The site over HTTP on this machine, for as long as a terminal is open."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Where a page asks whether it is still the newest. The answer is a number that grows with each build.
_VERSION = "/.version"


class Server:
    """Serves ``folder`` on a loopback port; 0 is any that is free. Pages reload themselves after :meth:`changed`."""

    def __init__(self, folder: Path, port: int) -> None:
        handler = functools.partial(_Handler, directory=str(folder))
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used: {error.strerror}", hint="another one: --port 0 takes any that is free"
            ) from error
        self._server.daemon_threads = True
        self._server.version = 0  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def changed(self) -> None:
        """Say that the site was built again."""
        self._server.version += 1  # type: ignore[attr-defined]

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def __enter__(self) -> Server:  # noqa: PYI034  Self came with Python 3.11
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == _VERSION:
            answer = str(self.server.version).encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            return
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  named as what it overrides
        """Nobody wants to read each request."""
