"""The builder that needs no conda: rattler-build, in this process. A metapackage takes it a fraction of a second, offline.

What rattler-build writes has the moment and the machine of the build in it. Its metadata is kept, and written again
so that the same recipe gives the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import temporary
from coiled_runtime_cli.build import archive
from coiled_runtime_cli.build.channel import EXTRA
from coiled_runtime_cli.core.recipe import as_recipe_yaml
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.build.render import Rendered


def version() -> str | None:
    """Of py-rattler-build; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("py-rattler-build")
    except PackageNotFoundError:
        return None


def build(rendered: Rendered, folder: Path, *, moment: int) -> Path:
    """Build the package into a channel folder's ``noarch`` or platform folder, and return the file. Raises ToolError."""
    try:
        import rattler_build
    except ImportError as error:
        raise ToolError("rattler-build is not installed here", hint=EXTRA) from error
    if rendered.recipe is None:
        raise ToolError(f"rattler-build cannot build {rendered.file}: it needs conda-build")
    document = as_recipe_yaml(rendered.recipe)
    document["build"]["script"] = []  # or it looks for a build script beside the recipe
    with temporary.folder("crt-build-") as scratch:
        try:
            # where it is not told a folder, it leaves one of its own behind
            recipe = rattler_build.Stage0Recipe.from_dict(document, recipe_dir=Path(scratch, "recipe"))
            for each in recipe.render(rattler_build.VariantConfig()):
                each.run_build(output_dir=Path(scratch, "built"), channels=[], no_include_recipe=True)
        except rattler_build.RattlerBuildError as error:
            raise ToolError(f"rattler-build refused {rendered.file}: {error}") from error
        made = sorted(Path(scratch, "built").glob("*/*.conda"))
        if len(made) != 1:
            raise ToolError(f"rattler-build made {len(made)} packages of {rendered.file}, and not one")
        contents = archive.read(made[0])
        stem = made[0].name.removesuffix(".conda")
        subdir = made[0].parent.name
    files = {**contents.files, **_recipe_files(rendered, document), "index.json": _as_of(contents, moment)}
    target = folder / subdir / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.conda_bytes(stem, files, moment=moment))
    return target


def _as_of(contents: archive.Contents, moment: int) -> bytes:
    return (json.dumps({**contents.json("index.json"), "timestamp": moment * 1000}, indent=2) + "\n").encode()


def _recipe_files(rendered: Rendered, document: dict[str, Any]) -> dict[str, bytes]:
    """The recipe as somebody wrote it, as it was rendered, and as rattler-build got it."""
    return {
        "recipe/meta.yaml": rendered.text.encode(),
        "recipe/meta.yaml.template": rendered.source.encode(),
        "recipe/recipe.yaml": (json.dumps(document, indent=2) + "\n").encode(),
    }
