import os
import re
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Progress, Run, SessionEnded, TestStarted, encode

WRITE_FOREVER = """
import sys
from pathlib import Path
from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Progress
writer = journal.Writer(Path(sys.argv[1]), "main")
number = 0
while True:
    writer.write(Progress(what="x" * 500, done=number))
    print(number, flush=True)
    number += 1
"""


def run(uuid, **fields):
    return Run(uuid=uuid, session="s", benchmark="a.py::test", outcome="passed", **fields)


def test_ids_are_uuids_of_version_7_that_sort_by_time():
    first = journal.new_id()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert len({journal.new_id() for _ in range(1000)}) == 1000
    assert journal.new_id()[:13] >= first[:13]


def test_lines_of_several_processes_are_read_together(tmp_path):
    for name in ("gw0", "gw1"):
        writer = journal.Writer(tmp_path, name)
        writer.write(run(name))
        writer.close()
    assert [line.uuid for line in journal.read(tmp_path).lines] == ["gw0", "gw1"]


@given(cut=st.integers(1, 200))
@settings(max_examples=60)
def test_a_line_cut_anywhere_costs_itself_alone(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    whole, half = encode(run("whole")) + "\n", encode(run("half"))
    (folder / "main.jsonl").write_text(whole + half[: min(cut, len(half) - 1)])
    writer = journal.Writer(folder, "main")
    writer.write(run("next"))
    writer.close()
    contents = journal.read(folder)
    assert [line.uuid for line in contents.lines] == ["whole", "next"]
    assert contents.damaged == 0


def test_a_line_that_is_no_record_is_counted_as_damage_and_the_folder_is_kept(tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "main.jsonl").write_text("what is this\n" + encode(run("a")) + "\n")
    assert journal.read(folder).damaged == 1
    journal.discard(folder)
    assert (tmp_path / "session.damaged" / "main.jsonl").exists()
    assert journal.pending(tmp_path) == ()


def test_following_gives_each_whole_line_once(tmp_path):
    path = tmp_path / "main.jsonl"
    follower = journal.Follower(tmp_path)
    assert list(follower.poll()) == []
    first, second = encode(run("a")) + "\n", encode(run("b")) + "\n"
    path.write_text(first + second[:20])
    assert [line.uuid for line in follower.poll()] == ["a"]
    assert list(follower.poll()) == []
    path.write_text(first + second)
    assert [line.uuid for line in follower.poll()] == ["b"]


def test_a_session_is_claimed_only_when_none_of_its_processes_lives(tmp_path):
    writer = journal.Writer(tmp_path, "main")
    with journal.claim(tmp_path) as mine:
        assert not mine
    writer.close()
    with journal.claim(tmp_path) as mine:
        assert mine
        with journal.claim(tmp_path) as second:
            assert not second


def test_a_killed_process_leaves_every_line_that_it_reported(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        reported = -1
        while reported < 300:
            reported = int(child.stdout.readline())
        with journal.claim(tmp_path) as mine:
            assert not mine
    finally:
        os.kill(child.pid, signal.SIGKILL)
        reported = int((child.stdout.read().split() or [reported])[-1]) if child.wait() else reported
        child.stdout.close()
    numbers = [line.done for line in journal.read(tmp_path).lines if isinstance(line, Progress)]
    assert numbers[: reported + 1] == list(range(reported + 1))
    with journal.claim(tmp_path) as mine:
        assert mine


def test_a_test_that_died_with_its_process_becomes_a_row_once(tmp_path):
    writer = journal.Writer(tmp_path, "main")
    writer.write(TestStarted(uuid="done", benchmark="a.py::test", at=1.0))
    writer.write(run("done"))
    writer.write(TestStarted(uuid="died", benchmark="a.py::test_2", at=2.0, repeat=3))
    writer.close()
    (row,) = journal.settle(tmp_path, "s", reason="killed")
    assert (row.uuid, row.outcome, row.failure, row.repeat, row.start) == ("died", "crashed", "killed", 3, 2.0)
    assert journal.settle(tmp_path, "s", reason="killed") == ()


def test_an_interrupted_session_leaves_no_row_for_the_test_that_it_stopped(tmp_path):
    writer = journal.Writer(tmp_path, "main")
    writer.write(TestStarted(uuid="stopped", benchmark="a.py::test", at=1.0))
    writer.write(SessionEnded(id="s", ended=2.0, interrupted=True))
    writer.close()
    assert journal.settle(tmp_path, "s", reason="killed") == ()


@pytest.mark.parametrize("missing", ["nowhere", "file"])
def test_no_folder_of_journals_means_none_are_pending(tmp_path, missing):
    (tmp_path / "file").write_text("")
    assert journal.pending(tmp_path / missing) == ()


def test_sessions_that_begin_and_end_at_once_do_not_take_the_folder_from_each_other(tmp_path):
    script = """
import sys
from pathlib import Path
from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Progress
for number in range(200):
    folder = Path(sys.argv[1]) / "runs" / f"{sys.argv[2]}-{number}"
    writer = journal.Writer(folder, "main")
    writer.write(Progress(what="x", done=number))
    writer.close()
    journal.discard(folder)
"""
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    assert [child.communicate()[1] for child in children] == ["", "", ""]
    assert not (tmp_path / "runs").exists()
