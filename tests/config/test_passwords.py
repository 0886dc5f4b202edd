from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coiled_runtime_cli import config
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://me:secret@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:p%40ss:w@rd@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (
            "postgresql://host/db?user=me&password=secret&sslmode=require",
            "postgresql://host/db?user=me&password=***&sslmode=require",
        ),
        ("benchmark.db", "benchmark.db"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, expected: str) -> None:
    assert config.masked(text) == expected


def test_a_password_never_shows_in_a_message(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        config.load({"db": "postgresql://me:geheim@host/db\x07"}, folder=tmp_path, environ=home)
    assert "geheim" not in caught.value.message
