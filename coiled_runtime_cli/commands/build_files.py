"""The pins of the metapackage for pip and as environment files: what `crt build --wheel` and `--env` write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.commands.build_job import Job
    from coiled_runtime_cli.core.recipe import Recipe


def write_files(job: Job, *, wheel: bool, kinds: Sequence[str], lock: bool, replace: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import bytes_text

    recipe = job.rendered.recipe
    assert recipe is not None  # only packages of conda-build's go without
    folder = job.folder or Path("dist")
    folder.mkdir(parents=True, exist_ok=True)
    made: list[tuple[str, Path, list[str]]] = []
    if wheel:
        made.append(_wheel(job, recipe, folder, replace=replace))
    for kind in dict.fromkeys(kinds):
        made += _environment_file(job, recipe, kind, folder, lock=lock)
    if job.format == "json":
        console.show_json(
            {
                "schema": 1,
                "builder": "hatchling" if wheel else "crt",
                "recipe": str(job.rendered.file),
                "artifacts": [
                    {
                        "path": str(file),
                        "name": recipe.name,
                        "version": recipe.version,
                        "build": "",
                        "depends": depends,
                        "kind": kind,
                    }
                    for kind, file, depends in made
                ],
                "check": "not verified",
            }
        )
        return
    for kind, file, _ in made:
        console.result(f"{file} ({kind}, {bytes_text(file.stat().st_size)})")
    from coiled_runtime_cli.core.pins import to_pypi

    left = [str(each) for each in to_pypi(recipe.depends)[1] if each.name != "python"]
    if left and (wheel or "requirements" in kinds):
        console.note(f"left out, as conda's own: {', '.join(left)}")


def _wheel(job: Job, recipe: Recipe, folder: Path, *, replace: bool) -> tuple[str, Path, list[str]]:
    from coiled_runtime_cli import atomic, temporary
    from coiled_runtime_cli.build import wheel as wheels
    from coiled_runtime_cli.errors import UsageError

    with temporary.folder("crt-wheel-") as scratch:
        built = wheels.build(recipe, Path(scratch), moment=job.moment, instead=job.instead)
        target = folder / built.name
        depends = wheels.requirements(built)
        if target.exists() and not replace and sorted(wheels.requirements(target)) != sorted(depends):
            raise UsageError(
                f"{target} is there already, and requires other versions",
                hint="raise the version, take another --output-folder, or --replace it",
            )
        atomic.write(target, built.read_bytes())
    return "wheel", target, depends


def _environment_file(
    job: Job, recipe: Recipe, kind: str, folder: Path, *, lock: bool
) -> list[tuple[str, Path, list[str]]]:
    from coiled_runtime_cli import atomic
    from coiled_runtime_cli.build.channel import PLATFORMS
    from coiled_runtime_cli.core import environment_files

    target = folder / environment_files.FILES[kind]
    if kind == "conda":
        text = environment_files.conda_environment(recipe, job.channels)
    elif kind == "requirements":
        text = environment_files.pip_requirements(recipe, job.instead)
    else:
        text = environment_files.pixi_manifest(recipe, job.channels, job.platforms or PLATFORMS)
    atomic.write(target, text.encode())
    depends = [str(each) for each in recipe.depends]
    made = [(kind, target, depends)]
    if lock:
        made += [(f"{kind} lock", each, depends) for each in _locked(job, recipe, kind, target, folder)]
    return made


def _locked(job: Job, recipe: Recipe, kind: str, source: Path, folder: Path) -> list[Path]:
    from coiled_runtime_cli import atomic, config, console, environments
    from coiled_runtime_cli.build import check as checking
    from coiled_runtime_cli.build import lock
    from coiled_runtime_cli.build.channel import Channels

    if kind == "requirements":
        from coiled_runtime_cli import temporary

        target = folder / "requirements.lock"
        with console.progress(None, "resolving"), temporary.folder("crt-lock-") as scratch:
            found = Path(scratch, target.name)
            environments.lock_file(source.absolute(), found, python=job.pythons[0] if job.pythons else None)
            atomic.write(target, found.read_bytes())
        return [target]
    with console.progress(None, "solving") as bar, Channels(job.channels, cache=config.conda_cache()) as channels:
        solutions = checking.environments(
            recipe, channels, platforms=job.platforms, pythons=job.pythons, tell=lambda text: bar.update(0, text=text)
        )
    if kind == "pixi":
        target = folder / "pixi.lock"
        lock.pixi(solutions, job.channels, target)
        return [target]
    files = []
    for platform, packages in solutions.items():
        target = folder / f"conda-{platform}.lock"
        atomic.write(target, lock.explicit(packages, platform, f"{recipe.name} {recipe.version}").encode())
        files.append(target)
    return files
