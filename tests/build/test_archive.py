import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.build import archive
from coiled_runtime_cli.errors import ToolError

NAMES = st.text("abcdefghij/_.", min_size=1, max_size=20).filter(
    lambda name: (
        not name.startswith("/") and not name.endswith("/") and "//" not in name and ".." not in name and name != "."
    )
)


@given(st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=5), st.integers(0, 4_000_000_000))
def test_what_is_written_is_read_back_and_always_the_same_bytes(files, moment):
    content = archive.conda_bytes("a-1-0", files, moment=moment)
    assert content == archive.conda_bytes("a-1-0", dict(reversed(files.items())), moment=moment)
    read = archive._read_tar(archive._decompressed(zipfile.ZipFile(io.BytesIO(content)).read("info-a-1-0.tar.zst")), "")
    assert dict(read.files) == files
    assert not read.code


def test_an_older_package_is_read_too(tmp_path):
    file = tmp_path / "a-1-0.tar.bz2"
    with tarfile.open(file, "w:bz2") as made:
        for name, value in (("info/index.json", json.dumps({"name": "a"}).encode()), ("lib/a.py", b"x = 1")):
            member = tarfile.TarInfo(name)
            member.size = len(value)
            made.addfile(member, io.BytesIO(value))
    contents = archive.read(file)
    assert contents.json("index.json") == {"name": "a"}
    assert contents.code
    assert contents.json("about.json") == {}


@pytest.mark.parametrize("content", [b"", b"not a package", b"PK\x05\x06" + b"\0" * 18])
@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_what_is_no_package_is_said(tmp_path, content, suffix):
    file = tmp_path / f"a-1-0{suffix}"
    file.write_bytes(content)
    with pytest.raises(ToolError, match="is no package of conda"):
        archive.read(file)


def test_a_package_cut_short_is_said(tmp_path):
    content = archive.conda_bytes("a-1-0", {"index.json": b"{}" * 1}, moment=1_700_000_000)
    file = tmp_path / "a-1-0.conda"
    for size in (10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(ToolError):
            archive.read(file)
