from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from coiled_runtime_cli.clusters import ClusterSpec
from coiled_runtime_cli.errors import RemoteError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Coiled changes Dask's configuration when it is imported, and reads that of the user: so it is used in processes of its
# own, with a home that is empty. Its server is always one on this machine.


def outcome(folder: Path, options: str = "{}", **environment: str) -> str:
    """What starting a Coiled cluster raises: exit code, message and hint, then whether a token was looked at."""
    code = f"""
        import sys
        from coiled_runtime_cli import clusters
        from coiled_runtime_cli.errors import CrtError

        spec = clusters.ClusterSpec(kind="coiled", name="coiled", options={options})
        for attempt in (clusters.check, lambda spec: clusters.start(spec, name="x")):
            try:
                attempt(spec)
                print("passed")
            except CrtError as error:
                print(error.exit_code, error.message, "|", error.hint)
    """
    isolated = {key: value for key, value in os.environ.items() if not key.startswith(("DASK_", "COILED_"))}
    isolated.update(HOME=str(folder), DASK_CONFIG=str(folder / "dask"), **environment)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=isolated,
        capture_output=True,
        text=True,
        timeout=20,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_missing_login_is_noticed_before_anything_is_asked(tmp_path: Path) -> None:
    pytest.importorskip("coiled")
    lines = outcome(tmp_path, DASK_COILED__SERVER="http://127.0.0.1:9").splitlines()
    assert lines == ["4 no login for Coiled was found | coiled login"] * 2


def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    pytest.importorskip("coiled")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{closed.getsockname()[1]}"
        lines = outcome(tmp_path, DASK_COILED__SERVER=server, DASK_COILED__TOKEN="a-b").splitlines()
    assert lines[0] == "passed"
    assert lines[1].startswith(f"4 Coiled cannot be reached at {server}")


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that refuses every login."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_refused_login_says_how_to_log_in(tmp_path: Path, refusing: str) -> None:
    pytest.importorskip("coiled")
    last = outcome(tmp_path, DASK_COILED__SERVER=refusing, DASK_COILED__TOKEN="a-b").splitlines()[-1]
    assert last.startswith("4 Coiled refused the login")
    assert last.endswith("| coiled login")


def test_an_unknown_keyword_is_named(tmp_path: Path) -> None:
    pytest.importorskip("coiled")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = f"http://127.0.0.1:{listening.getsockname()[1]}"
        text = outcome(tmp_path, "{'worker_vm_typs': 1}", DASK_COILED__SERVER=server, DASK_COILED__TOKEN="a-b")
    assert text.splitlines()[-1].startswith("2 cluster coiled: ")
    assert "worker_vm_typs" in text


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from coiled_runtime_cli import clusters

    monkeypatch.setitem(sys.modules, "coiled", None)
    spec = ClusterSpec(kind="coiled", name="coiled")
    with pytest.raises(ToolError, match="needs the coiled package") as error:
        clusters.start(spec, name="x")
    assert error.value.hint == "python -m pip install coiled"
    assert error.value.exit_code == 3
    assert not isinstance(error.value, RemoteError)
    clusters.check(spec, elsewhere=True)


def test_info_is_what_coiled_says_about_the_cluster() -> None:
    from coiled_runtime_cli.clusters.coiled import CoiledCluster

    class Started:
        scheduler_address = "tls://10.0.0.1:8786"
        cluster_id = 123
        details_url = "https://cloud.example/clusters/123"

    spec = ClusterSpec(kind="coiled", name="coiled", options={"software": "team/nightly", "n_workers": [2, 8]})
    from coiled_runtime_cli.clusters.running import expected_workers

    cluster = CoiledCluster(Started(), spec, name="x", expected_workers=expected_workers(spec))
    info = cluster.info()
    assert (info.cluster_id, info.software) == (123, "team/nightly")
    assert info.details_url == "https://cloud.example/clusters/123"
    assert cluster.expected_workers == 2
