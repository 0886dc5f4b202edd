from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.words import escaped, for_bash, split

BREAKS = " \t\n\"'><=;|&(:"  # bash's own


@pytest.mark.parametrize(
    ("line", "words", "word", "quote"),
    [
        ("crt ", ["crt"], "", ""),
        ("crt bench --su", ["crt", "bench"], "--su", ""),
        (r"crt bench a\ b\[c", ["crt", "bench"], "a b[c", ""),
        ("crt bench 'a b' \"c", ["crt", "bench", "a b"], "c", '"'),
        (r"crt 'a\b", ["crt"], r"a\b", "'"),
        (r'crt "a\b\"', ["crt"], r"a\b" + '"', '"'),
        ("", [], "", ""),
        ("crt \\", ["crt"], "", ""),
    ],
)
def test_a_line_is_read_up_to_the_cursor(line: str, words: list[str], word: str, quote: str) -> None:
    found = split(line)
    assert (list(found.words), found.word, found.quote) == (words, word, quote)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))))
def test_what_is_quoted_for_a_shell_is_read_back(words: list[str]) -> None:
    found = split(shlex.join(words) + " ")
    assert list(found.words) == words


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_what_is_escaped_is_read_back(value: str) -> None:
    assert split(escaped(value)).word == value


def test_bash_reads_back_what_is_escaped() -> None:
    value = "test_x[a b-'c'-\"d\"-$e-`f`-{g,h}-i&j;k|l<m>n(o)p*q?r!s#t~u^v\\w]"
    done = subprocess.run(["bash", "-c", f"printf %s {escaped(value)}"], capture_output=True, text=True, check=True)
    assert done.stdout == value


@pytest.mark.parametrize(
    ("typed", "value", "part"),
    [
        ("te", "test_x", "test_x"),
        ("a.py::te", "a.py::test_x", "test_x"),
        ("a.py:", "a.py::test_x", ":test_x"),
        ("--suite=pa", "--suite=parquet", "parquet"),
        ('"a.py::te', "a.py::test_x", "a.py::test_x"),
        (r"a.py::test_x\[p", "a.py::test_x[p-q]", r"test_x\[p-q\]"),
        (r"a\:b", "a:bc", "a:bc"),
    ],
)
def test_bash_is_given_the_part_after_the_last_letter_that_breaks_its_words(typed: str, value: str, part: str) -> None:
    assert for_bash(value, split(f"crt bench {typed}"), BREAKS) == part
