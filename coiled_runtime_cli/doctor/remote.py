"""What is elsewhere: Coiled, AWS, and the remote of the shared history."""

from __future__ import annotations

import secrets
import shlex
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import clusters, session, sharing
from coiled_runtime_cli.core import doctor as judge
from coiled_runtime_cli.core.doctor import REMOTE, Finding
from coiled_runtime_cli.doctor import machine, tools
from coiled_runtime_cli.errors import CrtError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coiled_runtime_cli.config import Config, Remote
    from coiled_runtime_cli.sync.store import Store

#: How long a remote may take for everything that is asked of it (s).
PATIENCE = 15.0

#: What stores answer to keys that they do not know, or that are over.
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")

_CONTENT = b"crt doctor: this may be deleted\n"


@dataclass(slots=True)
class Tried:
    """What a remote answered. None: as it should; an error: what it said instead; what was not asked stays unasked."""

    listed: CrtError | None = None
    written: CrtError | None = None
    read: CrtError | None = None
    removed: CrtError | None = None
    conditional: bool | None = None
    key: str = ""
    done: bool = False


def coiled(settings: Config, *, online: bool) -> Finding:
    """Whether there is a login; with ``online`` whether Coiled takes it."""
    from coiled_runtime_cli.clusters import coiled as cloud

    wanted = settings.cluster == "coiled" or settings.clusters.get(settings.cluster, {}).get("kind") == "coiled"
    try:
        _coiled_login()
        if online:
            cloud.check_login()
            cloud.check_server()
    except CrtError as error:
        mend = error.hint or "coiled login"
        if wanted or error.message != _NO_LOGIN:
            return Finding("Coiled", "problem", error.message, mend, error.exit_code)
        return Finding("Coiled", "note", f"{error.message}: only --cluster coiled needs it", mend)
    return Finding("Coiled", "ok", "the login is accepted" if online else "a login is there (--online tries it)")


def chosen_cluster(settings: Config) -> Iterator[Finding]:
    """Whether the cluster that is configured can be had, as far as that shows in bounded time; nothing of a local one."""
    if settings.cluster == "local":
        return
    try:
        clusters.check(session.prepare(settings)[1])
    except CrtError as error:
        mend = error.hint or "crt config show --origin"
        yield Finding("cluster", "problem", f"{error.message} ({settings.origin('cluster')})", mend, error.exit_code)
    else:
        yield Finding("cluster", "ok", f"{settings.cluster} ({settings.origin('cluster')})")


_NO_LOGIN = "no login was found"


def _coiled_login() -> None:
    """Of Dask's configuration: the coiled package, which is slow to import, adds nothing to that but defaults."""
    import dask.config

    if not dask.config.get("coiled.token", None):
        raise RemoteError(_NO_LOGIN, hint="coiled login")


def check(where: Remote) -> Iterator[Finding]:
    """The login, and what it may do at the remote. Unless one is configured, nothing is asked."""
    bucket = where.remote.lower().startswith("s3:")
    login = _login(where, needed=bucket)
    yield login
    if where.origin == "default":
        yield Finding("remote", "note", f"none is named: crt sync push would use {where.remote}, on this machine")
        return
    if login.state == "problem":
        return
    try:
        sharing.check_folder(where)
        store = sharing.open_remote(where)
    except CrtError as error:
        mend = (error.hint or "").rpartition("If it is to be new: ")[2]
        yield Finding("remote", "problem", f"{error.message} ({where.origin})", mend, error.exit_code)
        return
    tried = Tried(key=f"crt-doctor-{secrets.token_hex(8)}")
    _bounded(lambda: _try(store, tried), store)
    yield from _rights(store, where, tried)
    ahead = getattr(store, "clock_ahead", None)
    if ahead is not None:
        yield judge.skew(ahead, set_clock=machine.set_clock())


def _login(where: Remote, *, needed: bool) -> Finding:
    from coiled_runtime_cli.sync.s3 import credentials

    try:
        # only a bucket that is configured is a reason to ask the network for one
        method = credentials(profile=where.profile, asks=needed)
    except CrtError as error:
        return Finding("AWS login", "problem", error.message, "aws configure list-profiles", error.exit_code)
    if method is not None:
        return Finding("AWS login", "ok", f"found by boto3: {method}")
    mend = _login_command()
    if needed:
        return Finding("AWS login", "problem", f"none found, and {where.remote} needs one", mend, REMOTE)
    return Finding("AWS login", "note", "none found: only a bucket needs one", mend)


def _bounded(work: Callable[[], None], store: Store) -> None:
    """Do it, but wait no longer than :data:`PATIENCE`; what hangs in the network then hangs alone."""
    thread = threading.Thread(target=work, name="crt-doctor", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    store.stop()


def _try(store: Store, tried: Tried) -> None:
    tried.listed = _error_of(lambda: next(iter(store.list("")), None))
    if tried.listed is not None and not _was_refused(tried.listed):
        tried.done = True
        return  # it is out of reach: all else would say the same, as slowly
    tried.written = _error_of(lambda: store.put(tried.key, _CONTENT, absent=True))
    if tried.written is None:
        try:
            tried.read = _error_of(lambda: _read_back(store, tried.key))
            if tried.read is None:
                again = _error_of(
                    lambda: setattr(tried, "conditional", not store.put(tried.key, _CONTENT, absent=True))
                )
                tried.conditional = False if again is not None else tried.conditional
        finally:
            tried.removed = _error_of(lambda: store.delete(tried.key))
    tried.done = True


def _read_back(store: Store, key: str) -> None:
    if store.get(key, limit=len(_CONTENT)) != _CONTENT:
        raise RemoteError(f"{store.name}: what was written is not what is read")


def _error_of(ask: Callable[[], object]) -> CrtError | None:
    try:
        ask()
    except CrtError as error:
        return error
    return None


def _was_refused(error: CrtError) -> bool:
    """By a remote that answers: another right may be there."""
    return any(word in error.message for word in ("AccessDenied", "403", "Forbidden", "Permission denied"))


def _rights(store: Store, where: Remote, tried: Tried) -> Iterator[Finding]:
    status = f"crt sync status --remote {shlex.quote(where.remote)}"
    name = f"{store.name} ({where.origin})"
    if not tried.done:
        yield Finding("remote", "problem", f"{name} did not answer within {PATIENCE:.0f} s", status, REMOTE)
        return
    if tried.listed is not None:
        mend = _mend_of(tried.listed, where) or status
        yield Finding("remote", "problem", f"not listed: {tried.listed.message}", mend, REMOTE)
    if tried.listed is not None and tried.written is None and tried.conditional is None and tried.read is None:
        return
    if tried.written is not None:
        seen = f"read only: {tried.written.message}: crt sync push would be refused"
        yield Finding("remote", "problem", seen, _mend_of(tried.written, where) or status, REMOTE)
        return
    if tried.read is not None:
        yield Finding("remote", "problem", f"not read: {tried.read.message}", status, REMOTE)
    if tried.removed is not None:
        seen = f"{tried.key} could not be removed again: {tried.removed.message}"
        yield Finding("remote", "warning", seen, _removal(store, where, tried.key))
    if tried.listed is None and tried.read is None and tried.removed is None:
        yield Finding("remote", "ok", f"{name}: listed, written, read, removed")
    if tried.conditional is False:
        seen = "no conditional writes: of two that publish at once one is undone"
        yield Finding("remote", "note", seen, "crt sync publish --single-publisher")


def _removal(store: Store, where: Remote, key: str) -> str:
    if not store.name.startswith("s3:"):
        return f"rm {shlex.quote(f'{store.name}/{key}')}"
    bucket, _, prefix = store.name.removeprefix("s3://").partition("/")
    whole = f"{prefix}/{key}" if prefix else key
    return _aws(
        where, f"s3 rm {shlex.quote(f's3://{bucket}/{whole}')}", f".delete_object(Bucket={bucket!r}, Key={whole!r})"
    )


def _mend_of(error: CrtError, where: Remote) -> str:
    """A command for it, where one is known."""
    if not where.remote.lower().startswith("s3:"):
        return f"ls -ld {shlex.quote(where.remote)}" if "Permission denied" in error.message else ""
    if "there is no bucket" in error.message:
        bucket = where.remote.partition("://")[2].partition("/")[0]
        return _aws(where, f"s3 mb s3://{bucket}", f".create_bucket(Bucket={bucket!r})")
    if any(code in error.message for code in _WRONG_KEYS):
        return _login_command()
    # whose key it is: the rights are granted to that one
    return "aws sts get-caller-identity" if "AccessDenied" in error.message and where.endpoint_url is None else ""


def _aws(where: Remote, command: str, call: str) -> str:
    """A command of AWS's program, or the same by boto3, which is here."""
    if shutil.which("aws"):
        flags = {"endpoint-url": where.endpoint_url, "profile": where.profile, "region": where.region}
        return " ".join(["aws", command, *(f"--{name} {shlex.quote(each)}" for name, each in flags.items() if each)])
    session = f"boto3.Session(profile_name={where.profile!r}, region_name={where.region!r})"
    code = f"import boto3; {session}.client('s3', endpoint_url={where.endpoint_url!r}){call}"
    return f"{tools.python()} -c {shlex.quote(code)}"


def _login_command() -> str:
    return "aws configure" if shutil.which("aws") else "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=..."
