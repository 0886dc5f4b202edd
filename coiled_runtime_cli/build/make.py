"""One build, from a rendered recipe to packages in an indexed channel folder: with whichever builder is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coiled_runtime_cli import git, temporary
from coiled_runtime_cli.build import artifact, channel, conda_build, rattler
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.verdict import FAILED, NOT_VERIFIED, VERIFIED, Check
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coiled_runtime_cli.build.render import Rendered

BUILDERS = ("auto", "conda-build", "rattler-build")


@dataclass(frozen=True, slots=True)
class Builder:
    """``program`` is that of conda-build; None: rattler-build in this process."""

    name: Literal["conda-build", "rattler-build"]
    version: str | None
    program: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Built:
    """``words`` say what became of each artifact: built, unchanged, replaced. ``not_indexed``: why the folder was not, or ""."""

    builder: Builder
    artifacts: tuple[artifact.Artifact, ...]
    words: tuple[str, ...]
    checks: tuple[Check, ...]
    not_indexed: str = ""


def choose(name: str, environ: Mapping[str, str]) -> Builder:
    """The builder that was asked for; ``auto``: conda-build where it is installed. Raises UsageError, ToolError."""
    if name not in BUILDERS:
        raise UsageError(unknown("builder", name, BUILDERS))
    program = conda_build.program(environ) if name != "rattler-build" else None
    if program is not None:
        return Builder("conda-build", conda_build.version(program), program)
    if name == "conda-build":
        raise ToolError(
            "conda-build is not on PATH, nor where CONDA_EXE is",
            hint="conda install conda-build, or --builder rattler-build",
        )
    version = rattler.version()
    if version is None:
        raise ToolError(
            "there is nothing to build with: neither conda-build nor py-rattler-build is installed", hint=channel.EXTRA
        )
    return Builder("rattler-build", version)


def moment_of(file: Path, environ: Mapping[str, str]) -> int:
    """The moment that a package is dated to (s since 1970): SOURCE_DATE_EPOCH, or the recipe's last change. Raises UsageError."""
    given = environ.get("SOURCE_DATE_EPOCH")
    if given:
        if not given.isdecimal() or int(given) > 253_402_300_799:
            raise UsageError(f"SOURCE_DATE_EPOCH: expected whole seconds since 1970, not {given!r}", hint="date +%s")
        return int(given)
    changed = git.last_change(file)
    return changed if changed is not None else int(file.stat().st_mtime)


def make(
    rendered: Rendered,
    builder: Builder,
    folder: Path,
    *,
    channels: Sequence[str],
    override_channels: bool,
    test: bool,
    moment: int,
    replace: bool,
    tell: Callable[[str], None],
) -> Built:
    """Build, open what was built, compare it with the recipe, put it into the channel folder, and index that.

    ``test`` is for conda-build, which has tests of its own. Raises UsageError, ToolError, RemoteError.
    """
    with temporary.folder("crt-build-") as scratch:
        if builder.program is not None:
            made = conda_build.build(
                rendered,
                Path(scratch),
                program=builder.program,
                channels=channels,
                override_channels=override_channels,
                test=test,
                moment=moment,
                tell=tell,
            )
        else:
            made = [rattler.build(rendered, Path(scratch), moment=moment)]
        checks = [_checked(artifact.opened(each), rendered) for each in made]
        wrong = [each.why for each in checks if each.word == FAILED]
        if wrong:
            raise ToolError(f"{builder} made another package than {rendered.file} asks for: {'; '.join(wrong)}")
        targets = [folder / each.parent.name / each.name for each in made]
        words = tuple(artifact.place(each, target, replace=replace) for each, target in zip(made, targets, strict=True))
    artifacts = tuple(map(artifact.opened, targets))
    not_indexed = "" if channel.installed() else "py-rattler is not installed"
    if not not_indexed:
        channel.index(folder, {each.path: each.sha256 for each in artifacts})
    if test and builder.program is not None:
        checks += [_tested_by_conda_build(each) for each in artifacts]
    return Built(builder, artifacts, words, tuple(checks), not_indexed)


def _checked(made: artifact.Artifact, rendered: Rendered) -> Check:
    if rendered.recipe is None:
        return Check("contents", NOT_VERIFIED, "only conda-build can read this recipe")
    return artifact.check(made, rendered.recipe)


def _tested_by_conda_build(made: artifact.Artifact) -> Check:
    if not made.imports and not made.commands:
        return Check("imports", NOT_VERIFIED, "the package carries no tests", made.subdir)
    return Check("imports", VERIFIED, f"by conda-build: {', '.join((*made.imports, *made.commands))}", made.subdir)


def outputs(rendered: Rendered, builder: Builder, folder: Path, *, moment: int) -> list[Path]:
    """The files that a build would write, without writing them. Raises as :func:`make`."""
    if builder.program is not None:
        return [folder / each for each in conda_build.outputs(rendered, program=builder.program)]
    with temporary.folder("crt-build-") as scratch:
        made = rattler.build(rendered, Path(scratch), moment=moment)
        return [folder / made.relative_to(scratch)]
