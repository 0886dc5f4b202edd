import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import cache as cached
from coiled_runtime_cli.datasets import files, locks
from coiled_runtime_cli.datasets.events import Failed, Serial
from coiled_runtime_cli.errors import ToolError

SMOKE = Scale.parse("smoke")


@pytest.fixture(autouse=True)
def verified_nothing() -> Iterator[None]:
    cached._verified.clear()
    yield
    cached._verified.clear()


def prepare(folder: Path, name: str = "spark_genomes", **options: object) -> datasets.Dataset:
    """As a new process would: nothing is taken as verified."""
    cached._verified.clear()
    return datasets.prepare(name, scale=SMOKE, cache=folder, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    """Hash of each file below ``folder``, locks aside."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def made_by_two(tmp_path_factory):
    """Every data set, made by two processes at once; and why some are not there."""
    cache = tmp_path_factory.mktemp("made by two")
    missing = {}
    for event in datasets.make((), scale=SMOKE, cache=cache, workers=2):
        assert not isinstance(event, Serial), event.reason
        if isinstance(event, Failed):
            assert isinstance(event.error, datasets.MissingLibrary), event.error
            missing[event.name] = event.error.message
    return cache, missing


@pytest.mark.parametrize("name", datasets.names())
def test_the_same_seed_makes_the_same_bytes_alone_and_shared_by_processes(tmp_path, made_by_two, name):
    shared, missing = made_by_two
    if name in missing:
        pytest.skip(missing[name])
    first = prepare(tmp_path, name)
    assert first.generated
    assert not first.repaired
    folder = Path(first.location)
    assert contents(folder) == contents(shared / folder.name)


def test_a_second_call_generates_nothing_and_finds_the_same(tmp_path):
    cache = tmp_path / "a folder [with] brackets and spaces"
    first = prepare(cache)
    second = prepare(cache)
    assert (first.generated, second.generated) == (True, False)
    assert first.files == second.files
    assert all(Path(each).is_file() for each in second.files)
    assert second.bytes == sum(Path(each).stat().st_size for each in second.files)


def test_what_is_verified_is_not_read_again_until_it_changes(tmp_path, monkeypatch):
    data = prepare(tmp_path)
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert datasets.prepare("spark_genomes", scale=SMOKE, cache=tmp_path).files == data.files
    monkeypatch.undo()
    Path(data.files[0]).write_bytes(b"PAR1")
    assert datasets.prepare("spark_genomes", scale=SMOKE, cache=tmp_path).repaired


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_a_folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [truncate, flip_a_byte, delete, empty, put_a_folder_in_its_place])
@pytest.mark.parametrize("name", ["spark_genomes", "ookla_hive"])
def test_a_damaged_file_is_made_again_and_no_other(tmp_path, name, harm):
    data = prepare(tmp_path, name)
    before = contents(tmp_path)
    untouched = {each: os.stat(each).st_mtime_ns for each in data.files[:1] + data.files[2:]}
    harm(Path(data.files[1]))
    repaired = prepare(tmp_path, name)
    assert repaired.generated
    assert repaired.repaired
    assert contents(tmp_path) == before
    assert {each: os.stat(each).st_mtime_ns for each in untouched} == untouched
    assert not prepare(tmp_path, name).generated


@pytest.mark.parametrize("text", ["", "{", '{"files": [{}]}', '{"files": []}', "[]", None])
def test_without_a_manifest_that_counts_everything_is_made_again(tmp_path, text):
    data = prepare(tmp_path)
    before = contents(tmp_path)
    manifest = Path(data.location) / "manifest.json"
    manifest.write_text(text) if text is not None else manifest.unlink()
    assert prepare(tmp_path).repaired
    assert contents(tmp_path) == before


def test_the_manifest_follows_a_library_that_writes_other_bytes(tmp_path):
    data = prepare(tmp_path)
    manifest = Path(data.location) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][1].update(sha256="0" * 64, bytes=1)
    manifest.write_text(json.dumps(content))
    assert prepare(tmp_path).repaired
    assert not prepare(tmp_path).generated


def test_what_a_dead_process_left_is_swept_away(tmp_path):
    data = prepare(tmp_path)
    stray = tmp_path / f".{Path(data.location).name}.partial-abandoned"
    (stray / "deep").mkdir(parents=True)
    (stray / "deep" / "part.parquet.tmp").write_bytes(b"half")
    other = tmp_path / ".nyc_taxi-0123456789ab.partial-in-use"
    other.mkdir()
    delete(Path(data.files[0]))
    prepare(tmp_path)
    assert not stray.exists()
    assert other.exists()


def test_progress_goes_from_nothing_to_everything(tmp_path):
    seen: list[tuple[float, float]] = []
    prepare(tmp_path, progress=lambda done, total: seen.append((done, total)))
    done = [each for each, _ in seen]
    assert len({total for _, total in seen}) == 1
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == pytest.approx(seen[-1][1])


def prepare_and_tell(folder: str, start: object, answers: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    made = datasets.prepare("ookla_hive", scale=SMOKE, cache=Path(folder))
    answers.put((made.generated, made.files))  # type: ignore[attr-defined]


@pytest.mark.skipif(locks.fcntl is None, reason="needs POSIX locks")
def test_of_processes_at_once_one_generates(tmp_path):
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=prepare_and_tell, args=(str(tmp_path), start, answers)) for _ in range(3)]
    for each in processes:
        each.start()
    told = [answers.get(timeout=120) for _ in processes]
    for each in processes:
        each.join(timeout=60)
        assert each.exitcode == 0
        each.close()
    answers.close()
    answers.join_thread()
    assert sorted(generated for generated, _ in told) == [False, False, True]
    assert len({files for _, files in told}) == 1


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_generation_that_was_killed_is_completed_by_the_next_call(tmp_path, share):
    code = """
        import sys
        from pathlib import Path
        from coiled_runtime_cli import datasets
        from coiled_runtime_cli.core.scale import Scale
        def progress(done, total):
            if done >= float(sys.argv[2]) * total:
                print("here", flush=True)
                sys.stdin.read()
        datasets.prepare("spark_genomes", scale=Scale.parse("smoke"), cache=Path(sys.argv[1]), progress=progress)
    """
    with started(code, tmp_path, share) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert list(tmp_path.glob(".*.partial-*"))
    assert not list(tmp_path.glob("spark_genomes-*"))
    data = prepare(tmp_path)
    assert data.generated
    assert not list(tmp_path.glob(".*.partial-*"))
    prepare(tmp_path / "whole")
    assert contents(Path(data.location)) == contents(next((tmp_path / "whole").glob("spark_genomes-*")))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_an_error_with_the_bytes_and_leaves_nothing(tmp_path, monkeypatch, code):
    written = []

    def fill_up(descriptor):
        written.append(descriptor)
        if len(written) == 3:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(ToolError, match=rf"no space left in .*{tmp_path.name}.*needs about [\d.]+ MiB") as raised:
        prepare(tmp_path)
    assert "CRT_DATA" in (raised.value.hint or "")
    assert contents(tmp_path) == {}
    assert not list(tmp_path.glob("*spark_genomes*/"))
    monkeypatch.undo()
    assert prepare(tmp_path).generated


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(files, "made", lambda *_: pytest.fail("began to write"))
    with pytest.raises(ToolError, match="no space left"):
        prepare(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_limit_on_file_size_met_for_real_leaves_nothing(tmp_path):
    code = """
        import resource, sys
        from pathlib import Path
        from coiled_runtime_cli import datasets
        from coiled_runtime_cli.core.scale import Scale
        from coiled_runtime_cli.errors import ToolError
        import pyarrow.parquet
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            datasets.prepare("nyc_taxi", scale=Scale.parse("smoke"), cache=Path(sys.argv[1]))
        except ToolError as error:
            print(error.message)
    """
    with started(code, tmp_path) as process:
        out, errors = process.communicate(timeout=120)
    assert "no space left" in out, errors
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_is_an_error_that_says_where(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ToolError, match="cannot write data set nyc_taxi to") as raised:
        prepare(tmp_path / "file" / "cache", "nyc_taxi")
    assert "CRT_DATA" in (raised.value.hint or "")
