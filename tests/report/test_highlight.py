from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.report import highlight


def letters(markup: str) -> str:
    """What a browser shows of it."""
    return html.unescape(re.sub(r"<[^<>]*>", "", markup))


def test_keywords_strings_and_comments_are_told_apart() -> None:
    marked = str(highlight.python('def f():\n    return "text"  # why\n'))
    assert '<span class="k">def</span>' in marked
    assert '<span class="c1"># why</span>' in marked


@pytest.mark.parametrize("source", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a < b & c"])
def test_a_source_never_becomes_markup(source: str) -> None:
    for text in (source, source * 10_000):  # the long one is shown without colours
        marked = str(highlight.python(text))
        assert not re.search(r"<(?!/?(?:pre|code|span)\b)", marked)
        assert letters(marked).strip() == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=200))
def test_every_letter_of_a_source_is_shown(source: str) -> None:
    shown = letters(str(highlight.python(source)))
    assert shown.split() == source.lstrip("\ufeff").split()


def test_a_source_that_scrolls_can_be_reached_by_keyboard() -> None:
    assert str(highlight.python("x = 1")).startswith('<pre tabindex="0">')
