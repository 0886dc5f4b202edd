"""`crt bench` with reports, profiles and dumps: what it asks for, where that goes, and that nothing is compared with it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sync"))
import histories
from s3_servers import KEYS, moto_server, s3_client

from coiled_runtime_cli import config
from coiled_runtime_cli.core.record import Run, SessionEnded, SessionStarted
from coiled_runtime_cli.db import queries
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

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


# What is said before anything is measured


def test_a_plan_says_what_it_keeps_and_where(inside):
    inside.suite("test_one.py", "def test_one(): ...\n")
    flags = ("--profile", "memray", "--profile", "py-spy:scheduler", "--cluster-dump", "fail")
    plan = inside.json("bench", "--suite", "one", "--dry-run", *flags, "--format", "json")["plan"]
    assert plan["keeps"] == ["memray of scheduler and workers", "py-spy of the scheduler", "cluster dump of what fails"]
    assert plan["artifacts"] == str(inside.folder / "benchmark-artifacts")
    url = ("--artifacts", "s3://team/kept")
    assert "s3://team/kept" in inside.run("bench", "--suite", "one", "--dry-run", *flags, *url).stdout
    assert "keeps" not in inside.json("bench", "--suite", "one", "--dry-run", "--format", "json")["plan"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--profile", "memary"], "did you mean 'memray'?"),
        (["--profile", "memray:workes"], "did you mean 'workers'?"),
        (["--artifacts", "kept"], "none is asked for"),
        (["--performance-report", "--repeat", "auto"], "--repeat auto"),
        (["--cluster-dump", "always", "--artifacts", "s3://me:secret@team/kept"], "without credentials"),
        (["--cluster-dump", "always", "--artifacts", ""], "--artifacts: expected a path"),
    ],
)
def test_flags_that_cannot_be_are_told_before_anything_runs(inside, flags, words):
    inside.suite("test_one.py", "def test_one(): ...\n")
    done = inside.run("bench", "--suite", "one", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "secret" not in done.stderr
    assert not (inside.folder / "benchmark.db").exists()


def test_a_library_that_is_missing_is_an_error_with_what_to_type_before_anything_runs(crt, tmp_path):
    crt.suite("test_one.py", "def test_one(): ...\n")
    hides = tmp_path / "hides"
    hides.mkdir()
    (hides / "sitecustomize.py").write_text("import sys; sys.modules['memray'] = sys.modules['bokeh'] = None\n")
    crt.environment["PYTHONPATH"] = f"{hides}:{crt.environment['PYTHONPATH']}"
    for flags, words in (
        ("--profile=memray", "--profile memray needs memray"),
        ("--performance-report", "needs bokeh"),
    ):
        done = crt.run("bench", "--suite", "one", flags)
        assert done.returncode == 3
        assert words in done.stderr
        assert 'pip install "coiled-runtime-cli[profile]"' in done.stderr
        assert not (crt.folder / "benchmark.db").exists()
    done = crt.run("bench", "--suite", "one", "--cluster-dump=fail", "--artifacts", "nonsense://x/y")
    assert done.returncode == 3
    assert "nonsense" in done.stderr
    # a test without a cluster has nothing to keep, and needs nothing
    assert crt.run("bench", "--suite", "one", "--cluster-dump=always").returncode == 0


def test_another_environment_is_told_where_to_install(crt, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    crt.suite("test_one.py", "def test_one(): ...\n")
    done = crt.run("bench", "--suite", "one", "--python", python, "--profile", "memray")
    assert done.returncode == 3
    assert f"{python} -m pip install memray" in " ".join(done.stderr.split())


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


# Nothing is compared with what was profiled


def twin(lines, number):
    """The same session again, profiled and ten times as slow."""
    identity = next(each.id for each in lines if isinstance(each, SessionStarted)) + "-profiled"
    found = []
    for place, line in enumerate(lines):
        if isinstance(line, (SessionStarted, SessionEnded)):
            found.append(dataclasses.replace(line, id=identity))
        elif isinstance(line, Run):
            uuid = f"00000000-0000-4000-8000-{number:06d}{place:06d}"
            slow = {"duration": line.duration * 10, "peak_memory": line.peak_memory * 10, "start": line.start + 1}
            found.append(dataclasses.replace(line, uuid=uuid, session=identity, profiled=True, **slow))
        else:
            found.append(line)
    return found


@pytest.fixture
def histories_of_both(inside):
    """``plain.db``: 40 nights of ``main``, ten of ``branch``; ``both.db``: the same, and each session again, profiled."""
    databases = {name: open_database(str(inside.folder / f"{name}.db")) for name in ("plain", "both")}
    for number in range(40):
        late = 1.3 if number >= 30 else 1.0
        sessions = [histories.session("main", number, {"a": late, "b": 1.0}, version="1")]
        if number < 10:
            sessions.append(histories.session("branch", number, {"a": 1.5, "b": 1.0}, version="2"))
        for place, lines in enumerate(sessions):
            ingest(databases["plain"], lines)
            ingest(databases["both"], lines)
            ingest(databases["both"], twin(lines, 2 * number + place))
    for each in databases.values():
        each.dispose()
    return inside


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "main", "branch"],
        ["detect"],
        ["detect", "--score"],
        ["noise"],
    ],
    ids=" ".join,
)
def test_no_verdict_depends_on_profiled_runs(histories_of_both, arguments):
    told = []
    for name in ("plain", "both"):
        done = histories_of_both.run(*arguments, "--db", f"{name}.db", "--format", "json")
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
        for measured_now in ("host", "remarks"):
            found.pop(measured_now, None)
        told.append((done.returncode, found))
    assert told[0] == told[1]
    assert "test_a" in json.dumps(told) or "--score" in arguments, "there is a verdict to depend on"


def test_no_level_of_the_report_depends_on_profiled_runs(histories_of_both):
    from coiled_runtime_cli.db.history import read_history
    from coiled_runtime_cli.report.build import digest_units
    from coiled_runtime_cli.report.groups import group

    levels = []
    for name in ("plain", "both"):
        engine = open_database(str(histories_of_both.folder / f"{name}.db"))
        history = read_history([engine])
        engine.dispose()
        digests = digest_units(history, group(history), lambda *_: None)
        series = [each for unit in digests for each in unit.series]
        assert any(each.profiled for each in series) == (name == "both")
        metrics = [metric for each in series for _, metric in sorted(each.metrics.items())]
        levels.append(
            [
                (
                    each.n,
                    [(level.n, level.median, level.low, level.high) for level in each.levels],
                    [(change.good_uuid, change.bad_uuid, change.ratio) for change in each.changes],
                )
                for each in metrics
            ]
        )
    assert levels[0] == levels[1]


def test_a_profiled_run_decides_no_probe_and_no_suspect(histories_of_both):
    engine = open_database(str(histories_of_both.folder / "both.db"))
    single = histories.session("alone", 1, {"a": 1.0}, version="1")
    ingest(engine, single)
    ingest(engine, twin(single, 999))
    assert queries.measured_in_session(engine, "alone-1-3.11", "duration") is not None
    assert queries.measured_in_session(engine, "alone-1-3.11-profiled", "duration") is None
    engine.dispose()
