"""`crt bench` with reports, profiles and dumps: what is kept, and where."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sync"))
from s3_servers import KEYS, moto_server, s3_client

from coiled_runtime_cli import config

SUITE = "def test_a(small_client): assert small_client.submit(sum, [1, 2]).result() == 3\n"
#: A cluster that is quick to start.
CLUSTER = '[clusters.two]\nkind = "local"\nn_workers = 2\nthreads_per_worker = 1\nmemory_limit = "1GiB"\n'
URLS = "performance_report_url, cluster_dump_url, memray_profiles_url, py_spy_profiles_url"


@pytest.fixture
def on_cluster(crt):
    crt.suite("test_a.py", SUITE)
    (crt.folder / "crt.toml").write_text(CLUSTER)
    return crt


@pytest.mark.slow
def test_artefacts_are_beside_the_database_one_folder_a_run_and_it_is_said_where(on_cluster):
    done = on_cluster.run(
        *("bench", "--suite", "a", "--cluster", "two", "--db", "my runs.db", "--repeat", "2"),
        *("--performance-report", "--profile", "memray", "--profile", "py-spy:workers", "--cluster-dump", "always"),
    )
    assert done.returncode == 0, done.stderr
    rows = on_cluster.rows(f"select session_id, profiled, {URLS} from test_run", "my runs.db")
    assert len(rows) == 2
    assert all(profiled for _, profiled, *_ in rows)
    assert len({url for _, _, *urls in rows for url in urls}) == 8
    folder = on_cluster.folder / "my runs-artifacts" / rows[0][0]
    assert all(url.startswith(folder.as_uri() + "/test_a-") for _, _, *urls in rows for url in urls)
    kept = sorted(str(each.relative_to(folder).parts[1:]) for each in folder.rglob("*") if each.is_file())
    assert len(kept) == 2 * (1 + 1 + 3 + 2)
    assert f"are in {folder}" in done.stderr
    assert "part of no comparison" in done.stderr
    assert "warning" not in done.stderr
    assert "profiled" in done.stdout

    # what is measured afterwards is new: nothing that was profiled is held against it
    after = on_cluster.run("bench", "--suite", "a", "--cluster", "two", "--db", "my runs.db")
    assert "new" in after.stdout
    assert "artefacts (" not in after.stderr


def test_artefacts_below_a_url_are_there_and_not_here(on_cluster):
    pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    with moto_server() as address:
        environment = {
            **KEYS,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
        }
        client = s3_client(address)
        client.create_bucket(Bucket="team")
        flags = ("--performance-report", "--cluster-dump", "always", "--artifacts", "s3://team/kept")
        done = on_cluster.run("bench", "--suite", "a", "--cluster", "two", *flags, environment=environment)
        assert done.returncode == 0, done.stderr
        ((session, report, dump, *_),) = on_cluster.rows(f"select session_id, {URLS} from test_run")
        keys = [f"s3://team/{each['Key']}" for each in client.list_objects_v2(Bucket="team")["Contents"]]
    assert sorted(keys) == sorted([report, dump])
    assert report.startswith(f"s3://team/kept/{session}/test_a-")
    assert f"artefacts are in s3://team/kept/{session}" in done.stderr
    assert not (on_cluster.folder / "benchmark-artifacts").exists()


def test_an_upload_that_fails_fails_no_test_and_leaves_the_files_here(on_cluster):
    pytest.importorskip("s3fs")
    environment = {**KEYS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    flags = ("--cluster-dump", "always", "--artifacts", "s3://team/kept")
    done = on_cluster.run("bench", "--suite", "a", "--cluster", "two", *flags, environment=environment)
    assert done.returncode == 0, done.stderr
    ((profiled, dump),) = on_cluster.rows("select profiled, cluster_dump_url from test_run")
    assert not profiled
    assert dump.startswith((on_cluster.folder / "benchmark-artifacts").as_uri())
    assert "could not be uploaded to s3://team/kept" in done.stderr
    assert len(list((on_cluster.folder / "benchmark-artifacts").rglob("cluster-dump.msgpack.gz"))) == 1


def test_pytest_alone_keeps_them_beside_its_database_too(on_cluster):
    arguments = [sys.executable, "-m", "pytest", "-p", "coiled_runtime_cli.plugin", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*arguments, "--benchmark", "--crt-cluster=two", "--cluster-dump=always", "suites/test_a.py"],
        cwd=on_cluster.folder,
        env=on_cluster.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ((dump,),) = on_cluster.rows("select cluster_dump_url from test_run")
    assert dump.startswith((on_cluster.folder / "benchmark-artifacts").as_uri())


def test_the_place_is_a_folder_of_the_file_that_names_it_or_a_url(tmp_path):
    environ = {"HOME": str(tmp_path)}

    def place(**more):
        read = config.load(folder=tmp_path, environ={**environ, **more})
        return config.artifacts(read)

    assert place() == (tmp_path / "benchmark-artifacts", None)
    assert place(CRT_ARTIFACTS="kept") == (tmp_path / "kept", None)
    assert place(CRT_ARTIFACTS=(tmp_path / "a b").as_uri()) == (tmp_path / "a b", None)
    assert place(CRT_ARTIFACTS="s3://team/kept") == (tmp_path / "benchmark-artifacts", "s3://team/kept")
    (tmp_path / "crt.toml").write_text('artifacts = "from the file"\n')
    assert place() == (tmp_path / "from the file", None)
    server = config.load(
        folder=tmp_path, environ={**environ, "CRT_DB": "postgresql://me:secret@host/db"}, no_config=True
    )
    assert "secret" not in server.artifacts
    assert Path(server.artifacts).parent == tmp_path / ".local" / "state" / "crt" / "artifacts"
