"""`crt build` as a user meets it, without conda: in an empty folder, with and without channels."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from channels import HERE, add_module, indexed, metadata_channel, subdir_here
from recipes import put_recipe


def checked(crt, channel, *arguments, **options):
    return crt.run("build", "--check", "-c", channel, "--override-channels", *arguments, **options)


def test_a_package_is_built_opened_solved_installed_and_imported(inside, made_channel):
    put_recipe(inside)
    done = checked(inside, made_channel, "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["check"] == "verified"
    assert [(each["what"], each["word"]) for each in told["checks"]] == [
        ("contents", "verified"),
        ("solve", "verified"),
        ("imports", "verified"),
    ]
    assert told["builder"].startswith("rattler-build ")
    (artifact,) = told["artifacts"]
    file = inside.folder / artifact["path"]
    assert file.parent == inside.folder / "dist" / "conda" / "noarch"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact["sha256"]
    assert artifact["depends"] == [f"python {HERE}.*", "dask ==2026.8.0", "distributed ==2026.8.0", "openssl >3.0"]
    assert (inside.folder / "dist" / "conda" / "noarch" / "repodata.json").is_file()


def test_the_package_is_one_for_other_tools_too(inside, made_channel):
    from rattler import IndexJson
    from rattler_build import Package

    put_recipe(inside)
    inside.run("build")
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("*.conda")
    package = Package.from_file(file)
    assert (package.name, str(package.version), package.noarch) == ("coiled-runtime", "1.0.0", "python")
    assert package.test_count == 1
    assert package.license == "BSD-3-Clause"
    assert IndexJson.from_package_archive(file).name.normalized == "coiled-runtime"
    results = package.run_tests(channel=[str(made_channel), str(file.parent.parent)])
    assert [each.success for each in results] == [True]


def test_from_an_empty_folder_the_recipe_is_the_shipped_one(inside):
    done = inside.run("build")
    assert done.returncode == 0, done.stderr
    assert "not verified" in done.stdout
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("coiled-runtime-*.conda")
    assert file.stat().st_size < 20_000


def test_a_package_that_cannot_be_imported_is_a_failure(inside, tmp_path, made_channel):
    channel = tmp_path / "broken"
    add_module(channel, "distributed", "2026.8.0", source="raise RuntimeError('half a package')\n")
    indexed(channel)
    put_recipe(inside)
    done = checked(inside, channel, "-c", made_channel)
    assert done.returncode == 1
    assert "import distributed: RuntimeError: half a package" in done.stdout


def test_test_commands_run_in_the_environment(inside, made_channel):
    put_recipe(inside, **{"test:\n": "test:\n  commands:\n    - python -c 'import dask, sys; sys.exit(3)'\n"})
    done = checked(inside, made_channel)
    assert done.returncode == 1
    assert "exit code 3" in done.stdout
    put_recipe(inside, **{"test:\n": "test:\n  commands:\n    - python -c 'import dask'\n"})
    assert checked(inside, made_channel, "--output-folder", "other").returncode == 0


def test_a_recipe_without_tests_is_not_verified(inside, made_channel):
    put_recipe(inside, **{"test:\n  imports:\n    - dask\n    - distributed\n": ""})
    done = checked(inside, made_channel)
    assert done.returncode == 5
    assert "carries no tests" in done.stdout


def test_conflicting_pins_are_named_with_what_to_change(inside, made_channel):
    put_recipe(inside)
    done = checked(inside, made_channel, "--set", "dask=2026.7.1")
    assert done.returncode == 1
    assert "distributed 2026.8.0 needs dask ==2026.8.0" in done.stdout
    assert "change dask to 2026.8.0, or distributed to 2026.7.1" in done.stdout
    reasons = json.loads(checked(inside, made_channel, "--set", "dask=2026.7.1", "--format", "json").stdout)["reasons"]
    assert reasons[0]["pins"] == ["dask ==2026.7.1", "distributed ==2026.8.0"]
    assert {"name": "distributed", "version": "2026.7.1"} in reasons[0]["changes"]
    # and what it advises is true
    mended = checked(inside, made_channel, "--set", "dask=2026.7.1", "--set", "distributed=2026.7.1", "--replace")
    assert mended.returncode == 0, mended.stdout


def test_a_version_that_is_not_there_is_named_with_the_nearest(inside, made_channel):
    put_recipe(inside)
    done = checked(inside, made_channel, "--set", "dask=2026.7.9", "--set", "openssl=9.9")
    assert done.returncode == 1
    assert "no channel has dask ==2026.7.9" in done.stdout
    assert "the newest is 2026.8.0, the one before is 2026.7.1" in done.stdout
    assert "change dask to 2026.7.1, and openssl to 3.5.0" in done.stdout


def test_a_package_that_nobody_has_is_named(inside, made_channel):
    put_recipe(inside, **{"    - openssl >3.0  # any of them\n": "    - opensssl\n"})
    done = checked(inside, made_channel)
    assert done.returncode == 1
    assert "no channel has a package opensssl" in done.stdout


def test_every_platform_and_python_is_solved_and_what_cannot_be_looked_at_is_said(inside, tmp_path):
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", [])]
    native = [("python", "3.11.9", []), ("python", "3.12.9", []), ("openssl", "3.5.0", [])]
    channel = metadata_channel(
        tmp_path / "metadata",
        {"noarch": rows, "linux-64": native, "osx-arm64": [*native[1:], ("python", "3.13.1", [])]},
    )
    put_recipe(inside, python=">=3.11,<3.14")
    done = checked(inside, channel, "--format", "json")
    assert done.returncode == 5
    solved = {
        (each["platform"], each["python"]): each["word"]
        for each in json.loads(done.stdout)["checks"]
        if each["what"] == "solve"
    }
    assert solved == {
        ("linux-64", "3.11"): "verified",
        ("linux-64", "3.12"): "verified",
        ("linux-64", "3.13"): "not verified",
        ("osx-arm64", "3.11"): "not verified",
        ("osx-arm64", "3.12"): "verified",
        ("osx-arm64", "3.13"): "verified",
    }
    one = json.loads(checked(inside, channel, "--platform", "win-64", "--format", "json").stdout)
    assert [(each["platform"], each["why"]) for each in one["checks"] if each["what"] == "solve"] == [
        ("win-64", "no channel has packages for it")
    ]
    fewer = checked(inside, channel, "--platform", "osx-arm64", "--python", "3.12", "--format", "json")
    assert [each["python"] for each in json.loads(fewer.stdout)["checks"] if each["what"] == "solve"] == ["3.12"]


def test_packages_that_cannot_be_had_are_not_verified_and_not_failed(inside, tmp_path):
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", [])]
    channel = metadata_channel(
        tmp_path / "metadata", {"noarch": rows, subdir_here(): [("python", f"{HERE}.9", []), ("openssl", "3.5.0", [])]}
    )
    put_recipe(inside)
    told = json.loads(checked(inside, channel, "--format", "json").stdout)
    assert told["check"] == "not verified"
    (imports,) = [each for each in told["checks"] if each["what"] == "imports"]
    assert imports["word"] == "not verified"
    assert "fetch" in imports["why"]


def test_a_channel_that_does_not_answer_is_4_and_the_package_is_there(inside):
    put_recipe(inside)
    done = checked(inside, "http://127.0.0.1:9/channel")
    assert done.returncode == 4
    assert "does not answer" in done.stderr
    assert list((inside.folder / "dist" / "conda" / "noarch").glob("*.conda"))


@pytest.mark.parametrize("name", ["./nowhere", "empty"])
def test_a_folder_that_is_no_channel_is_a_mistake(inside, name):
    put_recipe(inside)
    (inside.folder / "empty").mkdir()
    (inside.folder / "empty" / "linux-64").mkdir()
    (inside.folder / "empty" / "linux-64" / "repodata.json").write_text("{}")
    done = checked(inside, name)
    assert done.returncode == 2
    assert "channel" in done.stderr


def test_two_builds_give_the_same_bytes(inside):
    put_recipe(inside)
    for name in ("one", "two"):
        inside.run("build", "--output-folder", name)
    first, second = (next((inside.folder / name / "noarch").glob("*.conda")) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_source_date_epoch_is_the_moment_of_the_package(inside):
    from rattler import IndexJson

    put_recipe(inside)
    for name, moment in (("one", 1_700_000_000), ("two", 1_700_000_000), ("later", 1_700_000_001)):
        inside.run("build", "--output-folder", name, environment={"SOURCE_DATE_EPOCH": str(moment)})
    files = {name: next((inside.folder / name / "noarch").glob("*.conda")) for name in ("one", "two", "later")}
    assert files["one"].read_bytes() == files["two"].read_bytes()
    assert files["one"].read_bytes() != files["later"].read_bytes()
    assert IndexJson.from_package_archive(files["one"]).timestamp.timestamp() == 1_700_000_000
    done = inside.run("build", environment={"SOURCE_DATE_EPOCH": "yesterday"})
    assert done.returncode == 2
    assert "whole seconds" in done.stderr


def test_in_a_repository_the_moment_is_the_recipes_last_commit(inside):
    import subprocess

    put_recipe(inside)

    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        environment = {
            **os.environ,
            "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
            "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
        }
        subprocess.run(command, cwd=inside.folder, check=True, capture_output=True, env=environment)

    git("init", "-q")
    git("add", "recipe")
    git("commit", "-qm", "pins")
    from rattler import IndexJson

    inside.run("build")
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("*.conda")
    assert IndexJson.from_package_archive(file).timestamp.isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_package_of_that_name_with_other_pins_is_not_overwritten(inside):
    put_recipe(inside)
    assert inside.run("build").returncode == 0
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("*.conda")
    before = file.read_bytes()
    done = inside.run("build", "--set", "dask=2026.7.1")
    assert done.returncode == 2
    assert "dask ==2026.8.0 there, ==2026.7.1 here" in done.stderr
    assert file.read_bytes() == before
    again = inside.run("build")
    assert again.returncode == 0
    assert "unchanged" in again.stdout
    assert "replaced" in inside.run("build", "--set", "dask=2026.7.1", "--replace").stdout
    assert file.read_bytes() != before


def test_an_index_that_a_killed_build_left_behind_is_mended(inside, made_channel):
    """A package was replaced, and crt killed before the index was written: the name is known there, with other content."""
    put_recipe(inside)
    older = ["--set", "dask=2026.7.1", "--set", "distributed=2026.7.1"]
    inside.run("build")
    inside.run("build", "--output-folder", "other", *older)
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("*.conda")
    (newer,) = (inside.folder / "other" / "noarch").glob("*.conda")
    assert newer.name == file.name
    shutil.copyfile(newer, file)
    (file.parent / f".{file.name}.part").write_bytes(b"half a")
    done = checked(inside, made_channel, *older)
    assert done.returncode == 0, done.stdout
    assert "unchanged" in done.stdout
    assert sorted(each.name for each in file.parent.glob(".*")) == []


def test_without_the_builder_the_extra_is_named(inside, monkeypatch):
    from coiled_runtime_cli.build import rattler

    put_recipe(inside)
    monkeypatch.setattr(rattler, "version", lambda: None)
    done = inside.run("build")
    assert done.returncode == 3
    assert "coiled-runtime-cli[build]" in done.stderr


def test_variables_suffix_and_settings_reach_the_recipe(inside):
    put_recipe(inside)
    done = inside.run("build", "--render", environment={"DASK_VERSION": "2026.9.9", "VERSION_SUFFIX": "a1"})
    assert "dask ==2026.9.9" in done.stdout
    assert "version: 1.0.0a1" in done.stdout
    # a flag has the last word
    done = inside.run(
        "build",
        "--render",
        "--set",
        "dask=2026.1.1",
        "--version-suffix",
        "rc1",
        environment={"DASK_VERSION": "2026.9.9"},
    )
    assert "dask ==2026.1.1" in done.stdout
    assert "version: 1.0.0rc1" in done.stdout
    named = inside.run("build", "--output", "--version-suffix", "rc1").stdout
    assert named.startswith("dist/conda/noarch/coiled-runtime-1.0.0rc1-")
    assert not (inside.folder / "dist").exists()
    inside.run("build", "--version-suffix", "rc1")
    assert (inside.folder / named.strip()).is_file()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"{{ dask_version }}": "{{ dask_version "}, "line 17: the template is broken"),
        ({"{{ dask_version }}": "{{ dask_versoin }}"}, "line 15: 'dask_versoin' is undefined"),
        ({"dask =={{ dask_version }}": "dask ==2026..8 ==1 =2"}, "is no pin"),
        ({"dask =={{ dask_version }}": "dask =>=2026.8"}, "is no pin"),
        ({"    - distributed ==2026.8.0\n": "    - dask\n"}, "dask stands there twice"),
        ({"  version: {{ version }}\n": ""}, "version is missing"),
        ({"package:\n": "package: [\n"}, "line"),
        ({"  noarch: python\n": "  noarch: python\n  script: pip install .\n"}, "needs conda-build"),
        (
            {"about:\n": "outputs:\n  - name: one\nabout:\n"},
            "several outputs: that is no metapackage: it needs conda-build",
        ),
        ({"build:\n": "source:\n  path: ..\nbuild:\n"}, "needs conda-build"),
        ({"openssl >3.0  # any of them": "openssl >3.0  # [linux]"}, "line 17 holds on some platforms only"),
        ({"openssl >3.0  # any of them": "{{ compiler('c') }}"}, "compiler(): it needs conda-build"),
    ],
)
def test_a_recipe_that_cannot_be_built_says_why_and_where(inside, changes, expected):
    put_recipe(inside, **changes)
    done = inside.run("build")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (inside.folder / "dist").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "no recipe nowhere"),
        (["--set", "dask"], "expected NAME=VERSION"),
        (["--set", "daks=1.0"], "did you mean 'dask'"),
        (["--set", "dask=one"], "no version and no constraint"),
        (["--env", "condo"], "did you mean 'conda'"),
        (["--wheel", "--check"], "contradict each other"),
        (["--lock"], "--env"),
        (["--nightly", "--version-suffix", "a1"], "a suffix of its own"),
        (["--override-channels"], "leaves no channel"),
        (["--platform", "Linux"], "linux-64"),
        (["--python", "2.7"], "3.12"),
        (["--builder", "bmake"], "--builder"),
    ],
)
def test_wrong_flags_are_told(inside, arguments, expected):
    put_recipe(inside)
    done = inside.run("build", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_the_table_says_configuration_too(inside, made_channel):
    put_recipe(inside)
    shutil.move(inside.folder / "recipe", inside.folder / "pins")
    (inside.folder / "crt.toml").write_text(
        '[build]\nrecipe = "pins"\noutput_folder = "channel"\nchannels = ["a", "b"]\n'
    )
    assert inside.run("build").returncode == 0
    assert list((inside.folder / "channel" / "noarch").glob("*.conda"))
    # that folder is a channel's: other files do not go there
    assert inside.run("build", "--wheel").stdout.startswith("dist/coiled_runtime")
    (inside.folder / "crt.toml").write_text('[build]\nchanels = ["a"]\n')
    done = inside.run("build")
    assert done.returncode == 2
    assert "did you mean 'channels'" in done.stderr


def test_nightly_takes_the_newest_and_a_suffix_of_the_moment(inside, tmp_path, made_channel):
    nightly = tmp_path / "nightly"
    for version in ("2026.8.1a260901", "2026.8.1a261010"):
        add_module(nightly, "dask", version)
        add_module(nightly, "distributed", version, depends=[f"dask =={version}"])
    indexed(nightly)
    put_recipe(inside)
    done = checked(
        inside,
        made_channel,
        "--nightly",
        "--nightly-channel",
        nightly,
        "--format",
        "json",
        environment={"SOURCE_DATE_EPOCH": "1793620800", "DASK_VERSION": "2020.1.0"},
    )
    told = json.loads(done.stdout)
    assert told["check"] == "verified", done.stdout
    (artifact,) = told["artifacts"]
    assert artifact["version"] == "1.0.0a2611021200"
    assert {"dask ==2026.8.1a261010", "distributed ==2026.8.1a261010"} <= set(artifact["depends"])


def test_a_disk_that_is_full_loses_nothing(inside, monkeypatch):
    put_recipe(inside)
    assert inside.run("build").returncode == 0
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("*.conda")
    before = file.read_bytes()
    written = Path.write_bytes

    def full(path, content):
        if path.name.endswith(".part"):
            written(path, content[:100])
            raise OSError(28, "No space left on device", str(path))
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    done = inside.run("build", "--set", "dask=2026.7.1", "--replace")
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert file.read_bytes() == before
    assert not list(file.parent.glob(".*.part"))


def test_a_build_leaves_nothing_in_the_temporary_folder(inside, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    inside.environment["TMPDIR"] = str(scratch)
    assert inside.run("build").returncode == 0
    assert list(scratch.iterdir()) == []


def test_a_package_that_was_cut_short_is_built_again(inside):
    assert inside.run("build").returncode == 0
    (file,) = (inside.folder / "dist" / "conda" / "noarch").glob("coiled-runtime-*.conda")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    done = inside.run("build")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == whole
