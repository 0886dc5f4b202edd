"""A bucket as a store: S3, or what speaks like it. The one place that knows boto3.

Tried against SeaweedFS, moto and rclone. What AWS alone answers (409 for two writers at once, denials of IAM, logins by SSO) is
handled as its documentation says, and was not run.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.sync.store import (
    AT_ONCE,
    Head,
    Listed,
    MissingObjectError,
    OversizedObjectError,
    Usage,
    is_safe,
    keeps_conditions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Tries of a request in all, and the longest pause before another, in seconds: it doubles, and chance shortens it.
_TRIES, _LONGEST = 6, 20.0

#: Seconds that a connection, and a silence within an answer, may last.
_CONNECT, _READ = 10, 60

_MISSING = {"404", "NoSuchKey", "NotFound"}
#: A condition that did not hold.
_UNMET = {"412", "PreconditionFailed"}

#: Answers that another try may change: what is in the way passes.
_PASSING = {
    "409",
    "429",
    "500",
    "502",
    "503",
    "504",
    "ConditionalRequestConflict",
    "OperationAborted",
    "InternalError",
} | {
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "TooManyRequests",
}

_CREDENTIALS = {
    "AccessDenied",
    "403",
    "401",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "Forbidden",
}


class S3Store:
    """Objects of a bucket under a prefix. Credentials come from where boto3 finds them, and stay there."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        profile: str | None = None,
        region: str | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.usage = Usage()
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._client = _client(endpoint_url=endpoint_url, profile=profile, region=region)
        #: By how much the clock here is ahead of the store's (s), to half a second; None: it has not told the time yet.
        self.clock_ahead: float | None = None
        # each try counts, also those that are told nothing
        self._client.meta.events.register("before-send.s3", self._count)
        self._client.meta.events.register("after-call.s3", self._compare_clocks)

    @property
    def name(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def identity(self) -> str:
        address = str(self._client.meta.endpoint_url)
        return self.name if ".amazonaws.com" in address else f"{self.name} at {address}"

    def list(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        token = {"StartAfter": self._prefix + after} if after else {}
        while True:
            page = self._ask("list_objects_v2", Prefix=self._prefix + prefix, **token)
            for each in page.get("Contents", ()):
                yield Listed(each["Key"].removeprefix(self._prefix), each["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def head(self, key: str) -> Head | None:
        try:
            return _head(self._ask("head_object", Key=self._key(key)))
        except MissingObjectError:
            return None

    def get(self, key: str, *, limit: int) -> bytes:
        for attempt in range(1, _TRIES + 1):
            answer = self._ask("get_object", Key=self._key(key))
            with contextlib.closing(answer["Body"]) as body:
                if answer["ContentLength"] > limit:
                    raise OversizedObjectError(
                        f"{self.name}: {key} has {answer['ContentLength']:,} bytes, more than {limit:,}"
                    )
                with self._interrupted(attempt):
                    content: bytes = body.read(limit + 1)
                    if len(content) == answer["ContentLength"]:
                        self.usage.add(received=len(content))
                        return content
        raise AssertionError("the last try raises or returns")

    def download(self, key: str, target: Path) -> Head:
        try:
            for attempt in range(1, _TRIES + 1):
                answer = self._ask("get_object", Key=self._key(key))
                with contextlib.closing(answer["Body"]) as body, self._interrupted(attempt), target.open("wb") as copy:
                    for chunk in body.iter_chunks(2**20):
                        copy.write(chunk)
                    if copy.tell() == answer["ContentLength"]:
                        self.usage.add(received=copy.tell())
                        return _head(answer)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        raise AssertionError("the last try raises or returns")

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        absent: bool = False,
        match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        conditions: dict[str, Any] = {}
        if absent:
            conditions["IfNoneMatch"] = "*"
        if match is not None:
            conditions["IfMatch"] = match
        try:
            with contextlib.ExitStack() as stack:
                body = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
                self._ask(
                    "put_object",
                    Key=self._key(key),
                    Body=body,
                    ContentMD5=_md5(content),
                    Metadata=dict(metadata or {}),
                    **conditions,
                )
        except (_UnmetError, MissingObjectError) as error:
            # an etag of what is not there any more is answered with 404; without one a 404 is not the store's answer
            if match is not None or (absent and isinstance(error, _UnmetError)):
                return False
            raise RemoteError(
                f"{self.name}: {key} was not stored, as if there were no such place",
                hint="is --endpoint-url right, and is it the store that answers there?",
            ) from error
        self.usage.add(sent=content.stat().st_size if isinstance(content, Path) else len(content))
        return True

    def delete(self, key: str) -> None:
        self._ask("delete_object", Key=self._key(key))

    def is_conditional(self) -> bool:
        return keeps_conditions(self)

    def stop(self) -> None:
        self._stopped.set()

    def _key(self, key: str) -> str:
        if not is_safe(key):
            raise UsageError(f"{key!r} is no name for an object")
        return self._prefix + key

    def _count(self, **_: Any) -> None:
        self.usage.add(requests=1)

    def _compare_clocks(self, http_response: Any = None, **_: Any) -> None:
        """Each answer says when it was given, in whole seconds."""
        try:
            told = parsedate_to_datetime(http_response.headers["date"]).timestamp()
        except (AttributeError, KeyError, TypeError, ValueError):
            return
        self.clock_ahead = time.time() - told - 0.5

    def _ask(self, operation: str, **parameters: Any) -> Any:
        """One request, and others in its place where the answer may change."""
        from botocore.exceptions import BotoCoreError, ClientError

        for attempt in range(1, _TRIES + 1):
            try:
                return getattr(self._client, operation)(Bucket=self._bucket, **parameters)
            except ClientError as error:
                self._judge(error, parameters.get("Key", ""), last=attempt == _TRIES)
            except BotoCoreError as error:
                if attempt == _TRIES or not _passes(error):
                    raise self._unreachable(error) from error
            self._wait(attempt)
            rewind = getattr(parameters.get("Body"), "seek", None)
            if rewind is not None:
                rewind(0)
        raise AssertionError("the last try raises or returns")

    def _judge(self, error: Any, key: str, *, last: bool) -> None:
        """Raise what an answer amounts to; return where another try may be answered otherwise."""
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code in _UNMET or status == "412":
            raise _UnmetError
        if code == "NoSuchBucket":
            raise RemoteError(
                f"there is no bucket {self._bucket}", hint="make it, or name another with --remote"
            ) from error
        if code in _MISSING or status == "404":
            raise MissingObjectError(f"{self.name} has no {key.removeprefix(self._prefix)}") from error
        if not last and (code in _PASSING or status in _PASSING):
            return
        what = f"{self.name}: {code or status} {answer.get('Message') or ''}".rstrip()
        if code in _CREDENTIALS or status in _CREDENTIALS:
            raise RemoteError(what, hint="check --profile, or AWS_ACCESS_KEY_ID and what it may do here") from error
        raise RemoteError(what, hint="try again; what is done already is not done twice") from error

    def _unreachable(self, error: Exception) -> RemoteError:
        from botocore import exceptions

        if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
            hint = "log in (aws sso login), name a --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        elif isinstance(error, exceptions.ParamValidationError):
            hint = "is boto3 too old? pip install -U boto3"
        else:
            hint = "is the network there, and is --endpoint-url right? What is done already is not done twice"
        return RemoteError(f"{self.name}: {error}", hint=hint)

    @contextlib.contextmanager
    def _interrupted(self, attempt: int) -> Iterator[None]:
        """An answer that breaks off is asked for again."""
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (BotoCoreError, HTTPError, ConnectionError, TimeoutError) as error:
            if attempt == _TRIES:
                raise self._unreachable(error) from error
            self._wait(attempt)

    def _wait(self, attempt: int) -> None:
        """Full jitter: of many that were refused together few come back together."""
        self._pause(random.uniform(0, min(_LONGEST, 0.2 * 2**attempt)))
        if self._stopped.is_set():
            raise RemoteError(f"{self.name}: given up")


def credentials(*, profile: str | None = None, asks: bool = True) -> str | None:
    """How boto3 would log in: "env", "shared-credentials-file" and so on; None: it finds nothing. Nothing secret is told.

    ``asks`` of False leaves out the places that are asked over the network. Raises UsageError for a profile that there is not.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(profile_name=profile)
        if not asks:
            chain = session._session.get_component("credential_provider")  # noqa: SLF001  boto3 has no other way to it
            for name in ("iam-role", "container-role"):
                with contextlib.suppress(BotoCoreError):
                    chain.remove(name)
        found = session.get_credentials()
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"the login of AWS: {error}", hint="check --profile, or AWS_PROFILE") from error
    return None if found is None else str(found.method)


def _md5(content: bytes | Path) -> str:
    """By which the store knows that an upload came whole: not all of them miss the rest of one that broke off."""
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(content, bytes):
        digest.update(content)
    else:
        with content.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
    return base64.b64encode(digest.digest()).decode()


class _UnmetError(Exception):
    """A condition did not hold."""


def _passes(error: Exception) -> bool:
    from botocore import exceptions

    return isinstance(
        error,
        (
            exceptions.ConnectionError,
            exceptions.HTTPClientError,
            exceptions.ResponseStreamingError,
            exceptions.IncompleteReadError,
        ),
    ) and not isinstance(error, exceptions.SSLError)


def _head(answer: Mapping[str, Any]) -> Head:
    return Head(answer["ContentLength"], answer["ETag"], dict(answer.get("Metadata", {})))


def _client(*, endpoint_url: str | None, profile: str | None, region: str | None) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        return session.client(
            "s3",
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=_CONNECT,
                read_timeout=_READ,
                max_pool_connections=AT_ONCE,
                retries={"total_max_attempts": 1},  # tried again here, where a conflict is told from a broken line
                # checksums that stores other than AWS's do not know are sent only where they must be
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"S3 cannot be set up: {error}", hint="check --profile, --region and --endpoint-url"
        ) from error
