"""The predecessor's files: three of YAML for each arm, ``AB_NAME.conda.yaml``, ``.dask.yaml`` and ``.cluster.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core import experiment as plans
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from coiled_runtime_cli.core.experiment import Arm

#: The first file of each triplet.
TRIPLETS = "AB_*.conda.yaml"


def triplet(conda: Path) -> Arm:
    """The arm of a conda file and the two beside it. Raises UsageError."""
    name = conda.name.removeprefix("AB_").removesuffix(".conda.yaml")
    dask, cluster = (conda.with_name(f"AB_{name}.{kind}.yaml") for kind in ("dask", "cluster"))
    for each in (dask, cluster):
        if not each.is_file():
            raise UsageError(f"{conda.name} has no {each.name} beside it", hint="it may be empty")
    shapes = read_yaml(cluster)
    plain = {key: value for key, value in shapes.items() if not isinstance(value, dict)}
    return plans.Arm(
        name=name,
        conda=str(conda),
        config=plans.nested(read_yaml(dask)),
        cluster=plain,
        shapes={str(key): value for key, value in shapes.items() if isinstance(value, dict)},
    )


def read_yaml(file: Path) -> dict[str, Any]:
    """The keys and values of a file; of an empty one none. Raises UsageError."""
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, nesting beyond all measure
        raise UsageError(f"{file}: is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file}: expected keys and values, not {content!r}")
    return content


def conda_pins(content: Mapping[str, Any]) -> list[str]:
    """The requirements of a conda file, its pip part included, as pip would write them."""
    import re

    found = []
    for each in content.get("dependencies") or []:
        if isinstance(each, dict):
            found += [str(one) for one in each.get("pip") or []]
        elif isinstance(each, str):
            name, separator, version = re.sub(r"\s", "", each.rpartition("::")[2]).partition("=")
            version = version.lstrip("=").partition("=")[0]
            plain = name and not any(mark in name for mark in "<>!~")
            if plain and name not in {"python", "pip"}:
                found.append(f"{name}=={version}.*" if separator and version else name)
    return found
