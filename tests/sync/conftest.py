"""Remotes to test against: folders, a real S3 server, and moto's as a second."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.sync.s3 import S3Store

sys.path.insert(0, str(Path(__file__).parent))
from s3_servers import KEYS, MissingServerError, moto_server, rclone_server, seaweedfs_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[str]:
    """The address of a SeaweedFS on loopback ports, with a bucket ``history``."""
    try:
        with seaweedfs_server() as address:
            yield address
    except MissingServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server: quick, and right as long as one asks at a time."""
    pytest.importorskip("moto.server", reason="pip install 'moto[s3]' flask flask-cors")
    with moto_server() as address:
        yield address


@pytest.fixture(scope="session")
def rclone() -> Iterator[str]:
    """The address of rclone's server, which has no conditional writes, with a bucket ``history``."""
    try:
        with rclone_server() as address:
            yield address
    except MissingServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def answering(credentials: None) -> Iterator[Callable[[dict[str, int]], S3Store]]:
    """``answering({"PUT": 412})``: a store behind a server that answers each method so, and all others with 404."""
    servers = []

    def store(statuses: dict[str, int]) -> S3Store:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b"<html><body><center>nginx</center><hr></body></html>" if self.command != "HEAD" else b""
                self.send_response(statuses.get(self.command, 404))
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - as the base class calls them

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return S3Store("history", endpoint_url=f"http://127.0.0.1:{server.server_port}", pause=lambda _: None)

    yield store
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the test servers, and none from this machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(seaweedfs: str, credentials: None) -> Callable[..., Any]:
    """Makes stores of one prefix that no other test has."""
    prefix = f"benchmarks-{secrets.token_hex(6)}"

    def store(**options: Any) -> S3Store:
        return S3Store("history", prefix, endpoint_url=seaweedfs, **options)

    return store


@pytest.fixture
def moto_bucket(moto: str, credentials: None) -> Callable[..., Any]:
    import boto3

    name = f"bucket-{secrets.token_hex(6)}"
    boto3.client("s3", endpoint_url=moto).create_bucket(Bucket=name)

    def store(**options: Any) -> S3Store:
        return S3Store(name, "benchmarks", endpoint_url=moto, **options)

    return store
