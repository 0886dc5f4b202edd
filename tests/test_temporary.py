import os
from pathlib import Path

import pytest

from coiled_runtime_cli import temporary


def test_a_folder_is_there_and_gone_afterwards(tmp_path):
    with temporary.folder(".making-", beside=tmp_path) as path:
        assert Path(path).parent == tmp_path
        Path(path, "a", "b").mkdir(parents=True)
        Path(path, "a", "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_is_what_comes_out_and_the_folder_is_gone(tmp_path):
    def break_inside():
        with temporary.folder(beside=tmp_path) as path:
            Path(path, "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_inside()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_it_is_removed_removes_it_and_goes_on(tmp_path, monkeypatch):
    real, calls = os.unlink, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    def fill():
        with temporary.folder(beside=tmp_path) as path:
            for number in range(5):
                Path(path, f"file {number}").write_text("x")
            monkeypatch.setattr(os, "unlink", interrupted)

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert len(calls) == 6
    assert list(tmp_path.iterdir()) == []
