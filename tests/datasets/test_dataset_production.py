from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import files, locks, production
from coiled_runtime_cli.datasets.events import Failed, Ready, Step, Waiting
from coiled_runtime_cli.datasets.locks import lock_of, locked
from coiled_runtime_cli.datasets.manifest import folder_of, read_manifest
from coiled_runtime_cli.datasets.recipe import PlannedFile, Recipe

SMOKE = Scale.parse("smoke")


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
        production.produce(
            [(each, each.parameters(SMOKE)) for each in recipes], Path(cache).absolute(), workers=workers
        )
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
    manifest = read_manifest(folder_of(recipe, parameters, folder / "cache"))
    assert manifest.files == tuple(hashes[index] for index in range(count))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_fails_takes_its_data_set_along_and_no_other(tmp_path, workers):
    events = produce(text_recipe("broken", fail_at=3), text_recipe(), cache=tmp_path, workers=workers)
    (failed,) = [each for each in events if isinstance(each, Failed)]
    assert failed.error.message == "cannot make folder 1/3.txt of data set broken: ValueError: it cannot be"
    assert "it cannot be" in str(failed.error.__cause__)
    assert [each.name for each in events if isinstance(each, Ready)] == ["plain"]
    assert [each.name.partition("-")[0] for each in tmp_path.iterdir() if each.is_dir()] == ["plain"]


def test_bytes_of_all_data_sets_add_up_to_the_whole(tmp_path):
    events = produce(text_recipe("one"), text_recipe("two", files=9), cache=tmp_path, workers=2)
    steps = [each for each in events if isinstance(each, Step)]
    done = [each.done for each in steps]
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, steps[0].total)
    assert len({each.total for each in steps}) == 1


@pytest.mark.skipif(locks.fcntl is None, reason="needs POSIX locks")
def test_what_another_process_writes_is_waited_for_last_and_with_no_lock_in_hand(tmp_path):
    busy, free = text_recipe("busy"), text_recipe("free")
    folders = [folder_of(each, each.parameters(SMOKE), tmp_path) for each in (busy, free)]
    told = []
    with locked(lock_of(folders[0])) as alone:
        assert alone
        events = production.produce([(each, each.parameters(SMOKE)) for each in (busy, free)], tmp_path, workers=1)
        for event in events:
            told.append(event)
            if isinstance(event, Waiting):
                break
        with locked(lock_of(folders[1]), wait=False):
            pass  # nobody holds it
    told += list(events)
    order = [(type(each).__name__, each.name) for each in told if not isinstance(each, Step)]
    assert order == [("Ready", "free"), ("Waiting", "busy"), ("Ready", "busy")]
