"""`crt release upload` and `software`: only with --upload, twice is once, and two at a time lose nothing."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "build"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sync"))
from channels import HERE, metadata_channel, subdir_here
from recipes import put_recipe
from s3_servers import KEYS, MissingServerError, seaweedfs_server


@pytest.fixture(scope="module")
def bucket():
    try:
        with seaweedfs_server() as address:
            yield address
    except MissingServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def built(inside):
    put_recipe(inside)
    assert inside.run("build").returncode == 0
    inside.environment.update(KEYS, AWS_EC2_METADATA_DISABLED="true", AWS_REGION="us-east-1")
    return inside


def test_nothing_is_sent_unless_it_is_asked_for(built, tmp_path):
    done = built.run("release", "upload", "--to", tmp_path / "channel")
    assert done.returncode == 0
    assert "would be uploaded" in done.stdout
    assert "add --upload" in done.stderr
    assert not (tmp_path / "channel").exists()


def test_a_folder_becomes_a_channel_that_solves(built, tmp_path):
    channel = tmp_path / "our channel"
    for expected in ("uploaded to", "is there already"):
        done = built.run("release", "upload", "--to", channel, "--upload")
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", [])]
    others = metadata_channel(
        tmp_path / "others", {"noarch": rows, subdir_here(): [("python", f"{HERE}.9", []), ("openssl", "3.5.0", [])]}
    )
    solved(channel, others, tmp_path)


def solved(channel, others, tmp_path):
    from coiled_runtime_cli.build.channel import Channels

    with Channels([str(channel), str(others)], cache=tmp_path / "cache") as channels:
        names = {each.name for each in channels.solve(["coiled-runtime ==1.0.0"], subdir_here())}
    assert names == {"coiled-runtime", "dask", "distributed", "python", "openssl"}


def test_another_package_of_that_name_is_refused(built, tmp_path):
    built.run("release", "upload", "--to", tmp_path / "channel", "--upload")
    built.run("build", "--set", "dask=2026.7.1", "--output-folder", "other")
    (file,) = (built.folder / "other" / "noarch").glob("*.conda")
    done = built.run("release", "upload", file, "--to", tmp_path / "channel", "--upload")
    assert done.returncode == 2
    assert "is another package" in done.stderr


def test_a_bucket_is_a_channel_and_uploads_at_once_lose_nothing(built, bucket, tmp_path):
    files = []
    for suffix in ("", "a1", "a2", "a3"):
        built.run("build", "--output-folder", f"out{suffix}", *(["--version-suffix", suffix] if suffix else []))
        files += (built.folder / f"out{suffix}" / "noarch").glob("*.conda")
    to = ["--to", "s3://history/a-channel", "--endpoint-url", bucket]
    ended = []

    def upload(file):
        command = built.command("release", "upload", file, *to, "--upload")
        ended.append(
            subprocess.run(
                command, cwd=built.folder, env=built.environment, capture_output=True, text=True, timeout=120
            )
        )

    threads = [threading.Thread(target=upload, args=(each,)) for each in files]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.returncode for each in ended] == [0] * len(files), [each.stderr for each in ended]
    index = json.loads(fetched(built, bucket, "noarch/repodata.json", tmp_path))
    assert sorted(index["packages.conda"]) == sorted(each.name for each in files)
    for each in files:
        assert fetched(built, bucket, f"noarch/{each.name}", tmp_path) == each.read_bytes()
        assert index["packages.conda"][each.name]["size"] == each.stat().st_size
    # as it came from the bucket it is a channel
    for name in ("repodata.json", *(each.name for each in files)):
        target = tmp_path / "downloaded" / "noarch" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(fetched(built, bucket, f"noarch/{name}", tmp_path))
    rows = [("dask", "2026.8.0", []), ("distributed", "2026.8.0", [])]
    others = metadata_channel(
        tmp_path / "others", {"noarch": rows, subdir_here(): [("python", f"{HERE}.9", []), ("openssl", "3.5.0", [])]}
    )
    solved(tmp_path / "downloaded", others, tmp_path)
    again = built.run("release", "upload", files[0], *to, "--upload")
    assert "is there already" in again.stdout
    changed = built.run("build", "--set", "dask=2026.7.1", "--output-folder", "changed")
    assert changed.returncode == 0
    (other,) = (built.folder / "changed" / "noarch").glob("*.conda")
    done = built.run("release", "upload", other, *to, "--upload")
    assert done.returncode == 2
    assert "another package" in done.stderr


def fetched(crt, address, key, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in crt.environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        from coiled_runtime_cli.sync.store import open_store

        return open_store("s3://history/a-channel", endpoint_url=address).get(key, limit=2**30)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--to", "s3://bucket"], 2, "a channel is a prefix in it"),
        (["--to", "ftp://somewhere", "--upload"], 2, "unknown kind of channel"),
        (["--to", "anaconda.org/", "--upload"], 2, "expected an account"),
        (["--to", "anaconda.org/coiled", "--upload"], 2, "ANACONDA_API_KEY"),
        (["--to", "somewhere", "--label", "dev"], 2, "--label is of anaconda.org"),
        (["--to", "somewhere", "--region", "here"], 2, "--region is of buckets"),
        (["--to", "somewhere", "--upload", "--dry-run"], 2, "contradict"),
        (["none.conda", "--to", "somewhere"], 3, "is no package of conda"),
        pytest.param(
            ["--to", "s3://history/none", "--endpoint-url", "http://127.0.0.1:9", "--upload"],
            4,
            "",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_uploaded_is_said(built, arguments, code, expected):
    done = built.run("release", "upload", *arguments)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_anaconda_that_does_not_answer_is_4(built):
    built.environment.update(ANACONDA_API_KEY="a-token", ANACONDA_SERVER_URL="http://127.0.0.1:9")
    done = built.run("release", "upload", "--to", "anaconda.org/coiled", "--label", "dev", "--upload")
    assert done.returncode == 4, done.stderr
    assert "anaconda.org did not take" in done.stderr
    assert "a-token" not in done.stderr


def test_without_packages_a_hint_says_how_to_make_one(inside):
    done = inside.run("release", "upload", "--to", "somewhere")
    assert done.returncode == 2
    assert "crt build" in done.stderr


def test_a_software_environment_is_what_coiled_is_asked_for(inside, tmp_path):
    put_recipe(inside)
    done = inside.run("release", "software", "--python", "3.12", "-c", "coiled", "--format", "json")
    told = json.loads(done.stdout)
    assert told["name"] == "coiled-runtime-1-0-0"
    assert told["state"] == "would"
    import yaml

    environment = yaml.safe_load(told["environment"])
    assert environment["dependencies"] == ["coiled-runtime ==1.0.0", "python 3.12.*"]
    assert environment["channels"] == ["coiled", "conda-forge"]
    assert inside.run("release", "software", "My Env").returncode == 2


def test_coiled_is_called_as_it_wants_to_be(inside, tmp_path):
    """Coiled's own command line reads the arguments; without an account it goes no further than to say so."""
    put_recipe(inside)
    inside.environment.update(DASK_COILED__SERVER="http://127.0.0.1:9", DASK_COILED__TOKEN="none", HOME=str(tmp_path))
    done = inside.run("release", "software", "--upload")
    assert done.returncode == 4
    assert "Coiled did not make coiled-runtime-1-0-0" in done.stderr
    assert "No such option" not in done.stderr
    assert "Usage" not in done.stderr
