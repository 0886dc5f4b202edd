"""The commands that make files: a site, data, packages."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, ClassVar

from .runs import SESSIONS, cut_short, fill, suites_in
from .trial import CLOCKS, DISKS, ROOT, SIGNALS, Command, Trial, Workbench

if TYPE_CHECKING:
    import random
    from pathlib import Path


def site_problems(site: Path) -> list[str]:
    """A page that names a file which is not there, or a data file that is not whole."""
    if not site.exists():
        return []
    for page in site.rglob("*.html"):
        if any(part.startswith(".crt-building") for part in page.parts):
            continue
        for link in re.findall(r'(?:src|href)="([^"#?:]+)(?:[#?][^"]*)?"', page.read_text()):
            if not (page.parent / link).exists():
                return [f"broken: {page.relative_to(site)} names {link}, which is not there"]
    for data in site.glob("data/**/*.js"):
        if not data.read_text().endswith(");\n"):
            return [f"broken: {data.name} is half there"]
    return []


class Report(Command):
    name = "report"
    half = True

    def prepare(self, here: Path, bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS - 3))
        trial = Trial(here.parent, bench, "template-report")
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        fill(here / "benchmark.db", range(SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["report", "--out", "site"]

    def between(self, trial: Trial) -> list[str]:
        return [] if trial.facts.get("cut") else site_problems(trial.path("site"))

    def cut(self, trial: Trial, chance: random.Random) -> str:
        files = sorted(each for each in trial.path("site").rglob("*") if each.is_file() and each.stat().st_size)
        trial.facts["cut"] = chance.choice(files)
        return cut_short(trial.facts["cut"], chance)

    def problems(self, trial: Trial) -> list[str]:
        site = trial.path("site")
        told = site_problems(site)
        manifest = json.loads((site / "manifest.json").read_text())
        for name, (digest, size) in manifest["files"].items():
            content = (site / name).read_bytes()
            if len(content) != size or hashlib.blake2b(content, digest_size=12).hexdigest() != digest:
                told += [f"broken: {name} is not what the manifest says"]
        extra = [
            each for each in site.rglob("*") if each.is_file() and str(each.relative_to(site)) not in manifest["files"]
        ]
        return told + [f"leftover: {each}" for each in extra if each.name != "manifest.json"][:1]


class DataMake(Command):
    name = "data make"
    faults = (*SIGNALS, *DISKS, *CLOCKS)
    database = None
    half = True
    next: ClassVar[list[str]] = ["data", "list", "--scale", "smoke"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        suites_in(here)

    def arguments(self, _trial: Trial) -> list[str]:
        return ["data", "make", "nex_gddp", "--scale", "smoke", "-n", "2"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        files = sorted(each for each in (trial.folder / "home").rglob("*") if each.is_file() and each.stat().st_size)
        return cut_short(chance.choice(files), chance)

    def problems(self, trial: Trial) -> list[str]:
        checked = trial.inside(["data", "verify", "nex_gddp", "--scale", "smoke"])
        return (
            []
            if checked.code == 0
            else [f"broken: data verify says {checked.code}: {checked.out[-200:]}{checked.err[-200:]}"]
        )


class Build(Command):
    name = "build"
    faults = (*SIGNALS, *DISKS, *CLOCKS)
    database = None
    half = True
    next: ClassVar[list[str]] = ["config", "show"]

    def prepare(self, here: Path, _bench: Workbench) -> None:
        shutil.copytree(ROOT / "recipe", here / "recipe")

    def arguments(self, _trial: Trial) -> list[str]:
        return ["build"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        done = trial.run(self.arguments(trial))
        assert done.code == 0, done.err
        files = sorted(each for each in trial.path("dist").rglob("*") if each.is_file() and each.stat().st_size)
        return cut_short(chance.choice(files), chance)

    def problems(self, trial: Trial) -> list[str]:
        listed = json.loads(trial.path("dist/conda/noarch/repodata.json").read_text())
        packages = listed.get("packages", {}) | listed.get("packages.conda", {})
        told = []
        for name, entry in packages.items():
            file = trial.path(f"dist/conda/noarch/{name}")
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
                told.append(f"broken: {name} is not what the channel says")
        return told or ([] if packages else ["lost: the channel lists no package"])
