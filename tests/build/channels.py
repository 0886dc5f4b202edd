"""Channels of conda made here: real packages that install and import, and metadata alone for what is only solved."""

import asyncio
import json
import os
import sys
from pathlib import Path

import rattler_build
from rattler.index import index_fs

HERE = "{}.{}".format(*sys.version_info[:2])
PATCH = "{}.{}.{}".format(*sys.version_info[:3])


def subdir_here():
    from rattler import Subdir

    return str(Subdir.current())


def add_package(channel, name, version, *, depends=(), files=None, subdir="noarch"):
    """A real package. ``files`` are texts by path; those of a noarch one are below site-packages/."""
    staged = channel.parent / f"staged-{name}-{version}"
    for path, text in (files or {}).items():
        target = staged / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    staged.mkdir(parents=True, exist_ok=True)
    target = channel / subdir
    target.mkdir(parents=True, exist_ok=True)
    rattler_build.assemble_package(
        name,
        version,
        subdir,
        "py_0" if subdir == "noarch" else "0",
        target,
        files_dir=staged,
        noarch="python" if subdir == "noarch" else None,
        depends=list(depends),
    )


def add_module(channel, name, version, *, depends=(), source="", module=None):
    """A package with one module in it."""
    path = f"site-packages/{module or name}/__init__.py"
    add_package(
        channel, name, version, depends=["python", *depends], files={path: source or f"__version__ = '{version}'\n"}
    )


def add_python(channel):
    """The Python of the tests as a package: in a prefix it finds that prefix's site-packages, as an environment's does."""
    real = Path(os.path.realpath(sys.executable))
    staged = channel.parent / "staged-python"
    (staged / "bin").mkdir(parents=True)
    (staged / "bin" / f"python{HERE}").symlink_to(real)
    (staged / "bin" / "python").symlink_to(f"python{HERE}")
    (staged / "pyvenv.cfg").write_text(
        f"home = {real.parent}\ninclude-system-site-packages = false\nversion = {PATCH}\n"
    )
    target = channel / subdir_here()
    target.mkdir(parents=True, exist_ok=True)
    rattler_build.assemble_package("python", PATCH, subdir_here(), "0_cpython", target, files_dir=staged)


def indexed(channel):
    (channel / "noarch").mkdir(parents=True, exist_ok=True)

    async def index():
        await index_fs(channel, write_zst=False, write_shards=False)
        await asyncio.sleep(0.01)  # its thread lets go of Python a moment after

    asyncio.run(index())
    return channel


def metadata_channel(folder, packages):
    """A channel of which only the repodata is there: {subdir: [(name, version, depends), ...]}."""
    for subdir in {"noarch", *packages}:
        records = {}
        for name, version, depends in packages.get(subdir, ()):
            records[f"{name}-{version}-0.conda"] = {
                "name": name,
                "version": version,
                "build": "0",
                "build_number": 0,
                "depends": list(depends),
                "subdir": subdir,
                "md5": f"{abs(hash((name, version))) % 16**32:032x}",
                "sha256": f"{abs(hash((name, version, 'sha'))) % 16**64:064x}",
                "size": 1,
            }
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        document = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": records}
        (folder / subdir / "repodata.json").write_text(json.dumps(document))
    return folder
