from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.versions import Version, parse_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024.2.1", ("2024.2.1", 0, None, None)),
        ("2022.8.0a220816", ("2022.8.0a220816", 0, None, None)),
        ("1.0rc1.post2", ("1.0rc1.post2", 0, None, None)),
        ("2024.2.1+17.gabc1234", ("2024.2.1", 17, "abc1234", False)),
        ("2022.8.0+4.g1234567.dirty", ("2022.8.0", 4, "1234567", True)),
        ("2024.2.1+0.gABC1234.dirty", ("2024.2.1", 0, "abc1234", True)),
        ("0+untagged.17.gabc1234", ("0", 17, "abc1234", False)),
        ("v2024.2.1-17-gabc1234-dirty", ("2024.2.1", 17, "abc1234", True)),
        ("2024.2.2.dev17+gabc1234", ("2024.2.2", 17, "abc1234", False)),
        ("2024.2.2.dev17+gabc1234.d20240301", ("2024.2.2", 17, "abc1234", True)),
        ("2024.2.1+d20240301", ("2024.2.1", 0, None, True)),
        (" 2024.2.1+17.gabc1234\n", ("2024.2.1", 17, "abc1234", False)),
        ("2024.2.1+99999999999999999999.gabc1234", ("2024.2.1", None, "abc1234", False)),
    ],
)
def test_the_parts_of_a_version_are_read(text: str, expected: tuple[str | None, int | None, str | None, bool]) -> None:
    found = parse_version(text)
    assert found is not None
    assert (found.release, found.distance, found.commit, found.dirty) == expected


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "0+unknown",
        "2024.2.1+17.gxyz",
        "+.g",
        "2024.2.1+17.gabc1234.dirty.dirty",
        "<b>1</b>",
        "\u0661.\u0662",
    ],
)
def test_what_is_no_version_has_no_parts(text: str) -> None:
    assert parse_version(text) == Version()


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_version_is_none(text: str | None) -> None:
    assert parse_version(text) is None


def test_no_text_takes_long() -> None:
    assert parse_version("1" + "rc-" * 20_000 + "!") == Version()
    assert parse_version("1.dev" * 20_000) == Version()


@given(st.text(alphabet="0123456789abcdefgrcdvpost.+-_!ñ ", max_size=60))
def test_whatever_the_text_the_parts_are_of_their_kind(text: str) -> None:
    found = parse_version(text)
    if found is None:
        assert not text.strip()
        return
    assert found.distance is None or found.distance >= 0
    assert found.commit is None or (set(found.commit) <= set("0123456789abcdef") and found.dirty is not None)
    assert found.release is None or found.release in text


@given(
    release=st.from_regex(r"\A20[0-9]{2}\.[1-9]\.[0-9]\Z"),
    distance=st.integers(0, 10**8),
    commit=st.from_regex(r"\A[0-9a-f]{7,40}\Z"),
    dirty=st.booleans(),
)
def test_every_described_commit_is_found_again(release: str, distance: int, commit: str, dirty: bool) -> None:
    text = f"{release}+{distance}.g{commit}" + (".dirty" if dirty else "")
    assert parse_version(text) == Version(release=release, distance=distance, commit=commit, dirty=dirty)
