"""Installing packages on the workers of a cluster that runs."""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile

import pytest

pytestmark = pytest.mark.stability

MODULE = "crt_stub"
WHEEL = f"{MODULE}-1.0-py3-none-any.whl"
FOLDER = "CRT_STUB_FOLDER"


@pytest.fixture
def wheel(cluster_spec, tmp_path, monkeypatch):
    """A package that no index has. Where it is, only the environment variable FOLDER says: a private one has its token so."""
    pytest.importorskip("pip", reason="PipInstall needs pip: python -m ensurepip")
    if cluster_spec.kind != "local":
        pytest.skip("the package to install is on this machine alone: crt bench --cluster local")
    information = f"{MODULE}-1.0.dist-info"
    content = {
        f"{MODULE}.py": "def echo(text):\n    return text\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: crt\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in (*content, f"{information}/RECORD"))
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return f"${{{FOLDER}}}/{WHEEL}"


@pytest.mark.parametrize("restart_workers", [True, False])
def test_private_pip_install(wheel, tmp_path, client, restart_workers):
    """A package comes to a running cluster by PipInstall, into a folder of its own; workers are restarted for it or not."""
    from distributed import PipInstall

    target, module = str(tmp_path / "installed"), MODULE

    def use(text):
        if target not in sys.path:
            sys.path.insert(0, target)
        importlib.invalidate_caches()
        return importlib.import_module(module).echo(text)

    before = set(client.run(os.getpid).values())
    client.run(os.environ.update, {FOLDER: str(tmp_path)})
    options = ["--no-index", "--no-deps", "--no-cache-dir", "--no-user", "--target", target]
    client.register_plugin(PipInstall([wheel], options, restart_workers=restart_workers))
    client.wait_for_workers(len(before), timeout=60)

    assert client.submit(use, "Hello, world!").result(timeout=60) == "Hello, world!"
    after = set(client.run(os.getpid).values())
    assert before.isdisjoint(after) if restart_workers else before == after
    assert importlib.util.find_spec(MODULE) is None, "nothing may be left where other tests find it"
