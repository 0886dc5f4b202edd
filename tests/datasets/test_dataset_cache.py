import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import cache as cached
from coiled_runtime_cli.datasets import files, parallel
from coiled_runtime_cli.datasets.recipe import PlannedFile, Recipe
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
        assert not isinstance(event, cached.Serial), event.reason
        if isinstance(event, cached.Failed):
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


@pytest.mark.skipif(cached.fcntl is None, reason="needs POSIX locks")
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

    monkeypatch.setattr(cached.os, "fsync", fill_up)
    with pytest.raises(ToolError, match=rf"no space left in .*{tmp_path.name}.*needs about [\d.]+ MiB") as raised:
        prepare(tmp_path)
    assert "CRT_DATA" in (raised.value.hint or "")
    assert contents(tmp_path) == {}
    assert not list(tmp_path.glob("*spark_genomes*/"))
    monkeypatch.undo()
    assert prepare(tmp_path).generated


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda _: usage)
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


# Files of several data sets at once


def text_recipe(name="plain", *, files=5, fail_at=None):
    """A recipe of small files of text; its functions are made here, so that they travel by value."""

    def plan(parameters):
        return tuple(
            PlannedFile(index, f"folder {index % 2}/{index}.txt", 3, 30 * (index + 1))
            for index in range(parameters["files"])
        )

    def content(parameters, file, seed):
        if file.index == fail_at:
            raise ValueError("it cannot be")
        for row in range(3):
            yield f"{seed} {file.index} {row}\n".encode() * (file.index + 1), 1

    return Recipe(
        name=name, summary="", version=1, seed=7, parameters=lambda scale: {"files": files}, plan=plan,
        row_groups=content, format="bytes", requires={},
    )  # fmt: skip


def produce(*recipes, cache, workers=1):
    return list(
        cached.produce([(each, each.parameters(SMOKE)) for each in recipes], Path(cache).absolute(), workers=workers)
    )


@given(data=st.data(), count=st.integers(1, 12))
def test_what_is_in_a_file_depends_on_no_other_file(tmp_path_factory, data, count):
    recipe = text_recipe(files=count)
    parameters = recipe.parameters(SMOKE)
    plan = recipe.plan(parameters)
    folder = tmp_path_factory.mktemp("any order")
    for each in plan:
        (folder / each.path).parent.mkdir(exist_ok=True)
    hashes = {}
    for file in data.draw(st.permutations(plan)):
        *_, hashes[file.index] = files.made(recipe, parameters, file, folder)
    produce(recipe, cache=folder / "cache")
    manifest = cached.read_manifest(cached.folder_of(recipe, parameters, folder / "cache"))
    assert manifest.files == tuple(hashes[index] for index in range(count))


@given(sizes=st.lists(st.integers(0, 64 * 2**20), max_size=600))
def test_batches_hold_every_file_once_and_large_files_alone(sizes):
    plan = [PlannedFile(index, str(index), 1, size) for index, size in enumerate(sizes)]
    batches = list(parallel.batches(plan))
    assert sorted(each.index for batch in batches for each in batch) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= 200
        assert len(batch) == 1 or sum(each.bytes for each in batch) <= 8 * 2**20
    first = [batch[0].bytes for batch in batches]
    assert first == sorted(first, reverse=True)


@given(factor=st.floats(0.002, 20), name=st.sampled_from(datasets.names()))
def test_the_plan_of_any_multiple_has_files_of_its_own_below_the_folder(factor, name):
    described = datasets.describe(name, Scale.parse(f"{factor:g}"))
    assert len(set(described.files)) == len(described.files) > 0
    assert all(
        not PurePosixPath(each).is_absolute() and ".." not in PurePosixPath(each).parts for each in described.files
    )
    assert described.rows > 0
    recipe = datasets.recipes([name])[name]
    plan = recipe.plan(described.parameters)
    assert [each.index for each in plan] == list(range(len(plan)))
    assert min(each.bytes for each in plan) >= 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_fails_takes_its_data_set_along_and_no_other(tmp_path, workers):
    events = produce(text_recipe("broken", fail_at=3), text_recipe(), cache=tmp_path, workers=workers)
    (failed,) = [each for each in events if isinstance(each, cached.Failed)]
    assert failed.error.message == "cannot make folder 1/3.txt of data set broken: ValueError: it cannot be"
    assert "it cannot be" in str(failed.error.__cause__)
    assert [each.name for each in events if isinstance(each, cached.Ready)] == ["plain"]
    assert [each.name.partition("-")[0] for each in tmp_path.iterdir() if each.is_dir()] == ["plain"]


def test_bytes_of_all_data_sets_add_up_to_the_whole(tmp_path):
    events = produce(text_recipe("one"), text_recipe("two", files=9), cache=tmp_path, workers=2)
    steps = [each for each in events if isinstance(each, cached.Step)]
    done = [each.done for each in steps]
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, steps[0].total)
    assert len({each.total for each in steps}) == 1


@pytest.mark.skipif(cached.fcntl is None, reason="needs POSIX locks")
def test_what_another_process_writes_is_waited_for_last_and_with_no_lock_in_hand(tmp_path):
    busy, free = text_recipe("busy"), text_recipe("free")
    folders = [cached.folder_of(each, each.parameters(SMOKE), tmp_path) for each in (busy, free)]
    told = []
    with cached.locked(cached.lock_of(folders[0])) as alone:
        assert alone
        events = cached.produce([(each, each.parameters(SMOKE)) for each in (busy, free)], tmp_path, workers=1)
        for event in events:
            told.append(event)
            if isinstance(event, cached.Waiting):
                break
        with cached.locked(cached.lock_of(folders[1]), wait=False):
            pass  # nobody holds it
    told += list(events)
    order = [(type(each).__name__, each.name) for each in told if not isinstance(each, cached.Step)]
    assert order == [("Ready", "free"), ("Waiting", "busy"), ("Ready", "busy")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files as Linux shows them")
def test_who_waited_for_a_lock_file_that_was_removed_takes_the_new_one(tmp_path):
    lock = tmp_path / ".data.lock"
    entered = threading.Event()
    with cached.locked(lock):
        waiting = threading.Thread(target=lambda: stay(lock, entered), daemon=True)
        waiting.start()
        while not is_waited_for(lock):
            time.sleep(0.01)
        lock.unlink()
    assert entered.wait(30)
    with pytest.raises(BlockingIOError), cached.locked(lock, wait=False):
        pass
    lock.with_suffix(".done").touch()
    waiting.join(30)


def stay(lock, entered):
    with cached.locked(lock):
        entered.set()
        while not lock.with_suffix(".done").exists():
            time.sleep(0.01)


def is_waited_for(lock):
    """Is a second descriptor of this process open on the file?"""
    inode = lock.stat().st_ino
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += each.stat().st_ino == inode
    return found > 1


def test_processes_are_started_where_there_is_enough_to_do():
    assert parallel.workers_for(10**6, 100) == 1
    assert parallel.workers_for(10**12, 1) == 1
    assert 1 <= parallel.workers_for(10**12, 100) <= (os.cpu_count() or 1)
