"""The commands that share history, through a folder or through S3."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

from s3_servers import s3_client

from coiled_runtime_cli.core import segment
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.sharing import today
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.push import push

from .runs import RUNS, SESSIONS, compared, cut_short, fill, stored, uuids
from .trial import NETWORK, Command, Trial, Workbench

if TYPE_CHECKING:
    import random
    from pathlib import Path


class SyncPush(Command):
    name = "sync push"
    faults = (*Command.faults, *NETWORK)
    full_disk_codes = (3, 4)  # where the remote is a folder, that is what was full

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS))
        (here / "remote").mkdir()

    def remote(self, trial: Trial) -> list[str]:
        if "endpoint" in trial.facts:
            return ["--remote", f"s3://history/{trial.name}", "--endpoint-url", trial.facts["endpoint"]]
        return ["--remote", str(trial.path("remote"))]

    def arguments(self, trial: Trial) -> list[str]:
        return ["sync", self.name.split()[1], *self.remote(trial)]

    def seed_remote(self, trial: Trial) -> None:
        """What an S3 remote has before the trial; a folder has it from its template."""

    def store(self, trial: Trial) -> dict[str, bytes]:
        if "endpoint" in trial.facts:
            client = s3_client(trial.bench.server)
            listed = client.list_objects_v2(Bucket="history", Prefix=f"{trial.name}/segments/").get("Contents", [])
            return {
                each["Key"].removeprefix(f"{trial.name}/"): client.get_object(Bucket="history", Key=each["Key"])[
                    "Body"
                ].read()
                for each in listed
            }
        root = trial.path("remote")
        return {str(each.relative_to(root)): each.read_bytes() for each in root.glob("segments/**/*.gz")}

    def problems(self, trial: Trial) -> list[str]:
        found: Counter[str] = Counter()
        for key, packed in self.store(trial).items():
            found.update(row["uuid"] for row in segment.from_bytes(segment.unpack(key, packed)).tables["run"])
        checked = trial.inside(["sync", "verify", *self.remote(trial)])
        told = [] if checked.code == 0 else [f"broken: sync verify says {checked.code}: {checked.err[-200:]}"]
        return compared(uuids(range(SESSIONS)), found) + told


def pushed(here: Path) -> None:
    """A remote with all sessions."""
    fill(here / "all.db", range(SESSIONS))
    (here / "remote").mkdir()
    store = FolderStore(here / "remote")
    with SharedHistory(open_database(str(here / "all.db")), store.identity) as history:
        push(store, history, history.pending(), today())
    (here / "all.db").unlink()


class SyncPull(SyncPush):
    name = "sync pull"
    half = True

    def prepare(self, here: Path, _bench: Workbench) -> None:
        pushed(here)
        open_database(str(here / "benchmark.db")).dispose()

    def seed_remote(self, trial: Trial) -> None:
        client = s3_client(trial.bench.server)
        root = trial.path("remote")
        for each in root.rglob("*"):
            if each.is_file():
                client.put_object(
                    Bucket="history", Key=f"{trial.name}/{each.relative_to(root)}", Body=each.read_bytes()
                )

    def cut(self, trial: Trial, chance: random.Random) -> str:
        files = sorted(trial.path("remote").glob("segments/**/*.gz"))
        file = chance.choice(files)
        trial.facts["whole"] = file, file.read_bytes()
        return cut_short(file, chance)

    def problems(self, trial: Trial) -> list[str]:
        told = []
        if "whole" in trial.facts:
            # with one segment damaged the others have come; whole again, it comes too
            file, content = trial.facts["whole"]
            if len(stored(trial.path("benchmark.db"))) != (SESSIONS - 1) * RUNS:
                told = ["lost: not all of the undamaged sessions came"]
            if trial.inside(["sync", "verify", *self.remote(trial)]).code == 0:
                told += ["broken: sync verify did not see the damage"]
            file.write_bytes(content)
            again = trial.run(self.arguments(trial))
            if again.code != 0:
                told += [f"broken: pull of the mended remote ends with {again.code}"]
        return told + compared(uuids(range(SESSIONS)), stored(trial.path("benchmark.db")))


class SyncPublish(SyncPull):
    name = "sync publish"
    half = False

    def problems(self, trial: Trial) -> list[str]:
        target = trial.folder / "published.db"
        if "endpoint" in trial.facts:
            s3_client(trial.bench.server).download_file("history", f"{trial.name}/benchmark.db", str(target))
        else:
            shutil.copyfile(trial.path("remote/benchmark.db"), target)
        found = compared(uuids(range(SESSIONS)), stored(target))
        checked = trial.inside(["sync", "verify", *self.remote(trial)])
        target.unlink()
        return found + ([] if checked.code == 0 else [f"broken: sync verify says {checked.code}: {checked.err[-200:]}"])
