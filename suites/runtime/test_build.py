"""Is what is installed what the recipe pins?

Two of these tests say something only in an environment that is meant to be the runtime. It is, where the metapackage is
installed, by conda or as a wheel, in the version of the recipe; and where the label of the session is that version or
"latest": ``crt bench --suite runtime/test_build.py --python ENVIRONMENT/bin/python --label latest``. Elsewhere they are skipped.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import ssl
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

#: A release as young as this need not have arrived everywhere.
ON_ITS_WAY = timedelta(days=7)


@pytest.fixture(scope="module")
def recipe():
    """The recipe that crt ships, rendered."""
    for name, package in {"jinja2": "jinja2", "yaml": "pyyaml", "packaging": "packaging"}.items():
        pytest.importorskip(name, reason=f"reading the recipe needs {package}: pip install {package}")
    from coiled_runtime_cli.build.render import recipe_file, render
    from coiled_runtime_cli.locations import recipe_folder

    rendered = render(recipe_file(recipe_folder()), os.environ).recipe
    if rendered is None:
        pytest.skip("only conda-build can read this recipe: crt build --builder conda-build")
    return rendered


def installed(name):
    """The version of a package of conda's or Python's; None: it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    found = [json.loads(each.read_text()) for each in Path(sys.prefix, "conda-meta").glob(f"{name}-*.json")]
    return next((each["version"] for each in found if each["name"] == name), None)


@pytest.fixture
def runtime(recipe, crt_recorder, pytestconfig):
    """The recipe, where this environment is meant to be what it describes."""
    label = pytestconfig.getoption("--crt-label") if crt_recorder is None else crt_recorder.settings.label
    if installed(recipe.name) != recipe.version and label not in (recipe.version, "latest"):
        pytest.skip(
            f"this environment is not meant to be {recipe.name} {recipe.version}: "
            f"install it, or say --label latest (the label is {label or 'local'})"
        )
    return recipe


def version_of(name):
    """The installed version of what the recipe calls by this name; None: it is not there."""
    from coiled_runtime_cli.core.pins import TO_PYPI

    if name == "python":
        return platform.python_version()
    if name == "openssl" and ssl.OPENSSL_VERSION.startswith("OpenSSL "):
        return ssl.OPENSSL_VERSION.split()[1]
    return installed(TO_PYPI.get(name, name)) or installed(name)


def test_install_dist(runtime):
    """Every package that the recipe pins is installed, in a version that its pin allows."""
    from coiled_runtime_cli.core.pins import allows

    versions = {pin: version_of(pin.name) for pin in runtime.depends}
    wrong = [
        f"{pin}: {version or 'not installed'}"
        for pin, version in versions.items()
        if version is None or not allows(pin.constraint, version)
    ]
    assert not wrong, "\n".join(wrong)


def test_latest_coiled(runtime):
    """The package that is not pinned is the newest one, or was so a week ago; asks the package index."""
    coiled = installed("coiled")
    if coiled is None:
        pytest.skip("coiled is not installed: pip install coiled")
    from packaging.version import Version

    from coiled_runtime_cli import index
    from coiled_runtime_cli.core.freshness import newest
    from coiled_runtime_cli.errors import RemoteError

    try:
        releases = index.releases("coiled")
    except RemoteError as error:
        pytest.skip(f"no index can be asked for the newest coiled: {error.message}")
    now = datetime.now(timezone.utc)
    arrived = newest(each for each in releases if each.released is not None and now - each.released > ON_ITS_WAY)
    if arrived is None:
        pytest.skip(f"the index does not say when coiled was released: {index.URL}")
    assert Version(coiled) >= Version(arrived.version)


def test_version_warning_packages(recipe, small_client):
    """Whatever Dask warns about when client and workers differ is in the recipe."""
    from coiled_runtime_cli.core.pins import TO_PYPI

    known = {TO_PYPI.get(pin.name, pin.name) for pin in recipe.depends}
    compared = set(small_client.get_versions()["client"]["packages"])
    assert {"python", "dask", "distributed"} <= compared <= known
