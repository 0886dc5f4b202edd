"""The same pins for pip, and as environment files with their locks."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from channels import HERE
from recipes import put_recipe

from coiled_runtime_cli.core.environment_files import pip_requirements
from coiled_runtime_cli.core.pins import parse
from coiled_runtime_cli.core.recipe import Recipe


def test_a_wheel_requires_the_pins_by_their_names_on_pypi(inside):
    put_recipe(
        inside,
        python=">=3.11,<3.14",
        **{"    - distributed ==2026.8.0\n": "    - distributed ==2026.8.0\n    - msgpack-python =1.2\n"},
    )
    done = inside.run("build", "--wheel", "--format", "json")
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["artifacts"]
    assert made["path"] == "dist/coiled_runtime-1.0.0-py3-none-any.whl"
    assert sorted(made["depends"]) == ["dask==2026.8.0", "distributed==2026.8.0", "msgpack==1.2.*"]
    with zipfile.ZipFile(inside.folder / made["path"]) as archive:
        names = archive.namelist()
        metadata = archive.read(next(each for each in names if each.endswith("METADATA"))).decode()
    assert all(".dist-info/" in each for each in names)  # no code
    assert "Requires-Python: <3.14,>=3.11" in metadata
    assert "openssl >3.0" in metadata  # named as what only conda has
    assert "left out, as conda's own: openssl >3.0" in inside.run("build", "--wheel").stderr


def test_what_pip_cannot_say_is_named_and_left_out(inside):
    pins = ("zarr >=2.16|>=3", "pyarrow ==26.0 *cuda*")
    lines = "".join(f"    - {each}\n" for each in pins)
    put_recipe(
        inside,
        python=">=3.11,<3.13|>=3.14",
        **{"    - distributed ==2026.8.0\n": f"    - distributed ==2026.8.0\n{lines}"},
    )
    done = inside.run("build", "--wheel", "--env", "requirements", "--format", "json")
    assert done.returncode == 0, done.stderr
    made, _ = json.loads(done.stdout)["artifacts"]
    assert sorted(made["depends"]) == ["dask==2026.8.0", "distributed==2026.8.0"]
    with zipfile.ZipFile(inside.folder / made["path"]) as archive:
        name = next(each for each in archive.namelist() if each.endswith("METADATA"))
        metadata = archive.read(name).decode()
    assert "Requires-Python" not in metadata
    requirements = (inside.folder / "dist" / "requirements.txt").read_text().splitlines()
    assert [each for each in requirements if not each.startswith("#")] == ["dask==2026.8.0", "distributed==2026.8.0"]
    for pin in (*pins, "python >=3.11,<3.13|>=3.14"):
        assert f"- {pin}" in metadata
        assert f"# left out, as conda's own: {pin}" in requirements
    told = inside.run("build", "--wheel").stderr
    assert all(pin in told for pin in pins)


def test_a_pin_that_is_replaced_is_required_though_pip_could_not_say_it():
    recipe = Recipe("a", "1", 0, None, (parse("dask-core ==2026.8.0 py_0"), parse("zarr >=2|<1")))
    lines = pip_requirements(recipe, {"dask": "dask @ git+https://example.org/dask"}).splitlines()
    assert lines[1:] == ["# left out, as conda's own: zarr >=2|<1", "dask @ git+https://example.org/dask"]


def test_the_wheel_installs(inside, tmp_path):
    put_recipe(
        inside,
        **{
            "    - dask =={{ dask_version }}\n    - distributed ==2026.8.0\n    - openssl >3.0  # any of them\n": "    - pip\n"
        },
    )
    inside.run("build", "--wheel")
    (wheel,) = (inside.folder / "dist").glob("*.whl")
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target", target, wheel],
        check=True,
        timeout=120,
    )
    assert (target / "coiled_runtime-1.0.0.dist-info" / "METADATA").is_file()


def test_two_wheels_are_the_same_bytes(inside):
    put_recipe(inside)
    for name in ("one", "two"):
        inside.run("build", "--wheel", "--output-folder", name, environment={"SOURCE_DATE_EPOCH": "1700000000"})
    first, second = (next((inside.folder / name).glob("*.whl")).read_bytes() for name in ("one", "two"))
    assert first == second


def test_a_wheel_with_other_pins_is_not_overwritten(inside):
    put_recipe(inside)
    assert inside.run("build", "--wheel").returncode == 0
    done = inside.run("build", "--wheel", "--set", "dask=2026.7.1")
    assert done.returncode == 2
    assert "requires other versions" in done.stderr
    assert inside.run("build", "--wheel", "--set", "dask=2026.7.1", "--replace").returncode == 0


def test_a_nightly_wheel_requires_the_commits_that_the_projects_stand_at(inside, tmp_path):
    commits = {}
    for name in ("dask", "distributed"):
        repository = tmp_path / name
        repository.mkdir()

        def git(*arguments, at=repository):
            command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
            return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True).stdout.strip()

        git("init", "-q")
        git("commit", "-q", "--allow-empty", "-m", "tip")
        commits[name] = git("rev-parse", "HEAD")
    lines = "".join(f'{name} = "{(tmp_path / name).as_uri()}"\n' for name in commits)
    (inside.folder / "crt.toml").write_text(f"[build.repositories]\n{lines}")
    put_recipe(inside)
    done = inside.run(
        "build", "--wheel", "--nightly", "--format", "json", environment={"SOURCE_DATE_EPOCH": "1793620800"}
    )
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["artifacts"]
    assert made["version"] == "1.0.0a2611021200"
    for name, commit in commits.items():
        assert f"{name}@ git+{(tmp_path / name).as_uri()}@{commit}" in [
            each.replace(" @", "@") for each in made["depends"]
        ]
    (tmp_path / "dask" / ".git").rename(tmp_path / "gone")
    assert inside.run("build", "--wheel", "--nightly").returncode == 4


def test_environment_files_have_the_pins(inside):
    put_recipe(inside, python=">=3.11,<3.14")
    done = inside.run("build", "--env", "conda", "--env", "requirements", "--env", "pixi", "-c", "ours channel")
    assert done.returncode == 0, done.stderr
    conda = yaml.safe_load((inside.folder / "dist" / "environment.yml").read_text())
    assert conda["channels"] == ["ours channel", "conda-forge"]
    assert conda["dependencies"] == ["python >=3.11,<3.14", "dask ==2026.8.0", "distributed ==2026.8.0", "openssl >3.0"]
    requirements = (inside.folder / "dist" / "requirements.txt").read_text().splitlines()
    assert [each for each in requirements if not each.startswith("#")] == ["dask==2026.8.0", "distributed==2026.8.0"]
    assert "# left out, as conda's own: openssl >3.0" in requirements
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    pixi = tomllib.loads((inside.folder / "dist" / "pixi.toml").read_text())
    assert pixi["dependencies"] == {
        "python": ">=3.11,<3.14",
        "dask": "==2026.8.0",
        "distributed": "==2026.8.0",
        "openssl": ">3.0",
    }
    assert pixi["workspace"]["channels"] == ["ours channel", "conda-forge"]


def test_locks_name_every_package_with_its_hash(inside, made_channel):
    put_recipe(inside)
    done = inside.run("build", "--env", "conda", "--env", "pixi", "--lock", "-c", made_channel, "--override-channels")
    assert done.returncode == 0, done.stderr
    (explicit,) = (inside.folder / "dist").glob("conda-*.lock")
    lines = explicit.read_text().splitlines()
    assert "@EXPLICIT" in lines
    urls = [each for each in lines if "#" in each and not each.startswith("#")]
    assert sorted(each.rpartition("/")[2].split("-")[0] for each in urls) == [
        "dask",
        "distributed",
        "openssl",
        "python",
    ]
    assert all(len(each.partition("#")[2]) == 32 for each in urls)  # MD5, as conda has it there
    from rattler import LockFile

    locked = LockFile.from_path(inside.folder / "dist" / "pixi.lock")
    (platform,) = locked.platforms()
    names = {each.name for each in locked.default_environment().packages(platform)}
    assert names == {"python", "dask", "distributed", "openssl"}


def test_what_conda_locked_can_be_installed_as_it_is(inside, made_channel, tmp_path):
    """The lock of conda is read back and installed by another tool than wrote it: nothing is solved any more."""
    import asyncio
    import urllib.parse

    from rattler import Channel, Gateway, install, solve

    put_recipe(inside)
    inside.run("build", "--env", "conda", "--lock", "-c", made_channel, "--override-channels")
    (explicit,) = (inside.folder / "dist").glob("conda-*.lock")
    urls = {each.partition("#")[0] for each in explicit.read_text().splitlines() if "://" in each}

    async def make():
        platform = explicit.name.removeprefix("conda-").removesuffix(".lock")
        found = await solve(
            [Channel(str(made_channel))],
            ["python", "dask", "distributed", "openssl"],
            gateway=Gateway(cache_dir=tmp_path / "cache"),
            platforms=[platform, "noarch"],
        )
        records = [each for each in found if str(each.url) in urls]
        await install(records, tmp_path / "prefix", cache_dir=tmp_path / "packages", show_progress=False)
        await asyncio.sleep(0.01)
        return len(records)

    assert asyncio.run(make()) == len(urls)
    assert all(Path(urllib.parse.unquote(urllib.parse.urlparse(each).path)).is_file() for each in urls)
    done = subprocess.run([tmp_path / "prefix" / "bin" / "python", "-c", "import dask, distributed"], timeout=60)
    assert done.returncode == 0


def test_pins_that_cannot_be_locked_are_explained(inside, made_channel):
    put_recipe(inside)
    done = inside.run(
        "build", "--env", "conda", "--lock", "-c", made_channel, "--override-channels", "--set", "dask=2026.7.1"
    )
    assert done.returncode == 3
    assert "change dask to 2026.8.0" in done.stderr


def test_requirements_are_locked_with_hashes(inside, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for name in ("dask", "distributed"):
        info = f"{name}-2026.8.0.dist-info"
        with zipfile.ZipFile(links / f"{name}-2026.8.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 2026.8.0\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
    put_recipe(inside)
    done = inside.run(
        "build",
        "--env",
        "requirements",
        "--lock",
        "--python",
        HERE,
        environment={"UV_FIND_LINKS": str(links), "UV_NO_INDEX": "1", "UV_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    text = (inside.folder / "dist" / "requirements.lock").read_text()
    assert "dask==2026.8.0" in text
    assert text.count("--hash=sha256:") == 2


@pytest.mark.parametrize("kind", ["conda", "pixi"])
def test_a_lock_without_a_channel_that_answers_is_4(inside, kind):
    put_recipe(inside)
    done = inside.run("build", "--env", kind, "--lock", "-c", "http://127.0.0.1:9/none", "--override-channels")
    assert done.returncode == 4
