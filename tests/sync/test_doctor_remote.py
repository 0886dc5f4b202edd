"""`crt doctor` at real S3 servers: what may be done there, in bounded time, and nothing is left."""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import TYPE_CHECKING, Any

from s3_servers import KEYS

from coiled_runtime_cli.doctor import remote as checks
from coiled_runtime_cli.sync.s3 import S3Store

if TYPE_CHECKING:
    import pytest


def examined(crt: Any, *flags: str, code: int = 0, **environment: str) -> dict[str, Any]:
    done = crt.run("doctor", "--format", "json", *flags, environment={**KEYS, **environment})
    assert done.returncode == code, done.stdout + done.stderr
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
    return {each["check"]: each for each in json.loads(done.stdout)["findings"]}


def test_a_bucket_is_listed_written_and_read_and_left_as_it_was(inside: Any, seaweedfs: str, credentials: None) -> None:
    prefix = f"doctor-{secrets.token_hex(4)}"
    found = examined(inside, "--remote", f"s3://history/{prefix}", "--endpoint-url", seaweedfs)
    assert found["AWS login"]["seen"] == "found by boto3: env"
    assert found["remote"]["state"] == "ok"
    assert "listed, written, read, removed" in found["remote"]["seen"]
    assert found["clock of the remote"]["state"] == "ok"
    assert list(S3Store("history", prefix, endpoint_url=seaweedfs).list("")) == []


def test_a_bucket_that_is_not_there_is_made_by_the_command_that_it_names(
    inside: Any, moto: str, credentials: None
) -> None:
    bucket = f"bucket-{secrets.token_hex(4)}"
    flags = ("--remote", f"s3://{bucket}/benchmarks", "--endpoint-url", moto, "--region", "us-east-1")
    found = examined(inside, *flags, code=4)
    assert f"there is no bucket {bucket}" in found["remote"]["seen"]
    environment = {**inside.environment, **KEYS}
    subprocess.run(["bash", "-c", found["remote"]["mend"]], env=environment, check=True, capture_output=True)
    assert examined(inside, *flags)["remote"]["state"] in {"ok", "note"}


def test_a_store_without_conditional_writes_is_told(inside: Any, rclone: str, credentials: None) -> None:
    found = examined(inside, "--remote", "s3://history/benchmarks", "--endpoint-url", rclone)
    assert found["remote"]["seen"].startswith("no conditional writes")
    assert found["remote"]["mend"] == "crt sync publish --single-publisher"
    assert list(S3Store("history", "benchmarks", endpoint_url=rclone).list("")) == []


def test_keys_that_the_store_does_not_know_are_a_problem(inside: Any, seaweedfs: str) -> None:
    found = examined(
        inside, "--remote", "s3://history/x", "--endpoint-url", seaweedfs, code=4,
        AWS_ACCESS_KEY_ID="somebody", AWS_SECRET_ACCESS_KEY="else",
    )  # fmt: skip
    assert found["remote"]["state"] == "problem"
    assert "AWS" in found["remote"]["mend"] or "aws" in found["remote"]["mend"]


def test_a_store_out_of_reach_is_given_up_in_bounded_time(inside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.2)
    found = examined(inside, "--remote", "s3://history/x", "--endpoint-url", "http://127.0.0.1:9", code=4)
    assert found["remote"]["state"] == "problem"
    # its six tries take longer
    assert "did not answer within" in found["remote"]["seen"]


def test_without_a_login_a_bucket_is_not_asked(inside: Any) -> None:
    environment = {"AWS_EC2_METADATA_DISABLED": "true"}
    done = inside.run("doctor", "--format", "json", "--remote", "s3://history/x", environment=environment)
    assert done.returncode == 4
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert "none found" in found["AWS login"]["seen"]
    assert "remote" not in found


def test_a_profile_that_there_is_not_is_told(inside: Any) -> None:
    done = inside.run(
        "doctor", "--format", "json", "--remote", "s3://history/x", "--profile", "nobody", environment=KEYS
    )
    assert done.returncode == 2
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert "nobody" in found["AWS login"]["seen"]
