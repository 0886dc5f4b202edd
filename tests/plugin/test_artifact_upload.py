"""Artefacts below a URL: what is uploaded is no longer here, and what cannot be uploaded stays."""

import pytest
from kept import path_of

from coiled_runtime_cli.core.record import Benchmark
from coiled_runtime_cli.core.settings import SessionSettings
from coiled_runtime_cli.plugin import artifacts
from coiled_runtime_cli.plugin.recorder import RunDraft


def a_draft(settings):
    draft = RunDraft(
        "01a21af0-0000-7000-8000-0123456789ab", Benchmark(path="a.py", name="test_a[x/y]", originalname="a")
    )
    keep = artifacts.Keep(artifacts.folder_of(settings, draft), lambda text: None)
    for name in ("performance-report.html", "memray/scheduler.memray"):
        with keep.file(name) as path:
            path.write_text(name)
    draft.performance_report_url = keep.url("performance-report.html")
    draft.memray_profiles_url = keep.url("memray/")
    draft.cluster_dump_url = "https://elsewhere/dump"
    return draft


def settings_for(tmp_path, url):
    return SessionSettings(
        session="s", folder="f", suites="s", data="d", artifacts=str(tmp_path / "ü kept"), artifacts_url=url
    )


def test_what_is_uploaded_is_below_the_url_and_no_longer_here(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    settings = settings_for(tmp_path, "memory://bucket/pre fix/")
    draft = a_draft(settings)
    assert artifacts.deliver(settings, draft, seconds=30) is None
    base = "memory://bucket/pre fix/s/test_a-x-y-0123456789ab"
    assert draft.performance_report_url == f"{base}/performance-report.html"
    assert draft.memray_profiles_url == f"{base}/memray/"
    assert draft.cluster_dump_url == "https://elsewhere/dump"
    with fsspec.open(f"{base}/memray/scheduler.memray", "rt") as stream:
        assert stream.read() == "memray/scheduler.memray"
    assert not (tmp_path / "ü kept").exists()


@pytest.mark.parametrize("url", ["no-such-protocol://bucket/x", "file:///dev/null/x"])
def test_an_upload_that_fails_is_told_and_leaves_the_files_here(tmp_path, url):
    settings = settings_for(tmp_path, url)
    draft = a_draft(settings)
    trouble = artifacts.deliver(settings, draft, seconds=30)
    assert url in trouble
    assert path_of(draft.performance_report_url).read_text() == "performance-report.html"
    assert (path_of(draft.memray_profiles_url) / "scheduler.memray").exists()


def test_a_store_that_never_answers_is_not_waited_for(tmp_path, monkeypatch):
    import threading

    waits = threading.Event()
    monkeypatch.setattr(artifacts, "_put", lambda folder, target: waits.wait(60))
    settings = settings_for(tmp_path, "memory://bucket")
    draft = a_draft(settings)
    assert "not done within 0 s" in artifacts.deliver(settings, draft, seconds=0.05)
    assert path_of(draft.performance_report_url).exists()
    waits.set()
