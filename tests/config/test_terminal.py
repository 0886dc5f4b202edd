from __future__ import annotations

import pytest

from coiled_runtime_cli import config


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (False, False, None)),
        ({"NO_COLOR": "1"}, (True, False, None)),
        ({"NO_COLOR": ""}, (False, False, None)),
        ({"TERM": "dumb"}, (True, False, None)),
        ({"FORCE_COLOR": "1"}, (False, True, None)),
        ({"FORCE_COLOR": "0"}, (False, False, None)),
        ({"COLUMNS": "100"}, (False, False, 100)),
        ({"COLUMNS": "wide"}, (False, False, None)),
        ({"COLUMNS": "100", "TERMINAL_WIDTH": "90"}, (False, False, 90)),
    ],
)
def test_the_terminal_is_read_from_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: tuple[bool, bool, int | None]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (config.no_color(), config.force_color(), config.terminal_columns()) == expected
