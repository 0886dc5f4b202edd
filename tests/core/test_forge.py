from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.forge import commit_url, compare_url, package_changes, templates
from coiled_runtime_cli.core.record import Package

OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            Package(name="dask", version="2026.8.0"),
            Package(name="dask", version="2026.9.0"),
            "https://github.com/dask/dask/compare/2026.8.0...2026.9.0",
        ),
        (
            Package(name="numpy", version="2.0.0"),
            Package(name="numpy", version="2.1.0"),
            "https://github.com/numpy/numpy/compare/v2.0.0...v2.1.0",
        ),
        (
            Package(name="dask", version="2024.2.1+17.gabc1234"),
            Package(name="dask", version="2024.2.1+20.gdef5678.dirty"),
            "https://github.com/dask/dask/compare/abc1234...def5678",
        ),
        (
            Package(name="dask", version="2026.8.0"),
            Package(name="dask", version="2026.9.0", commit=NEW, url="git+ssh://git@github.com/me/dask.git@main"),
            f"https://github.com/me/dask/compare/2026.8.0...{NEW}",
        ),
        (
            Package(name="mine", commit=OLD, url="https://gitlab.example.org/group/sub/mine.git"),
            Package(name="mine", commit=NEW, url="https://gitlab.example.org/group/sub/mine.git"),
            f"https://gitlab.example.org/group/sub/mine/-/compare/{OLD}...{NEW}",
        ),
        (
            Package(name="mine", commit=OLD, url="git@bitbucket.org:me/mine.git"),
            Package(name="mine", commit=NEW, url="git@bitbucket.org:me/mine.git"),
            f"https://bitbucket.org/me/mine/branches/compare/{NEW}..{OLD}",
        ),
        (Package(name="dask", version="2026.8.0"), Package(name="dask", version="2026.8.0"), None),
        (Package(name="mine", version="1"), Package(name="mine", version="2"), None),
        (Package(name="dask", version="1+local"), Package(name="dask", version="2"), None),
        (Package(name="dask"), Package(name="dask", version="2"), None),
    ],
)
def test_what_lies_between_two_states_of_a_package(before: Package, after: Package, expected: str | None) -> None:
    assert compare_url(before, after) == expected


def test_a_commit_has_a_page_where_its_forge_is_known() -> None:
    assert commit_url(Package(name="dask", commit=NEW)) == f"https://github.com/dask/dask/commit/{NEW}"
    gitlab = Package(name="x", commit=NEW, url="https://gitlab.com/g/x")
    assert commit_url(gitlab) == f"https://gitlab.com/g/x/-/commit/{NEW}"
    assert commit_url(Package(name="dask", version="1")) is None
    assert commit_url(Package(name="dask", commit="main")) is None
    assert commit_url(Package(name="mine", commit=NEW, url="file:///home/me/mine")) is None


texts = st.none() | st.text(max_size=20)
HOSTILE = (
    "javascript:alert(1)//github.com/a/b",
    "https://github.com.evil.org/a/b",
    "https://me@evil.org/github.com/a/b",
    "https://github.com/../..",
    "https://github.com/a/<script>",
    'https://github.com/a/"onload="',
    "http://[::1/a/b",
    "https://github.com/{0}/{before}",
)
addresses = texts | st.sampled_from(HOSTILE)
packages = st.builds(Package, name=st.sampled_from(["dask", "mine"]), version=texts, url=addresses, commit=texts)


@given(before=packages, after=packages)
def test_only_plain_addresses_of_forges_come_out(before: Package, after: Package) -> None:
    for url in (compare_url(before, after), commit_url(after)):
        if url is not None:
            parts = urlsplit(url)
            assert parts.scheme == "https"
            assert parts.netloc in {"github.com", "gitlab.com"}
            assert not set(url) & set("<>\"'{}\\ \n")
            assert ".." not in parts.path.replace("...", "").split("/")


def test_what_two_environments_do_not_have_alike() -> None:
    before = [Package(name="dask", version="1"), Package(name="gone", version="1"), Package(name="same", version="1")]
    after = [Package(name="dask", version="2"), Package(name="came", version="1"), Package(name="same", version="1")]
    changes = package_changes(before, after)
    assert [each.name for each in changes] == ["came", "dask", "gone"]
    assert changes[0].before is None
    assert changes[2].after is None
    assert [each.url is not None for each in changes] == [False, True, False]
    assert package_changes(before, before) == ()
    dirty = [Package(name="dask", version="1", dirty=True), *before[1:]]
    assert [each.name for each in package_changes(before, dirty)] == ["dask"]


def test_every_known_project_has_its_templates() -> None:
    for name, each in templates().items():
        tags = [each["tag"].format(version=version) for version in ("1.0", "2.0")]
        before, after = (Package(name=name, version=version) for version in ("1.0", "2.0"))
        assert compare_url(before, after) == each["compare"].format(before=tags[0], after=tags[1])
