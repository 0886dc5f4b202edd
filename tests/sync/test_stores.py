"""What a store promises, of each kind of store."""

from __future__ import annotations

import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.errors import CrtError, RemoteError, UsageError
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.s3 import S3Store
from coiled_runtime_cli.sync.store import MissingObjectError, OversizedObjectError, is_safe, open_store

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["folder", "seaweedfs", "moto"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Makes clients of one empty remote."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "a remote")
    make: Callable[[], Any] = request.getfixturevalue("bucket" if request.param == "seaweedfs" else "moto_bucket")
    return make


def test_what_was_put_is_listed_and_read_elsewhere(new_store: Any) -> None:
    store = new_store()
    assert list(store.list("")) == []
    assert store.put("segments/v1/b.gz", b"two")
    assert store.put("segments/v1/a.gz", b"one!")
    assert store.put("benchmark.db", b"")
    other = new_store()
    assert [(each.key, each.size) for each in other.list("segments/")] == [
        ("segments/v1/a.gz", 4),
        ("segments/v1/b.gz", 3),
    ]
    assert [each.key for each in other.list("")] == ["benchmark.db", "segments/v1/a.gz", "segments/v1/b.gz"]
    assert [each.key for each in other.list("segments/v1/b")] == ["segments/v1/b.gz"]
    assert other.get("segments/v1/a.gz", limit=4) == b"one!"
    assert other.get("benchmark.db", limit=0) == b""
    assert other.usage.received == 4
    assert store.usage.sent == 7


def test_an_object_is_put_once_where_it_must_be_absent(new_store: Any) -> None:
    store = new_store()
    assert store.put("a/b", b"first", absent=True)
    assert not store.put("a/b", b"other", absent=True)
    assert store.get("a/b", limit=99) == b"first"
    assert store.is_conditional()


def test_of_many_who_ask_for_conditions_at_once_none_takes_another_for_itself(
    new_store: Any, request: pytest.FixtureRequest
) -> None:
    stores = [new_store() for _ in range(8)]
    gate = threading.Barrier(len(stores))
    rounds = 20 if "folder" in request.node.name else 1

    def ask(store: Any) -> list[bool]:
        answers = []
        for _ in range(rounds):
            gate.wait()
            answers.append(store.is_conditional())
        return answers

    with ThreadPoolExecutor(len(stores)) as pool:
        assert list(pool.map(ask, stores)) == [[True] * rounds] * len(stores)
    assert list(stores[0].list("")) == []


def test_an_object_is_replaced_only_where_it_is_the_one_that_was_seen(new_store: Any, tmp_path: Path) -> None:
    store = new_store()
    assert not store.put("x.db", b"0", match='"0123456789abcdef0123456789abcdef"')
    store.put("x.db", b"1")
    seen = store.head("x.db")
    assert seen.size == 1
    assert store.put("x.db", b"22", match=seen.etag)
    assert not store.put("x.db", b"333", match=seen.etag)
    assert store.get("x.db", limit=9) == b"22"
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    assert store.put("x.db", tmp_path / "large", match=store.head("x.db").etag)
    head = store.download("x.db", tmp_path / "copy")
    assert head == store.head("x.db")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()


def test_what_is_not_there_is_said_so(new_store: Any, tmp_path: Path) -> None:
    store = new_store()
    assert store.head("a/b") is None
    with pytest.raises(MissingObjectError, match="a/b"):
        store.get("a/b", limit=9)
    with pytest.raises(MissingObjectError):
        store.download("a/b", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    store.delete("a/b")
    store.put("a/b", b"")
    store.delete("a/b")
    assert list(store.list("")) == []


def test_nothing_larger_than_the_limit_is_read(new_store: Any) -> None:
    store = new_store()
    store.put("a", b"x" * 101)
    with pytest.raises(OversizedObjectError, match="a has"):
        store.get("a", limit=100)
    assert store.get("a", limit=101) == b"x" * 101


@pytest.mark.parametrize(
    "key", ["../a", "a/../b", "/a", "a//b", "", ".a", "a/.b", "a\\b", "a\0b", "a/", "a:b", "x" * 999]
)
def test_names_that_lead_elsewhere_are_refused(new_store: Any, key: str) -> None:
    store = new_store()
    assert not is_safe(key)
    for ask in (store.head, store.delete, lambda key: store.get(key, limit=1), lambda key: store.put(key, b"")):
        with pytest.raises(UsageError):
            ask(key)


@given(key=st.text(alphabet="ab./\\:~-_= \0", max_size=12))
def test_a_safe_key_stays_below_its_folder(key: str) -> None:
    if is_safe(key):
        path = Path(os.path.normpath(f"/root/{key}"))
        assert path.parts[:2] == ("/", "root")
        assert len(path.parts) > 2
        assert path.as_posix() == f"/root/{key}"


def test_of_many_who_put_at_once_one_does(new_store: Any, request: pytest.FixtureRequest) -> None:
    if "moto" in request.node.name:
        pytest.skip("moto looks first and writes then: two may win")
    stores = [new_store() for _ in range(8)]
    gate = threading.Barrier(len(stores))

    def race(number: int) -> bool:
        gate.wait()
        won: bool = stores[number].put("race", b"%d" % number, absent=True)
        return won

    with ThreadPoolExecutor(len(stores)) as pool:
        won = list(pool.map(race, range(len(stores))))
    assert sum(won) == 1
    assert stores[0].get("race", limit=9) == b"%d" % won.index(True)
    seen = stores[0].head("race").etag

    def replace(number: int) -> bool:
        gate.wait()
        won: bool = stores[number].put("race", b"r%d" % number, match=seen)
        return won

    with ThreadPoolExecutor(len(stores)) as pool:
        won = list(pool.map(replace, range(len(stores))))
    assert sum(won) == 1
    assert stores[0].get("race", limit=9) == b"r%d" % won.index(True)


def test_a_listing_has_all_of_its_pages(moto_bucket: Any) -> None:
    store = moto_bucket()
    for number in range(1_005):
        store._client.put_object(Bucket=store._bucket, Key=f"benchmarks/segments/{number:05d}", Body=b"")
    before = store.usage.requests
    assert [each.key for each in store.list("segments/")] == [f"segments/{number:05d}" for number in range(1_005)]
    assert store.usage.requests - before == 2


class Answers:
    """What the server answers in place of the next requests: a status, or a line that breaks before or after."""

    def __init__(self, store: S3Store, *answers: str) -> None:
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

        left = list(answers)
        sender = store._client._endpoint.http_session
        send = sender.send

        def answer(request: Any) -> Any:
            what = left.pop(0) if left else ""
            if what == "refused":
                raise EndpointConnectionError(endpoint_url=request.url)
            if what == "lost":
                send(request)
                raise ConnectionClosedError(endpoint_url=request.url)
            if what:
                return AWSResponse(request.url, int(what), {}, _Raw())
            return send(request)

        sender.send = answer
        self.left = left


class _Raw:
    """A body without anything in it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter([b""])


def test_what_passes_is_tried_again(bucket: Any) -> None:
    pauses: list[float] = []
    store = bucket(pause=pauses.append)
    answers = Answers(store, "503", "500", "409", "refused", "429")
    assert store.put("a", b"1", absent=True)
    assert not answers.left
    assert len(pauses) == 5
    assert store.usage.requests == 6
    assert store.get("a", limit=9) == b"1"


def test_an_answer_that_is_lost_is_as_if_another_had_written(bucket: Any) -> None:
    store = bucket(pause=lambda _: None)
    Answers(store, "lost")
    assert not store.put("a", b"1", absent=True)
    assert store.get("a", limit=9) == b"1"


def test_a_store_is_known_to_keep_conditions_although_an_answer_is_lost(bucket: Any) -> None:
    store = bucket(pause=lambda _: None)
    Answers(store, "lost")
    assert store.is_conditional()


def test_an_upload_that_did_not_come_whole_is_refused_by_the_store(bucket: Any) -> None:
    """The first bytes alone, under the name and the checksum of all of them."""
    store = bucket(pause=lambda _: None)
    sender = store._client._endpoint.http_session
    send = sender.send

    def cut(request: Any) -> Any:
        if request.method == "PUT" and "Content-Length" in request.headers:
            request.body = b"0123"
            del request.headers["Content-Length"]
            request.headers["Content-Length"] = "4"
        return send(request)

    sender.send = cut
    with pytest.raises(RemoteError):
        store.put("a", b"0123456789")
    sender.send = send
    assert store.head("a") is None


def test_what_does_not_pass_ends_in_a_message(bucket: Any) -> None:
    store = bucket(pause=lambda _: None)
    Answers(store, *["503"] * 9)
    with pytest.raises(RemoteError, match="503"):
        store.put("a", b"1")
    assert store.usage.requests == 6


def test_who_may_not_is_told_so(seaweedfs: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    store = S3Store("history", "x", endpoint_url=seaweedfs)
    with pytest.raises(RemoteError) as caught:
        store.head("a")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.hint)
    assert "wrong-secret" not in f"{caught.value.message}{caught.value.hint}"


def test_without_credentials_it_says_where_to_get_some(
    seaweedfs: str, credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = S3Store("history", "x", endpoint_url=seaweedfs)
    with pytest.raises(RemoteError, match="credentials") as caught:
        list(store.list(""))
    assert "aws sso login" in str(caught.value.hint)


def test_a_bucket_that_is_not_there_is_named(seaweedfs: str, credentials: None) -> None:
    with pytest.raises(RemoteError, match="no bucket missing-bucket"):
        list(S3Store("missing-bucket", endpoint_url=seaweedfs).list(""))


def test_what_answers_404_to_everything_is_no_store_and_nothing_counts_as_stored(answering: Any) -> None:
    """A proxy that knows no such path: 404 says that a condition did not hold only of an object to be replaced."""
    store = answering({})
    for condition in ({}, {"absent": True}):
        with pytest.raises(RemoteError, match="was not stored") as caught:
            store.put("a", b"1", **condition)
        assert not isinstance(caught.value, MissingObjectError)
        assert "--endpoint-url" in str(caught.value.hint)
    assert not store.put("a", b"1", match='"0123456789abcdef0123456789abcdef"')
    with pytest.raises(RemoteError, match="was not stored"):
        store.is_conditional()


def test_a_condition_that_nobody_made_cannot_fail(answering: Any) -> None:
    store = answering({"PUT": 412})
    assert not store.put("a", b"1", absent=True)
    with pytest.raises(RemoteError, match="was not stored"):
        store.put("a", b"1")


def test_a_server_that_is_not_there_is_named(credentials: None) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    store = S3Store("history", endpoint_url=address, pause=lambda _: None)
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1") as caught:
        store.head("a")
    assert "--endpoint-url" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("remote", "kind", "name"),
    [
        ("s3://bucket/some/prefix/", S3Store, "s3://bucket/some/prefix"),
        ("s3://bucket", S3Store, "s3://bucket/benchmarks"),
        ("file:///a%20folder/b", FolderStore, "/a folder/b"),
        ("/a/b", FolderStore, "/a/b"),
        ("a/b", FolderStore, "a/b"),
    ],
)
def test_a_remote_is_told_by_its_address(remote: str, kind: type, name: str, credentials: None) -> None:
    store = open_store(remote)
    assert isinstance(store, kind)
    assert store.name == name


@pytest.mark.parametrize(
    "remote",
    [
        "ftp://x/y",
        "s3://",
        "s3://Bad_Bucket/x",
        "s3://key:secret@bucket/x",
        "file://host/x",
        "s3://bucket/../x",
        "https://x",
    ],
)
def test_what_is_no_remote_is_said_so(remote: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(remote)
    assert "secret" not in caught.value.message


def test_flags_of_buckets_mean_nothing_to_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--profile is of buckets"):
        open_store(str(tmp_path), profile="x")


def test_a_writer_that_was_killed_leaves_nothing_that_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"1")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put("a/c", b"2", absent=True)
    (tmp_path / "a" / ".d-half").write_bytes(b"half")
    assert [each.key for each in store.list("")] == ["a/b"]
    assert store.put("a/c", b"2", absent=True)


def test_a_file_system_without_hard_links_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    store = FolderStore(tmp_path)
    assert store.put("a/b", b"1", absent=True)
    assert not store.put("a/b", b"2", absent=True)
    assert store.is_conditional()
    assert [each.key for each in store.list("")] == ["a/b"]


def test_others_may_read_what_one_has_put(tmp_path: Path) -> None:
    FolderStore(tmp_path).put("a/b", b"1", absent=True)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) & 0o044 == 0o044 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_is_an_error_of_the_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = FolderStore(tmp_path)
    with pytest.raises(CrtError, match="No space left on device") as error:
        store.put("a/b", b"1")
    assert "make room" in str(error.value.hint)
    assert list(tmp_path.rglob("*b*")) == []


def test_a_shared_folder_stays_everybody_s(tmp_path: Path) -> None:
    """What one user makes there another may add to, although the first one's umask would not have it."""
    root = tmp_path / "share"
    root.mkdir()
    root.chmod(0o2775)
    before = os.umask(0o077)
    try:
        store = FolderStore(root)
        store.put("segments/v1/2026-11-20/a.gz", b"a", absent=True)
        store.put("benchmark.db", b"b", match=None)
        os.umask(0o022)
        FolderStore(root / "new" / "remote").put("x/y", b"")
    finally:
        os.umask(before)
    modes = {path.relative_to(root).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes["segments/v1/2026-11-20"] == modes["segments"] == 0o2775
    assert modes["segments/v1/2026-11-20/a.gz"] == modes["benchmark.db"] == modes[".lock"] == 0o664
    assert modes["new/remote/x"] & 0o777 == 0o755


def test_a_bucket_has_the_history_where_the_predecessor_had_it() -> None:
    assert open_store("s3://bucket", endpoint_url="http://127.0.0.1:9", region="x").name == "s3://bucket/benchmarks"
    assert open_store("s3://bucket/team/", endpoint_url="http://127.0.0.1:9", region="x").name == "s3://bucket/team"
