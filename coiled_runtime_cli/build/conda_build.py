"""The builder that teams with conda have: the real ``conda-build``, in a build root of its own, never uploading."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import process, temporary
from coiled_runtime_cli.build import archive
from coiled_runtime_cli.build.render import NAME, source_of
from coiled_runtime_cli.errors import CrtError, RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coiled_runtime_cli.build.render import Rendered

#: Files beside a recipe that are scripts, patches or licences are small (bytes).
_LARGEST = 2**20

#: How often the output is looked at (s).
_INTERVAL = 0.1

#: What conda-build's last words mean: pattern, kind of error, what to say, what to do.
_EXPLAINED: tuple[tuple[str, type[CrtError], str, str | None], ...] = (
    (r"No space left on device", ToolError, "the disk is full", None),
    (
        r"CondaHTTPError|CondaSSLError|Connection(?:Error| failed| broken| refused)|HTTP 000|UnavailableInvalidChannel",
        RemoteError,
        "a channel does not answer",
        "-c names channels, --override-channels leaves out the configured ones",
    ),
    (
        r"Unsatisfiable|LibMambaUnsatisfiable|DependencyNeedsBuilding|PackagesNotFound|nothing provides|ResolvePackageNotFound",
        ToolError,
        "the pins cannot be had together from these channels",
        "crt build --no-test --check says which pin to change",
    ),
    (
        r"Tests failed for|TESTS FAILED|tests failed",
        ToolError,
        "the package was built, and its tests failed",
        None,
    ),
    (
        r"Unable to parse meta\.yaml|YamlParsing|UndefinedError|TemplateSyntaxError|unable to render",
        UsageError,
        "it cannot read the recipe",
        None,
    ),
)


def program(environ: Mapping[str, str], name: str = "conda-build") -> Path | None:
    """The ``conda-build`` (or ``conda``) on PATH, or the one of the installation that CONDA_EXE names."""
    found = shutil.which(name, path=environ.get("PATH"))
    if found is not None:
        return Path(found)
    conda = environ.get("CONDA_EXE")
    beside = shutil.which(name, path=str(Path(conda).parent)) if conda else None
    return Path(beside) if beside is not None else None


def version(conda_build: Path) -> str | None:
    """As it says it; None where it cannot."""
    done = process.run([conda_build, "--version"], timeout=120)
    found = re.search(r"\d[\w.]*", done.stdout + done.stderr)
    return found[0] if done.returncode == 0 and found else None


def outputs(rendered: Rendered, *, program: Path) -> list[Path]:
    """The files that it would make, below a channel folder. Raises ToolError."""
    with temporary.folder("crt-build-") as scratch:
        recipe = _recipe_folder(rendered, Path(scratch))
        environment = {"CONDA_BLD_PATH": str(Path(scratch, "bld")), **rendered.variables}
        done = process.run([program, recipe, "--output"], environment=environment, timeout=600)
        if done.returncode:
            raise _explained(done.stdout + done.stderr, rendered.file, done.returncode)
        named = [Path(line.strip()) for line in done.stdout.splitlines() if line.strip().endswith(archive.SUFFIXES)]
        return [Path(each.parent.name, each.name) for each in named]


def _recipe_folder(rendered: Rendered, scratch: Path) -> Path:
    """The recipe's own folder, which may name files beside it; with something set in it a copy of its files."""
    if rendered.file.name == NAME and rendered.source == source_of(rendered.file):
        return rendered.file.parent
    recipe = scratch / "recipe"
    recipe.mkdir()
    for each in rendered.file.parent.iterdir():
        if each.is_file() and each.stat().st_size < _LARGEST:
            shutil.copyfile(each, recipe / each.name)
    (recipe / NAME).write_text(rendered.source, encoding="utf-8")
    return recipe


def build(
    rendered: Rendered,
    folder: Path,
    *,
    program: Path,
    channels: Sequence[str],
    override_channels: bool,
    test: bool,
    moment: int,
    tell: Callable[[str], None],
) -> list[Path]:
    """Build the packages into a channel folder, and return the files. ``tell`` gets each line of its output.

    Raises UsageError, ToolError, RemoteError, each with what conda-build's last lines mean.
    """
    with temporary.folder("crt-build-") as scratch:
        root = Path(scratch)
        output, log = root / "output", root / "log"
        recipe = _recipe_folder(rendered, root)
        output.mkdir()
        command: list[str | Path] = [program, recipe, "--output-folder", output, "--no-anaconda-upload"]
        for each in channels:
            command += ["-c", each]
        command += ["--override-channels"] * override_channels + ["--no-test"] * (not test)
        environment = {
            "CONDA_BLD_PATH": str(root / "bld"),
            "SOURCE_DATE_EPOCH": str(moment),
            "PYTHONUNBUFFERED": "1",
            **rendered.variables,
        }
        _run(command, log, environment, rendered.file, tell)
        made = sorted(each for suffix in archive.SUFFIXES for each in output.glob(f"*/*{suffix}"))
        if not made:
            raise ToolError(f"conda-build said that it was done, and made no package of {rendered.file}")
        kept = []
        for file in made:
            target = folder / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            kept.append(target)
        return kept


def _run(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str],
    recipe: Path,
    tell: Callable[[str], None],
) -> None:
    child = process.Child(command, log=log, environment=environment)
    told = 0
    try:
        while child.wait(_INTERVAL) is None:
            told = _follow(log, told, tell)
    finally:
        child.kill_group()
    _follow(log, told, tell, ended=True)
    code = child.returncode()
    if code:
        raise _explained(log.read_text(encoding="utf-8", errors="replace"), recipe, code)


def _follow(log: Path, told: int, tell: Callable[[str], None], *, ended: bool = False) -> int:
    """Tell of the lines that came since, and return how far that is (bytes)."""
    with log.open("rb") as stream:
        stream.seek(told)
        content = stream.read()
    whole = len(content) if ended else content.rfind(b"\n") + 1
    for line in content[:whole].decode("utf-8", "replace").splitlines():
        tell(line.rstrip())
    return told + whole


def _last_words(output: str) -> str:
    """The end of the output; of a traceback only what was raised. All of it was shown as it came."""
    before, traceback, after = output.rpartition("Traceback (most recent call last):\n")
    if traceback:
        return "\n".join(line for line in after.splitlines() if line.strip() and not line.startswith(" "))
    return "\n".join(before.splitlines()[-20:] or after.strip().splitlines()[-20:])


def _explained(output: str, recipe: Path, code: int) -> CrtError:
    last = _last_words(output)
    for pattern, kind, meaning, hint in _EXPLAINED:
        if re.search(pattern, output):
            return kind(f"conda-build could not build {recipe}: {meaning}\n{last}", hint=hint)
    ended = f"signal {-code}" if code < 0 else f"code {code}"
    return ToolError(f"conda-build ended with {ended} for {recipe}:\n{last or 'it said nothing'}")
