"""The whole way with the real Dask: its packages as they are installed here become a channel to install from."""

import importlib.metadata
import json
import re
import sys
from pathlib import Path

import rattler_build
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parent))
from channels import HERE, add_python, indexed, subdir_here
from recipes import put_recipe


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names):
    """What these need here, as pip installed it: name, version, needs, files."""
    found, todo = {}, list(names)
    while todo:
        name = normal(todo.pop())
        if name in found:
            continue
        installed = importlib.metadata.distribution(name)
        wanted = [Requirement(each) for each in installed.requires or ()]
        needs = [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
        found[name] = (installed.version, [normal(each) for each in needs], installed)
        todo += needs
    return found


def add_installed(channel, name, version, needs, installed):
    """An installed distribution as a package of conda, compiled or not."""
    target = channel / subdir_here()
    target.mkdir(parents=True, exist_ok=True)
    staged = channel.parent / f"staged-{name}"
    for file in installed.files or ():
        source = Path(installed.locate_file(file))
        if ".." in file.parts or file.suffix == ".pyc" or not source.is_file():
            continue
        link = staged / "lib" / f"python{HERE}" / "site-packages" / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.write_bytes(source.read_bytes())
    depends = [f"python {HERE}.*", *needs]
    rattler_build.assemble_package(
        name, version, subdir_here(), "0", target, files_dir=staged, depends=depends, compression_level=1
    )


def test_the_real_dask_is_built_into_solved_installed_and_imported(inside, tmp_path):
    channel = tmp_path / "channel"
    add_python(channel)
    packages = closure(["dask", "distributed"])
    for name, (version, needs, installed) in packages.items():
        add_installed(channel, name, version, needs, installed)
    indexed(channel)
    dask, distributed = packages["dask"][0], packages["distributed"][0]
    put_recipe(
        inside,
        **{
            "    - openssl >3.0  # any of them\n": "",
            "    - distributed ==2026.8.0\n": f"    - distributed =={distributed}\n",
            "    - distributed\n": "    - distributed\n    - distributed.scheduler\n",
        },
    )
    done = inside.run(
        "build", "--check", "-c", channel, "--override-channels", "--set", f"dask={dask}", "--format", "json"
    )
    told = json.loads(done.stdout)
    assert done.returncode == 0, told
    assert told["check"] == "verified"
    (imports,) = [each for each in told["checks"] if each["what"] == "imports"]
    assert imports["why"] == "dask, distributed, distributed.scheduler"
