"""Many writers of one shared history, killed and misled at every request: is anything lost, or there twice?

Pushers, pullers and publishers are processes of their own on a real S3 server. Before and after their requests they are killed
at random, and answers are lost on the way. In the end every database must hold every session once and whole, whichever way it
came: by pulling all along, from the published database, or from the segments alone. One seed makes the same plan.

    python .ci/sync_chaos.py --pushers 32 --sessions 20 --pullers 4 --publishers 2 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sync"))
from s3_servers import KEYS, seaweedfs_server

from coiled_runtime_cli.core.record import Benchmark, Environment, Host, Package, Run, SessionEnded, SessionStarted
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.migrate import heads
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.db.snapshot import begin_with, check_snapshot, inspect_published
from coiled_runtime_cli.errors import RemoteError
from coiled_runtime_cli.sharing import today
from coiled_runtime_cli.sync.publish import KEY, Options, publish
from coiled_runtime_cli.sync.pull import pull
from coiled_runtime_cli.sync.push import push
from coiled_runtime_cli.sync.s3 import S3Store

KILLED = 9


class Trouble:
    """Decides at each request of a process: nothing, death before it, death after it, or an answer that is lost."""

    def __init__(self, seed: str, rate: float) -> None:
        self.chance = random.Random(seed)
        self.rate = rate

    def install(self, store: S3Store) -> S3Store:
        session = store._client._endpoint.http_session  # noqa: SLF001 - below botocore's own retries and signatures
        send = session.send

        def troubled(request: object) -> object:
            fate = self.chance.random()
            if fate < self.rate:
                os._exit(KILLED)
            answer = send(request)
            if fate < 2 * self.rate:
                os._exit(KILLED)
            if fate < 4 * self.rate:
                from botocore.exceptions import ConnectionClosedError

                raise ConnectionClosedError(endpoint_url="lost on the way")
            return answer

        session.send = troubled
        return store


def store_at(plan: argparse.Namespace, trouble: Trouble | None = None) -> S3Store:
    pauses = trouble.chance if trouble is not None else random
    store = S3Store(
        "history",
        plan.prefix,
        endpoint_url=plan.endpoint,
        pause=lambda most: time.sleep(pauses.uniform(0, min(most, 0.3))),
    )
    return store if trouble is None else trouble.install(store)


def sessions_of(plan: argparse.Namespace, pusher: int) -> list[int]:
    """The numbers of a pusher's sessions; the first two are its neighbour's as well: a CI job that ran twice."""
    own = [pusher * plan.sessions + each for each in range(plan.sessions)]
    neighbour = (pusher + 1) % plan.pushers
    return own + [neighbour * plan.sessions + each for each in range(2)]


def lines(plan: argparse.Namespace, number: int) -> list[object]:
    """One session: of one hundred days, so that young and late ones come mixed; between 1 and 9 runs."""
    chance = random.Random(f"{plan.seed}-{number}")
    started = time.time() // 86_400 * 86_400 - chance.randrange(100) * 86_400 + number
    environment = Environment(
        python="3.11.7.final.0", platform="linux", packages=(Package(name="dask", version=f"2026.{number % 9}.0"),)
    )
    tests = [
        Benchmark(path="benchmarks/test_x.py", name=f"test_{each}", originalname=f"test_{each}") for each in range(3)
    ]
    runs = [
        Run(
            uuid=f"00000000-0000-4000-8000-{number:08d}{each:04d}",
            session=f"session-{number:06d}",
            benchmark=tests[each % 3].id,
            environment=environment.id,
            outcome="passed",
            start=started + each,
            end=started + each + 0.5,
            duration=chance.random(),
        )
        for each in range(1 + number % 9)
    ]
    begun = SessionStarted(
        id=f"session-{number:06d}", started=started, label="upstream", host=Host(cores=2), command=("crt", "bench")
    )
    return [begun, environment, *tests, *runs, SessionEnded(id=f"session-{number:06d}", ended=started + 60)]


def pusher(plan: argparse.Namespace, index: int, life: int, path: str) -> None:
    """Measure a few sessions, push, measure more: as far as this life goes."""
    trouble = Trouble(f"{plan.seed}-pusher-{index}-{life}", plan.rate)
    engine, store = open_database(path), store_at(plan, trouble)
    with SharedHistory(engine, store.identity) as history:
        for number in sessions_of(plan, index):
            time.sleep(
                trouble.chance.uniform(0, 0.5)
            )  # a benchmark takes its time: the others are to see the history grow
            ingest(engine, lines(plan, number))
            if trouble.chance.random() < 0.25:
                push(store, history, history.pending(), today())
        push(store, history, history.pending(), today())
        if trouble.chance.random() < 0.3:
            pull(store, history, today())


def puller(plan: argparse.Namespace, index: int, life: int, path: str) -> None:
    trouble = Trouble(f"{plan.seed}-puller-{index}-{life}", plan.rate / 4)
    engine, store = open_database(path), store_at(plan, trouble)
    with SharedHistory(engine, store.identity) as history:
        while not Path(plan.done).exists():
            pull(store, history, today())
            check_whole(path)
            time.sleep(trouble.chance.uniform(0.2, 1.0))


def publisher(plan: argparse.Namespace, index: int, life: int, path: str) -> None:
    """Publish again and again; what was published must never shrink."""
    trouble = Trouble(f"{plan.seed}-publisher-{index}-{life}", plan.rate / 4)
    engine, store = open_database(path), store_at(plan, trouble)
    known = read_revisions().known
    options = Options(inspect=inspect_published, knows=known.__contains__, revision=heads()[0])
    seen = Path(f"{path}.seen")
    with SharedHistory(engine, store.identity, pushes=False) as history:
        while not (Path(plan.done).exists() and seen.exists()):
            try:
                publish(store, history, today(), options)
            except RemoteError as error:
                if "faster" not in str(error):
                    raise
            now = published_sessions(plan, path)
            before = set(seen.read_text().split()) if seen.exists() else set()
            assert before <= now, f"what is published lost {len(before - now)} sessions"
            seen.write_text("\n".join(now))
            with contextlib.suppress(FileExistsError):
                Path(plan.count, f"{index}-{life}-{time.time_ns()}").touch(exist_ok=False)
            time.sleep(trouble.chance.uniform(0.2, 1.0))


def published_sessions(plan: argparse.Namespace, path: str) -> set[str]:
    copy = Path(f"{path}.copy")
    store_at(plan).download(KEY, copy)
    check_snapshot(copy)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        return {row[0] for row in connection.execute("select id from session")}


def check_whole(path: str) -> None:
    """Every session that there is has all of its runs, and a mark; and none of them is there twice."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        counts = connection.execute(
            "select s.id, count(r.key) from session s left join run r on r.session_key = s.key group by s.id"
        ).fetchall()
        marked = {row[0] for row in connection.execute("select session from applied_segment")}
    for session, count in counts:
        number = int(session.rpartition("-")[2])
        assert count == 1 + number % 9, f"{session} has {count} runs in {path}"
        assert session in marked, f"{session} is there without a mark in {path}"
    assert len(marked) == len(counts), f"marks without sessions in {path}"


def rows(path: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            'select uuid, session_id, name, path, call_outcome, dask_version, start, "end", duration, '
            "coiled_runtime_version, outcome from test_run order by uuid"
        ).fetchall()


def live(role: object, plan: argparse.Namespace, index: int, path: str, tally: object) -> None:
    """Give a process one life after the other until it has done its work."""
    name = role.__name__
    for life in itertools.count():
        process = multiprocessing.get_context("fork").Process(target=role, args=(plan, index, life, path))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        if process.exitcode != KILLED:
            Path(plan.failed).touch()
            tally.put((name, "failed"))
            break
        tally.put((name, "killed"))
        if life > 500:
            raise AssertionError(f"{name} {index} never ends")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("pushers", 32), ("sessions", 20), ("pullers", 4), ("publishers", 2), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=0.02, help="of deaths before a request, and of those after one")
    plan = parser.parse_args()
    os.environ.update(KEYS | {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"})
    os.environ.pop("AWS_PROFILE", None)
    folder = Path(tempfile.mkdtemp(prefix="crt-chaos-"))
    plan.prefix, plan.done, plan.failed = "benchmarks", str(folder / "done"), str(folder / "failed")
    plan.count = str(folder / "publications")
    Path(plan.count).mkdir()
    began = time.monotonic()
    try:
        with seaweedfs_server() as plan.endpoint:
            run(plan, folder, began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(plan: argparse.Namespace, folder: Path, began: float) -> None:
    empty = folder / "empty.db"
    open_database(str(empty)).dispose()
    context = multiprocessing.get_context("fork")
    tally = context.Queue()

    def start(role: object, count: int) -> list[multiprocessing.Process]:
        started = []
        for index in range(count):
            path = folder / f"{role.__name__}-{index}.db"
            shutil.copyfile(empty, path)
            process = context.Process(target=live, args=(role, plan, index, str(path), tally))
            process.start()
            started.append(process)
        return started

    pushers = start(pusher, plan.pushers)
    others = start(puller, plan.pullers) + start(publisher, plan.publishers)
    for process in pushers:
        process.join()
    pushed = time.monotonic() - began
    time.sleep(2)  # the others look at what has come
    Path(plan.done).touch()
    for process in others:
        process.join()
    assert not Path(plan.failed).exists(), "a process failed: see above"
    fates: Counter[tuple[str, str]] = Counter()
    while not tally.empty():
        fates[tally.get()] += 1
    wanted = plan.pushers * plan.sessions
    runs = sum(1 + number % 9 for number in range(wanted))

    # a newcomer from the segments alone: the truth
    truth = str(folder / "truth.db")
    shutil.copyfile(empty, truth)
    store = store_at(plan)
    with SharedHistory(open_database(truth), store.identity) as history:
        got = pull(store, history, today())
    assert (got.segments, got.runs, got.conflicts, got.refused, got.newer) == (wanted, runs, [], {}, {}), got
    check_whole(truth)
    expected = rows(truth)
    assert len(expected) == runs
    objects = [each.key for each in store.list("segments/")]
    assert len(objects) == wanted, f"{len(objects)} objects for {wanted} sessions"

    # everybody else, after one undisturbed pull
    for path in sorted(folder.glob("puller-*.db")) + sorted(folder.glob("pusher-*.db")):
        with SharedHistory(open_database(str(path)), store.identity) as history:
            assert not history.pending() or path.name.startswith("pusher"), path
            push(store, history, history.pending(), today())
            assert not pull(store, history, today()).conflicts
        assert rows(str(path)) == expected, path
    assert len(list(store.list("segments/"))) == wanted

    # a newcomer from the published database and the tail
    copy, late = folder / "published.db", str(folder / "late.db")
    store.download(KEY, copy)
    shutil.copyfile(empty, late)
    engine = open_database(late)
    begun = begin_with(engine, copy)
    with SharedHistory(engine, store.identity) as history:
        history.mark_all_pushed()
        pull(store, history, today())
        assert not history.pending()
    check_whole(late)
    assert rows(late) == expected
    print(
        f"seed {plan.seed}: {plan.pushers} pushers x {plan.sessions} sessions, {plan.pullers} pullers, "
        f"{plan.publishers} publishers: {wanted} sessions, {runs} runs: 0 lost, 0 doubled"
    )
    print(
        "killed: "
        + ", ".join(f"{count} {name}" for (name, _), count in sorted(fates.items()))
        + f"; {len(list(Path(plan.count).iterdir()))} publications; "
        f"{begun} runs came from the published database; pushed in {pushed:.0f} s, all in {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
