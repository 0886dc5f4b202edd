#!/usr/bin/env python3
"""What conda-build does with a metapackage, in its own way of writing: for tests of how it is driven, where there is none.

CONDA_BUILD_STAND_IN says how it behaves: "" well, "http" a channel is silent, "unsatisfiable", "tests", "nothing", "hang".
"""

import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path

import jinja2
import yaml

arguments = sys.argv[1:]
if "--version" in arguments:
    print("conda-build 26.7.1")
    sys.exit(0)
behaviour = os.environ.get("CONDA_BUILD_STAND_IN", "")
recipe = Path(arguments[0])
with open(os.environ.get("CONDA_BUILD_CALLS", os.devnull), "a") as calls:
    calls.write(json.dumps({"arguments": arguments, "root": os.environ.get("CONDA_BLD_PATH")}) + "\n")
text = jinja2.Template((recipe / "meta.yaml").read_text()).render(environ=os.environ)
content = yaml.load(text, Loader=yaml.BaseLoader)
name, version = content["package"]["name"], content["package"]["version"]
if "--output" in arguments:
    print(f"INFO: reading\n{os.environ['CONDA_BLD_PATH']}/noarch/{name}-{version}-py_0.tar.bz2")
    sys.exit(0)
print(f"BUILD START: ['{name}-{version}-py_0.tar.bz2']", flush=True)
if behaviour == "hang":
    print("waiting", flush=True)
    time.sleep(600)
if behaviour == "http":
    sys.exit(
        "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://conda.anaconda.org/conda-forge/noarch/repodata.json>"
    )
if behaviour == "unsatisfiable":
    raise RuntimeError("Unsatisfiable dependencies for platform linux-64: {'dask==9'}")
if behaviour == "tests":
    sys.exit("Tests failed for coiled-runtime-1.0.0-py_0.tar.bz2 - moving package to broken")
if behaviour == "nothing":
    sys.exit(0)


def as_conda_build_writes(line):
    """``dask ==2026.8.0`` is kept as ``dask 2026.8.0``."""
    parts = line.split()
    return " ".join([parts[0], *(each.removeprefix("==") for each in parts[1:])])


run = content["requirements"].get("run") or []
depends = sorted(map(as_conda_build_writes, run))
if behaviour == "other":
    depends = depends[1:]
index = {
    "name": name,
    "version": version,
    "build": "py_0",
    "build_number": int(content.get("build", {}).get("number") or 0),
    "depends": depends,
    "license": (content.get("about") or {}).get("license"),
    "noarch": content["build"]["noarch"],
    "subdir": "noarch",
    "arch": None,
    "platform": None,
    "timestamp": int(time.time() * 1000),
}
files = {
    "info/index.json": json.dumps(index, indent=2),
    "info/about.json": json.dumps(content.get("about") or {}),
    "info/recipe/meta.yaml": text,
    "info/test/run_test.py": "".join(f"import {each}\n" for each in (content.get("test") or {}).get("imports") or []),
    "info/files": "",
}
folder = Path(arguments[arguments.index("--output-folder") + 1], "noarch")
folder.mkdir(parents=True, exist_ok=True)
with tarfile.open(folder / f"{name}-{version}-py_0.tar.bz2", "w:bz2") as archive:
    for path, value in files.items():
        member = tarfile.TarInfo(path)
        member.size = len(value.encode())
        archive.addfile(member, io.BytesIO(value.encode()))
print("TEST END" if "--no-test" not in arguments else "no tests", flush=True)
