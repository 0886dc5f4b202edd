from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.versions import Version, parse_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022.8.0", Version(release="2022.8.0", distance=0)),
        (" v2022.8.0\n", Version(release="2022.8.0", distance=0)),
        ("2022.8.0a220816", Version(release="2022.8.0a220816", distance=0)),
        ("1.1.21.post1", Version(release="1.1.21.post1", distance=0)),
        ("2024.2.1+17.gabc1234", Version(release="2024.2.1", distance=17, commit="abc1234", dirty=False)),
        ("2022.8.0+4.g1234567.dirty", Version(release="2022.8.0", distance=4, commit="1234567", dirty=True)),
        ("2022.8.0+0.g1234567.dirty", Version(release="2022.8.0", distance=0, commit="1234567", dirty=True)),
        ("0+untagged.304.gABCDEF0", Version(release="0", distance=304, commit="abcdef0", dirty=False)),
        ("2024.2.1-17-gabc1234", Version(release="2024.2.1", distance=17, commit="abc1234", dirty=False)),
        ("2024.2.1-17-gabc1234-dirty", Version(release="2024.2.1", distance=17, commit="abc1234", dirty=True)),
        ("2024.2.2.dev17+gabc1234", Version(release="2024.2.2", distance=17, commit="abc1234", dirty=False)),
        ("2024.2.2.dev17+gabc1234.d20240301", Version(release="2024.2.2", distance=17, commit="abc1234", dirty=True)),
        ("2024.2.1+dirty", Version(release="2024.2.1", distance=0, dirty=True)),
    ],
)
def test_a_version_tells_release_distance_commit_and_dirtiness(text: str, expected: Version) -> None:
    assert parse_version(text) == expected


@pytest.mark.parametrize("text", [None, "", "  ", "\n"])
def test_no_version_is_none(text: str | None) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize(
    "text", ["garbage", "0+unknown", "+17.gabc1234", "1.0+17.gxyz", "\uff11.\uff10", "1.0 2.0", "g" * 300]
)
def test_what_is_no_version_tells_no_commit(text: str) -> None:
    found = parse_version(text)
    assert found is not None
    assert found.commit is None


def test_a_count_of_commits_that_is_too_long_is_none() -> None:
    found = parse_version(f"1.0+{'9' * 5000}.gabc1234")
    assert found == Version(release="1.0", commit="abc1234", dirty=False)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    found = parse_version(text)
    assert (found is None) == (not text.strip())


@given(
    release=st.from_regex(r"[1-9][0-9]{0,3}(\.[0-9]{1,3}){1,3}", fullmatch=True),
    distance=st.integers(0, 10**8),
    commit=st.from_regex(r"[0-9a-f]{7,40}", fullmatch=True),
    dirty=st.booleans(),
)
def test_what_versioneer_writes_is_read_back(release: str, distance: int, commit: str, dirty: bool) -> None:
    text = f"{release}+{distance}.g{commit}{'.dirty' if dirty else ''}"
    assert parse_version(text) == Version(release=release, distance=distance, commit=commit, dirty=dirty)


@pytest.mark.parametrize("text", ["1" + ".0" * 20_000 + "x", "1" + "a" * 50_000, "1.dev" * 20_000, "1+" * 30_000])
def test_a_long_text_takes_no_longer_than_it_is(text: str) -> None:
    assert parse_version(text) is not None  # and not after years: no form has many ways to part a text
