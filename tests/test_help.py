"""Help as a manual: each command says what it is for, shows lines that can be typed, and fits a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import live

NAMES = list(live.commands())


@pytest.mark.parametrize("name", NAMES)
def test_every_page_of_help_fits_a_terminal(name: str) -> None:
    assert [line for line in live.page(name).splitlines() if len(line) > live.WIDTH] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_what_it_does_and_shows_lines_to_type(name: str) -> None:
    text = live.page(name)
    usage, summary, *_ = text.split("\n\n")
    assert usage.startswith(f"Usage: crt {name} ")
    assert summary.strip()[0].isupper()
    shown = live.examples(text)
    assert any(each.startswith(f"crt {name}") for each in shown), "no example of its own"
    assert text.index(shown[0]) < text.index("\nOptions:"), "examples come first"


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_typed(name: str) -> None:
    for example in live.examples(live.page(name)):
        ctx = live.parse(live.words_of(example))
        path = ctx.command_path.removeprefix("crt ")
        assert example.startswith(f"crt {path}")
        assert path in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_argument_is_explained(name: str) -> None:
    command = live.commands()[name]
    for param in command.params:
        if not getattr(param, "hidden", False):
            assert param.help, param.name


def test_a_group_lists_its_commands_with_whole_sentences() -> None:
    for name, command in live.commands().items():
        if hasattr(command, "list_commands"):
            assert "..." not in live.page(name).partition("Commands:")[2], name


def test_the_examples_of_the_first_page_can_be_typed() -> None:
    ctx = live.root().make_context("crt", [], resilient_parsing=True, terminal_width=live.WIDTH)
    shown = live.examples(live.root().get_help(ctx))
    assert len(shown) >= 6
    for each in shown:
        live.parse(live.words_of(each))
