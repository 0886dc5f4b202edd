"""Names from outside in Markdown, rendered: text and nothing else."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from coiled_runtime_cli.core.mention import code, link, title

HOSTILE = [
    "@dask/maintenance",
    "fixes #12",
    "<img src=x onerror=alert(1)>",
    "</code><script>alert(1)</script>",
    "`@team` and ``more``",
    "`",
    "a|b",
    "a\\|b",
    "a\\",
    "[click](javascript:alert(1))",
    "![](https://evil.example/track.png)",
    "<!-- crt:finding deadbeef -->",
    "-->",
    "line\n\n# heading\n| x |",
    "$`x`$",
    "**bold** _it_ ~~no~~",
    "https://evil.example",
    "www.evil.example",
    "&lt;b&gt; &#64;team",
    "\u202egnp.exe",
    "test_x[<lambda>]",
]


class _Reader(HTMLParser):
    """What is rendered: the tags in order, and the text within and outside of code."""

    def __init__(self):
        super().__init__()
        self.tags, self.inside, self.outside, self.depth, self.comments = [], "", "", 0, []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - as of the base class
        self.tags.append(tag)
        self.depth += tag == "code"

    def handle_endtag(self, tag):
        self.depth -= tag == "code"

    def handle_data(self, data):
        if self.depth:
            self.inside += data
        else:
            self.outside += data

    def handle_comment(self, data):
        self.comments.append(data)


def rendered(text):
    reader = _Reader()
    reader.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    reader.close()
    return reader


def row(text):
    return f"| first | second |\n| --- | --- |\n| {code(text)} | {link(code(text), 'https://site.example/x.html')} |\n"


def check(text):
    found = rendered(row(text))
    assert found.tags.count("code") == 2 * (code(text) != "(empty)")
    assert [each for each in found.tags if each not in {"code", "a"}] == [
        *("table", "thead", "tr", "th", "th"),
        *("tbody", "tr", "td", "td"),
    ]
    assert found.tags.count("a") == 1
    assert found.comments == []
    assert found.outside.replace("(empty)", "").split() == ["first", "second"]
    return found.inside


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_shown_as_code_and_nothing_else(text):
    shown = check(text)
    assert shown == 2 * " ".join(text.replace("\u202e", "").split())


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_whatever_a_name_is_it_stays_in_its_cell(text):
    check(text)


@given(st.text(alphabet="`|\\<>&#@$[]()!-* \n", max_size=30))
def test_whatever_marks_a_name_is_made_of_it_stays_in_its_cell(text):
    check(text)


def test_a_name_of_any_length_is_cut():
    assert len(code("x" * 100_000)) < 300
    assert len(title("x" * 100_000)) == 200


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "http://plain.example",
        "https://a.example/)[x](y",
        'https://a.example/"',
        "https://a b",
        None,
    ],
)
def test_an_address_that_is_not_plainly_one_is_left_out(address):
    assert link("page", address) == "page"


def test_a_title_is_one_line_without_code():
    assert title("a`b`\nc\u202e") == "a'b' c"
